"""CacheStats: a snapshot with derived numbers."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from pywats_cache import Bypass, CacheStats, Controller, MemoryStorage
from pywats_cache.testing import FakeClock


def test_requests_is_the_sum_of_the_six_statuses() -> None:
    stats = CacheStats(hits=1, stale=2, revalidated=4, misses=8, collapsed=16, bypassed=32, lookups=1)
    assert stats.requests == 63


def test_hit_rate_is_the_part_of_cacheable_requests_that_waited_for_no_own_fetch() -> None:
    assert CacheStats(hits=3, misses=1).hit_rate == 0.75
    assert CacheStats(hits=1, stale=1, collapsed=1, revalidated=1, misses=2).hit_rate == 0.5
    assert CacheStats(hits=1, bypassed=99).hit_rate == 1.0


def test_hit_rate_of_nothing_is_zero() -> None:
    assert CacheStats().hit_rate == 0.0
    assert CacheStats(bypassed=5).hit_rate == 0.0


def test_a_snapshot_is_immutable() -> None:
    with pytest.raises(AttributeError):
        CacheStats().hits = 1  # type: ignore[misc]


def test_a_snapshot_does_not_change_with_later_requests(client: Any) -> None:
    before = client.cache.stats
    client.get("/a")
    assert before.requests == 0
    assert client.cache.stats.requests == 1


def test_a_request_that_is_refused_counts_in_no_status(cached: Callable[..., Any]) -> None:
    client = cached()
    with pytest.raises(ValueError, match="tll"):
        client.get("/a", extensions={"pywats_cache": {"tll": 1}})
    assert client.cache.stats.requests == 0
    client = cached(Controller(partition=lambda headers: headers["x-user"]))
    with pytest.raises(KeyError):
        client.get("/a")
    assert client.cache.stats.requests == 0


def test_every_request_counts_in_exactly_one_status(cached: Callable[..., Any], clock: FakeClock) -> None:
    client = cached(Controller([Bypass("/live")], ttl=60))
    client.get("/a")  # a miss
    client.get("/a")  # a hit
    client.get("/live")  # a bypass
    client.put("/a")  # a bypass that dirties
    client.get("/a")  # a miss: dirtied
    client.head("/b")  # a miss: no GET is stored
    clock.advance(61)
    client.get("/a")  # a miss: expired
    stats = client.cache.stats
    assert (stats.hits, stats.misses, stats.bypassed) == (1, 4, 2)
    assert (stats.stale, stats.revalidated, stats.collapsed, stats.lookups) == (0, 0, 0, 0)
    assert stats.requests == 7
    assert (stats.stores, stats.expirations, stats.invalidations, stats.entries) == (3, 1, 1, 1)


def test_evictions_entries_and_bytes_are_those_of_the_storage(cached: Callable[..., Any]) -> None:
    client = cached(storage=MemoryStorage(max_entries=2))
    for path in ("/a", "/b", "/c"):
        client.get(path)
    stats = client.cache.stats
    assert (stats.stores, stats.evictions, stats.entries) == (3, 1, 2)
    assert stats.size_bytes == client.cache.storage.size_bytes > 0


def test_two_transports_of_one_storage_count_their_own_requests(cached: Callable[..., Any]) -> None:
    storage = MemoryStorage()
    one, other = cached(storage=storage), cached(storage=storage)
    one.get("/a")
    other.get("/a")
    assert (one.cache.stats.misses, one.cache.stats.hits) == (1, 0)
    assert (other.cache.stats.misses, other.cache.stats.hits) == (0, 1)
    assert one.cache.stats.stores == other.cache.stats.stores == 1


def test_a_failed_request_counts_too(cached: Callable[..., Any], origin: Any, lib: SimpleNamespace) -> None:
    def broken(request: Any) -> Any:
        raise lib.http.ReadError("broken", request=request)

    origin.reply = broken
    client = cached()
    for method in ("GET", "POST"):
        with pytest.raises(lib.http.ReadError):
            client.request(method, "/a")
    assert (client.cache.stats.misses, client.cache.stats.bypassed, client.cache.stats.requests) == (1, 1, 2)
