"""Statistics over reports: yield, repair, failed steps, measurements, OEE, unit flow, alarms."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from .call import Call, Json, Route, live, read
from .product import in_group, like
from .state import fold

# What a filter calls a field, and what a header calls it.
_FILTERS = {
    "serialnumber": "serialNumber",
    "partnumber": "partNumber",
    "revision": "revision",
    "batchnumber": "batchNumber",
    "stationname": "stationName",
    "testoperation": "processName",
    "status": "result",
    "processcode": "processCode",
}


def _filter(call: Call) -> dict[str, Any]:
    """Return the filter of the body, or of the query where there is no body, with folded names."""
    body = call.json()
    if isinstance(body, dict) and body:
        return {key.casefold(): value for key, value in body.items()}
    names = ("productGroup", "partNumber", "revision", "serialNumber", "status", "topCount", "processCode", "count")
    return {name.casefold(): call.query(name) for name in names if call.query(name)}


def _headers(call: Call, kind: str = "T") -> list[Json]:
    """Return the report headers the filter asks for, oldest first."""
    wanted = _filter(call)
    checks = [(_FILTERS[name], str(value)) for name, value in wanted.items() if name in _FILTERS and value]
    group = str(wanted.get("productgroup") or "")
    groups = [one for one in call.state.product_groups.values() if group and like(one["name"], group)]
    chosen = [
        header
        for header in (report["header"] for report in call.state.reports.values())
        if header["reportType"] == kind
        and all(like(str(header[field]), value) for field, value in checks)
        and (not group or any(in_group(one, header["partNumber"]) for one in groups))
        and str(wanted.get("datefrom") or "")[:19] <= header["startUtc"][:19]
        and header["startUtc"][:19] <= str(wanted.get("dateto") or "9")[:19]
    ]
    return sorted(chosen, key=lambda header: str(header["startUtc"]))


def _top(call: Call, rows: list[Json], default: int = 0) -> list[Json]:
    wanted = _filter(call)
    limit = int(wanted.get("topcount") or wanted.get("maxcount") or wanted.get("count") or default or len(rows))
    return rows[:limit]


def _runs(headers: list[Json]) -> Iterator[list[str]]:
    """Yield the results of each unit in each process, in order."""
    units: dict[tuple[str, str, Any], list[str]] = {}
    for one in headers:
        key = (fold(one["serialNumber"]), fold(one["partNumber"]), one["processCode"])
        units.setdefault(key, []).append(one["result"])
    yield from units.values()


def _yield(headers: list[Json]) -> Json:
    """Count units and those that passed in the first, second, third and last run; yields in per cent."""
    runs = list(_runs(headers))
    counts = {"fp": 0, "sp": 0, "tp": 0, "lp": 0}
    for results in runs:
        for number, name in enumerate(("fp", "sp", "tp"), 1):
            counts[name] += "Passed" in results[:number]
        counts["lp"] += results[-1] == "Passed"
    row: Json = {"unitCount": len(runs), "reportCount": len(headers)}
    for name, count in counts.items():
        row[f"{name}Count"] = count
        row[f"{name}y"] = round(100.0 * count / len(runs), 2) if runs else 0.0
    return row


def _grouped(headers: list[Json], names: list[str]) -> Iterator[tuple[Json, list[Json]]]:
    groups: dict[tuple[str, ...], list[Json]] = {}
    for header in headers:
        values = tuple(
            str(header["startUtc"])[:10] if name == "period" else str(header.get(name, "")) for name in names
        )
        groups.setdefault(values, []).append(header)
    for values, members in groups.items():
        yield dict(zip(names, values, strict=True)), members


def _dimensions(call: Call, default: str) -> list[str]:
    text = call.query("dimensions") or str(_filter(call).get("dimensions") or "") or default
    words = [part.split()[0] for part in text.split(";") if part.strip()]
    # unitCount and the like in a list of dimensions only say how to sort.
    return [word for word in words if not word.endswith(("Count", "fpy", "spy", "tpy", "lpy"))]


def yields(default: str) -> Callable[[Call], Any]:
    """Return the handler of a yield query whose rows are grouped by these dimensions, unless it names others."""

    def handler(call: Call) -> Any:
        groups = _grouped(_headers(call), _dimensions(call, default))
        rows = [{**values, **_yield(members)} for values, members in groups]
        return _top(call, sorted(rows, key=lambda row: -row["unitCount"]))

    return handler


def group_yields(call: Call) -> Any:
    headers = _headers(call)
    rows = []
    for group in call.state.product_groups.values():
        members = [header for header in headers if in_group(group, header["partNumber"])]
        rows.append({"productGroup": group["name"], **_yield(members)})
    return rows


def repairs(call: Call) -> Any:
    groups = _grouped(_headers(call, "R"), _dimensions(call, "partNumber"))
    rows = [
        {**values, "repairReportCount": len(members), "repairCount": len(members), "totalCount": len(members)}
        for values, members in groups
    ]
    return _top(call, rows)


def repair_history(call: Call) -> Any:
    return [
        {
            "serialNumber": one["serialNumber"],
            "partNumber": one["partNumber"],
            "revision": one["revision"],
            "reportId": one["uuid"],
            "repairDate": one["startUtc"],
            "failStepName": "Voltage",
            "symptom": one["comment"],
        }
        for one in _headers(call, "R")
    ]


def _measured(call: Call) -> Iterator[tuple[Json, Json, Json]]:
    """Yield header, step and measurement for each number in the reports."""
    for header in _headers(call):
        report = call.state.reports[header["uuid"]]["wsjf"]
        for step in (report.get("root") or {}).get("steps") or ():
            measurements: list[Json] = step.get("numericMeas") or [{}]
            for measurement in measurements:
                yield header, step, measurement


def _steps(call: Call) -> list[Json]:
    rows: dict[tuple[str, str], Json] = {}
    for header, step, _ in _measured(call):
        name = str(step.get("name"))
        row = rows.setdefault(
            (header["partNumber"], name),
            {
                "stepName": name,
                "stepPath": f"MainSequence Callback/{name}",
                "stepType": step.get("stepType"),
                "stepGroup": step.get("group"),
                "partNumber": header["partNumber"],
                "revision": header["revision"],
                "passCount": 0,
                "failCount": 0,
                "totalCount": 0,
                "reportId": header["uuid"],
                "serialNumber": header["serialNumber"],
                "timestamp": header["startUtc"],
            },
        )
        failed = step.get("status") == "F"
        row["totalCount"] += 1
        row["failCount"] += failed
        row["passCount"] += not failed
        row["status"] = "Failed" if failed else "Passed"
    for row in rows.values():
        row["failRate"] = round(100.0 * row["failCount"] / row["totalCount"], 2)
    return list(rows.values())


def top_failed(call: Call) -> Any:
    return _top(call, sorted(_steps(call), key=lambda row: -row["failCount"]), 10)


def step_status(call: Call) -> Any:
    return _steps(call)


def step_analysis(call: Call) -> Any:
    return [
        {
            **{name: row[name] for name in ("stepName", "stepPath", "stepType", "stepGroup")},
            "stepCount": row["totalCount"],
            "stepPassedCount": row["passCount"],
            "stepFailedCount": row["failCount"],
            "stepTimeAvg": 0.5,
            "measureCount": row["totalCount"],
        }
        for row in _steps(call)
    ]


def measurements(call: Call) -> Any:
    return [
        {
            "serialNumber": header["serialNumber"],
            "partNumber": header["partNumber"],
            "revision": header["revision"],
            "reportId": header["uuid"],
            "stationName": header["stationName"],
            "stepName": step.get("name"),
            "stepPath": f"MainSequence Callback/{step.get('name')}",
            "value": measurement.get("value"),
            "limitLow": measurement.get("lowLimit"),
            "limitHigh": measurement.get("highLimit"),
            "unit": measurement.get("unit"),
            "status": step.get("status"),
            "timestamp": header["startUtc"],
        }
        for header, step, measurement in _measured(call)
    ]


def aggregated_measurements(call: Call) -> Any:
    rows: dict[tuple[Any, Any], list[float]] = {}
    for header, step, measurement in _measured(call):
        if isinstance(measurement.get("value"), (int, float)):
            rows.setdefault((header["partNumber"], step.get("name")), []).append(float(measurement["value"]))
    return [
        {
            "partNumber": part_number,
            "stepName": name,
            "stepPath": f"MainSequence Callback/{name}",
            "count": len(values),
            "min": min(values),
            "max": max(values),
            "avg": sum(values) / len(values),
            "unit": "V",
        }
        for (part_number, name), values in rows.items()
    ]


def times(call: Call) -> Any:
    headers = _headers(call)
    seconds = sorted(float(header["executionTime"]) for header in headers) or [0.0]
    return {
        "category": "All",
        "minExecutionTime": seconds[0],
        "maxExecutionTime": seconds[-1],
        "avgExecutionTime": sum(seconds) / len(seconds),
        "medianExecutionTime": seconds[len(seconds) // 2],
        "reports": [
            {
                "id": header["uuid"],
                "serialNumber": header["serialNumber"],
                "partNumber": header["partNumber"],
                "status": header["result"],
                "startUtc": header["startUtc"],
                "executionTime": header["executionTime"],
            }
            for header in headers
        ],
        "dimensionStatistics": [],
    }


def oee(call: Call) -> Any:
    row = _yield(_headers(call))
    good = row["lpCount"]
    return {
        "oee": 0.72,
        "availability": 0.9,
        "performance": 0.9,
        "quality": good / row["unitCount"] if row["unitCount"] else 0.0,
        "totalCount": row["unitCount"],
        "goodCount": good,
        "rejectCount": row["unitCount"] - good,
    }


def uut_reports(call: Call) -> Any:
    return _top(call, _headers(call)[::-1])


def uur_reports(call: Call) -> Any:
    return _top(call, _headers(call, "R")[::-1])


def serial_number_history(call: Call) -> Any:
    return _top(call, [*_headers(call), *_headers(call, "R")])


# Unit flow: the GETs send no filter, what they answer depends on the POSTs of the same user before.


def query_flow(call: Call) -> Any:
    call.state.unit_flow.setdefault(call.user, {}).update(call.json() or {})
    return {"nodes": flow_nodes(call), "links": flow_links(call), "units": flow_units(call)}


def flow_nodes(call: Call) -> list[Json]:
    asked = call.state.unit_flow.get(call.user, {})
    results: dict[Any, list[str]] = {}
    for report in call.state.reports.values():
        results.setdefault(report["header"]["processCode"], []).append(report["header"]["result"])
    nodes = []
    for process in call.state.processes:
        if process["isTestOperation"]:
            seen = results.get(process["code"], [])
            passed = seen.count("Passed")
            node = {
                "id": process["code"],
                "name": process["name"],
                "processCode": process["code"],
                "unitCount": len(seen),
                "passCount": passed,
                "failCount": len(seen) - passed,
                "yieldPercent": round(100.0 * passed / len(seen), 2) if seen else 100.0,
                "isExpanded": bool(asked.get("expandOperations")),
                "isVisible": process["name"] not in (asked.get("hideList") or ()),
                "splitBy": asked.get("splitBy"),
                "unitOrder": asked.get("unitOrder"),
            }
            nodes.append(node)
    return nodes


def flow_links(call: Call) -> list[Json]:
    codes = [node["id"] for node in flow_nodes(call)]
    pairs = pairwise(codes)
    count = len(call.state.units)
    return [{"id": f"{a}-{b}", "sourceId": a, "targetId": b, "unitCount": count} for a, b in pairs]


def flow_units(call: Call) -> list[Json]:
    wanted = (call.state.unit_flow.get(call.user, {})).get("serialNumbers")
    return [
        {"serialNumber": unit["serialNumber"], "partNumber": unit["partNumber"], "currentNode": unit.get("processCode")}
        for unit in call.state.units.values()
        if not wanted or unit["serialNumber"] in wanted
    ]


def alarms(call: Call) -> Any:
    rows = [
        {
            "logId": number,
            "name": "Yield below limit" if number % 2 else "Calibration due",
            "logDate": header["startUtc"],
            "type": 2 if number % 2 else 5,
            "partNumber": header["partNumber"],
            "fpy": 87.5,
        }
        for number, header in enumerate(_headers(call), 1)
    ]
    return _top(call, rows, 20)


# Every one of these is a read with the tag `report`, the POSTs too: they carry a filter in the body.
_READS: tuple[tuple[str, str, Callable[[Call], Any]], ...] = (
    ("GET POST", "/api/App/VolumeYield", yields("partNumber;period")),
    ("GET POST", "/api/App/HighVolume", yields("partNumber")),
    ("GET POST", "/api/App/WorstYield", yields("partNumber")),
    ("POST", "/api/App/HighVolumeByProductGroup", group_yields),
    ("POST", "/api/App/WorstYieldByProductGroup", group_yields),
    ("POST", "/api/App/DynamicYield", yields("partNumber;period")),
    ("POST", "/api/App/DynamicRepair", repairs),
    ("GET", "/api/App/RelatedRepairHistory", repair_history),
    ("GET POST", "/api/App/TopFailed", top_failed),
    ("GET POST", "/api/internal/App/TopFailed", top_failed),
    ("GET POST", "/api/internal/App/StepStatusList", step_status),
    ("GET POST", "/api/internal/App/MeasurementList", measurements),
    ("POST", "/api/App/TestStepAnalysis", step_analysis),
    ("POST", "/api/App/Measurements", measurements),
    ("POST", "/api/App/AggregatedMeasurements", aggregated_measurements),
    ("POST", "/api/App/ConnectionAndExecutionTime", times),
    ("POST", "/api/App/OeeAnalysis", oee),
    ("POST", "/api/App/SerialNumberHistory", serial_number_history),
    ("GET POST", "/api/App/UutReport", uut_reports),
    ("POST", "/api/App/UurReport", uur_reports),
)

ROUTES: tuple[Route, ...] = (
    *(read(method, template, handler, "report") for methods, template, handler in _READS for method in methods.split()),
    live("GET", "/api/internal/UnitFlow/Nodes", flow_nodes),
    live("GET", "/api/internal/UnitFlow/Links", flow_links),
    live("GET", "/api/internal/UnitFlow/Units", flow_units),
    live("POST", "/api/internal/UnitFlow", query_flow),
    live("POST", "/api/internal/UnitFlow/SN", query_flow),
    live("POST", "/api/internal/UnitFlow/SplitBy", query_flow),
    live("POST", "/api/internal/UnitFlow/UnitOrder", query_flow),
    live("POST", "/api/internal/Trigger/GetAlarmAndNotificationLogs", alarms),
)
