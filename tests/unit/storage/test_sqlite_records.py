"""Records on disk: bounded at every commit, the least recently used first out, expired ones taken out."""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pywats_cache.storage.shared.backend import Row
from pywats_cache.storage.sqlite.database import LOG_BYTES
from pywats_cache.storage.sqlite.records import ROW_BYTES, SLICE, SqliteRecords

NOW = 1_000_000.0


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., SqliteRecords]]:
    made: list[SqliteRecords] = []

    def make(max_entries: int = 100, max_bytes: int = 1 << 20) -> SqliteRecords:
        path = tmp_path / "r.db"
        made.append(SqliteRecords(path, max_entries=max_entries, max_bytes=max_bytes, on_aside=pytest.fail))
        return made[-1]

    yield make
    for records in made:
        records.close()


def row(name: str, data: bytes = b"x", *, epoch: int = 1, wall: float = NOW, ttl: float = 100.0) -> Row:
    return Row(name.partition("+")[0], name, data, epoch, wall, wall + ttl)


def names(records: SqliteRecords, *keys: str) -> list[str]:
    return [variant for key in keys for variant, _ in records.get(key)]


def test_every_variant_of_a_key_comes_back(make: Callable[..., SqliteRecords]) -> None:
    records = make()
    records.put(row("a", b"1"), NOW)
    records.put(row("a+v", b"2"), NOW)
    records.put(row("b", b"3"), NOW)
    assert dict(make().get("a")) == {"a": b"1", "a+v": b"2"}
    assert records.totals() == (3, 3 * (ROW_BYTES + 1))


def test_a_fetch_that_began_later_is_never_replaced(make: Callable[..., SqliteRecords]) -> None:
    records = make()
    assert records.put(row("a", b"new", epoch=2), NOW)
    assert not records.put(row("a", b"old", epoch=1, wall=NOW + 1), NOW)
    assert not records.put(row("a", b"old", epoch=2, wall=NOW - 1), NOW)
    assert records.get("a") == [("a", b"new")]
    assert records.put(row("a", b"newer", epoch=2, wall=NOW + 1), NOW)
    assert records.get("a") == [("a", b"newer")]
    assert records.totals() == (1, ROW_BYTES + 5)


def test_the_least_recently_used_goes_first(make: Callable[..., SqliteRecords]) -> None:
    records = make(max_entries=3)
    for name in ("a", "b", "c"):
        records.put(row(name), NOW)
    records.get("a")
    records.put(row("d"), NOW)
    assert names(records, "a", "b", "c", "d") == ["a", "c", "d"]


def test_what_can_never_fit_takes_nothing_out(make: Callable[..., SqliteRecords]) -> None:
    records = make(max_bytes=1000)
    records.put(row("a"), NOW)
    assert not records.put(row("b", bytes(1000 - ROW_BYTES + 1)), NOW)
    assert names(records, "a", "b") == ["a"]
    assert records.put(row("b", bytes(1000 - ROW_BYTES)), NOW)
    assert names(records, "a", "b") == ["b"]


def test_at_ten_times_the_load_neither_bound_is_passed_at_any_commit(
    make: Callable[..., SqliteRecords], tmp_path: Path
) -> None:
    # All of it was touched a moment ago, which is what hishel's own storage cannot evict.
    bound = 1 << 20
    records = make(max_entries=150, max_bytes=bound)
    seed = random.Random(1)
    written = 0
    n = 0
    while written < 10 * bound:
        n += 1
        data = os.urandom(seed.choice([10, 1000, 10_000, 40_000]))
        written += len(data)
        assert records.put(row(f"k{n}", data), NOW)
        assert records.get(f"k{n}")
        entries, size = records.totals()
        assert entries <= 150
        assert size <= bound
    records.close()
    held = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert held <= bound * 1.5 + (64 << 10)


def test_the_totals_are_those_of_the_rows(make: Callable[..., SqliteRecords]) -> None:
    records = make(max_entries=20, max_bytes=20_000)
    seed = random.Random(2)
    for n in range(300):
        name = f"k{seed.randrange(40)}"
        records.put(row(name, bytes(seed.randrange(3000)), wall=NOW + n, ttl=seed.choice([5, 500])), NOW + n)
        if seed.random() < 0.2:
            name = f"k{seed.randrange(40)}"
            records.put_all([], NOW + n, [(name, name, data) for _, data in records.get(name)])
        counted = records._file.read(
            lambda connection: connection.execute("SELECT count(*), total(size) FROM records").fetchone()
        )
        assert records.totals() == counted


def test_what_is_expired_is_taken_out(make: Callable[..., SqliteRecords]) -> None:
    records = make()
    for n in range(50):
        records.put(row(f"old{n}", ttl=10), NOW)
    records.put(row("new"), NOW + 10)
    assert records.totals() == (1, ROW_BYTES + 1)


def test_the_file_shrinks_again(make: Callable[..., SqliteRecords], tmp_path: Path) -> None:
    records = make(max_bytes=32 << 20)
    for n in range(60):
        records.put(row(f"old{n}", os.urandom(100_000), ttl=10), NOW)
    records.close()
    full = (tmp_path / "r.db").stat().st_size
    for n in range(30):
        records.put(row("new", wall=NOW + 20 + n), NOW + 20 + n)
    records.close()
    assert (tmp_path / "r.db").stat().st_size < full / 2


