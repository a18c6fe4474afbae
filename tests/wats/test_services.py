"""Where the SDK's services would undo the cache: their own caches, read-modify-write, queries that hold "now"."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from unittest.mock import AsyncMock

import pytest
from pywats.domains.production.enums import UnitPhaseFlag

from pywats_cache import AsyncWATS, MemoryStorage, pyWATS
from pywats_cache.wats import domain_services as services

PRODUCT = "/api/Product/PN-1000"
HIERARCHY = "/api/internal/Product/GetProductInfo"


# Read, change, write back: what is changed is fetched anew.

REREADING = {
    "create_revision": lambda product: product.create_revision("PN-1000", "Z"),
    "set_product_tags": lambda product: product.set_product_tags("PN-1000", [{"key": "a", "value": "b"}]),
    "add_product_tag": lambda product: product.add_product_tag("PN-1000", "a", "b"),
    "set_revision_tags": lambda product: product.set_revision_tags("PN-1000", "A", [{"key": "a", "value": "b"}]),
    "add_revision_tag": lambda product: product.add_revision_tag("PN-1000", "A", "a", "b"),
    "add_subunit": lambda product: product.add_subunit("PN-1000", "A", "PN-1002", "B"),
    "get_box_build_template": lambda product: product.get_box_build_template("PN-1000", "A"),
}


@pytest.mark.parametrize("name", REREADING)
def test_what_is_written_back_is_fetched_anew(name: str, api: pyWATS, server) -> None:
    api.product.get_product("PN-1000")
    api.product.get_product("PN-1000")
    assert server.count("GET", PRODUCT) == 1
    REREADING[name](api.product)
    assert server.count("GET", PRODUCT) == 2


def test_add_child_asset_fetches_the_child_anew(api: pyWATS, server) -> None:
    parent, child = [asset.asset_id for asset in api.asset.get_assets()[:2]]
    api.asset.get_asset(asset_id=child)
    assert api.asset.add_child_asset(parent, child)
    assert server.count("GET", f"/api/Asset/{child}") == 2


def test_a_tag_that_another_user_set_is_not_lost(api: pyWATS, server) -> None:
    api.product.get_product("PN-1000")
    with pyWATS(base_url=server.base_url, token=server.token_for("bob")) as other:
        other.product.add_product_tag("PN-1000", "theirs", "1")
    api.product.add_product_tag("PN-1000", "ours", "2")
    keys = {tag["key"] for tag in api.product.get_product_tags("PN-1000")}
    assert {"theirs", "ours"} <= keys


def test_a_box_build_template_reloads_from_the_server(api: pyWATS, server) -> None:
    template = api.product.get_box_build_template("PN-1000", "A")
    template.reload()
    assert server.count("GET", HIERARCHY) == 2
    api.product.get_box_build_subunits("PN-1000", "A")
    assert server.count("GET", HIERARCHY) == 2, "what was fetched anew is stored"
    template.add_subunit("PN-1002", "B")
    template.add_subunit("PN-1002", "B")
    assert server.count("GET", "/api/Product/PN-1002") == 2


def test_a_stand_in_for_the_repository_is_left_alone() -> None:
    service = services._ProductService(AsyncMock())
    service._repository.get_by_part_number.return_value = None
    assert services._refreshed(service) is service


# The SDK's own caches.


def test_processes_come_from_the_repository_each_time(api: pyWATS, server) -> None:
    service = api.process
    assert service.last_refresh is None or isinstance(service.last_refresh, datetime)
    first = service.get_processes()
    assert service.get_test_operation(100).code == 100
    assert server.request_count == 1
    assert service.get_processes()[0] is not first[0]
    assert isinstance(service.last_refresh, datetime)
    service.refresh()
    assert server.request_count == 2
    service.clear_cache()
    service.get_processes()
    assert server.request_count == 3
    assert (service.cache_stats.size, service._cache.size, service.cache_ttl) == (1, 0, 300)
    assert service._async._cache._cleanup_task is None


def test_last_refresh_changes_only_when_the_server_was_asked(api: pyWATS, server) -> None:
    service = api.process
    service.refresh()
    first = service.last_refresh
    service.get_processes()
    service.get_test_operation(100)
    assert service.last_refresh == first
    service.refresh()
    second = service.last_refresh
    assert second > first
    service.get_processes()
    assert service.last_refresh == second
    service.clear_cache()
    assert service.last_refresh is None
    service.get_processes()
    assert service.last_refresh > second
    assert server.request_count == 3


@pytest.mark.anyio
async def test_last_refresh_of_an_async_client_changes_only_when_the_server_was_asked(server) -> None:
    async with AsyncWATS(base_url=server.base_url, token=server.token) as api:
        assert api.process.last_refresh is None
        await api.process.get_processes()
        first = api.process.last_refresh
        assert first is not None
        await api.process.get_repair_operations()
        assert api.process.last_refresh == first
        await api.process.refresh()
        assert api.process.last_refresh > first
    assert server.request_count == 2


def test_last_refresh_changes_with_each_call_while_the_cache_is_off(server) -> None:
    with pyWATS(base_url=server.base_url, token=server.token, enable_cache=False) as api:
        api.process.get_processes()
        first = api.process.last_refresh
        api.process.get_processes()
        assert api.process.last_refresh > first
        assert (api.process.cache_ttl, api.process.cache_stats.hits, api.process.cache_stats.misses) == (0.0, 0, 2)


def test_last_refresh_after_the_ttl_is_that_of_the_new_answer(api: pyWATS, api_clock) -> None:
    api.process.get_processes()
    first = api.process.last_refresh
    api_clock.advance(301)
    assert api.process.last_refresh == first
    api.process.get_processes()
    assert api.process.last_refresh > first


def test_last_refresh_does_not_change_where_the_server_is_asked_for_something_else(api: pyWATS) -> None:
    api.process.get_processes()
    first = api.process.last_refresh
    api.process.get_processes_filtered(include_wip_operations=False)
    api.product.get_product("PN-1000")
    assert api.process.last_refresh == first


def test_last_refresh_tells_of_what_another_client_on_the_same_storage_fetched(server) -> None:
    storage = MemoryStorage()
    arguments = {"base_url": server.base_url, "token": server.token, "cache_storage": storage}
    with pyWATS(**arguments) as one, pyWATS(**arguments) as other:
        before = datetime.now()
        other.process.get_processes()
        one.process.get_processes()
        first = one.process.last_refresh
        assert before <= first <= other.process.last_refresh
        assert one.process.last_refresh == first
        other.process.refresh()
        assert one.process.last_refresh > first
    assert server.request_count == 2


def test_threads_that_read_what_is_stored_leave_last_refresh_alone(api: pyWATS) -> None:
    api.process.get_processes()
    first = api.process.last_refresh
    threads = [threading.Thread(target=api.process.get_processes) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert api.process.last_refresh == first


def test_cache_stats_of_the_processes_count_calls_that_asked_the_server_and_those_that_did_not(api: pyWATS) -> None:
    api.process.clear_cache()
    assert (api.process.cache_stats.hits, api.process.cache_stats.misses, api.process.cache_stats.size) == (0, 0, 0)
    for _ in range(3):
        api.process.get_processes()
    stats = api.process.cache_stats
    assert (stats.hits, stats.misses, stats.size) == (2, 1, 1)


@pytest.mark.anyio
async def test_a_refresh_interval_bounds_the_age_of_the_processes(server, api_clock) -> None:
    storage = MemoryStorage(clock=api_clock)
    async with AsyncWATS(base_url=server.base_url, token=server.token, cache_storage=storage) as api:
        api.process.refresh_interval = 60
        assert (api.process.cache_ttl, api.process.refresh_interval) == (60, 60)
        await api.process.get_processes()
        api_clock.advance(59)
        await api.process.get_processes()
        assert server.request_count == 1
        api_clock.advance(2)
        await api.process.get_processes()
        assert server.request_count == 2
        api.process.refresh_interval = 100_000
        assert api.process.cache_ttl == 300, "never longer than the TTL of the route"


@pytest.mark.anyio
async def test_no_task_is_left_behind(server) -> None:
    async with AsyncWATS(base_url=server.base_url, token=server.token) as api:
        await api.process.get_processes()
        await api.process.refresh()
        await api.process.clear_cache()
        await api.process.get_processes()
    assert server.request_count == 3


def test_phases_come_from_the_repository_each_time(api: pyWATS, server) -> None:
    phases = api.production.get_phases()
    assert api.production.get_phase(phase_id=16).phase_id == 16
    assert api.production.get_phase(code=phases[0].code.lower()) == phases[0]
    assert api.production.get_phase(name=phases[0].name.lower()) == phases[0]
    assert api.production.get_phase() is None
    assert api.production.get_phase(name="no such") is None
    assert api.production.get_phase_id("FINALIZED") == 16
    assert api.production.get_phase_id(phases[0].code) == phases[0].phase_id
    assert api.production.get_phase_id("no such") is None
    assert api.production.get_phase_id(UnitPhaseFlag.FINALIZED) == 16
    assert api.production.get_phase_id(4) == 4
    assert server.request_count == 1
    api.production.get_phases(force_refresh=True)
    assert server.request_count == 2
    assert api.production._phases is None


# "Now".


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time in seconds since 1970, which only the test moves."""
    moment = [1_800_000_000.0 + 7.0]
    monkeypatch.setattr(services.time, "time", lambda: moment[0])
    return moment


