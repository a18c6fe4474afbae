"""`api.cache.options(…)` and `api.cache.outcomes()`: for calls of the SDK, which take no directives."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pywats_cache import AsyncWATS, CacheOutcome, pyWATS
from pywats_cache.testing import FakeClock, SimulatedWATS


def shown(seen: list[CacheOutcome]) -> list[tuple[str, str]]:
    return [(outcome.status, outcome.reason) for outcome in seen]


@pytest.mark.parametrize(
    ("directives", "expected"),
    [
        ({"bypass": True}, ("bypass", "caller-bypass")),
        ({"refresh": True}, ("miss", "refresh")),
        ({"only_if_cached": True}, ("hit", "fresh")),
    ],
)
def test_a_block_gives_directives_to_calls_of_the_sdk(
    api: pyWATS, server: SimulatedWATS, directives: Any, expected: tuple[str, str]
) -> None:
    api.product.get_product("PN-1000")
    with api.cache.outcomes() as seen:
        with api.cache.options(**directives):
            assert api.product.get_product("PN-1000").part_number == "PN-1000"
        api.product.get_product("PN-1000")
    assert shown(seen) == [expected, ("hit", "fresh")]


def test_a_block_gives_directives_to_tasks_of_asyncwats(server: SimulatedWATS) -> None:
    async def main() -> list[tuple[str, str]]:
        async with AsyncWATS(base_url=server.base_url, token=server.token) as api:
            await api.product.get_product("PN-1000")
            with api.cache.outcomes() as seen, api.cache.options(refresh=True):
                await asyncio.gather(api.product.get_product("PN-1000"), api.process.get_processes())
            await api.product.get_product("PN-1000")
            return shown(seen)

    assert asyncio.run(main()) == [("miss", "refresh"), ("miss", "refresh")]


def test_a_write_in_a_bypass_block_invalidates(api: pyWATS) -> None:
    product = api.product.get_product("PN-1000")
    with api.cache.options(bypass=True):
        product.name = "by a block"
        api.product.update_product(product)
    assert api.product.get_product("PN-1000").name == "by a block"


def test_what_a_method_reads_anew_is_read_anew_in_a_block_that_wants_what_is_stored(
    api: pyWATS, server: SimulatedWATS
) -> None:
    """It writes back what it has read, so it must not begin with what is old."""
    api.product.get_product("PN-1000")
    with api.cache.options(only_if_cached=True), api.cache.outcomes() as seen:
        api.product.add_product_tag("PN-1000", "by", "block")
    assert ("miss", "refresh") in shown(seen)
    assert {"key": "by", "value": "block"} in api.product.get_product_tags("PN-1000")


def test_what_a_method_reads_anew_goes_around_the_cache_in_a_bypass_block(api: pyWATS) -> None:
    stores = api.cache.stats.stores
    with api.cache.options(bypass=True), api.cache.outcomes() as seen:
        api.process.refresh()
        api.product.add_product_tag("PN-1000", "by", "block")
    assert {outcome.status for outcome in seen} == {"bypass"}
    assert api.cache.stats.stores == stores


def test_of_the_age_that_a_method_allows_and_that_of_a_block_the_shorter_counts(
    api: pyWATS, api_clock: FakeClock
) -> None:
    api.process._async.refresh_interval = 60
    try:
        api.process.get_processes()
        with api.cache.outcomes() as seen:
            for seconds, ttl in ((10, 300), (60, 300), (10, 5)):
                api_clock.advance(seconds)
                with api.cache.options(ttl=ttl):
                    api.process.get_processes()
    finally:
        api.process._async.refresh_interval = 0
    assert [outcome.status for outcome in seen] == ["hit", "miss", "miss"]


def test_with_the_cache_off_for_the_process_calls_work_and_writes_are_told(
    server: SimulatedWATS, monkeypatch: pytest.MonkeyPatch
) -> None:
    on = pyWATS(base_url=server.base_url, token=server.token)
    product = on.product.get_product("PN-1000")
    monkeypatch.setenv("PYWATS_CACHE_DISABLED", "1")
    with pyWATS(base_url=server.base_url, token=server.token, cache_storage=on.cache.storage) as off:
        with off.cache.outcomes() as seen:
            for _ in range(2):
                off.product.get_product("PN-1000")
                off.report.get_recent_headers()
            product.name = "by one that is off"
            off.product.update_product(product)
        assert {outcome.reason for outcome in seen} == {"disabled", "write"}
        assert off.cache.stats.stores == on.cache.stats.stores
    assert on.product.get_product("PN-1000").name == "by one that is off"
    on.close()
