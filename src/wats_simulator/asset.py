"""Assets: instruments and fixtures with types, counts, calibration, children, a log and files."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from typing import Any

from wats_simulator import odata

from .call import Call, Json, Refused, Reply, Route, found, live, picked, read, write
from .state import WATSState, fold

# Types of log entries.
MESSAGE, REGISTER, UPDATE, RESET_COUNT, CALIBRATION, MAINTENANCE, STATE_CHANGE = range(7)


def add_asset(state: WATSState, serial_number: str, type_id: str, **fields: Any) -> Json:
    """Add an asset with a first entry in its log."""
    now = state.now()
    asset: Json = {
        "serialNumber": serial_number,
        "assetId": state.new_id(),
        "typeId": type_id,
        "parentAssetId": None,
        "parentSerialNumber": None,
        "assetName": serial_number,
        "partNumber": "",
        "revision": "",
        "state": 1,
        "description": "",
        "location": "",
        "firstSeenDate": now,
        "lastSeenDate": now,
        "lastMaintenanceDate": None,
        "nextMaintenanceDate": None,
        "lastCalibrationDate": None,
        "nextCalibrationDate": None,
        "totalCount": 0,
        "runningCount": 0,
        "tags": [],
    }
    asset.update(fields)
    state.assets[fold(serial_number)] = asset
    log(state, asset, REGISTER, "registered")
    return asset


def log(state: WATSState, asset: Json, kind: int, comment: str, user: str = "") -> None:
    """Add an entry to the log of the asset."""
    state.asset_log.append(
        {
            "logId": state.next_number(),
            "assetId": asset["assetId"],
            "serialNumber": asset["serialNumber"],
            "date": state.now(),
            "user": user,
            "type": kind,
            "comment": comment,
        }
    )


def count(state: WATSState, serial_number: str, times: int = 1) -> None:
    """Count a use of the asset, if it is known; reports do this."""
    asset = state.assets.get(fold(serial_number))
    if asset is not None:
        asset["totalCount"] += times
        asset["runningCount"] += times
        asset["lastSeenDate"] = state.now()


def find(state: WATSState, identifier: str) -> Json | None:
    """Return the asset with this serial number or id, or None."""
    asset = state.assets.get(fold(identifier))
    if asset is not None:
        return asset
    return next((one for one in state.assets.values() if one["assetId"] == identifier), None)


def _asked(call: Call) -> Json:
    identifier = call.query("id") or call.query("serialNumber")
    if not identifier:
        raise Refused(400, "id or serialNumber is required")
    asset: Json = found(find(call.state, identifier), f"asset {identifier!r}")
    return asset


def _children(call: Call, asset: Json) -> list[Json]:
    ids = (asset["assetId"], asset["serialNumber"])
    return [
        one for one in call.state.assets.values() if one["parentAssetId"] in ids or one["parentSerialNumber"] in ids
    ]


def _shown(call: Call, asset: Json) -> Json:
    kind = call.state.asset_types.get(asset["typeId"])
    return {**asset, "assetType": kind} if kind else asset


def get_assets(call: Call) -> Any:
    return [_shown(call, asset) for asset in odata.query(call, call.state.assets.values())]


def get_asset(call: Call) -> Any:
    identifier = call.params["identifier"]
    asset = found(find(call.state, identifier), f"asset {identifier!r}")
    entries = [entry for entry in call.state.asset_log if entry["assetId"] == asset["assetId"]]
    return {**_shown(call, asset), "assetChildren": _children(call, asset), "assetLog": entries}


def get_sub_assets(call: Call) -> Any:
    found_children: list[Json] = []
    level = [_asked(call)]
    for _ in range(call.number("level", 1)):
        level = [child for asset in level for child in _children(call, asset)]
        found_children += level
    return found_children


def get_status(call: Call) -> Any:
    asset = _asked(call)
    due = asset["nextCalibrationDate"]
    return {
        "assetId": asset["assetId"],
        "serialNumber": asset["serialNumber"],
        "state": asset["state"],
        "runningCount": asset["runningCount"],
        "totalCount": asset["totalCount"],
        "nextCalibrationDate": due,
        "calibrationDue": bool(due and due < call.state.now()),
        "inAlarm": False,
    }


def get_log(call: Call) -> Any:
    return odata.query(call, call.state.asset_log)


def save_asset(call: Call) -> Any:
    fields = call.object()
    serial_number = str(picked(fields, "serialNumber") or "")
    if not serial_number:
        raise Refused(400, "serialNumber is required")
    asset = call.state.assets.get(fold(serial_number)) or find(call.state, str(fields.get("assetId") or ""))
    if asset is None:
        asset = add_asset(call.state, serial_number, str(fields.get("typeId") or ""))
    kept = {"assetId", "assetChildren", "assetLog", "assetType"}
    # The SDK sends empty lists for fields nobody set.
    asset.update({key: value for key, value in fields.items() if key not in kept and value != []})
    log(call.state, asset, UPDATE, "updated", call.user)
    return _shown(call, asset)


def delete_asset(call: Call) -> Any:
    asset = _asked(call)
    del call.state.assets[fold(asset["serialNumber"])]
    call.state.asset_files.pop(asset["assetId"], None)
    call.state.asset_log[:] = [one for one in call.state.asset_log if one["assetId"] != asset["assetId"]]
    for child in _children(call, asset):
        child["parentAssetId"] = child["parentSerialNumber"] = None
    return Reply(status=204)


def set_state(call: Call) -> Any:
    asset = _asked(call)
    asset["state"] = call.number("state")
    log(call.state, asset, STATE_CHANGE, f"state {asset['state']}", call.user)
    return asset


def update_count(call: Call) -> Any:
    asset = _asked(call)
    if call.query("totalCount"):
        asset["totalCount"] = call.number("totalCount")
    step = call.number("incrementBy")
    for one in [asset, *(_children(call, asset) if call.flag("incrementChildren") else ())]:
        count(call.state, one["serialNumber"], step)
    return asset


def set_count(field: str) -> Any:
    """Return the handler that sets this count of an asset."""

    def handler(call: Call) -> Any:
        asset = _asked(call)
        asset[field] = call.number(field)
        return asset

    return handler


def reset_running_count(call: Call) -> Any:
    asset = _asked(call)
    asset["runningCount"] = 0
    log(call.state, asset, RESET_COUNT, call.query("comment") or "running count reset", call.user)
    return asset


def serviced(field: str, kind: int) -> Any:
    """Return the handler that notes a calibration or a maintenance."""

    def handler(call: Call) -> Any:
        asset = _asked(call)
        done = call.query("dateTime") or call.query("fromDate") or call.state.now()
        asset[f"last{field}Date"] = done
        asset[f"next{field}Date"] = call.query("toDate") or _next(call, asset, field, done)
        asset["runningCount"] = 0
        log(call.state, asset, kind, call.query("comment") or field.casefold(), call.user)
        return asset

    return handler


def _next(call: Call, asset: Json, field: str, done: str) -> str:
    kind = call.state.asset_types.get(asset["typeId"], {})
    days = kind.get(f"{field.casefold()}Interval") or 365
    try:
        moment = datetime.fromisoformat(done.replace("Z", "+00:00"))
    except ValueError:
        raise Refused(400, f"{done!r} is not a date") from None
    return (moment + timedelta(days=float(days))).isoformat()


def post_message(call: Call) -> Any:
    fields = call.object()
    identifier = str(picked(fields, "assetId", "serialNumber") or "")
    asset = found(find(call.state, identifier), f"asset {identifier!r}")
    log(call.state, asset, MESSAGE, str(picked(fields, "comment") or ""), str(picked(fields, "user") or call.user))
    return call.state.asset_log[-1]


def get_types(call: Call) -> Any:
    return odata.query(call, call.state.asset_types.values())


def save_type(call: Call) -> Any:
    fields = call.object()
    if not picked(fields, "typeName"):
        raise Refused(400, "typeName is required")
    same = (one["typeId"] for one in call.state.asset_types.values() if one["typeName"] == fields["typeName"])
    type_id = str(fields.get("typeId") or next(same, None) or call.state.new_id())
    kind = call.state.asset_types.setdefault(type_id, {})
    kind.update(fields, typeId=type_id)
    return kind


# Files of an asset.


def _file_table(call: Call, asset_id: str) -> dict[str, bytes]:
    asset = found(find(call.state, asset_id), f"asset {asset_id!r}")
    return call.state.asset_files.setdefault(asset["assetId"], {})


def list_files(call: Call) -> Any:
    return sorted(_file_table(call, call.params["asset_id"]))


def download_file(call: Call) -> Any:
    name = call.query("filename")
    content = found(_file_table(call, call.query("assetId")).get(name), f"file {name!r}")
    # The SDK takes bytes only from a field.
    return {"filename": name, "content": base64.b64encode(content).decode()}


def upload_file(call: Call) -> Any:
    name = call.query("filename")
    if not name:
        raise Refused(400, "filename is required")
    _file_table(call, call.query("assetId"))[name] = call.body
    return {"filename": name, "size": len(call.body)}


def delete_files(call: Call) -> Any:
    files = _file_table(call, call.query("assetId"))
    # The SDK loses the names on the way; without them all files go.
    for name in call.json() or list(files):
        files.pop(name, None)
    return Reply(status=204)


ROUTES: tuple[Route, ...] = (
    read("GET", "/api/Asset", get_assets, "asset"),
    read("GET", "/api/Asset/{identifier}", get_asset, "asset"),
    read("GET", "/api/Asset/SubAssets", get_sub_assets, "asset"),
    read("GET", "/api/Asset/Log", get_log, "asset"),
    live("GET", "/api/Asset/Status", get_status),
    write("PUT", "/api/Asset", save_asset, "asset", "report"),
    write("DELETE", "/api/Asset", delete_asset, "asset", "asset-file", "report"),
    write("PUT", "/api/Asset/State", set_state, "asset"),
    write("PUT", "/api/Asset/Count", update_count, "asset"),
    write("PUT", "/api/Asset/SetRunningCount", set_count("runningCount"), "asset"),
    write("PUT", "/api/Asset/SetTotalCount", set_count("totalCount"), "asset"),
    write("POST", "/api/Asset/ResetRunningCount", reset_running_count, "asset"),
    write("POST", "/api/Asset/Calibration", serviced("Calibration", CALIBRATION), "asset"),
    write("POST", "/api/Asset/Calibration/External", serviced("Calibration", CALIBRATION), "asset"),
    write("POST", "/api/Asset/Maintenance", serviced("Maintenance", MAINTENANCE), "asset"),
    write("POST", "/api/Asset/Maintenance/External", serviced("Maintenance", MAINTENANCE), "asset"),
    write("POST", "/api/Asset/Message", post_message, "asset"),
    read("GET", "/api/Asset/Types", get_types, "asset-type"),
    write("PUT", "/api/Asset/Types", save_type, "asset-type", "asset"),
    read("GET", "/api/internal/Blob/Asset/List/{asset_id}", list_files, "asset-file"),
    live("GET", "/api/internal/Blob/Asset", download_file),
    write("POST", "/api/internal/Blob/Asset", upload_file, "asset-file", "asset"),
    write("DELETE", "/api/internal/Blob/Assets", delete_files, "asset-file", "asset"),
)
