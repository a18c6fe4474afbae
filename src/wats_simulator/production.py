"""Units and their phases, processes, children, verification and changes; batches."""

from __future__ import annotations

from typing import Any

from wats_simulator import odata

from .call import Call, Json, Refused, Reply, Route, found, live, picked, read, write
from .product import ensure_revision
from .report import process_name
from .state import WATSState, fold


def save_unit(state: WATSState, fields: Json) -> Json:
    """Make or change a unit; a new part number, revision or batch comes into being with it."""
    serial_number = str(picked(fields, "serialNumber") or "")
    part_number = str(picked(fields, "partNumber") or "")
    revision = str(picked(fields, "revision") or "A")
    if not serial_number:
        raise Refused(400, "serialNumber is required")
    ensure_revision(state, part_number, revision)
    key = (fold(serial_number), fold(part_number))
    unit = state.units.get(key)
    if unit is None:
        unit = state.units[key] = {
            "serialNumber": serial_number,
            "partNumber": part_number,
            "revision": revision,
            "batchNumber": "",
            "parentSerialNumber": None,
            "serialDate": state.now(),
            "unitPhaseId": 2,
            "unitPhase": "Under production",
            "processCode": None,
            "tags": [],
        }
    # The SDK sends empty lists for fields nobody set.
    unit.update({name: value for name, value in fields.items() if value != [] and name != "subUnits"})
    batch = unit.get("batchNumber")
    if batch:
        state.batches.setdefault(batch, {"batchNumber": batch, "batchSize": 0})
    note(state, unit, "saved")
    return unit


def note(state: WATSState, unit: Json, what: str) -> None:
    """Write the present state of the unit into its history."""
    entry = {"date": state.now(), "what": what, "phase": unit.get("unitPhase"), "processCode": unit.get("processCode")}
    state.unit_history.setdefault((fold(unit["serialNumber"]), fold(unit["partNumber"])), []).append(entry)


def find_unit(state: WATSState, serial_number: str, part_number: str = "") -> Json | None:
    """Return the unit, or None; without a part number the first with the serial number."""
    if part_number:
        return state.units.get((fold(serial_number), fold(part_number)))
    return next((unit for (serial, _), unit in state.units.items() if serial == fold(serial_number)), None)


def _asked(call: Call, prefix: str = "") -> Json:
    names = [f"{prefix}SerialNumber", f"{prefix}PartNumber"]
    return _unit(call, call.query(names[0]), call.query(names[1]))


def _unit(call: Call, serial_number: str, part_number: str) -> Json:
    what = f"unit {serial_number!r} of {part_number!r}"
    unit: Json = found(find_unit(call.state, serial_number, part_number), what)
    return unit


def _children(call: Call, unit: Json) -> list[Json]:
    parent = fold(unit["serialNumber"])
    return [one for one in call.state.units.values() if fold(one.get("parentSerialNumber") or "") == parent]


def _whole(call: Call, unit: Json) -> Json:
    return {**unit, "subUnits": _children(call, unit)}


def query_units(call: Call) -> Any:
    return odata.query(call, call.state.units.values())


def get_unit(call: Call) -> Any:
    return _whole(call, _unit(call, call.params["serial_number"], call.params["part_number"]))


def get_unit_by_query(call: Call) -> Any:
    return _whole(call, _asked(call))


def get_hierarchy(call: Call) -> Any:
    unit = _asked(call)
    children = [_whole(call, child) for child in _children(call, unit)]
    return {"serialNumber": unit["serialNumber"], "partNumber": unit["partNumber"], "children": children}


def get_history(call: Call) -> Any:
    unit = _asked(call)
    return call.state.unit_history.get((fold(unit["serialNumber"]), fold(unit["partNumber"])), [])


def get_phase(call: Call) -> Any:
    unit = _asked(call)
    return {"unitPhaseId": unit["unitPhaseId"], "name": unit["unitPhase"]}


def get_process(call: Call) -> Any:
    unit = _asked(call)
    code = unit.get("processCode")
    return {"processCode": code, "name": process_name(call.state, int(code)) if code and str(code).isdecimal() else ""}


