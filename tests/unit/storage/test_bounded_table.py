"""The bounded table: order of use, two bounds."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from pywats_cache.storage.bounded_table import BoundedTable


@dataclass(eq=False)
class Thing:
    size: int = 10


@pytest.fixture
def table() -> BoundedTable[Thing]:
    return BoundedTable(max_entries=3, max_bytes=100)


def test_the_oldest_goes_first(table: BoundedTable[Thing]) -> None:
    for key in "abcd":
        table.put(key, Thing())
    assert list(table.items) == ["b", "c", "d"]
    assert (table.stores, table.evictions, table.size_bytes) == (4, 1, 30)


def test_put_returns_what_it_took_out(table: BoundedTable[Thing]) -> None:
    things = {key: Thing() for key in "abc"}
    for key, thing in things.items():
        assert table.put(key, thing) == []
    assert table.put("b", Thing()) == [("b", things["b"])]
    b = table.items["b"]
    assert table.put("d", Thing(90)) == [("a", things["a"]), ("c", things["c"])]
    assert next(iter(table.items.values())) is b


def test_bytes_are_bounded_whatever_the_sizes(table: BoundedTable[Thing]) -> None:
    table.put("a", Thing(60))
    table.put("b", Thing(40))
    assert table.size_bytes == 100
    table.put("c", Thing(1))
    assert list(table.items) == ["b", "c"]
    assert table.size_bytes == 41


def test_what_can_never_fit_takes_nothing_out(table: BoundedTable[Thing]) -> None:
    table.put("a", Thing())
    assert table.put("b", Thing(101)) is None
    assert table.put("a", Thing(101)) is None
    assert list(table.items) == ["a"]
    assert (table.stores, table.evictions) == (1, 0)


def test_a_replacement_is_the_most_recently_used_and_no_eviction(table: BoundedTable[Thing]) -> None:
    for key in "abc":
        table.put(key, Thing())
    table.put("a", Thing(20))
    assert list(table.items) == ["b", "c", "a"]
    assert (table.size_bytes, table.evictions) == (40, 0)


def test_drop_takes_out_only_the_item_meant(table: BoundedTable[Thing]) -> None:
    old, new = Thing(), Thing(20)
    table.put("a", old)
    table.put("a", new)
    assert not table.drop("a", old)
    assert not table.drop("b")
    assert table.drop("a", new)
    assert not table.drop("a")
    assert (len(table.items), table.size_bytes) == (0, 0)


def test_grow_counts_within_the_bound_only(table: BoundedTable[Thing]) -> None:
    thing = Thing(50)
    table.put("a", thing)
    assert table.grow("a", thing, 50)
    assert (thing.size, table.size_bytes) == (100, 100)
    assert not table.grow("a", thing, 1)
    assert not table.grow("a", Thing(), 0)
    assert (thing.size, table.size_bytes) == (100, 100)
    table.drop("a")
    assert table.size_bytes == 0


def test_clear_takes_everything_out(table: BoundedTable[Thing]) -> None:
    table.put("a", Thing())
    table.clear()
    assert (len(table.items), table.size_bytes) == (0, 0)


def test_one_entry_and_its_own_size_are_bounds_too() -> None:
    table: BoundedTable[Thing] = BoundedTable(max_entries=1, max_bytes=10)
    table.put("a", Thing(10))
    table.put("b", Thing(10))
    assert list(table.items) == ["b"]
