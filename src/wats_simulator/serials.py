"""Pools of serial numbers: each call takes, reserves or frees others."""

from __future__ import annotations

from typing import Any

from .call import Call, Json, Refused, Reply, Route, found, live, picked, read, write
from .state import WATSState


def add_serials(state: WATSState, type_name: str, serials: list[str]) -> None:
    """Add free serial numbers to the pool of this type."""
    for serial in serials:
        state.serials.setdefault(
            serial,
            {
                "serialNumber": serial,
                "serialNumberType": type_name,
                "state": "Free",
                "refSN": None,
                "refPN": None,
                "stationName": None,
            },
        )


def _pool(call: Call, type_name: str) -> list[Json]:
    return [one for one in call.state.serials.values() if type_name in ("", one["serialNumberType"])]


def _type(call: Call, name: str) -> str:
    found(next((one for one in call.state.serial_types if one["name"] == name), None), f"serial number type {name!r}")
    return name


def get_types(call: Call) -> Any:
    free = [one["serialNumberType"] for one in call.state.serials.values() if one["state"] == "Free"]
    return [{**one, "free": free.count(one["name"])} for one in call.state.serial_types]


def _between(pool: list[Json], first: str, last: str) -> list[Json]:
    return [one for one in pool if (not first or one["serialNumber"] >= first) and (not last or _upto(one, last))]


def _upto(one: Json, last: str) -> bool:
    return bool(one["serialNumber"] <= last)


def export(call: Call) -> Any:
    state = call.query("state").casefold()
    rows = [one for one in _pool(call, call.query("typeName")) if state in ("", one["state"].casefold())]
    lines = ["serialNumber;serialNumberType;state", *(";".join(list(map(str, one.values()))[:3]) for one in rows)]
    return Reply("\n".join(lines).encode() + b"\n", content_type="text/csv; charset=utf-8")


def by_range(call: Call) -> Any:
    return _between(_pool(call, call.query("typeName")), call.query("from"), call.query("to"))


def by_reference(call: Call) -> Any:
    serial, part = call.query("referenceSerialNumber"), call.query("referencePartNumber")
    pool = _pool(call, call.query("typeName"))
    return [one for one in pool if serial in ("", one["refSN"]) and part in ("", one["refPN"])]


def find(call: Call) -> Any:
    return _between(_pool(call, call.query("serialNumberType")), call.query("startAddress"), call.query("endAddress"))


def total(call: Call) -> Any:
    return len(find(call))


def ranges(call: Call) -> Any:
    pool = sorted(one["serialNumber"] for one in _pool(call, call.query("serialNumberType")))
    return [{"from": pool[0], "to": pool[-1], "count": len(pool)}] if pool else []


def statistics(call: Call) -> Any:
    states = [one["state"] for one in _pool(call, call.query("serialNumberType"))]
    return {name.casefold(): states.count(name) for name in ("Free", "Reserved", "Taken")}


def take(call: Call) -> Any:
    taken = _take(call, _type(call, call.query("serialNumberType")), call.number("quantity", 1), "Taken")
    for one in taken:
        one.update(refSN=call.query("refSN"), refPN=call.query("refPN"), stationName=call.query("stationName"))
    return Reply(_xml(taken).encode(), content_type="application/xml; charset=utf-8")


def reserve(call: Call) -> Any:
    wanted = call.object().get("sn") or {}
    taken = _take(call, _type(call, wanted.get("serialNumberType", "")), int(wanted.get("batchSize") or 1), "Reserved")
    return {"sn": _xml(taken)}


def _take(call: Call, type_name: str, count: int, state: str) -> list[Json]:
    free = [one for one in _pool(call, type_name) if one["state"] == "Free"][:count]
    if len(free) < count:
        raise Refused(409, f"{len(free)} serial numbers of type {type_name!r} are free, {count} were asked for")
    for one in free:
        one["state"] = state
    return free


def _xml(serials: list[Json]) -> str:
    return "<SerialNumbers>" + "".join(f'<SN id="{one["serialNumber"]}" />' for one in serials) + "</SerialNumbers>"


def upload(call: Call) -> Any:
    default = call.state.serial_types[0]["name"]
    added = 0
    for line in call.text().splitlines():
        serial, _, rest = line.strip().replace(",", ";").partition(";")
        if serial and serial != "serialNumber":
            add_serials(call.state, rest.partition(";")[0] or default, [serial])
            added += 1
    return {"count": added}


def free(call: Call) -> Any:
    freed = 0
    for wanted in call.json() or ():
        first, last = (str(picked(wanted, *names) or "") for names in (("from", "start"), ("to", "end")))
        for one in _between(_pool(call, str(picked(wanted, "serialNumberType") or "")), first, last):
            freed += one["state"] != "Free"
            one["state"] = "Free"
    return {"freed": freed}


def delete_free(call: Call) -> Any:
    # The SDK loses the ranges on the way; without them nothing is deleted.
    for wanted in call.json() or ():
        for one in _between(_pool(call, ""), str(picked(wanted, "from") or ""), str(picked(wanted, "to") or "")):
            if one["state"] == "Free":
                del call.state.serials[one["serialNumber"]]
    return Reply(status=204)


_POOL = ("serial-number", "serial-number-type")

ROUTES: tuple[Route, ...] = (
    read("GET", "/api/Production/SerialNumbers/Types", get_types, "serial-number-type"),
    live("GET", "/api/Production/SerialNumbers", export),
    live("GET", "/api/Production/SerialNumbers/ByRange", by_range),
    live("GET", "/api/Production/SerialNumbers/ByReference", by_reference),
    live("GET", "/api/internal/Production/SerialNumbers", find),
    live("GET", "/api/internal/Production/SerialNumbers/Count", total),
    live("GET", "/api/internal/Production/SerialNumbers/Ranges", ranges),
    live("GET", "/api/internal/Production/SerialNumbers/Statistics", statistics),
    write("POST", "/api/Production/SerialNumbers/Take", take, *_POOL),
    write("POST", "/api/internal/Production/GetAndReserveNewSerialNumbers", reserve, *_POOL),
    write("PUT", "/api/Production/SerialNumbers", upload, *_POOL),
    write("PUT", "/api/internal/Production/SerialNumbers/Free", free, *_POOL),
    write("DELETE", "/api/internal/Production/SerialNumbers/Free", delete_free, *_POOL),
)