def test_recent_headers_repeat_within_the_ttl(api: pyWATS, server, now: list[float]) -> None:
    api.report.get_recent_headers(days=3)
    now[0] += 50.0
    api.report.get_recent_headers(days=3)
    assert server.request_count == 1
    now[0] += 10.0
    api.report.get_recent_headers(days=3)
    assert server.request_count == 2


def test_recent_headers_are_widened_never_cut(api: pyWATS, server, now: list[float]) -> None:
    service = api.report._async
    sent = []
    service._repository = type("Repository", (), {"_http_client": api._http_client})()

    async def query_headers(report_type, odata_filter, top):
        sent.append(odata_filter)
        return []

    service._repository.query_headers = query_headers
    try:
        api.report.get_recent_headers(days=1)
    finally:
        api._report = None
    begin, end = datetime.fromtimestamp(1_800_000_000), datetime.fromtimestamp(1_800_000_060)
    assert f"ge {begin - timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}" in sent[0]
    assert f"le {end:%Y-%m-%dT%H:%M:%SZ}" in sent[0]


def test_a_report_just_submitted_is_among_the_recent_headers(server) -> None:
    with pyWATS(base_url=server.base_url, token=server.token) as api:
        api.report.get_recent_headers(days=1)
        report = api.report.create_uut_report(
            operator="alice", part_number="PN-1000", revision="A", serial_number="SN-JUST", operation_type=100
        )
        api.report.submit_report(report)
        assert "SN-JUST" in {header.serial_number for header in api.report.get_recent_headers(days=1)}


def test_step_analysis_repeats_within_the_ttl(api: pyWATS, server, now: list[float]) -> None:
    for _ in range(2):
        api.analytics.get_test_step_analysis_for_operation("PN-1000", "Test")
        now[0] += 20.0
    assert server.request_count == 1
    with pytest.raises(ValueError, match="part_number is required"):
        api.analytics.get_test_step_analysis_for_operation("", "Test")


def test_without_a_cache_now_is_now(server) -> None:
    with pyWATS(base_url=server.base_url, token=server.token, enable_cache=False) as api:
        api.report.get_recent_headers()
        api.analytics.get_test_step_analysis_for_operation("PN-1000", "Test")
    filters = server.requests[0].query
    assert server.request_count == 2
    assert filters


def test_eight_threads_get_objects_of_their_own(api: pyWATS) -> None:
    found = []

    def work() -> None:
        found.extend([api.production.get_phase(phase_id=16), api.process.get_process(100)])

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(each) for each in found}) == len(found) == 16