def verify(call: Call) -> Any:
    unit = _asked(call)
    runs = [
        one["header"]
        for one in call.state.reports.values()
        if fold(one["header"]["serialNumber"]) == fold(unit["serialNumber"]) and one["header"]["reportType"] == "T"
    ]
    bad = [run for run in runs if run["result"] != "Passed"]
    last = runs[-1] if runs else None
    result = {
        "processCode": last["processCode"] if last else None,
        "processName": last["processName"] if last else None,
        "processIndex": 1,
        "status": last["result"] if last else "Unknown",
        "startUtc": last["startUtc"] if last else None,
        "stationName": last["stationName"] if last else None,
        "totalCount": len(runs),
        "nonPassedCount": len(bad),
        "repairCount": 0,
    }
    return {
        **result,
        "grade": "A" if runs and not bad else "C",
        "allProcessesExecutedInCorrectOrder": True,
        "allProcessesPassedFirstRun": bool(runs) and runs[0]["result"] == "Passed",
        "allProcessesPassedAnyRun": len(bad) < len(runs),
        "allProcessesPassedLastRun": bool(last) and result["status"] == "Passed",
        "noRepairs": True,
        "results": [result],
    }


def check_children(call: Call) -> Any:
    prefix = "Parent" if call.query("ParentSerialNumber") else ""
    unit = _asked(call, prefix)
    return {"success": True, "serialNumber": unit["serialNumber"], "children": len(_children(call, unit))}


def post_unit(call: Call) -> Any:
    return save_unit(call.state, call.object())


def put_units(call: Call) -> Any:
    units = [save_unit(call.state, fields) for fields in call.objects()]
    return {"insertCount": len(units), "updateCount": 0, "errorCount": 0}


def create_unit(call: Call) -> Any:
    fields: Json = {name: call.query(name) for name in ("serialNumber", "partNumber", "revision")}
    if call.query("batchNumber"):
        fields["batchNumber"] = call.query("batchNumber")
    unit = save_unit(call.state, fields)
    if call.query("unitPhase"):
        _put_into_phase(call, unit, call.query("unitPhase"))
    return unit


def delete_unit(call: Call) -> Any:
    unit = _asked(call)
    key = (fold(unit["serialNumber"]), fold(unit["partNumber"]))
    del call.state.units[key]
    call.state.unit_history.pop(key, None)
    for report_id, report in list(call.state.reports.items()):
        if (fold(report["header"]["serialNumber"]), fold(report["header"]["partNumber"])) == key:
            del call.state.reports[report_id]
    return Reply(status=204)


def change_unit(call: Call) -> Any:
    unit = _asked(call)
    part_number, revision = call.query("newPartNumber"), call.query("newRevision")
    ensure_revision(call.state, part_number, revision)
    old = (fold(unit["serialNumber"]), fold(unit["partNumber"]))
    del call.state.units[old]
    unit.update(partNumber=part_number, revision=revision)
    call.state.units[(old[0], fold(part_number))] = unit
    call.state.unit_history[(old[0], fold(part_number))] = call.state.unit_history.pop(old, [])
    _changed(call, unit, newPartNumber=part_number, newRevision=revision)
    return unit


def _changed(call: Call, unit: Json, **fields: Any) -> None:
    number = call.state.next_number()
    change = {"id": number, "unitSerialNumber": unit["serialNumber"], "unitPartNumber": unit["partNumber"], **fields}
    call.state.unit_changes[str(number)] = change
    note(call.state, unit, ", ".join(fields))


def get_changes(call: Call) -> Any:
    serial, part = fold(call.query("serialNumber")), fold(call.query("partNumber"))
    changes = [
        change
        for change in call.state.unit_changes.values()
        if serial in ("", fold(change["unitSerialNumber"])) and part in ("", fold(change["unitPartNumber"]))
    ]
    return odata.query(call, changes)


def delete_change(call: Call) -> Any:
    change_id = call.params["change_id"]
    found(call.state.unit_changes.pop(change_id, None), f"unit change {change_id!r}")
    return Reply(status=204)


def set_tag(call: Call) -> Any:
    unit = _asked(call)
    key = call.query("key")
    others = [tag for tag in unit["tags"] if tag["key"] != key]
    unit["tags"] = [*others, {"key": key, "value": call.query("value")}]
    note(call.state, unit, f"tag {key}")
    return unit


def set_phase(call: Call) -> Any:
    unit = _asked(call)
    _put_into_phase(call, unit, call.query("phase"))
    return unit


def _put_into_phase(call: Call, unit: Json, wanted: str) -> None:
    phases = call.state.phases
    names = ("UnitPhaseId", "Code", "Name")
    phase = next((one for one in phases if fold(wanted) in [fold(str(one[name])) for name in names]), None)
    if phase is None:
        raise Refused(400, f"unit phase {wanted!r} does not exist")
    unit.update(unitPhaseId=phase["UnitPhaseId"], unitPhase=phase["Name"])
    _changed(call, unit, newUnitPhaseId=phase["UnitPhaseId"])


def set_process(call: Call) -> Any:
    unit = _asked(call)
    unit["processCode"] = call.query("processCode") or None
    note(call.state, unit, "process")
    return unit


