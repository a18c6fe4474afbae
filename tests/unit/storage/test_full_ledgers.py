"""Full tables of a SQLite ledger are compacted in short steps, and nothing is missed if one breaks off."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pywats_cache.coherence.tags import bundles_of, explicit_tag, partition_tag, path_tags, write_tags
from pywats_cache.storage.shared.backend import Change, Delta, Known
from pywats_cache.storage.sqlite import full_tables as full_tables_module
from pywats_cache.storage.sqlite import ledger as ledger_module
from pywats_cache.storage.sqlite.database import SqliteFile
from pywats_cache.storage.sqlite.ledger import SqliteLedger

NOTHING = Known(None, -1)
ORIGIN = "http://o.example"
BOUND = 256


class Died(BaseException):
    """The process is gone."""


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., SqliteLedger]]:
    """Each is as another process."""
    monkeypatch.setattr(ledger_module, "MAX_TAGS", BOUND)
    monkeypatch.setattr(full_tables_module, "STEP", 32)
    made: list[SqliteLedger] = []

    def make(name: str = "c.db") -> SqliteLedger:
        made.append(SqliteLedger(tmp_path / name, lambda reason: None))
        return made[-1]

    yield make
    for ledger in made:
        ledger.close()


def known(delta: Delta) -> Known:
    return Known(delta.generation, delta.epoch)


SHAPES: dict[str, Callable[[int], tuple[str, ...]]] = {
    "units": lambda n: write_tags(ORIGIN, f"/api/unit/SN{n}/steps/{n}"),
    "roots": lambda n: write_tags(ORIGIN, f"/{n}"),
    "hosts": lambda n: write_tags(f"http://host{n}.example", "/api"),
    "explicit tags": lambda n: (explicit_tag(ORIGIN, f"t{n}"),),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_no_transaction_of_a_compaction_is_long(
    make: Callable[..., SqliteLedger], monkeypatch: pytest.MonkeyPatch, shape: str
) -> None:
    """Counted in rows, for clocks are rough; and what goes is computed in none of them."""
    changed: list[int] = []
    write, compacted = SqliteFile.write, full_tables_module.compacted
    is_within = [False]

    def counted(self: SqliteFile, work: Callable[[sqlite3.Connection], Any]) -> Any:
        def within(connection: sqlite3.Connection) -> Any:
            before, is_within[0] = connection.total_changes, True
            try:
                return work(connection)
            finally:
                is_within[0] = False
                changed.append(connection.total_changes - before)

        return write(self, within)

    def computed(*arguments: Any) -> Any:
        assert not is_within[0]
        return compacted(*arguments)

    monkeypatch.setattr(SqliteFile, "write", counted)
    monkeypatch.setattr(full_tables_module, "compacted", computed)
    ledger = make()
    delta = ledger.pull(NOTHING)
    for n in range(0, 2 * BOUND, 8):
        tags = tuple(tag for k in range(n, n + 8) for tag in SHAPES[shape](k))
        delta = ledger.change(Change(dirty=tags), known(delta))
    assert len(make().pull(NOTHING).dirtied) <= BOUND
    assert max(changed) <= 3 * 32


def test_a_compaction_that_breaks_off_leaves_nothing_out(
    make: Callable[..., SqliteLedger], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies after each of the transactions; another one finds all that was dirtied."""
    write = SqliteFile.write
    left = [0]

    def dies(self: SqliteFile, work: Any) -> Any:
        if left[0] == 0:
            raise Died
        left[0] -= 1
        return write(self, work)

    monkeypatch.setattr(SqliteFile, "write", dies)
    for lives in itertools.count(1):
        left[0] = 10**6
        ledger = make(f"{lives}.db")
        delta = ledger.pull(NOTHING)
        written: dict[str, int] = {}
        died = False
        for n in range(0, BOUND, 16):
            paths = [f"/{k % 5}/unit/{k}" for k in range(n, n + 16)]
            written.update(dict.fromkeys(paths, delta.epoch + 1))
            left[0] = lives
            try:
                tags = tuple(tag for path in paths for tag in write_tags(ORIGIN, path))
                delta = ledger.change(Change(dirty=tags), known(delta))
            except Died:
                died = True
                break
        left[0] = 10**6
        whole = make(f"{lives}.db").pull(NOTHING)
        dirtied = dict(whole.dirtied)
        for path, epoch in written.items():
            assert max(whole.floor, *(dirtied.get(tag, 0) for tag in path_tags(ORIGIN, path))) >= epoch
        if not died:
            assert len(dirtied) <= BOUND
            break
    assert lives > 3


