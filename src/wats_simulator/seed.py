"""What a fresh simulated server holds: a small factory with products, units, reports, assets and packages."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from .asset import add_asset
from .groups import add_group
from .inspection import RELEASED, add_definition, add_relation
from .product import ensure_revision, find_revision
from .production import note
from .report import submit
from .rootcause import add_ticket
from .scim import add_user
from .serials import add_serials
from .software import add_file, add_folder, add_package
from .state import WATSState, fold

Json = dict[str, Any]

_PROCESSES = (
    (100, "Test", "test"),
    (110, "Final function test", "test"),
    (500, "Repair", "repair"),
    (50, "WIP", "wip"),
)
_PHASES = (
    (1, "Unknown"),
    (2, "Under production"),
    (4, "Production repair"),
    (8, "Service repair"),
    (16, "Finalized"),
    (32, "Scrapped"),
)


def part_number(number: int) -> str:
    """Return the part number of the product with this number, counted from 0."""
    return f"PN-{1000 + number}"


def serial_number(number: int) -> str:
    """Return the serial number of the unit with this number, counted from 0."""
    return f"SN-{1000 + number}"


def seed(state: WATSState, products: int, users: list[str]) -> None:
    """Fill the empty tables."""
    _lookups(state)
    for number in range(products):
        _product(state, number)
    _products_around(state, products)
    _assets(state)
    for number in range(min(products, 12)):
        _unit(state, number)
    _software(state)
    _inspections(state)
    for name in users:
        add_user(state, name)
        add_ticket(state, f"Voltage drifts at station of {name}", name, priority=2)


def _lookups(state: WATSState) -> None:
    for index, (code, name, kind) in enumerate(_PROCESSES):
        process = {
            "code": code,
            "name": name,
            "description": f"{name} operation",
            "isTestOperation": kind == "test",
            "isRepairOperation": kind == "repair",
            "isWipOperation": kind == "wip",
            "ProcessID": state.new_id(),
            "processIndex": index,
            "state": 1,
        }
        state.processes.append(process)
    category = {"GUID": state.new_id(), "Description": "Component", "Selectable": False, "Failcodes": []}
    bridge = {"GUID": state.new_id(), "Description": "Solder bridge", "Selectable": True, "Failcodes": []}
    state.repair_operations["500"] = {"Description": "Repair", "Categories": [{**category, "Failcodes": [bridge]}]}
    names = [(number, name, name.upper().replace(" ", "_")) for number, name in _PHASES]
    state.phases = [{"UnitPhaseId": number, "Name": name, "Code": code} for number, name, code in names]
    state.levels = [{"levelId": 1, "levelName": "PCBA"}, {"levelId": 2, "levelName": "Module"}]
    state.sites = [{"SiteId": state.new_id(), "SiteName": name} for name in ("Oslo", "Gdansk")]
    state.categories = [{"categoryId": state.new_id(), "name": "Electronics", "description": "Boards and modules"}]
    vendor_id = state.new_id()
    state.vendors[vendor_id] = {"vendorId": vendor_id, "name": "Component Trade"}
    state.serial_types = [
        {"name": "SN", "description": "Serial numbers", "format": "SN0000000", "regEx": r"SN\d{7}", "identifier": 0},
        {"name": "MAC", "description": "MAC addresses", "format": "02:..", "regEx": "", "identifier": 1},
    ]
    add_serials(state, "SN", [f"SN{number:07}" for number in range(1000)])
    add_serials(state, "MAC", [f"02:00:00:00:{number >> 8:02X}:{number & 255:02X}" for number in range(1000)])


def _product(state: WATSState, number: int) -> None:
    name = part_number(number)
    for revision in ("A", "B"):
        product = ensure_revision(state, name, revision, f"Widget {number}")
    product.update(description=f"Widget number {number}", category="Electronics")
    product["tags"].append({"key": "Family", "value": f"F{number % 3}"})
    product["revisions"][0]["tags"].append({"key": "Approved", "value": "yes"})
    state.boms[(fold(name), "a")] = [
        {
            "number": f"R-{value}",
            "reference": f"R{value}",
            "quantity": value,
            "description": "Resistor",
            "revision": "1",
        }
        for value in (1, 2, 3)
    ]


def _products_around(state: WATSState, products: int) -> None:
    add_group(state, "All products", "%", "every part number")
    add_group(state, "Widgets", "PN-%", "the widgets")
    if products < 2:
        return
    parent, child = (find_revision(state.products[fold(part_number(number))], "A") for number in (0, 1))
    if parent and child:
        relation_id = state.new_id()
        state.revision_relations[relation_id] = {
            "ProductRevisionRelationId": relation_id,
            "ParentProductRevisionId": parent["productRevisionId"],
            "ProductRevisionId": child["productRevisionId"],
            "Quantity": 1,
            "ItemNumber": None,
            "RevisionMask": None,
            "PartNumber": child["partNumber"],
            "Revision": child["revision"],
            "ChildPartNumber": child["partNumber"],
            "ChildRevision": child["revision"],
        }


def _assets(state: WATSState) -> None:
    for name in ("Fixture", "Instrument"):
        type_id = state.new_id()
        state.asset_types[type_id] = {"typeId": type_id, "typeName": name, "calibrationInterval": 365.0, "icon": ""}
    fixture_type, instrument_type = state.asset_types
    fixture = add_asset(state, "FIX-1", fixture_type, assetName="Fixture 1", location="Line 1")
    for number in (1, 2, 3):
        parent = {"parentAssetId": fixture["assetId"], "parentSerialNumber": "FIX-1"} if number < 3 else {}
        add_asset(state, f"DMM-{number}", instrument_type, assetName=f"Multimeter {number}", **parent)
    for asset in state.assets.values():
        state.asset_files[asset["assetId"]] = {"manual.txt": b"how to use it\n"}


def _unit(state: WATSState, number: int) -> None:
    """Test the unit, some of them twice; repair those that failed first."""
    outcomes = ("F", "P") if number % 4 == 3 else ("P",)
    # The newest is of this moment: just after midnight, too, there is a report of today.
    first = datetime.now(timezone.utc) - timedelta(hours=number)
    for run, result in enumerate(outcomes):
        report = _report(state, number, result, first + timedelta(minutes=10 * run))
        submit(state, report)
        if result == "F":
            repair: Json = {**report, "id": state.new_id(), "type": "R", "processCode": 500, "result": "P"}
            del repair["uut"], repair["root"]
            repair["uur"] = {
                "user": "operator",
                "comment": "resistor replaced",
                "execTime": 300.0,
                "processCode": 100,
                "testOperationCode": 100,
                "refUUT": report["id"],
                "confirmDate": report["start"],
                "finalizeDate": report["start"],
                "active": True,
            }
            repair["subUnits"] = [{"pn": report["pn"], "rev": "A", "sn": report["sn"], "partType": "Main", "idx": 0}]
            submit(state, repair)
    unit = state.units[(fold(serial_number(number)), fold(part_number(number)))]
    if number == 1:
        unit["parentSerialNumber"] = serial_number(0)
    note(state, unit, "made")


def _report(state: WATSState, number: int, result: str, start: datetime) -> Json:
    value = 5.0 + state.chance() / 10 if result == "P" else 7.5
    limits = {"compOp": "GELE", "lowLimit": 4.5, "highLimit": 5.5, "unit": "V"}
    step = {
        "stepType": "ET_NLT",
        "name": "Voltage",
        "group": "M",
        "status": result,
        "numericMeas": [{"status": result, "value": value, **limits}],
    }
    return {
        "id": state.new_id(),
        "type": "T",
        "pn": part_number(number),
        "sn": serial_number(number),
        "rev": "A",
        "processCode": 100,
        "result": result,
        "machineName": f"Station {number % 2 + 1}",
        "location": "Oslo",
        "purpose": "Production",
        "start": start.isoformat().replace("+00:00", "Z"),
        "uut": {"user": "operator", "batchSN": f"BATCH-{number % 2 + 1}", "execTime": 10.0 + number},
        "subUnits": [{"pn": "PCB-1", "rev": "A", "sn": f"PCB-{1000 + number}", "partType": "PCB"}],
        "miscInfos": [{"description": "Line", "text": f"L{number % 2 + 1}"}],
        "root": {
            "stepType": "SequenceCall",
            "name": "MainSequence Callback",
            "group": "M",
            "status": result,
            "seqCall": {"path": "C:/Test.seq", "name": "Test.seq", "version": "1.0"},
            "steps": [step],
        },
    }


def _software(state: WATSState) -> None:
    add_folder(state, "Production", description="software of the lines")
    for name, status in (("Tester", "Released"), ("Driver", "Released"), ("Report", "Draft")):
        package = add_package(state, name, status, description=f"{name} software")
        package["tags"].append({"key": "StationName", "value": "Station 1"})
        add_file(state, package["packageId"], f"{name.casefold()}.seq", f"content of {name}\n".encode())
    folder_id = state.new_id()
    package_id = next(iter(state.packages))
    state.package_folders[folder_id] = {"packageFolderId": folder_id, "packageId": package_id, "name": "Sequences"}
    entry = {"packageId": package_id, "downloadSize": 1024, "user": "station", "date": state.now()}
    state.downloads.append(entry)


def _inspections(state: WATSState) -> None:
    for name, is_global in (("Visual check", False), ("Label check", True)):
        definition = add_definition(state, name, "engineer", IsGlobal=is_global)
        definition.update(Status=RELEASED, Released=state.now(), ReleasedBy="engineer")
        definition_id = definition["TestSequenceDefinitionId"]
        add_relation(state, definition_id, part_number(0), ProductName="Widget 0")
        sequence_id = state.new_id()
        state.inspections[sequence_id] = {
            "TestSequenceInstanceId": sequence_id,
            "TestSequenceDefinitionId": definition_id,
            "UnitId": state.new_id(),
            "SerialNumber": serial_number(0),
            "PartNumber": part_number(0),
            "Revision": "A",
            "Created": state.now(),
        }