# Children.


def add_child(call: Call) -> Any:
    internal = not call.query("parentSerialNumber")
    parent = _asked(call, "" if internal else "parent")
    child = _asked(call, "child")
    child["parentSerialNumber"] = parent["serialNumber"]
    _changed(call, child, newParentSerialNumber=parent["serialNumber"])
    return {"success": True, "children": len(_children(call, parent))}


def remove_child(call: Call) -> Any:
    internal = not call.query("parentSerialNumber")
    parent = _asked(call, "" if internal else "parent")
    child = _asked(call, "child")
    if child.get("parentSerialNumber") != parent["serialNumber"]:
        raise Refused(404, f"{child['serialNumber']!r} is no child of {parent['serialNumber']!r}")
    child["parentSerialNumber"] = None
    _changed(call, child, newParentSerialNumber=None)
    return {"success": True, "children": len(_children(call, parent))}


def remove_children(call: Call) -> Any:
    parent = _asked(call)
    children = _children(call, parent)
    for child in children:
        child["parentSerialNumber"] = None
        _changed(call, child, newParentSerialNumber=None)
    return {"success": True, "removed": len(children)}


# Batches.


def get_batches(call: Call) -> Any:
    wanted, part = call.query("batchId"), fold(call.query("partNumber"))
    used = {unit.get("batchNumber") for unit in call.state.units.values() if fold(unit["partNumber"]) == part}
    batches = call.state.batches.items()
    return [batch for name, batch in batches if wanted in ("", name) and (not part or name in used)]


def put_batch(call: Call) -> Any:
    return _save_batch(call, call.object())


def put_batches(call: Call) -> Any:
    return [_save_batch(call, fields) for fields in call.objects()]


def _save_batch(call: Call, fields: Json) -> Json:
    number = str(picked(fields, "batchNumber") or "")
    if not number:
        raise Refused(400, "batchNumber is required")
    batch = call.state.batches.setdefault(number, {"batchNumber": number})
    batch.update(fields)
    return batch


_MOVES = ("unit", "report", "batch", "catalog")

ROUTES: tuple[Route, ...] = (
    live("GET", "/api/Production/Unit/Query", query_units),
    live("GET", "/api/Production/Unit/{serial_number}/{part_number}", get_unit),
    live("GET", "/api/Production/UnitVerification", verify),
    live("GET", "/api/Production/Units/Changes", get_changes),
    live("GET", "/api/Production/CheckChildUnits", check_children),
    live("GET", "/api/internal/Production/CheckChildUnits", check_children),
    live("GET", "/api/internal/Production/GetUnit", get_unit_by_query),
    live("GET", "/api/internal/Production/GetUnitInfo", get_unit_by_query),
    live("GET", "/api/internal/Production/GetUnitContents", get_unit_by_query),
    live("GET", "/api/internal/Production/GetUnitHierarchy", get_hierarchy),
    live("GET", "/api/internal/Production/GetUnitStateHistory", get_history),
    live("GET", "/api/internal/Production/GetUnitPhase", get_phase),
    live("GET", "/api/internal/Production/GetUnitProcess", get_process),
    write("POST", "/api/Production/Unit", post_unit, *_MOVES),
    write("PUT", "/api/Production/Unit", post_unit, *_MOVES),
    write("PUT", "/api/Production/Units", put_units, *_MOVES),
    write("POST", "/api/internal/Production/CreateUnit", create_unit, *_MOVES),
    write("PUT", "/api/Production/ChangeUnit", change_unit, *_MOVES),
    write("DELETE", "/api/Production/Unit", delete_unit, "unit", "report", "batch"),
    write("DELETE", "/api/Production/Units/Changes/{change_id}", delete_change, "unit"),
    write("PUT", "/api/Production/UnitTag", set_tag, "unit"),
    write("PUT", "/api/Production/SetUnitPhase", set_phase, "unit"),
    write("PUT", "/api/Production/SetUnitProcess", set_process, "unit"),
    write("POST", "/api/Production/AddChildUnit", add_child, "unit"),
    write("POST", "/api/Production/RemoveChildUnit", remove_child, "unit"),
    write("POST", "/api/internal/Production/AddChildUnit", add_child, "unit"),
    write("POST", "/api/internal/Production/RemoveChildUnit", remove_child, "unit"),
    write("POST", "/api/internal/Production/RemoveAllChildUnits", remove_children, "unit"),
    read("GET", "/api/Production/Batches", get_batches, "batch"),
    write("PUT", "/api/Production/Batch", put_batch, "batch", "unit", "report"),
    write("PUT", "/api/Production/Batches", put_batches, "batch", "unit", "report"),
)