def test_a_store_made_with_larger_bounds_shrinks_by_a_slice_at_one_time(
    make: Callable[..., SqliteRecords],
) -> None:
    """Other processes wait for a transaction, so none takes out all that is too much."""
    made_larger = make(max_entries=1000)
    made_larger.put_all([row(str(n)) for n in range(5 * SLICE)], NOW)
    records = make(max_entries=SLICE)
    records.put_all([row("new"), row("other")], NOW)
    assert records.totals() == (4 * SLICE, 4 * SLICE * (ROW_BYTES + 1))
    slices = 0
    while records.clear_slice():
        slices += 1
    assert slices == 3
    assert records.totals()[0] == SLICE
    assert names(records, "0", "new", "other") == ["new", "other"]


def test_a_store_of_too_many_bytes_shrinks_by_a_slice_and_is_never_larger(make: Callable[..., SqliteRecords]) -> None:
    size = ROW_BYTES + 1
    make(max_entries=1000).put_all([row(str(n)) for n in range(3 * SLICE)], NOW)
    records = make(max_entries=1000, max_bytes=SLICE * size)
    records.put(row("small"), NOW)
    assert records.totals() == (2 * SLICE, 2 * SLICE * size)
    records.put(row("large", bytes(SLICE * size - ROW_BYTES)), NOW)
    assert records.totals()[1] <= 2 * SLICE * size
    while records.clear_slice():
        pass
    assert records.totals() == (1, SLICE * size)
    assert names(records, "large") == ["large"]


# ── clear ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_clear_takes_out_what_was_there_slice_by_slice_and_nothing_that_came_later(
    make: Callable[..., SqliteRecords],
) -> None:
    records = make(max_entries=1000)
    records.put_all([row(str(n)) for n in range(2 * SLICE + 5)], NOW)
    records.clear()
    assert records.totals()[0] == SLICE + 5
    records.put_all([row("0", b"new", wall=NOW + 1), row("new")], NOW)
    while records.clear_slice():
        pass
    assert records.totals()[0] == 2
    assert names(records, "0", "1", "new") == ["0", "new"]


def test_another_process_goes_on_with_a_clear_that_was_broken_off(make: Callable[..., SqliteRecords]) -> None:
    records = make(max_entries=1000)
    records.put_all([row(str(n)) for n in range(3 * SLICE)], NOW)
    records.clear()
    records.close()
    other = make(max_entries=1000)
    other.put(row("new"), NOW)
    while other.clear_slice():
        pass
    assert other.totals()[0] == 1
    assert names(other, "new") == ["new"]


def test_the_bounds_hold_while_a_clear_is_under_way(make: Callable[..., SqliteRecords]) -> None:
    records = make(max_entries=2 * SLICE)
    records.put_all([row(str(n)) for n in range(2 * SLICE)], NOW)
    records.clear()
    for n in range(3 * SLICE):
        records.put(row(f"new{n}"), NOW)
        assert records.totals()[0] <= 2 * SLICE
    assert len(names(records, *(f"new{n}" for n in range(3 * SLICE)))) == 2 * SLICE
    while records.clear_slice():
        pass
    assert records.totals()[0] == 2 * SLICE


def test_a_file_of_the_version_before_is_cleared_too(make: Callable[..., SqliteRecords], tmp_path: Path) -> None:
    records = make()
    records.put(row("a"), NOW)
    connection = sqlite3.connect(tmp_path / "r.db")
    assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'cleared'").fetchone() == (0,)
    connection.close()
    records.clear()
    assert records.totals() == (0, 0)


def test_the_room_of_what_was_cleared_is_given_back(make: Callable[..., SqliteRecords], tmp_path: Path) -> None:
    records = make(max_entries=1000, max_bytes=1 << 30)
    records.put_all([row(str(n), bytes(10_000)) for n in range(300)], NOW)
    records.clear()
    while records.clear_slice():
        pass
    records.close()
    assert os.path.getsize(tmp_path / "r.db") < 1_000_000


# ── many at a time ────────────────────────────────────────────────────────────────────────────────────────────────


def test_of_several_of_one_variant_the_one_that_began_last_stays(make: Callable[..., SqliteRecords]) -> None:
    records = make()
    rows = [row("a", b"1"), row("a", b"3", epoch=3), row("a", b"2", epoch=2), row("b")]
    assert records.put_all(rows, NOW) == 2
    assert records.get("a") == [("a", b"3")]
    assert records.totals() == (2, 2 * (ROW_BYTES + 1))


def test_of_more_than_fits_the_last_ones_stay(make: Callable[..., SqliteRecords]) -> None:
    records = make(max_entries=3)
    records.put(row("old"), NOW)
    assert records.put_all([row(str(n)) for n in range(5)], NOW) == 3
    assert names(records, "old", *map(str, range(5))) == ["2", "3", "4"]
    assert records.totals()[0] == 3


def test_what_took_the_place_of_a_useless_record_stays(make: Callable[..., SqliteRecords]) -> None:
    records = make()
    records.put_all([row("a", b"new"), row("b", b"old")], NOW)
    records.put_all([], NOW, [("a", "a", b"old"), ("b", "b", b"old"), ("c", "c", b"old")])
    assert names(records, "a", "b") == ["a"]
    assert records.totals() == (1, ROW_BYTES + 3)


def test_what_is_deleted_is_not_overwritten_and_the_log_is_kept_for_the_next_time(
    make: Callable[..., SqliteRecords],
) -> None:
    records = make()
    records.put(row("a"), NOW)
    for file in (records._file, records._writer):
        pragma = lambda name: lambda connection: connection.execute(f"PRAGMA {name}").fetchone()[0]  # noqa: E731
        assert file.read(pragma("secure_delete")) == 0
        assert file.read(pragma("journal_size_limit")) == LOG_BYTES
