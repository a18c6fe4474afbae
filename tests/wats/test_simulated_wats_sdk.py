"""The vendor's SDK on SimulatedWATS: every method once, and the main flow of each domain."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from pywats import AsyncWATS, pyWATS
from pywats import pywats as sdk_module
from pywats.core.exceptions import PyWATSError
from pywats.domains.asset.enums import AssetState
from pywats.domains.product.models import BomItem
from pywats.domains.rootcause.enums import TicketStatus, TicketView
from pywats.domains.software.enums import PackageStatus
from sdk_calls import KNOWN_FAILURES, WITHOUT_RESULT, arguments, service, service_methods

from wats_simulator.simulator import SimulatedWATS


@pytest.fixture(scope="module")
def started() -> Iterator[SimulatedWATS]:
    with SimulatedWATS() as server:
        yield server


@pytest.fixture
def server(started: SimulatedWATS) -> SimulatedWATS:
    started.reset()
    return started


@pytest.fixture(scope="module")
def sdk(started: SimulatedWATS) -> Iterator[pyWATS]:
    # Its own cache would answer with data from before a write.
    api = pyWATS(base_url=started.base_url, token=started.token, enable_cache=False)
    yield api
    sdk_module._run_sync(api._http_client.close())


@pytest.fixture
def api(sdk: pyWATS, server: SimulatedWATS) -> pyWATS:
    return sdk


def test_reflection_finds_every_method_of_the_sdk():
    assert len(service_methods()) == 313


@pytest.mark.parametrize(("domain", "name"), service_methods(), ids=lambda value: value)
def test_sdk_method(api: pyWATS, server: SimulatedWATS, domain: str, name: str):
    args, kwargs = arguments(domain, name, server)
    method = getattr(service(api, domain), name)
    failure = KNOWN_FAILURES.get((domain, name))
    if failure is not None:
        with pytest.raises(failure):
            method(*args, **kwargs)
        return
    result = method(*args, **kwargs)
    if (domain, name) not in WITHOUT_RESULT:
        assert result


def test_async_sdk(server: SimulatedWATS):
    async def use() -> None:
        async with AsyncWATS(base_url=server.base_url, token=server.token, enable_cache=False) as api:
            product = await api.product.get_product("PN-1000")
            assert product is not None
            product.name = "Async"
            await api.product.update_product(product)
            definitions = await service(api, "manual_inspection").list_definitions()
            assert definitions
            names = [one.name for one in await asyncio.gather(*[api.product.get_product("PN-1000") for _ in range(8)])]
            assert names == ["Async"] * 8
            await api.process.clear_cache()
            await api.process._cache.stop_cleanup()

    asyncio.run(use())


def test_sdk_product_flow(api: pyWATS):
    product = api.product.create_product("PN-NEW", name="New", description="first")
    product.name = "Renamed"
    api.product.update_product(product)
    assert api.product.get_product("PN-NEW").name == "Renamed"
    assert any(one.part_number == "PN-NEW" for one in api.product.get_products())
    api.product.create_revision("PN-NEW", "A", description="first")
    api.product.create_revision("PN-NEW", "B")
    assert [one.revision for one in api.product.get_revisions("PN-NEW")] == ["A", "B"]
    api.product.add_product_tag("PN-NEW", "Colour", "red")
    assert api.product.get_product_tags("PN-NEW") == [{"key": "Colour", "value": "red"}]
    api.product.set_revision_tags("PN-NEW", "A", [{"key": "Approved", "value": "no"}])
    assert api.product.get_revision_tags("PN-NEW", "A") == [{"key": "Approved", "value": "no"}]
    api.product.update_bom("PN-NEW", "A", [BomItem(part_number="R<1>", component_ref="R1;R2", quantity=2)])
    assert [(one.part_number, one.quantity) for one in api.product.get_bom("PN-NEW", "A")] == [("R<1>", 2)]
    assert api.product.get_bom_public("PN-NEW", "A").components[0].reference == "R1;R2"
    relation = api.product.add_subunit("PN-NEW", "A", "PN-1001", "B", quantity=3)
    (subunit,) = api.product.get_box_build_subunits("PN-NEW", "A")
    assert (subunit.child_part_number, subunit.child_revision, subunit.quantity) == ("PN-1001", "B", 3)
    api.product.remove_subunit(relation.relation_id)
    assert api.product.get_box_build_subunits("PN-NEW", "A") == []
    assert api.product.delete_product("PN-NEW")["deleted"]
    with pytest.raises(PyWATSError):
        api.product.get_product("PN-NEW")
    # Units exist: it is only deactivated.
    assert api.product.delete_product("PN-1000")["serial_numbers"] == ["SN-1000"]


def test_sdk_group_and_vendor_flow(api: pyWATS):
    group = api.product.create_product_group("Radios", "all radios")
    api.product.update_product_group(group["id"], "Radio sets")
    assert "Radio sets" in [one.name for one in api.product.get_groups()]
    assert "Radio sets" in [one.product_group_name for one in api.analytics.get_product_groups()]
    api.product.delete_product_group(group["id"])
    assert "Radio sets" not in [one.name for one in api.product.get_groups()]
    vendor = api.product.save_vendor("Chips")
    api.product.save_vendor("Chips and more", vendor["vendorId"])
    assert "Chips and more" in [one["name"] for one in api.product.get_vendors()]


def test_sdk_asset_flow(api: pyWATS):
    kind = api.asset.create_asset_type("Camera", calibration_interval=30.0)
    asset = api.asset.create_asset("CAM-1", kind.type_id, asset_name="Camera")
    api.asset.set_asset_state(AssetState.IN_CALIBRATION, asset_id=asset.asset_id)
    api.asset.increment_count(serial_number="CAM-1", amount=5)
    api.asset.record_calibration(serial_number="CAM-1", comment="calibrated")
    api.asset.add_log_message(asset.asset_id, "looks fine")
    read = api.asset.get_asset_by_serial("CAM-1")
    assert (read.state, read.total_count, read.running_count) == (AssetState.IN_CALIBRATION, 5, 0)
    assert read.next_calibration_date > read.last_calibration_date
    assert [one.comment for one in read.asset_log][-2:] == ["calibrated", "looks fine"]
    api.asset.add_child_asset(api.asset.get_asset_by_serial("FIX-1").asset_id, asset.asset_id)
    assert "CAM-1" in [one.serial_number for one in api.asset.get_child_assets(parent_serial="FIX-1")]
    api.asset.upload_file(asset.asset_id, "notes.txt", b"notes")
    assert api.asset.list_files(asset.asset_id) == ["notes.txt"]
    assert api.asset.download_file(asset.asset_id, "notes.txt") == b"notes"
    api.asset.delete_asset(serial_number="CAM-1")
    assert "CAM-1" not in [one.serial_number for one in api.asset.get_assets()]


def test_sdk_production_flow(api: pyWATS):
    api.production.create_unit("SN-NEW", "PN-1000", "A", batch_number="BATCH-7")
    assert "BATCH-7" in [one.batch_number for one in api.production.get_batches()]
    api.production.set_unit_phase("SN-NEW", "PN-1000", "Finalized")
    api.production.set_unit_tag("SN-NEW", "PN-1000", "Colour", "red")
    unit = api.production.get_unit("SN-NEW", "PN-1000")
    assert (unit.unit_phase, unit.tags[0].value) == ("Finalized", "red")
    api.production.add_child_to_assembly("SN-1000", "PN-1000", "SN-NEW", "PN-1000")
    parent = api.production.get_unit("SN-1000", "PN-1000")
    assert "SN-NEW" in [one.serial_number for one in parent.sub_units]
    changes = api.production.get_unit_changes(serial_number="SN-NEW")
    assert changes[-1].new_parent_serial_number == "SN-1000"
    for change in changes:
        api.production.delete_unit_change(str(change.id))
    assert api.production.get_unit_changes(serial_number="SN-NEW") == []
    api.production.change_unit_part_number("SN-NEW", "PN-1000", "PN-OTHER", "B")
    assert api.production.get_unit("SN-NEW", "PN-OTHER").revision == "B"
    assert api.product.get_product("PN-OTHER").part_number == "PN-OTHER"
    api.production.delete_unit("SN-NEW", "PN-OTHER")
    assert not api.production.query_units(filter="serialNumber eq 'SN-NEW'")


def test_sdk_serial_numbers_are_taken_once(api: pyWATS):
    first = api.production.take_serial_numbers("SN", 3)
    second = api.production.take_serial_numbers("SN", 3)
    assert len({*first, *second}) == 6
    assert api.production.get_serial_number_statistics("SN")["taken"] == 6
    assert first[0].encode() in api.production.export_serial_numbers("SN", state="Taken")


def test_sdk_report_flow(api: pyWATS):
    def units() -> int:
        rows = api.analytics.get_dynamic_yield({"dimensions": "partNumber", "partNumber": "PN-REP"})
        return sum(row.unit_count for row in rows)

    before = len(api.report.query_uut_headers())
    report = api.report.create_uut_report(
        "me", "PN-REP", "A", "SN-REP", 100, station_name="S1", location="L", purpose="P"
    )
    report.get_root_sequence_call().add_boolean_step(name="Looks good", status="P")
    assert units() == 0
    report_id = api.report.submit_report(report)
    assert report_id == str(report.id)
    headers = api.report.query_uut_headers()
    assert len(headers) == before + 1
    assert units() == 1
    assert api.report.get_headers_by_serial("SN-REP")[0].result == "Passed"
    assert api.report.get_report(report_id).sn == "SN-REP"
    assert b"SN-REP" in api.report.get_report_xml(report_id)
    assert api.product.get_product("PN-REP").revisions[0].revision == "A"
    assert api.production.is_unit_passing("SN-REP", "PN-REP")
    repair = api.report.create_uur_report(report, operator="me", comment="cable")
    api.report.submit_report(repair)
    assert api.report.get_headers_by_part_number("PN-REP", report_type="uur")[0].comment == "cable"
    assert api.report.get_recent_headers()
    xml = '<Reports><Report type="UUT" PN="PN-XML" SN="SN-XML" Result="F"><Process Code="100"/></Report></Reports>'
    api.report.submit_report_xml(xml)
    assert api.report.get_headers_by_serial("SN-XML")[0].result == "Failed"


def test_sdk_analytics_counts_runs(api: pyWATS):
    # Every fourth unit failed in its first run and passed in the second.
    (row,) = api.analytics.get_dynamic_yield({"dimensions": "partNumber", "partNumber": "PN-1003"})
    assert (row.unit_count, row.fp_count, row.sp_count, row.lp_count, row.fpy, row.lpy) == (1, 0, 1, 1, 0.0, 100.0)
    assert api.analytics.get_top_failed(part_number="PN-1003")[0].fail_count == 1
    assert [one.serial_number for one in api.analytics.get_related_repair_history("PN-1003", "A")] == ["SN-1003"]


def test_sdk_ticket_flow(api: pyWATS):
    ticket = api.rootcause.create_ticket("Noise", initial_comment="heard it")
    api.rootcause.add_comment(ticket.ticket_id, "found it")
    api.rootcause.change_status(ticket.ticket_id, TicketStatus.IN_PROGRESS)
    read = api.rootcause.get_ticket(ticket.ticket_id)
    assert [one.content for one in read.history] == ["heard it", "found it"]
    active = api.rootcause.get_tickets(TicketStatus.IN_PROGRESS, TicketView.ALL)
    assert [one.ticket_id for one in active] == [ticket.ticket_id]
    api.rootcause.archive_tickets([ticket.ticket_id])
    assert api.rootcause.get_tickets(TicketStatus.IN_PROGRESS, TicketView.ALL) == []


def test_sdk_software_flow(api: pyWATS):
    package = api.software.create_package("Firmware", description="for the radio")
    api.software.submit_for_review(package.package_id)
    api.software.release_package(package.package_id)
    assert api.software.get_released_package("Firmware").status == PackageStatus.RELEASED
    api.software.upload_zip(package.package_id, b"PK")
    (file,) = api.software.get_package_files(package.package_id)
    api.software.update_file_attribute(file.file_id, "8")
    assert api.software.get_package_files(package.package_id)[0].attributes == "8"
    assert api.software.create_package("Firmware").version == 2
    downloads = len(api.software.get_package_download_history(1))
    api.software.log_download(package.package_id, 10)
    assert len(api.software.get_package_download_history(1)) == downloads + 1
    folder = api.software.create_virtual_folder("Radios")
    api.software.update_virtual_folder(str(folder.folder_id), "Radio sets")
    assert "Radio sets" in [one.name for one in api.software.get_virtual_folders()]
    api.software.delete_package(package.package_id)
    assert package.package_id not in [one.package_id for one in api.software.get_packages()]


def test_sdk_process_flow(api: pyWATS):
    assert api.process.get_test_operation(100).name == "Test"
    assert api.process.get_repair_operation("Repair").code == 500
    assert api.process.get_repair_codes(500) == ["Solder bridge"]
    assert len(api.process.get_processes_filtered(include_repair_operations=True)) == 1


def test_sdk_scim_flow(api: pyWATS):
    assert [one.user_name for one in api.scim.get_users().resources] == ["demo", "alice", "bob"]
    alice = api.scim.get_user_by_username("alice")
    api.scim.delete_user(alice.id)
    assert api.scim.get_users().total_results == 2
    assert api.scim.get_token().token != api.scim.get_token().token


def test_sdk_manual_inspection_flow(api: pyWATS):
    first = api.manual_inspection.create_definition("Solder check")
    api.manual_inspection.release_inspection(str(first.test_sequence_definition_id))
    copy = api.manual_inspection.copy_definition(str(first.test_sequence_definition_id))
    assert (copy.version, copy.status) == (2, 0)
    api.manual_inspection.release_inspection(str(copy.test_sequence_definition_id))
    # Releasing one version revokes the one before.
    assert api.manual_inspection.get_definition(str(first.test_sequence_definition_id)).status == 3
    assert [one.version for one in api.manual_inspection.list_sequences() if one.name == "Solder check"] == [2]
    relation = api.manual_inspection.create_relation(
        str(copy.test_sequence_definition_id), "Product", "Product", "PartNumber", "PN-1000"
    )
    assert len(api.manual_inspection.get_relation_conflicts(str(copy.test_sequence_definition_id))) == 2
    api.manual_inspection.delete_relation({"TestSequenceRelationId": str(relation.test_sequence_relation_id)})
    assert api.manual_inspection.list_relations(str(copy.test_sequence_definition_id)) == []
