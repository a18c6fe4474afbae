"""Records on disk: bounded at every commit, the least recently used first out, expired ones taken out."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pywats_cache.storage.shared.backend import Row
from pywats_cache.storage.sqlite.records import ROW_BYTES, SqliteRecords

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
            records.remove([(name, name)])
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
