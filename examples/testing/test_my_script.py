"""Tests of a script of yours that uses pyWATS: offline, with a server that can be made to fail and a clock to move."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from pywats_cache import CacheClient, CacheTransport, MemoryStorage, pyWATS
from pywats_cache.testing import FakeClock, SimulatedWATS
from pywats_cache.wats import wats_controller


def names(api: pyWATS) -> list[str]:
    """The script under test: what it would print."""
    return [product.name for product in api.product.get_products()]


@pytest.fixture
def server() -> Iterator[SimulatedWATS]:
    """A WATS server of this test's own."""
    with SimulatedWATS(products=3) as server:
        yield server


@pytest.fixture
def api(server: SimulatedWATS, cache_clock: FakeClock) -> Iterator[pyWATS]:
    """Pywats over a clock that only the test moves."""
    storage = MemoryStorage(clock=cache_clock)
    with pyWATS(base_url=server.base_url, token=server.token, cache_storage=storage) as api:
        yield api


def test_the_script_asks_the_server_once(api: pyWATS, server: SimulatedWATS) -> None:
    assert names(api) == names(api)
    assert server.count("GET", "/api/Product/Query") == 1


def test_it_sees_what_a_colleague_changed_after_the_ttl(
    api: pyWATS, server: SimulatedWATS, cache_clock: FakeClock
) -> None:
    names(api)
    server.touch("product")
    cache_clock.advance(301)
    names(api)
    assert server.count("GET", "/api/Product/Query") == 2


def test_it_survives_a_server_that_fails_once(server: SimulatedWATS) -> None:
    server.fail(method="GET", path="/api/Product/*", status=503, times=1, retry_after=0)
    with pyWATS(base_url=server.base_url, token=server.token, retry_enabled=True) as api:
        assert len(names(api)) == 3


def test_plain_httpx_has_fixtures_too(
    server: SimulatedWATS,
    cache_clock: FakeClock,
    assert_cached: Callable[[object], None],
    assert_not_cached: Callable[[object], None],
) -> None:
    headers = {"Authorization": f"Basic {server.token}"}
    transport = CacheTransport(controller=wats_controller(60.0), clock=cache_clock)
    with CacheClient(transport=transport, base_url=server.base_url, headers=headers) as client:
        assert_not_cached(client.get("/api/Product/PN-1000"))
        assert_cached(client.get("/api/Product/PN-1000"))
        cache_clock.advance(61)
        assert_not_cached(client.get("/api/Product/PN-1000"))
