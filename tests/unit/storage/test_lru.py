"""The bounded table: order of use, two bounds."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from pywats_cache.storage.lru import BoundedLRU


@dataclass(eq=False)
class Thing:
    size: int = 10


@pytest.fixture
def lru() -> BoundedLRU[Thing]:
    return BoundedLRU(max_entries=3, max_bytes=100)


def test_the_oldest_goes_first(lru: BoundedLRU[Thing]) -> None:
    for key in "abcd":
        lru.put(key, Thing())
    assert list(lru.items) == ["b", "c", "d"]
    assert (lru.stores, lru.evictions, lru.size_bytes) == (4, 1, 30)


def test_put_returns_what_it_took_out(lru: BoundedLRU[Thing]) -> None:
    things = {key: Thing() for key in "abc"}
    for key, thing in things.items():
        assert lru.put(key, thing) == []
    assert lru.put("b", Thing()) == [("b", things["b"])]
    b = lru.items["b"]
    assert lru.put("d", Thing(90)) == [("a", things["a"]), ("c", things["c"])]
    assert next(iter(lru.items.values())) is b


def test_bytes_are_bounded_whatever_the_sizes(lru: BoundedLRU[Thing]) -> None:
    lru.put("a", Thing(60))
    lru.put("b", Thing(40))
    assert lru.size_bytes == 100
    lru.put("c", Thing(1))
    assert list(lru.items) == ["b", "c"]
    assert lru.size_bytes == 41


def test_what_can_never_fit_takes_nothing_out(lru: BoundedLRU[Thing]) -> None:
    lru.put("a", Thing())
    assert lru.put("b", Thing(101)) is None
    assert lru.put("a", Thing(101)) is None
    assert list(lru.items) == ["a"]
    assert (lru.stores, lru.evictions) == (1, 0)


def test_a_replacement_is_the_most_recently_used_and_no_eviction(lru: BoundedLRU[Thing]) -> None:
    for key in "abc":
        lru.put(key, Thing())
    lru.put("a", Thing(20))
    assert list(lru.items) == ["b", "c", "a"]
    assert (lru.size_bytes, lru.evictions) == (40, 0)


def test_drop_takes_out_only_the_item_meant(lru: BoundedLRU[Thing]) -> None:
    old, new = Thing(), Thing(20)
    lru.put("a", old)
    lru.put("a", new)
    assert not lru.drop("a", old)
    assert not lru.drop("b")
    assert lru.drop("a", new)
    assert not lru.drop("a")
    assert (len(lru.items), lru.size_bytes) == (0, 0)


def test_grow_counts_within_the_bound_only(lru: BoundedLRU[Thing]) -> None:
    thing = Thing(50)
    lru.put("a", thing)
    assert lru.grow("a", thing, 50)
    assert (thing.size, lru.size_bytes) == (100, 100)
    assert not lru.grow("a", thing, 1)
    assert not lru.grow("a", Thing(), 0)
    assert (thing.size, lru.size_bytes) == (100, 100)
    lru.drop("a")
    assert lru.size_bytes == 0


def test_clear_takes_everything_out(lru: BoundedLRU[Thing]) -> None:
    lru.put("a", Thing())
    lru.clear()
    assert (len(lru.items), lru.size_bytes) == (0, 0)


def test_one_entry_and_its_own_size_are_bounds_too() -> None:
    lru: BoundedLRU[Thing] = BoundedLRU(max_entries=1, max_bytes=10)
    lru.put("a", Thing(10))
    lru.put("b", Thing(10))
    assert list(lru.items) == ["b"]
