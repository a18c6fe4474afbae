"""A real server on loopback that stops and comes back, with answers served stale in between."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from pywats_cache import AsyncCacheClient, CacheClient, MemoryStorage
from pywats_cache.testing import FakeClock, SimulatedWATS
from pywats_cache.wats import wats_controller

PRODUCT = "/api/Product/PN-1000"


def options(server: SimulatedWATS, clock: FakeClock) -> dict[str, Any]:
    return {
        "base_url": server.base_url,
        "headers": {"Authorization": f"Basic {server.token}"},
        "controller": wats_controller(60.0, offline="auto", offline_for=1000.0, down_for=5.0),
        "storage": MemoryStorage(clock=clock),
    }


def told(response: httpx.Response) -> tuple[str, str]:
    outcome = response.extensions["pywats_cache"]
    return outcome.status, outcome.reason


def test_a_server_that_stops_and_comes_back_is_asked_again(clock: FakeClock) -> None:
    with SimulatedWATS() as server, CacheClient(**options(server, clock)) as client:
        first = client.get(PRODUCT)
        server.stop()
        clock.advance(61)
        for _ in range(3):
            stale = client.get(PRODUCT)
            assert (stale.content, *told(stale)) == (first.content, "stale", "offline")
        with pytest.raises(httpx.ConnectError):
            client.get("/api/Product/PN-1001")
        server.restart()
        server.touch("product")
        clock.advance(5.1)
        again = client.get(PRODUCT)
        assert told(again)[0] == "miss"
        assert again.content != first.content
        assert told(client.get(PRODUCT)) == ("hit", "fresh")


def test_a_server_away_beyond_the_window_is_an_error(clock: FakeClock) -> None:
    with SimulatedWATS() as server, CacheClient(**options(server, clock)) as client:
        client.get(PRODUCT)
        server.stop()
        clock.advance(1061)
        with pytest.raises(httpx.ConnectError):
            client.get(PRODUCT)


@pytest.mark.anyio
async def test_the_async_client_survives_an_outage_too(clock: FakeClock) -> None:
    with SimulatedWATS() as server:
        async with AsyncCacheClient(**options(server, clock)) as client:
            first = await client.get(PRODUCT)
            server.stop()
            clock.advance(61)
            stale = await client.get(PRODUCT)
            assert (stale.content, *told(stale)) == (first.content, "stale", "offline")
            server.restart()
            clock.advance(5.1)
            assert told(await client.get(PRODUCT))[0] == "miss"
