"""What fits each argument of the vendor's SDK: functions of a SimulatedWATS, which holds what they name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid4

from pywats.domains.analytics.models import UnitFlowFilter
from pywats.domains.asset.models import Asset
from pywats.domains.product.models import BomItem, Product, ProductRevision, PublicBom, PublicBomComponent
from pywats.domains.production.models import ProductionBatch, Unit
from pywats.domains.report.models import WATSFilter
from pywats.domains.rootcause.enums import TicketStatus
from pywats.domains.rootcause.models import Ticket
from pywats.domains.scim.models import ScimPatchOperation, ScimPatchRequest, ScimUser
from pywats.domains.software.models import Package

from wats_simulator.simulator import SimulatedWATS

# What the server holds.


def _unit(server: SimulatedWATS) -> dict[str, Any]:
    return next(iter(server.state.units.values()))


def _asset(server: SimulatedWATS) -> dict[str, Any]:
    return next(iter(server.state.assets.values()))


def _last_asset(server: SimulatedWATS) -> dict[str, Any]:
    return list(server.state.assets.values())[-1]


def _unused_product(server: SimulatedWATS) -> dict[str, Any]:
    used = {part for _, part in server.state.units}
    unused = [product for key, product in server.state.products.items() if key not in used and product["revisions"]]
    return unused[-1]


def _child(server: SimulatedWATS) -> dict[str, Any]:
    """Return a unit that is the child of another, made one if there is none."""
    units = list(server.state.units.values())
    child = next((unit for unit in units if unit.get("parentSerialNumber")), units[1])
    if not child.get("parentSerialNumber"):
        child["parentSerialNumber"] = units[0]["serialNumber"]
    return child


def _parent(server: SimulatedWATS) -> dict[str, Any]:
    parent = _child(server)["parentSerialNumber"]
    return next(unit for unit in server.state.units.values() if unit["serialNumber"] == parent)


def _report_id(server: SimulatedWATS) -> str:
    return next(iter(server.state.reports))


def _report(server: SimulatedWATS) -> dict[str, Any]:
    return {**server.state.reports[_report_id(server)]["wsjf"], "id": str(uuid4())}


def _package_id(server: SimulatedWATS) -> str:
    return next(iter(server.state.packages))


def _change_id(server: SimulatedWATS) -> str:
    if not server.state.unit_changes:
        server.state.unit_changes["1"] = {"id": 1, "unitSerialNumber": "SN-1000", "unitPartNumber": "PN-1000"}
    return next(iter(server.state.unit_changes))


def _definition_id(server: SimulatedWATS) -> str:
    return next(iter(server.state.definitions))


def _relation(server: SimulatedWATS) -> dict[str, Any]:
    return dict(next(iter(server.state.definition_relations.values())))


def _revision_relation_id(server: SimulatedWATS) -> UUID:
    return UUID(next(iter(server.state.revision_relations)))


def _ticket(server: SimulatedWATS) -> dict[str, Any]:
    return next(iter(server.state.tickets.values()))


def _now(server: SimulatedWATS) -> datetime:
    return datetime.now(timezone.utc)


def _same(value: Any) -> Callable[[SimulatedWATS], Any]:
    return lambda server: value


BY_NAME: dict[tuple[str, str], Callable[[SimulatedWATS], Any]] = {
    ("*", "part_number"): lambda server: _unit(server)["partNumber"],
    ("*", "serial_number"): lambda server: _unit(server)["serialNumber"],
    ("*", "revision"): _same("A"),
    ("*", "name"): _same("Simulated name"),
    ("*", "description"): _same("Line"),
    # analytics
    ("*", "filter_data"): lambda server: WATSFilter(part_number="PN-1003;PN-1000"),
    ("*", "step_filters"): _same(""),
    ("*", "sequence_filters"): _same(""),
    ("*", "product_group_id"): _same("1"),
    ("*", "level_id"): _same("1"),
    ("*", "days"): _same(7),
    ("*", "process_code"): _same("100"),
    ("*", "test_operation"): _same("Test"),
    ("*", "station_name"): _same("Station 1"),
    ("*", "operation_ids"): _same(["Test"]),
    ("*", "order_by"): _same("startTime"),
    ("*", "dimension"): _same("stationName"),
    ("*", "serial_numbers"): lambda server: [_unit(server)["serialNumber"]],
    # asset
    ("*", "asset_id"): lambda server: _asset(server)["assetId"],
    ("asset", "serial_number"): lambda server: _asset(server)["serialNumber"],
    ("*", "type_id"): lambda server: UUID(next(iter(server.state.asset_types))),
    ("*", "type_name"): _same("SN"),
    ("asset", "type_name"): _same("Camera"),
    ("*", "parent_id"): lambda server: _asset(server)["assetId"],
    ("*", "child_id"): lambda server: _last_asset(server)["assetId"],
    ("*", "message"): _same("checked"),
    ("*", "filename"): _same("manual.txt"),
    ("*", "filenames"): _same(["manual.txt"]),
    ("*", "content"): _same(b"how to use it\n"),
    ("*", "file_content"): _same(b"SN9000001;SN\n"),
    ("*", "value"): _same(5),
    ("product", "value"): _same("high"),
    ("production", "value"): _same("high"),
    ("asset", "state"): _same(4),
    ("*", "asset"): lambda server: Asset.model_validate(_asset(server)),
    # manual inspection
    ("*", "definition_id"): _definition_id,
    ("*", "entity_schema"): _same("Product"),
    ("*", "entity_name"): _same("Product"),
    ("*", "sequence_id"): lambda server: list(server.state.definitions)[-1],
    ("*", "unit_id"): lambda server: server.state.new_id(),
    ("*", "payload"): _relation,
    # process
    ("*", "identifier"): _same(100),
    ("*", "code"): _same(100),
    ("*", "process_id"): lambda server: UUID(server.state.processes[0]["ProcessID"]),
    # product
    ("*", "product"): lambda server: Product.model_validate(next(iter(server.state.products.values()))),
    ("*", "products"): lambda server: [Product(part_number="PN-BULK-1"), Product(part_number="PN-BULK-2")],
    ("*", "revisions"): lambda server: [ProductRevision(part_number="PN-1000", revision="C")],
    ("product", "bom"): lambda server: PublicBom(
        part_number="PN-1000", revision="A", components=[PublicBomComponent(number="C-1", quantity=2, reference="C1")]
    ),
    ("*", "group_id"): lambda server: max(server.state.product_groups),
    ("*", "vendor_id"): lambda server: next(iter(server.state.vendors)),
    ("*", "parent_part_number"): _same("PN-1000"),
    ("*", "parent_revision"): _same("A"),
    ("*", "child_part_number"): _same("PN-1002"),
    ("*", "child_revision"): _same("B"),
    ("*", "relation_id"): _revision_relation_id,
    ("*", "categories"): _same([{"name": "Mechanics", "description": "Housings"}]),
    ("*", "tags"): _same([{"key": "Family", "value": "F7"}]),
    ("*", "bom_items"): lambda server: [BomItem(part_number="C-2", component_ref="C2", quantity=3)],
    # production
    ("*", "unit"): lambda server: Unit.model_validate(_unit(server)),
    ("*", "units"): lambda server: [Unit(serial_number="SN-NEW-2", part_number="PN-1000", revision="A")],
    ("*", "batch"): lambda server: ProductionBatch(batch_number="BATCH-9", batch_size=10),
    ("*", "batches"): lambda server: [ProductionBatch(batch_number="BATCH-8", batch_size=8)],
    ("*", "key"): _same("Colour"),
    ("*", "phase"): _same("Finalized"),
    ("*", "change_id"): _change_id,
    ("*", "new_part_number"): _same("PN-CHANGED"),
    ("*", "new_revision"): _same("B"),
    ("*", "parent_serial"): lambda server: _parent(server)["serialNumber"],
    ("*", "parent_part"): lambda server: _parent(server)["partNumber"],
    ("*", "parent_serial_number"): lambda server: _parent(server)["serialNumber"],
    ("production", "parent_part_number"): lambda server: _parent(server)["partNumber"],
    ("*", "child_serial"): lambda server: _child(server)["serialNumber"],
    ("*", "child_part"): lambda server: _child(server)["partNumber"],
    ("*", "child_serial_number"): lambda server: _child(server)["serialNumber"],
    ("production", "child_part_number"): lambda server: _child(server)["partNumber"],
    ("*", "check_part_number"): lambda server: _child(server)["partNumber"],
    ("*", "check_revision"): _same("A"),
    ("*", "serial_number_type"): _same("SN"),
    ("*", "start_address"): _same("SN0000000"),
    ("*", "end_address"): _same("SN0000010"),
    ("*", "from_serial"): _same("SN0000000"),
    ("*", "to_serial"): _same("SN0000010"),
    ("*", "ranges"): _same([{"serialNumberType": "SN", "from": "SN0000000", "to": "SN0000010"}]),
    # report
    ("*", "report_id"): _report_id,
    ("*", "report"): _report,
    ("*", "start_date"): lambda server: _now(server) - timedelta(days=2),
    ("*", "end_date"): _now,
    ("*", "string_value"): _same("L1"),
    ("*", "subunit_part_number"): _same("PCB-1"),
    ("*", "subunit_serial_number"): _same("PCB-1000"),
    ("*", "xml_content"): _same(
        '<Reports><Report type="UUT" PN="PN-1000" SN="SN-XML" Result="P"><Process Code="100"/></Report></Reports>'
    ),
    # root cause
    ("*", "ticket_id"): lambda server: _ticket(server)["ticketId"],
    ("*", "ticket_ids"): lambda server: [_ticket(server)["ticketId"]],
    ("*", "ticket"): lambda server: Ticket.model_validate(_ticket(server)),
    ("*", "comment"): _same("looked at it"),
    ("*", "assignee"): lambda server: server.users[0],
    ("*", "status"): _same(TicketStatus.IN_PROGRESS),
    ("*", "subject"): _same("Noise"),
    ("*", "attachment_id"): lambda server: _ticket(server)["ticketId"],
    # scim
    ("*", "user_id"): lambda server: list(server.state.scim_users)[-1],
    ("*", "username"): lambda server: server.users[0],
    ("scim", "user"): lambda server: ScimUser(user_name="carol"),
    ("*", "active"): _same(False),
    ("*", "display_name"): _same("Carol"),
    ("*", "patch_request"): lambda server: ScimPatchRequest(
        operations=[ScimPatchOperation(op="replace", path="active", value=False)]
    ),
    # software
    ("*", "package_id"): _package_id,
    ("*", "package"): lambda server: Package.model_validate(next(iter(server.state.packages.values()))),
    ("*", "packages"): _same([]),
    ("software", "name"): _same("Tester"),
    ("*", "root_path"): _same("nowhere"),
    ("*", "installed_packages"): lambda server: [_package_id(server)],
    ("*", "parent_folder_id"): lambda server: next(iter(server.state.package_folders)),
    ("*", "file_path"): _same("a.seq"),
    ("*", "checksum"): _same("0"),
    ("*", "file_date_epoch"): _same(0),
    ("*", "folder_data"): lambda server: dict(next(iter(server.state.package_folders.values())), name="Renamed"),
    ("*", "folder_id"): lambda server: next(iter(server.state.folders)),
    ("*", "package_folder_id"): lambda server: next(iter(server.state.package_folders)),
    ("*", "file_ids"): lambda server: [list(server.state.package_files)[-1]],
    ("*", "file_id"): lambda server: next(iter(server.state.package_files)),
    ("*", "attributes"): _same("8"),
    ("*", "client_id"): _same(1),
    ("software", "tags"): _same("//*[StationName[.='Station 1']]"),
    ("*", "tag"): _same("StationName"),
    ("software", "value"): _same("Station 1"),
    ("*", "xpath"): _same("//*[StationName[.='Station 1']]"),
    ("*", "download_size"): _same(1024),
    ("*", "zip_content"): _same(b"PK"),
}
"""By (domain, parameter); the domain `*` is any that has none of its own."""

_FLOW = ("expand_operations", "get_bottlenecks", "get_flow_summary", "get_unit_flow")
_ONE_ASSET = (
    "get_asset",
    "get_status",
    "increment_count",
    "record_calibration",
    "record_calibration_external",
    "record_maintenance",
    "record_maintenance_external",
    "reset_running_count",
    "set_asset_state",
    "set_running_count",
    "set_total_count",
)

BY_METHOD: dict[tuple[str, str], Callable[[SimulatedWATS], dict[str, Any]]] = {
    **{("analytics", name): (lambda server: {"filter_data": UnitFlowFilter(part_number="PN-1000")}) for name in _FLOW},
    **{
        ("analytics", name): (lambda server: {"filter_data": {"partNumber": "PN-1003"}})
        for name in ("get_measurement_list", "get_step_status_list", "get_top_failed_internal")
    },
    ("analytics", "get_dynamic_repair"): lambda server: {"filter_data": WATSFilter(dimensions="partNumber")},
    ("analytics", "get_uur_reports"): lambda server: {"filter_data": WATSFilter(max_count=5)},
    ("analytics", "get_related_repair_history"): lambda server: {"part_number": "PN-1003"},
    ("analytics", "get_station_yield"): lambda server: {"station_name": "Station 1"},
    **{("asset", name): (lambda server: {"asset_id": _asset(server)["assetId"]}) for name in _ONE_ASSET},
    ("asset", "create_asset"): lambda server: {"serial_number": "CAM-1"},
    ("asset", "delete_asset"): lambda server: {"asset_id": _last_asset(server)["assetId"]},
    ("asset", "get_child_assets"): lambda server: {"parent_id": _asset(server)["assetId"]},
    ("asset", "get_assets_by_alarm_state"): lambda server: {"state": _last_asset(server)["state"]},
    ("manual_inspection", "put_xaml"): lambda server: {
        "payload": {"TestSequenceDefinitionId": _definition_id(server), "XAML": "<Sequence/>"}
    },
    ("manual_inspection", "update_definition"): lambda server: {
        "definition_id": _definition_id(server),
        "Description": "changed",
    },
    ("manual_inspection", "create_relation"): lambda server: {"entity_key": "PartNumber", "entity_value": "PN-1001"},
    ("process", "get_process_by_name"): lambda server: {"name": "Test"},
    ("process", "get_repair_operation"): lambda server: {"identifier": 500},
    ("process", "get_wip_operation"): lambda server: {"identifier": 50},
    ("process", "is_valid_repair_operation"): lambda server: {"code": 500},
    ("process", "is_valid_wip_operation"): lambda server: {"code": 50},
    ("process", "get_repair_operation_config"): lambda server: {
        "process_id": UUID(server.state.processes[2]["ProcessID"])
    },
    ("product", "create_product"): lambda server: {"part_number": "PN-CREATED", "name": "Created"},
    ("product", "create_revision"): lambda server: {"part_number": "PN-1000", "revision": "D"},
    ("product", "delete_product"): lambda server: {"part_number": _unused_product(server)["partNumber"]},
    ("product", "delete_revision"): lambda server: {
        "part_number": _unused_product(server)["partNumber"],
        "revision": _unused_product(server)["revisions"][-1]["revision"],
    },
    ("product", "update_revision"): lambda server: {
        "revision": ProductRevision(part_number="PN-1000", revision="A", name="First")
    },
    ("product", "upload_bom"): lambda server: {"bom_items": [{"partNumber": "C-3", "componentRef": "C3"}]},
    ("production", "create_unit"): lambda server: {"serial_number": "SN-NEW-1", "part_number": "PN-1000"},
    ("production", "create_unit_public"): lambda server: {
        "unit": Unit(serial_number="SN-NEW-3", part_number="PN-1000", revision="A")
    },
    **{
        ("production", name): (
            lambda server: {
                "serial_number": list(server.state.units.values())[-1]["serialNumber"],
                "part_number": list(server.state.units.values())[-1]["partNumber"],
            }
        )
        for name in ("delete_unit", "change_unit_part_number")
    },
    **{
        ("production", name): (
            lambda server: {
                "serial_number": _parent(server)["serialNumber"],
                "part_number": _parent(server)["partNumber"],
            }
        )
        for name in ("add_child_unit_validated", "remove_child_unit_localized", "remove_all_child_units")
    },
    ("production", "get_phase"): lambda server: {"phase_id": 16},
    ("production", "get_phase_by_name"): lambda server: {"name": "finalized"},
    ("production", "get_unit_changes"): lambda server: {"serial_number": _changed(server)},
    ("production", "get_unit_history"): lambda server: {"serial_number": _changed(server), "part_number": "PN-1000"},
    # The SDK cannot send the date of a unit that it has read.
    ("production", "update_unit"): lambda server: {"unit": Unit(serial_number="SN-1000", part_number="PN-1000")},
    ("production", "find_serial_numbers_by_reference"): lambda server: {"type_name": "SN"},
    ("report", "query_headers_by_misc_info"): lambda server: {"description": "Line", "string_value": "L1"},
    ("report", "get_attachment"): lambda server: {"attachment_id": f"{_report_id(server)}-1"},
    ("rootcause", "get_active_tickets"): lambda server: {"view": 2},
    ("rootcause", "get_open_tickets"): lambda server: {"view": 2},
    ("rootcause", "get_tickets"): lambda server: {"status": 63, "view": 2},
    ("software", "create_package"): lambda server: {"name": "New package"},
    ("software", "create_virtual_folder"): lambda server: {"name": "New folder"},
    ("software", "delete_package"): lambda server: {"package_id": list(server.state.packages)[-1]},
    ("software", "delete_package_by_name"): lambda server: {"name": _last_package(server)},
    ("software", "get_packages_by_tags"): lambda server: {"tags": {"StationName": "Station 1"}},
    ("software", "get_released_package"): lambda server: {"name": _released(server)},
    ("software", "install"): lambda server: {"package": Package(name="Tester")},
}
"""Keyword arguments by (domain, method), before those by their names; the domain `*` as above."""


def _changed(server: SimulatedWATS) -> str:
    return server.state.unit_changes[_change_id(server)]["unitSerialNumber"]


def _last_package(server: SimulatedWATS) -> str:
    return list(server.state.packages.values())[-1]["name"]


def _released(server: SimulatedWATS) -> str:
    package = server.state.packages[_package_id(server)]
    package["status"] = "Released"
    return package["name"]
