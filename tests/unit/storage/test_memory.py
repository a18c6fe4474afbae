"""MemoryStorage: what it refuses, its bounds, and what it promises the engine."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from pywats_cache import CacheOutcome, CachingError, MemoryStorage
from pywats_cache.storage.entry import OVERHEAD, StoredResponse
from pywats_cache.testing import FakeClock


def entry(key: str = "k", *, size: int = 0, epoch: int = 0, began: float = 0.0) -> StoredResponse:
    body = b"x" * size
    return StoredResponse(
        key=key,
        status=200,
        headers=(),
        raw=body,
        content=body,
        extensions={},
        began=began,
        ttl=60.0,
        own_ttl=False,
        tags=(),
        epoch=epoch,
        vary=(),
        rule="default",
    )


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"max_entries": 0}, ValueError),
        ({"max_entries": -5}, ValueError),
        ({"max_bytes": 0}, ValueError),
        ({"max_entry_bytes": 0}, ValueError),
        ({"max_stream_size": -1}, ValueError),
        ({"default_ttl": -1}, ValueError),
        ({"default_tti": math.nan}, ValueError),
        ({"max_entries": True}, TypeError),
        ({"max_entries": 10.0}, TypeError),
        ({"max_entries": None}, TypeError),
        ({"max_bytes": "64MB"}, TypeError),
        ({"max_entry_bytes": 1.5}, TypeError),
        ({"max_stream_size": "1"}, TypeError),
        ({"default_ttl": True}, TypeError),
        ({"clock": 5}, TypeError),
    ],
)
def test_a_bad_argument_is_refused_by_name(options: dict[str, Any], kind: type[Exception]) -> None:
    ((name, value),) = options.items()
    with pytest.raises(kind, match=name) as caught:
        MemoryStorage(**options)
    assert isinstance(caught.value, CachingError)
    assert repr(value) in str(caught.value)


def test_an_entry_may_never_be_larger_than_the_whole() -> None:
    assert MemoryStorage(max_bytes=5000).max_entry_bytes == 5000
    assert MemoryStorage(max_bytes=5000, max_entry_bytes=10).max_entry_bytes == 10


def test_put_and_find() -> None:
    storage, stored = MemoryStorage(), entry()
    assert storage.find("k") is None
    assert storage.put(stored)
    assert storage.find("k") is stored
    assert len(storage) == 1
    assert storage.size_bytes == stored.size


def test_what_is_too_large_is_not_stored() -> None:
    storage = MemoryStorage(max_entry_bytes=5000)
    assert not storage.put(entry(size=5001))
    assert len(storage) == 0
    assert storage.size_bytes == 0


@pytest.mark.parametrize(
    ("first", "second", "kept"), [((1, 5.0), (1, 4.0), 0), ((2, 0.0), (1, 9.0), 0), ((1, 5.0), (1, 5.0), 1)]
)
def test_an_older_fetch_never_overwrites_a_later_one(
    first: tuple[int, float], second: tuple[int, float], kept: int
) -> None:
    storage = MemoryStorage()
    entries = [entry(epoch=epoch, began=began) for epoch, began in (first, second)]
    assert storage.put(entries[0])
    assert storage.put(entries[1]) is (kept == 1)
    assert storage.find("k") is entries[kept]


def test_drop_counts_an_expiration_once() -> None:
    storage, stored = MemoryStorage(), entry()
    storage.put(stored)
    storage.drop(stored, expired=True)
    storage.drop(stored, expired=True)
    assert storage.expirations == 1
    assert len(storage) == 0


def test_drop_leaves_what_took_the_place() -> None:
    storage, old, new = MemoryStorage(), entry(), entry(began=1.0)
    storage.put(old)
    storage.put(new)
    storage.drop(old)
    assert storage.find("k") is new


def test_clear_forgets_everything_and_fences_what_is_under_way() -> None:
    storage = MemoryStorage()
    storage.put(entry())
    began = storage.coherence.epoch
    storage.clear()
    assert len(storage) == storage.size_bytes == 0
    assert storage.coherence.dirtied_since((), began)


def test_bounds_hold_at_every_moment_while_threads_store() -> None:
    storage = MemoryStorage(max_entries=5, max_bytes=10 * OVERHEAD)
    seen: list[tuple[int, int]] = []
    start = threading.Barrier(3)

    def fill(thread: int) -> None:
        start.wait()
        for n in range(300):
            storage.put(entry(f"{thread}-{n % 20}", size=(n * 37) % 2000))
            with storage.lock:
                seen.append((len(storage), storage.size_bytes))

    threads = [threading.Thread(target=fill, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 900
    assert max(entries for entries, _ in seen) == 5
    assert max(size for _, size in seen) <= 10 * OVERHEAD
    assert storage.size_bytes == sum(e.size for e in storage.table.items.values())


def test_varying_names_only_grow() -> None:
    storage = MemoryStorage()
    assert storage.vary_by("k", ("b",)) == ("b",)
    assert storage.vary_by("k", ("a",)) == ("a", "b")
    assert storage.vary_by("k", ()) == ("a", "b")


def test_a_derived_value_is_made_once_and_counted() -> None:
    storage, stored, made = MemoryStorage(), entry(size=4), []

    def parse(content: bytes) -> list[bytes]:
        made.append(content)
        return [content]

    storage.put(stored)
    before = storage.size_bytes
    first = storage.derive(stored, parse, lambda value: 50)
    assert storage.derive(stored, parse, lambda value: 50) is first
    assert made == [b"xxxx"]
    assert storage.size_bytes == before + 50


def test_a_derived_value_that_does_not_fit_is_made_each_time() -> None:
    storage, stored, made = MemoryStorage(max_bytes=1000), entry(), []
    storage.put(stored)
    for _ in range(2):
        assert storage.derive(stored, lambda content: made.append(1) or "value", lambda value: 10_000) == "value"
    assert made == [1, 1]
    assert storage.size_bytes <= 1000


def test_a_storage_has_one_clock() -> None:
    one, other = FakeClock(), FakeClock()
    storage = MemoryStorage(clock=one)
    assert storage.use_clock(None, other) is one
    assert storage.use_clock(one, other) is one
    with pytest.raises(ValueError, match="clock must be the one its storage uses already"):
        storage.use_clock(other, other)


def test_a_storage_takes_the_clock_of_its_first_transport() -> None:
    one, other = FakeClock(), FakeClock()
    storage = MemoryStorage()
    assert storage.use_clock(one, other) is one
    assert storage.use_clock(None, other) is one


def test_two_storages_key_their_digests_differently() -> None:
    assert MemoryStorage().secret != MemoryStorage().secret


def test_a_repr_shows_the_bounds_and_no_content() -> None:
    storage = MemoryStorage(max_entries=7, max_bytes=5000)
    storage.put(entry("key-of-a-user"))
    assert (
        repr(storage) == f"MemoryStorage(1/7 entries, {entry('key-of-a-user').size}/5000 bytes, max_entry_bytes=5000)"
    )
    assert "key-of-a-user" not in repr(storage.find("key-of-a-user"))


def test_an_empty_storage_that_is_handed_in_is_used(lib: SimpleNamespace) -> None:
    storage = MemoryStorage()
    with lib.CacheTransport(storage=storage) as transport:
        assert transport.storage is storage


def test_least_recently_used_goes_first_and_a_hit_is_a_use(cached: Callable[..., Any]) -> None:
    client = cached(storage=MemoryStorage(max_entries=2))
    client.get("/a")
    client.get("/b")
    client.get("/a")
    client.get("/c")
    assert client.get("/a").text == "1"
    assert client.get("/b").text == "4"
    assert client.cache.stats.evictions == 2


def test_bytes_count_bodies_as_received_and_decoded_and_headers(
    cached: Callable[..., Any], origin: Any, lib: SimpleNamespace
) -> None:
    import gzip

    client = cached()
    origin.reply = {"content": b"x" * 10_000}
    client.get("/plain")
    plain = client.cache.stats.size_bytes
    assert 10_000 + OVERHEAD <= plain < 10_000 + OVERHEAD + 600
    packed = gzip.compress(b"x" * 10_000)
    origin.reply = {"content": packed, "headers": {"Content-Encoding": "gzip", "X-Long": "h" * 500}}
    client.get("/gzip")
    assert client.cache.stats.size_bytes - plain >= len(packed) + 10_000 + 500 + OVERHEAD


def test_what_is_larger_than_max_entry_bytes_passes_through_unstored(
    cached: Callable[..., Any], origin: Any, outcome: Callable[[Any], CacheOutcome]
) -> None:
    client = cached(storage=MemoryStorage(max_entry_bytes=2000))
    origin.reply = {"content": b"x" * 2001}
    for count in (1, 2):
        response = client.get("/large")
        assert response.content == b"x" * 2001
        assert outcome(response).status == "miss"
        assert not outcome(response).stored
        assert origin.count == count
    assert client.cache.stats.entries == 0
    origin.reply = {"content": b"x" * 1000}
    assert outcome(client.get("/small")).stored


def test_another_bound_on_entries_holds_at_once(cached: Callable[..., Any]) -> None:
    storage = MemoryStorage(max_entries=4)
    client = cached(storage=storage)
    for n in range(4):
        client.get(f"/{n}")
    client.get("/0")
    storage.resize(2)
    assert len(storage) == storage.max_entries == 2
    assert storage.size_bytes == sum(entry.size for entry in storage.table.items.values())
    assert client.get("/0").extensions["pywats_cache"].status == "hit"
    assert client.cache.stats.evictions == 2
    storage.resize(3)
    client.get("/5")
    assert len(storage) == 3
    with pytest.raises(ValueError, match="max_entries must be a whole number >= 1, not 0"):
        storage.resize(0)
