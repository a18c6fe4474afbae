"""A plain HTTP request for every route of SimulatedWATS, made from what the server holds at that moment."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from wats_simulator.call import Route
from wats_simulator.simulator import SimulatedWATS


@dataclass(frozen=True)
class Wire:
    """What is sent."""

    method: str
    target: str
    body: bytes
    content_type: str


def request_for(route: Route, server: SimulatedWATS) -> Wire:
    """Return a request for this route that succeeds on this server now."""
    values = _values(server)
    path = re.sub(r"\{(\w+)\}", lambda match: quote(str(values[match[1]]), safe=""), route.template)
    query, body = _SPECIAL.get((route.method, route.template), lambda values: ({}, None))(values)
    target = f"{path}?{urlencode(query)}" if query else path
    if body is None:
        return Wire(route.method, target, b"", "application/json")
    if isinstance(body, bytes):
        return Wire(route.method, target, body, "application/octet-stream")
    if isinstance(body, str):
        return Wire(route.method, target, body.encode(), "application/xml")
    return Wire(route.method, target, json.dumps(body).encode(), "application/json")


class Sender:
    """Sends plain requests over one connection; a context manager."""

    def __init__(self, server: SimulatedWATS, token: str | None = None) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        self._token = server.token if token is None else token

    def send(self, wire: Wire, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers with lower-case names, body."""
        given = {"Authorization": f"Basic {self._token}", "Content-Type": wire.content_type, **headers}
        self._connection.request(wire.method, wire.target, wire.body, given)
        response = self._connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()

    def get(self, target: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        return self.send(Wire("GET", target, b"", "application/json"), **headers)

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Sender:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _values(server: SimulatedWATS) -> dict[str, Any]:
    state = server.state
    units = list(state.units.values())
    child = next(unit for unit in units if unit.get("parentSerialNumber"))
    report_id = next(iter(state.reports))
    return {
        "part_number": "PN-1000",
        "revision": "A",
        "serial_number": "SN-1000",
        "revision_ids": [one["productRevisionId"] for one in state.products["pn-1000"]["revisions"]],
        "relation_id": next(iter(state.revision_relations)),
        "relation": next(iter(state.revision_relations.values())),
        "group_id": max(state.product_groups),
        "vendor_id": next(iter(state.vendors)),
        "identifier": "DMM-1",
        "asset": state.assets["dmm-1"],
        "asset_id": state.assets["fix-1"]["assetId"],
        "type_id": next(iter(state.asset_types)),
        "child": child,
        "change_id": next(iter(state.unit_changes), "1"),
        "report_id": report_id,
        "report": {**state.reports[report_id]["wsjf"], "id": "9d9f1f1e-0000-4000-8000-000000000001"},
        "process_id": state.processes[2]["ProcessID"],
        "package_id": next(iter(state.packages)),
        "file_id": next(iter(state.package_files)),
        "folder_id": next(iter(state.folders)),
        "package_folder": next(iter(state.package_folders.values())),
        "definition_id": next(iter(state.definitions)),
        "definition_relation": next(iter(state.definition_relations.values())),
        "sequence_id": next(iter(state.inspections)),
        "unit_id": "9d9f1f1e-0000-4000-8000-000000000002",
        "ticket": next(iter(state.tickets.values())),
        "user_id": next(iter(state.scim_users)),
        "username": server.users[0],
    }


Parts = tuple[dict[str, Any], Any]
Make = Callable[[dict[str, Any]], Parts]


def _query(**query: Any) -> Make:
    return lambda values: (query, None)


def _body(body: Any) -> Make:
    return lambda values: ({}, body)


_PRODUCT = _query(partNumber="PN-1000", revision="A", PN="PN-1000")
_UNIT = _query(serialNumber="SN-1000", partNumber="PN-1000", revision="A")
_FILTER = _body({"partNumber": "PN-10%"})
_SERIALS = _query(typeName="SN", serialNumberType="SN", **{"from": "SN0000000", "to": "SN0000009"})
_TAGS = [{"key": "Colour", "value": "red"}]
_NEW_UNIT = {"serialNumber": "SN-1000", "partNumber": "PN-1000", "revision": "B"}
_BASE = "/api/internal/ManualInspection"
_XML = (
    '<Reports><Report type="UUT" PN="PN-1000" SN="SN-1000" Rev="A" Result="P"><Process Code="100"/></Report></Reports>'
)


def _asset(**query: Any) -> Make:
    return lambda values: ({"serialNumber": values["identifier"], **query}, None)


def _package(**query: Any) -> Make:
    return lambda values: ({"packageId": values["package_id"], **query}, None)


def _definition(values: dict[str, Any]) -> Parts:
    return {"definitionId": values["definition_id"]}, None


def _children(values: dict[str, Any]) -> Parts:
    child = values["child"]
    pairs = {"childSerialNumber": child["serialNumber"], "childPartNumber": child["partNumber"]}
    return {"parentSerialNumber": "SN-1000", "parentPartNumber": "PN-1000", **pairs}, None


def _children_internal(values: dict[str, Any]) -> Parts:
    child = values["child"]
    pairs = {"childSerialNumber": child["serialNumber"], "childPartNumber": child["partNumber"]}
    return {"serialNumber": "SN-1000", "partNumber": "PN-1000", **pairs}, None


_SPECIAL: dict[tuple[str, str], Make] = {
    # product
    ("GET", "/api/Product/BOM"): _PRODUCT,
    ("GET", "/api/internal/Product/Bom"): _PRODUCT,
    ("GET", "/api/Product/ProductGroupsByProduct"): _PRODUCT,
    ("GET", "/api/internal/Product/GetGroupsForProduct"): _PRODUCT,
    ("GET", "/api/internal/Product/GetProductByPN"): _PRODUCT,
    ("GET", "/api/internal/Product/GetProductInfo"): _PRODUCT,
    ("GET", "/api/internal/Product/GetProductTags"): _PRODUCT,
    ("GET", "/api/internal/Product/GetRevisionTags"): _PRODUCT,
    ("PUT", "/api/Product"): _body({"partNumber": "PN-1000", "name": "Renamed"}),
    ("PUT", "/api/Product/Products"): _body([{"partNumber": "PN-1000", "name": "Renamed"}]),
    ("PUT", "/api/Product/Revision"): _body({"partNumber": "PN-1000", "revision": "A", "name": "First"}),
    ("PUT", "/api/Product/Revisions"): _body([{"partNumber": "PN-1000", "revision": "A", "name": "First"}]),
    ("PUT", "/api/Product/BOM"): _body({"partNumber": "PN-1000", "revision": "A", "components": [{"number": "C1"}]}),
    ("PUT", "/api/internal/Product/BOM"): lambda values: (
        {"partNumber": "PN-1000", "revision": "A"},
        [{"partNumber": "C1"}],
    ),
    ("PUT", "/api/Product/Group"): _body({"productGroupName": "New group"}),
    ("POST", "/api/Product/ProductGroup"): _body({"name": "New group", "description": "", "isPublic": True}),
    ("PUT", "/api/Product/ProductGroup"): lambda values: ({}, {"id": values["group_id"], "name": "Renamed"}),
    ("PUT", "/api/Product/Vendors"): _body({"name": "New vendor"}),
    ("PUT", "/api/internal/Product/PutProductCategories"): _body([{"name": "Mechanics"}]),
    ("PUT", "/api/internal/Product/PutProductTags"): lambda values: ({"partNumber": "PN-1000"}, _TAGS),
    ("PUT", "/api/internal/Product/PutRevisionTags"): lambda values: (
        {"partNumber": "PN-1000", "revision": "A"},
        _TAGS,
    ),
    ("POST", "/api/internal/Product/PostProductRevisionRelation"): lambda values: (
        {},
        {"ParentProductRevisionId": values["revision_ids"][0], "ProductRevisionId": values["revision_ids"][1]},
    ),
    ("PUT", "/api/internal/Product/PutProductRevisionRelation"): lambda values: (
        {},
        {**values["relation"], "Quantity": 7},
    ),
    ("DELETE", "/api/internal/Product/DeleteProductRevisionRelation"): lambda values: (
        {"productRevisionRelationId": values["relation_id"]},
        None,
    ),
    # asset
    ("GET", "/api/Asset/SubAssets"): _query(serialNumber="FIX-1", level=2),
    ("GET", "/api/Asset/Status"): _asset(),
    ("GET", "/api/internal/Blob/Asset"): lambda values: (
        {"assetId": values["asset_id"], "filename": "manual.txt"},
        None,
    ),
    ("POST", "/api/internal/Blob/Asset"): lambda values: (
        {"assetId": values["asset_id"], "filename": "new.txt"},
        b"new",
    ),
    ("DELETE", "/api/internal/Blob/Assets"): lambda values: ({"assetId": values["asset_id"]}, None),
    ("PUT", "/api/Asset"): _body({"serialNumber": "DMM-1", "assetName": "Renamed"}),
    ("DELETE", "/api/Asset"): _asset(),
    ("PUT", "/api/Asset/State"): _asset(state=4),
    ("PUT", "/api/Asset/Count"): _asset(incrementBy=3),
    ("PUT", "/api/Asset/SetRunningCount"): _asset(runningCount=9),
    ("PUT", "/api/Asset/SetTotalCount"): _asset(totalCount=9),
    ("POST", "/api/Asset/ResetRunningCount"): _asset(comment="reset"),
    ("POST", "/api/Asset/Calibration"): _asset(comment="done"),
    ("POST", "/api/Asset/Calibration/External"): _asset(fromDate="2026-01-01T00:00:00", toDate="2027-01-01T00:00:00"),
    ("POST", "/api/Asset/Maintenance"): _asset(dateTime="2026-01-01T00:00:00"),
    ("POST", "/api/Asset/Maintenance/External"): _asset(fromDate="2026-01-01T00:00:00"),
    ("POST", "/api/Asset/Message"): lambda values: ({}, {"assetId": values["asset"]["assetId"], "comment": "hello"}),
    ("PUT", "/api/Asset/Types"): _body({"typeName": "Camera"}),
    # production
    **{
        ("GET", f"/api/internal/Production/{name}"): _UNIT
        for name in (
            "GetUnit",
            "GetUnitInfo",
            "GetUnitContents",
            "GetUnitHierarchy",
            "GetUnitStateHistory",
            "GetUnitPhase",
            "GetUnitProcess",
        )
    },
    ("GET", "/api/Production/UnitVerification"): _UNIT,
    ("GET", "/api/Production/CheckChildUnits"): _UNIT,
    ("GET", "/api/internal/Production/CheckChildUnits"): _query(
        ParentSerialNumber="SN-1000", ParentPartNumber="PN-1000"
    ),
    ("POST", "/api/Production/Unit"): _body(_NEW_UNIT),
    ("PUT", "/api/Production/Unit"): _body(_NEW_UNIT),
    ("PUT", "/api/Production/Units"): _body([_NEW_UNIT]),
    ("POST", "/api/internal/Production/CreateUnit"): _query(
        serialNumber="SN-9", partNumber="PN-1000", revision="A", batchNumber="B-9", unitPhase=16
    ),
    ("PUT", "/api/Production/ChangeUnit"): _query(
        serialNumber="SN-1000", partNumber="PN-1000", newPartNumber="PN-1002", newRevision="A"
    ),
    ("DELETE", "/api/Production/Unit"): _UNIT,
    ("PUT", "/api/Production/UnitTag"): _query(serialNumber="SN-1000", partNumber="PN-1000", key="a", value="b"),
    ("PUT", "/api/Production/SetUnitPhase"): _query(serialNumber="SN-1000", partNumber="PN-1000", phase=16),
    ("PUT", "/api/Production/SetUnitProcess"): _query(serialNumber="SN-1000", partNumber="PN-1000", processCode=110),
    ("POST", "/api/Production/AddChildUnit"): _children,
    ("POST", "/api/Production/RemoveChildUnit"): _children,
    ("POST", "/api/internal/Production/AddChildUnit"): _children_internal,
    ("POST", "/api/internal/Production/RemoveChildUnit"): _children_internal,
    ("POST", "/api/internal/Production/RemoveAllChildUnits"): _UNIT,
    ("PUT", "/api/Production/Batch"): _body({"batchNumber": "BATCH-1", "batchSize": 7}),
    ("PUT", "/api/Production/Batches"): _body([{"batchNumber": "BATCH-1", "batchSize": 7}]),
    ("GET", "/api/Production/SerialNumbers"): _SERIALS,
    ("GET", "/api/Production/SerialNumbers/ByRange"): _SERIALS,
    ("GET", "/api/Production/SerialNumbers/ByReference"): _SERIALS,
    ("GET", "/api/internal/Production/SerialNumbers"): _SERIALS,
    ("GET", "/api/internal/Production/SerialNumbers/Count"): _SERIALS,
    ("GET", "/api/internal/Production/SerialNumbers/Ranges"): _SERIALS,
    ("GET", "/api/internal/Production/SerialNumbers/Statistics"): _SERIALS,
    ("POST", "/api/Production/SerialNumbers/Take"): _query(serialNumberType="SN", quantity=2),
    ("POST", "/api/internal/Production/GetAndReserveNewSerialNumbers"): _body(
        {"sn": {"serialNumberType": "SN", "batchSize": 2}}
    ),
    ("PUT", "/api/Production/SerialNumbers"): _body(b"SN9000001;SN\n"),
    ("PUT", "/api/internal/Production/SerialNumbers/Free"): _body([{"from": "SN0000000", "to": "SN0000003"}]),
    ("DELETE", "/api/internal/Production/SerialNumbers/Free"): _body([{"from": "SN0000000", "to": "SN0000003"}]),
    # report
    ("POST", "/api/Report/WSJF"): lambda values: ({}, values["report"]),
    ("POST", "/api/Report/WSXF"): _body(_XML),
    ("GET", "/api/Report/Query/Header"): _query(reportType="U", **{"$top": 5}),
    ("GET", "/api/Report/Query/HeaderByMiscInfo"): _query(description="Line", stringValue="L1"),
    ("GET", "/api/Report/Attachment"): lambda values: ({"attachmentId": f"{values['report_id']}-1"}, None),
    # analytics
    ("POST", "/api/App/DynamicYield"): _FILTER,
    ("POST", "/api/App/Measurements"): _FILTER,
    ("GET", "/api/App/RelatedRepairHistory"): _query(partNumber="PN-1003", revision="A"),
    # software
    ("GET", "/api/Software/PackageByName"): _query(name="Tester", status="Released"),
    ("GET", "/api/Software/PackagesByTag"): _query(tag="StationName", value="Station 1"),
    ("GET", "/api/internal/Software/GetPackage"): _package(),
    ("GET", "/api/internal/Software/GetPackageByName"): _query(packageName="Tester", status="Released"),
    ("GET", "/api/internal/Software/GetPackagesByTag"): _query(tags="//*[StationName[.='Station 1']]"),
    ("GET", "/api/internal/Software/GetSoftwareEntityDetails"): _package(),
    ("GET", "/api/internal/Software/CheckFile"): _package(checksum="0"),
    ("GET", "/api/internal/Software/Log"): _package(downloadSize=10),
    ("POST", "/api/Software/Package"): _body({"name": "New package"}),
    ("PUT", "/api/Software/Package/{package_id}"): _body({"description": "changed"}),
    ("DELETE", "/api/Software/PackageByName"): _query(name="Tester"),
    ("POST", "/api/Software/PackageStatus/{package_id}"): _query(status="Revoked"),
    ("POST", "/api/Software/Package/UploadZip/{package_id}"): _body(b"PK"),
    ("POST", "/api/Software/Package/FileAttribute/{file_id}"): _body({"attributes": "8"}),
    ("POST", "/api/internal/Software/PostPackageFolder"): lambda values: (
        {"packageId": values["package_id"]},
        {"name": "New"},
    ),
    ("POST", "/api/internal/Software/UpdatePackageFolder"): lambda values: (
        {},
        {**values["package_folder"], "name": "Renamed"},
    ),
    ("POST", "/api/internal/Software/DeletePackageFolder"): lambda values: (
        {"packageFolderId": values["package_folder"]["packageFolderId"]},
        None,
    ),
    ("POST", "/api/internal/Software/DeletePackageFolderFiles"): lambda values: (
        {"packageFolderFileIds": values["file_id"]},
        None,
    ),
    ("POST", "/api/Software/VirtualFolder"): _body({"name": "New folder"}),
    ("PUT", "/api/Software/VirtualFolder"): lambda values: ({}, {"id": values["folder_id"], "name": "Renamed"}),
    # root cause
    ("GET", "/api/RootCause/Ticket"): lambda values: ({"ticketId": values["ticket"]["ticketId"]}, None),
    ("GET", "/api/RootCause/Tickets"): _query(status=63, view=2),
    ("GET", "/api/RootCause/Attachment"): lambda values: ({"attachmentId": values["ticket"]["ticketId"]}, None),
    ("POST", "/api/RootCause/Ticket"): _body({"subject": "Noise"}),
    ("PUT", "/api/RootCause/Ticket"): lambda values: ({}, {**values["ticket"], "status": 2}),
    ("POST", "/api/RootCause/ArchiveTickets"): lambda values: ({}, [values["ticket"]["ticketId"]]),
    ("POST", "/api/RootCause/Attachment"): _body(
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nnotes\r\n--x--\r\n'
    ),
    # scim
    ("POST", "/api/SCIM/v2/Users"): _body({"userName": "carol"}),
    ("PATCH", "/api/SCIM/v2/Users/{user_id}"): _body(
        {"Operations": [{"op": "replace", "path": "active", "value": False}]}
    ),
    # manual inspection
    ("GET", f"{_BASE}/GetTestSequenceDefinition"): _definition,
    ("GET", f"{_BASE}/GetTestSequenceDefinitionXaml"): _definition,
    ("PUT", f"{_BASE}/ValidateMiscInfo"): _body({"name": "Line"}),
    ("POST", f"{_BASE}/PostDefinition"): _body({"Name": "New check"}),
    ("PUT", f"{_BASE}/PutDefinitionNew"): lambda values: (
        {},
        {"TestSequenceDefinitionId": values["definition_id"], "Description": "changed"},
    ),
    ("PUT", f"{_BASE}/PutTestSequenceDefinitionXaml"): lambda values: (
        {},
        {"TestSequenceDefinitionId": values["definition_id"], "XAML": "<Changed/>"},
    ),
    ("POST", f"{_BASE}/PostRelation"): lambda values: (
        {},
        {"TestSequenceDefinitionId": values["definition_id"], "EntityValue": "PN-1001"},
    ),
    ("PUT", f"{_BASE}/PutRelation"): lambda values: ({}, {**values["definition_relation"], "Status": 0}),
    ("PUT", f"{_BASE}/DeleteRelationNew"): lambda values: ({}, values["definition_relation"]),
    ("PUT", f"{_BASE}/PutSequence"): lambda values: ({}, {"TestSequenceDefinitionId": values["definition_id"]}),
    ("PUT", f"{_BASE}/PutStringTest"): lambda values: ({}, {"TestSequenceInstanceId": values["sequence_id"], "a": "b"}),
}
