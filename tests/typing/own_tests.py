"""A user's own tests and observability: fixtures, the fake clock, the simulated server, metrics."""

from __future__ import annotations

from collections.abc import Callable

import httpx
from typing_extensions import assert_type

from pywats_cache import CacheClient
from pywats_cache.metrics import CacheCollector, watch
from pywats_cache.testing import FakeClock, SimulatedWATS


def test_expiry(
    cache_clock: FakeClock,
    assert_cached: Callable[[httpx.Response], None],
    assert_not_cached: Callable[[httpx.Response], None],
) -> None:
    with SimulatedWATS(products=3, users=["me"]) as server, CacheClient(clock=cache_clock) as client:
        assert_not_cached(client.get(f"{server.base_url}/api/Product/PN-1000"))
        assert_cached(client.get(f"{server.base_url}/api/Product/PN-1000"))
        cache_clock.advance(301)
        assert_type(cache_clock(), float)
        assert_type(server.base_url, str)


def observed(client: CacheClient) -> None:
    assert_type(watch(client, "station"), CacheCollector)


def mistakes() -> None:
    FakeClock(start="now")  # type: ignore[arg-type]
    FakeClock().advance(b"1s")  # type: ignore[arg-type]
    SimulatedWATS(product=3)  # type: ignore[call-arg]