def test_what_is_dirtied_again_while_it_is_compacted_stays(
    make: Callable[..., SqliteLedger], monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, other = make(), make()
    delta = ledger.pull(NOTHING)
    again: list[Delta] = []
    begun: list[bool] = []
    compacted = full_tables_module.compacted

    def meanwhile(*arguments: Any) -> Any:
        if not again and not begun:
            begun.append(True)
            again.append(other.change(Change(dirty=(f"^{ORIGIN}/api/unit/SN3",)), NOTHING))
        return compacted(*arguments)

    monkeypatch.setattr(full_tables_module, "compacted", meanwhile)
    while not again:
        paths = (*(f"/api/unit/SN{n}" for n in range(64)), f"/api/unit/{delta.epoch}/{delta.epoch}")
        tags = tuple(tag for path in paths for tag in write_tags(ORIGIN, path))
        delta = ledger.change(Change(dirty=tags), known(delta))
    whole = make().pull(NOTHING)
    dirtied = dict(whole.dirtied)
    unit = path_tags(ORIGIN, "/api/unit/SN3")
    assert max(whole.floor, *(dirtied.get(tag, 0) for tag in unit)) >= again[0].epoch


def test_a_table_that_nobody_compacts_is_folded(
    make: Callable[..., SqliteLedger], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SqliteLedger, "_relieve", lambda *arguments: None)
    ledger = make()
    delta = ledger.pull(NOTHING)
    for n in range(0, 3 * BOUND, 16):
        tags = tuple(tag for k in range(n, n + 16) for tag in write_tags(ORIGIN, f"/{k}"))
        delta = ledger.change(Change(dirty=tags), known(delta))
    whole = make().pull(NOTHING)
    assert len(whole.dirtied) <= 2 * BOUND
    assert whole.floors > 0
    assert whole.floor < whole.epoch


def carries(delta: Delta, *tags: str) -> int:
    """The epoch at which who carries `tags` was dirtied last."""
    dirtied = dict(delta.dirtied)
    return max(delta.floor, *(dirtied.get(tag, 0) for tag in (*tags, *bundles_of(tags))))


def dirty_many(ledger: SqliteLedger, delta: Delta, tag: Callable[[int], str], count: int = 2 * BOUND) -> Delta:
    for n in range(0, count, 16):
        delta = ledger.change(Change(dirty=tuple(tag(k) for k in range(n, n + 16))), known(delta))
    return delta


def test_explicit_tags_have_a_floor_of_their_own(make: Callable[..., SqliteLedger], tmp_path: Path) -> None:
    ledger = make()
    start = ledger.pull(NOTHING)
    last = dirty_many(ledger, start, lambda n: explicit_tag(ORIGIN, f"t{n}"))
    whole = make().pull(NOTHING)
    assert carries(whole, *path_tags(ORIGIN, "/config/site")) == start.floor
    assert carries(whole, explicit_tag(ORIGIN, "t0")) > start.epoch
    assert carries(whole, explicit_tag("http://other.example", "t0")) == start.floor
    assert whole.floors > 0
    with sqlite3.connect(tmp_path / "c.db-ledger") as first:  # a process of the first version asks for no bundles
        (told,) = first.execute("SELECT floor FROM state").fetchone()
    first.close()
    assert start.epoch < told <= last.epoch


def test_partitions_go_into_buckets(make: Callable[..., SqliteLedger], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "MAX_TAGS", 4096)
    monkeypatch.setattr(full_tables_module, "STEP", 512)
    ledger = make()
    start = ledger.pull(NOTHING)
    epochs = [start.epoch]
    delta = start
    for n in range(0, 4096, 64):
        delta = ledger.change(Change(dirty=tuple(partition_tag(f"p{k}") for k in range(n, n + 64))), known(delta))
        epochs.append(delta.epoch)
    whole = make().pull(NOTHING)
    assert len(whole.dirtied) < 4096
    assert whole.floor == start.floor
    assert all(carries(whole, partition_tag(f"p{k}")) >= epochs[k // 64 + 1] for k in range(4096))
    assert carries(whole, *path_tags(ORIGIN, "/config/site")) == start.floor


def test_a_floor_that_the_first_version_raises_counts_though_it_was_told_a_higher_one(
    make: Callable[..., SqliteLedger], tmp_path: Path
) -> None:
    ledger = make()
    start = ledger.change(Change(dirty=write_tags(ORIGIN, "/config/site")), NOTHING)
    dirty_many(ledger, start, lambda n: explicit_tag(ORIGIN, f"t{n}"))
    with sqlite3.connect(tmp_path / "c.db-ledger") as first:  # what that version does with a full table
        middle = start.epoch + 1
        first.execute("UPDATE state SET floor = max(floor, ?)", (middle,))
        first.execute("DELETE FROM dirtied WHERE epoch <= ?", (middle,))
    first.close()
    for whole in (make().pull(NOTHING), dirty_many(make(), make().pull(NOTHING), lambda n: explicit_tag("o", f"{n}"))):
        assert carries(whole, *path_tags(ORIGIN, "/config/site")) >= start.epoch


def test_what_is_softened_by_explicit_tags_has_a_floor_of_its_own(make: Callable[..., SqliteLedger]) -> None:
    ledger = make()
    delta = start = ledger.pull(NOTHING)
    for n in range(0, 2 * BOUND, 16):
        tags = tuple(explicit_tag(ORIGIN, f"t{k}") for k in range(n, n + 16))
        delta = ledger.change(Change(soften=tags), known(delta))
    whole = make().pull(NOTHING)
    assert whole.soft_floor == start.soft_floor
    assert dict(whole.softened)[f"#{ORIGIN}"] > start.epoch
