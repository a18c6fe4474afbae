"""What is remembered beside the stored answers is bounded by what may be stored."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pywats_cache import Controller, MemoryStorage
from pywats_cache.support.memo import PER_ENTRY, SHARE, Alone, Memo


def memo() -> Memo:
    return Memo(lambda key, value: len(key) + value)


def test_what_is_in_it_is_counted_once() -> None:
    there, bounds = memo(), Alone()
    there.remember("a", 10, 5, bounds)
    there.remember("a", 20, 5, bounds)
    there.remember("bb", 1, 5, bounds)
    assert (dict(there), there.size_bytes) == ({"a": 20, "bb": 1}, 24)
    there.clear()
    assert (dict(there), there.size_bytes) == ({}, 0)


def test_what_is_remembered_anew_is_never_missed_meanwhile() -> None:
    class Watched(Memo):
        def pop(self, *given: Any) -> Any:
            raise AssertionError("taken out for a moment")

    there, bounds = Watched(lambda key, value: value), Alone()
    for value in (1, 3, 2):
        there.remember("a", value, 5, bounds)
        assert there.size_bytes == value


def test_the_oldest_quarter_makes_room() -> None:
    there, bounds = memo(), Alone()
    for n in range(9):
        there.remember(str(n), 0, 8, bounds)
    assert list(there) == ["2", "3", "4", "5", "6", "7", "8"]


def test_bytes_are_bounded_too_and_what_is_too_large_is_left_out() -> None:
    there, bounds = memo(), Alone()
    bounds.max_bytes = 100 * SHARE
    for n in range(50):
        there.remember(str(n), 30, 1000, bounds)
        assert there.size_bytes <= 100
    there.remember("large", 100, 1000, bounds)
    assert "large" not in there
    assert there.size_bytes == sum(len(key) + value for key, value in there.items())


def test_few_entries_mean_few_memories() -> None:
    there, bounds = memo(), Alone()
    bounds.max_entries = 2
    for n in range(50):
        there.remember(str(n), 1, 1000, bounds)
    assert len(there) <= 2 * PER_ENTRY


@pytest.mark.parametrize("kind", ["client", "transport"])
@pytest.mark.parametrize("rfc9111", [False, True])
@pytest.mark.parametrize("vary", [False, True])
def test_no_storage_lets_a_client_remember_more_than_its_bounds_say(
    lib: SimpleNamespace, origin: Any, kind: str, rfc9111: bool, vary: bool
) -> None:
    fields = {"Cache-Control": "max-age=60", "Content-Language": "x" * 100}
    origin.reply = {"headers": {**fields, "Vary": "Accept-Language"} if vary else fields}
    storage = MemoryStorage(max_entries=10, max_bytes=1 << 20)
    controller = Controller(rfc9111=rfc9111)
    if kind == "client":
        client = lib.CacheClient(transport=origin.transport, storage=storage, controller=controller)
        cache = client.cache
    else:
        cache = lib.CacheTransport(origin.transport, storage=storage, controller=controller)
        client = lib.http.Client(transport=cache)
    with client:
        for n in range(100):
            client.get(f"http://origin/{'x' * 8000}/{n}", headers={"Authorization": f"{n}" * 100})
            assert cache.stats.remembered_bytes <= 40 * 3 * 20_000
        engine = cache._engine
        memos = [engine.preparer._memo, engine.preparer._alike, storage.varying, *(d._memo for d in engine.doors)]
        for there in memos:
            assert len(there) <= 10 * PER_ENTRY
            assert there.size_bytes <= (1 << 20) // SHARE
        assert cache.stats.remembered_bytes >= sum(there.size_bytes for there in memos) > 0


def test_what_failed_or_was_not_stored_is_remembered_within_the_bounds(lib: SimpleNamespace, origin: Any) -> None:
    origin.reply = {"headers": {"Cache-Control": "no-store"}}
    cache = lib.CacheTransport(origin.transport, storage=MemoryStorage(max_entries=10))
    with lib.http.Client(transport=cache) as client:
        for n in range(100):
            client.get(f"http://origin/{n}")
    assert cache._engine.storage.flights.solitary <= 10 * PER_ENTRY
