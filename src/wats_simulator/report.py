"""Test and repair reports: sent as WSJF or WSXF, read as headers, whole reports, files and certificates."""

from __future__ import annotations

import base64
import html
import io
import json
import re
import zipfile
from typing import Any

from wats_simulator import odata

from .asset import count
from .call import Call, Deferred, Json, Refused, Reply, Route, found, picked, read, write
from .product import attributes, ensure_revision
from .state import WATSState, fold

_RESULTS = {"P": "Passed", "F": "Failed", "E": "Error", "T": "Terminated", "S": "Skipped", "D": "Done"}
# What reports and units without a batch, and every report, dirty.
DIRTIES = ("report", "unit", "asset", "catalog", "batch")


def submit(state: WATSState, report: Json) -> None:
    """Take in a WSJF report: its header, its unit, its product, the counts of its assets, its batch."""
    part_number, serial_number = str(report.get("pn") or ""), str(report.get("sn") or "")
    info = report.get("uut") or report.get("uur") or {}
    revision = str(report.get("rev") or "A")
    ensure_revision(state, part_number, revision)
    known = state.reports.get(report["id"])
    batch = str(info.get("batchSN") or info.get("batchNumber") or "")
    header: Json = {
        "uuid": report["id"],
        "serialNumber": serial_number,
        "partNumber": part_number,
        "revision": revision,
        "batchNumber": batch,
        "reportType": "R" if report.get("type") == "R" else "T",
        "stationName": report.get("machineName") or "",
        "location": report.get("location") or "",
        "purpose": report.get("purpose") or "",
        "processCode": report.get("processCode"),
        "processName": process_name(state, report.get("processCode")),
        "testOperation": process_name(state, report.get("processCode")),
        "result": _RESULTS.get(str(report.get("result")), str(report.get("result") or "Passed")),
        "startUtc": picked(report, "startUTC", "start") or state.now(),
        "operator": info.get("user") or "",
        "comment": info.get("comment") or "",
        "executionTime": info.get("execTime") or 1.0,
        "referencedUut": info.get("refUUT"),
        "receiveCount": known["header"]["receiveCount"] + 1 if known else 1,
        "subUnits": [
            {"serialNumber": one.get("sn"), "partNumber": one.get("pn"), "revision": one.get("rev")}
            for one in report.get("subUnits") or ()
        ],
        "miscInfo": [
            {"description": one.get("description"), "value": one.get("text")} for one in report.get("miscInfos") or ()
        ],
    }
    state.reports[report["id"]] = {"header": header, "wsjf": report}
    if batch:
        state.batches.setdefault(batch, {"batchNumber": batch, "batchSize": 0})
    unit = state.units.setdefault(
        (fold(serial_number), fold(part_number)),
        {
            "serialNumber": serial_number,
            "partNumber": part_number,
            "revision": revision,
            "batchNumber": batch,
            "serialDate": header["startUtc"],
            "unitPhaseId": 2,
            "unitPhase": "Under production",
            "tags": [],
        },
    )
    unit["processCode"] = str(header["processCode"])
    for asset in report.get("assets") or ():
        count(state, str(picked(asset, "assetSN", "sn", "serialNumber") or ""), int(picked(asset, "usageCount") or 1))
    _store_attachments(state, report)


def process_name(state: WATSState, code: Any) -> str:
    """Return the name of the process with this code, or the code."""
    return next((one["name"] for one in state.processes if one["code"] == code), str(code or ""))


def attachment_id(report_id: str) -> str:
    """Return the id of the first file of a report."""
    return f"{report_id}-1"


def _store_attachments(state: WATSState, report: Json) -> None:
    for number, item in enumerate(report.get("binaryData") or (), 1):
        content = picked(item, "data", "content") or ""
        try:
            state.attachments[f"{report['id']}-{number}"] = base64.b64decode(content)
        except ValueError:
            raise Refused(400, "binaryData must be base64") from None


def post_wsjf(call: Call) -> Any:
    report = call.object()
    return _taken_in(call, report)


def post_wsxf(call: Call) -> Any:
    return _taken_in(call, _of_xml(call.text()))


def _taken_in(call: Call, report: Json) -> Deferred:
    for name, needed in (("pn", "partNumber"), ("sn", "serialNumber")):
        if not report.get(name):
            raise Refused(400, f"the report has no {name} ({needed})")
    report.setdefault("id", call.state.new_id())
    report["id"] = str(report["id"]).casefold()
    kind = "UUR" if report.get("type") == "R" else "UUT"
    answer = {"ID": report["id"], "id": report["id"], "type": kind}
    return Deferred(answer, lambda: submit(call.state, report))


def _of_xml(text: str) -> Json:
    head = attributes(text, "Report")
    process = attributes(text, "Process")
    code = process.get("Code", "")
    report: Json = {
        "type": "R" if head.get("type", "").upper() == "UUR" else "T",
        "pn": head.get("PN"),
        "sn": head.get("SN"),
        "rev": head.get("Rev", "A"),
        "result": head.get("Result", "P"),
        "processCode": int(code) if code.isdecimal() else 100,
        "machineName": head.get("MachineName", ""),
        "location": head.get("Location", ""),
        "purpose": head.get("Purpose", ""),
        "uut": {"user": attributes(text, "UUT").get("UserLoginName", "")},
        "root": {"stepType": "SequenceCall", "name": "MainSequence Callback", "group": "M", "status": "P", "steps": []},
    }
    if head.get("ID"):
        report["id"] = head["ID"]
    if head.get("Start_utc"):
        report["start"] = head["Start_utc"]
    return report


def query_headers(call: Call) -> Any:
    kind = "R" if call.query("reportType", "U").upper() == "R" else "T"
    headers = [one["header"] for one in call.state.reports.values() if one["header"]["reportType"] == kind]
    chosen = odata.query(call, headers)
    wanted = [name.strip() for name in call.query("$expand").split(",")]
    hidden = {"subUnits", "miscInfo"} - set(wanted)
    rows = [{key: value for key, value in header.items() if key not in hidden} for header in chosen]
    if "uurSubUnits" in wanted:
        rows = [{**row, "uurSubUnits": header["subUnits"]} for row, header in zip(rows, chosen, strict=True)]
    return rows


def query_headers_by_misc_info(call: Call) -> Any:
    wanted = (fold(call.query("description")), fold(call.query("stringValue")))
    headers = [
        one["header"]
        for one in call.state.reports.values()
        for info in one["header"]["miscInfo"]
        if (fold(str(info["description"])), fold(str(info["value"]))) == wanted
    ]
    return headers[: call.number("$top", len(headers))]


def _report(call: Call) -> Json:
    report_id = call.params["report_id"]
    report: Json = found(call.state.reports.get(report_id.casefold()), f"report {report_id!r}")
    return report


def get_wsjf(call: Call) -> Any:
    return _report(call)["wsjf"]


def get_wsxf(call: Call) -> Any:
    header = _report(call)["header"]
    names = {"ID": "uuid", "SN": "serialNumber", "PN": "partNumber", "Rev": "revision", "Result": "result"}
    listed = " ".join(f'{name}="{html.escape(str(header[field]))}"' for name, field in names.items())
    kind = "UUR" if header["reportType"] == "R" else "UUT"
    text = (
        '<Reports xmlns="http://wats.virinco.com/schemas/WATS/Report/wsxf">'
        f'<Report type="{kind}" {listed}><Process Code="{header["processCode"]}"/></Report>'
        f"</Reports><!-- {call.stamp} -->"
    )
    return Reply(text.encode(), content_type="application/xml; charset=utf-8")


def get_attachment(call: Call) -> Any:
    wanted = call.query("attachmentId") or call.query("stepId")
    content = call.state.attachments.get(wanted)
    if content is None:  # every report has a text that the server made
        report_id = re.sub(r"-\d+$", "", wanted) if wanted not in call.state.reports else wanted
        header = found(call.state.reports.get(report_id), f"attachment {wanted!r}")["header"]
        content = f"log of {header['serialNumber']}\n{call.stamp}\n".encode()
    return Reply(content, content_type="application/octet-stream")


def get_attachments(call: Call) -> Any:
    report = _report(call)
    target = io.BytesIO()
    # A ZipInfo of its own has a fixed date: the same files give the same bytes.
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(zipfile.ZipInfo("report.json"), json.dumps(report["header"]))
        prefix = f"{report['header']['uuid']}-"
        for name, content in call.state.attachments.items():
            if name.startswith(prefix):
                archive.writestr(zipfile.ZipInfo(f"{name}.bin"), content)
        archive.comment = call.stamp.encode()
    return Reply(target.getvalue(), content_type="application/zip")


def get_certificate(call: Call) -> Any:
    header = _report(call)["header"]
    text = f"%PDF-1.4\n% certificate of {header['serialNumber']}: {header['result']}\n% {call.stamp}\n%%EOF\n"
    return Reply(text.encode(), content_type="application/pdf")


ROUTES: tuple[Route, ...] = (
    write("POST", "/api/Report/WSJF", post_wsjf, *DIRTIES),
    write("POST", "/api/Report/WSXF", post_wsxf, *DIRTIES),
    read("GET", "/api/Report/Query/Header", query_headers, "report"),
    read("GET", "/api/Report/Query/HeaderByMiscInfo", query_headers_by_misc_info, "report"),
    read("GET", "/api/Report/Wsjf/{report_id}", get_wsjf, "report"),
    read("GET", "/api/Report/Wsxf/{report_id}", get_wsxf, "report"),
    read("GET", "/api/Report/Attachment", get_attachment, "report"),
    read("GET", "/api/Report/Attachments/{report_id}", get_attachments, "report"),
    read("GET", "/api/Report/Certificate/{report_id}", get_certificate, "report"),
)
