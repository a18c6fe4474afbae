"""The ledger: what one process commits every other one sees, whatever dies, fails or is removed meanwhile."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pywats_cache import StorageError
from pywats_cache.coherence.tags import path_tags, write_tags
from pywats_cache.storage.shared import windows as windows_module
from pywats_cache.storage.shared.backend import EPOCH, LOST, Change, Delta, Known, Window
from pywats_cache.storage.shared.windows import EVERYTHING
from pywats_cache.storage.sqlite import ledger as ledger_module
from pywats_cache.storage.sqlite.database import SqliteFile
from pywats_cache.storage.sqlite.ledger import SqliteLedger

NOTHING = Known(None, -1)


@pytest.fixture
def make(tmp_path: Path, told: list[str]) -> Iterator[Callable[..., SqliteLedger]]:
    """Each is as another process: a connection and a mapping of its own."""
    made: list[SqliteLedger] = []

    def make(kind: type[SqliteLedger] = SqliteLedger) -> SqliteLedger:
        made.append(kind(tmp_path / "c.db", told.append, patience=0.05))
        return made[-1]

    yield make
    for ledger in made:
        ledger.close()


def known(delta: Delta) -> Known:
    return Known(delta.generation, delta.epoch)


def is_current(ledger: SqliteLedger, delta: Delta) -> bool:
    cells = ledger.cells()
    return cells[EPOCH] == delta.epoch and cells[LOST] == delta.lost


def test_a_new_ledger_begins_with_everything_older_invalid(make: Callable[..., SqliteLedger]) -> None:
    ledger = make()
    first = ledger.pull(NOTHING)
    assert first.floor == first.epoch
    assert (first.dirtied, first.softened, first.windows) == ([], [], [])
    assert is_current(ledger, first)
    assert make().pull(NOTHING) == first


def test_what_one_commits_the_other_pulls_and_only_what_is_new(make: Callable[..., SqliteLedger]) -> None:
    one, other = make(), make()
    start = other.pull(NOTHING)
    first = one.change(Change(dirty=("a", "b")), NOTHING)
    assert not is_current(other, start)
    assert other.pull(known(start)) == first
    assert sorted(first.dirtied) == [("a", start.epoch + 1), ("b", start.epoch + 1)]
    second = one.change(Change(dirty=("b",), soften=("s",)), known(first))
    assert second.dirtied == [("b", first.epoch + 1)]
    assert second.softened == [("s", first.epoch + 1)]
    assert other.pull(known(first)) == second
    assert sorted(make().pull(NOTHING).dirtied) == [("a", first.epoch), ("b", second.epoch)]


def test_a_change_also_brings_what_others_did_before_it(make: Callable[..., SqliteLedger]) -> None:
    one, other = make(), make()
    start = other.pull(NOTHING)
    one.change(Change(dirty=("a",)), NOTHING)
    delta = other.change(Change(dirty=("b",)), known(start))
    assert sorted(delta.dirtied) == [("a", start.epoch + 1), ("b", start.epoch + 2)]


def test_a_window_lasts_until_it_is_closed_or_ends(
    make: Callable[..., SqliteLedger], monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = make()
    wall, steady = [1000.0], [77.0]
    monkeypatch.setattr(time, "time", lambda: wall[0])
    monkeypatch.setattr(ledger_module, "since_boot", lambda: steady[0])
    delta = ledger.change(Change(open=Window("w", ("a", "b"), 10.0)), NOTHING)
    assert sorted(delta.windows) == [("a", 10.0), ("b", 10.0)]
    ledger.change(Change(open=Window("v", ("a",), 30.0)), NOTHING)
    delta = ledger.change(Change(close="w"), NOTHING)
    assert delta.windows == [("a", 30.0)]
    steady[0] += 29.0
    assert ledger.pull(NOTHING).windows == [("a", 1.0)]
    for jump in (-500.0, 1e7):
        wall[0] += jump
        assert ledger.pull(NOTHING).windows == [("a", 1.0)]
    steady[0] -= 500.0  # a machine restored from a snapshot: never more than it was opened for
    assert ledger.pull(NOTHING).windows == [("a", 30.0)]
    steady[0] += 501.0
    assert ledger.pull(NOTHING).windows == []


HOUR, DAYS = 3600.0, 10 * 86400.0
JUMPS = [-DAYS, -HOUR, -1.0, 1.0, HOUR, DAYS]


@pytest.mark.parametrize("jump", JUMPS)
@pytest.mark.parametrize("has_clock", [True, False])
def test_a_wall_clock_that_jumps_ends_no_window_and_prolongs_none(
    make: Callable[..., SqliteLedger], monkeypatch: pytest.MonkeyPatch, jump: float, has_clock: bool
) -> None:
    one, other = make(), make()
    wall, steady = [1e9], [77.0]
    monkeypatch.setattr(time, "time", lambda: wall[0])
    monkeypatch.setattr(ledger_module, "since_boot", lambda: steady[0])
    monkeypatch.setattr(windows_module, "monotonic", lambda: steady[0])
    if not has_clock:
        monkeypatch.setattr(ledger_module, "boot", lambda: None)
    one.change(Change(open=Window("w", ("a",), 30.0)), NOTHING)
    wall[0] += jump
    assert other.change(Change(all=True), NOTHING).windows == [("a", 30.0)]  # what a storage does then
    assert one.pull(NOTHING).windows == [("a", 30.0)]
    steady[0] += 29.0
    wall[0] -= 2 * jump
    assert other.change(Change(), NOTHING).windows == [("a", 1.0)]
    steady[0] += 2.0
    assert one.pull(NOTHING).windows == []
    assert other.change(Change(), NOTHING).windows == []


@pytest.mark.parametrize("jump", JUMPS)
def test_after_another_boot_a_window_begins_anew(
    make: Callable[..., SqliteLedger], monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    wall, steady = [1e9], [5e6]
    monkeypatch.setattr(time, "time", lambda: wall[0])
    monkeypatch.setattr(ledger_module, "since_boot", lambda: steady[0])
    monkeypatch.setattr(windows_module, "monotonic", lambda: steady[0])
    monkeypatch.setattr(ledger_module, "boot", lambda: "before")
    make().change(Change(open=Window("w", ("a",), 30.0)), NOTHING)
    monkeypatch.setattr(ledger_module, "boot", lambda: "after")
    wall[0] += jump
    steady[0] = 3.0
    after = make()
    assert after.pull(NOTHING).windows == [("a", 30.0)]
    steady[0] += 20.0
    assert after.change(Change(), NOTHING).windows == [("a", 10.0)]
    steady[0] += 11.0
    assert after.pull(NOTHING).windows == []
    after.change(Change(), NOTHING)
    assert make().pull(NOTHING).windows == []  # taken out by who has seen it long enough


def test_a_window_of_the_first_version_lasts_its_length_from_when_it_is_seen(
    make: Callable[..., SqliteLedger], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = make()
    steady = [77.0]
    monkeypatch.setattr(windows_module, "monotonic", lambda: steady[0])
    ledger.pull(NOTHING)
    with sqlite3.connect(tmp_path / "c.db-ledger") as old:
        old.execute("INSERT INTO windows VALUES ('old', 'a', ?, 30.0)", (time.time() - DAYS,))
    old.close()
    assert ledger.pull(NOTHING).windows == [("a", 30.0)]
    steady[0] += 31.0
    assert ledger.pull(NOTHING).windows == []


def test_a_window_that_the_first_version_took_out_by_its_clock_stays_open(
    make: Callable[..., SqliteLedger], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = make()
    ledger.change(Change(open=Window("w", ("a",), 30.0)), NOTHING)
    with sqlite3.connect(tmp_path / "c.db-ledger") as old:
        old.execute("DELETE FROM windows WHERE ends <= ?", (time.time() + DAYS,))
    old.close()
    assert [tag for tag, _ in ledger.pull(NOTHING).windows] == ["a"]
    assert ledger.change(Change(close="w"), NOTHING).windows == []


_FIRST_SCHEMA_TABLES = ("state", "dirtied", "softened", "windows")


def test_a_ledger_of_the_first_version_is_used_as_it_is(
    make: Callable[..., SqliteLedger], tmp_path: Path, told: list[str]
) -> None:
    first = make()
    before = first.change(Change(dirty=("a",), open=Window("w", ("a",), 30.0)), NOTHING)
    first.close()
    with sqlite3.connect(tmp_path / "c.db-ledger") as old:
        tables = [name for (name,) in old.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            if table not in _FIRST_SCHEMA_TABLES:
                old.execute(f"DROP TABLE {table}")
    old.close()
    after = make().pull(known(before))
    assert after.generation == before.generation
    assert [tag for tag, _ in after.windows] == ["a"]
    assert make().change(Change(dirty=("b",)), known(before)).dirtied == [("b", before.epoch + 1)]
    assert told == []


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> int:
    """Bound of the tables."""
    monkeypatch.setattr(ledger_module, "MAX_TAGS", 256)
    monkeypatch.setattr(ledger_module, "since_boot", lambda: 77.0)
    return 256


def test_what_a_full_table_is_compacted_to_is_ordinary_rows(
    make: Callable[..., SqliteLedger], tmp_path: Path, small: int
) -> None:
    ledger = make()
    delta = ledger.pull(NOTHING)
    config = path_tags("http://o.example", "/config/site/1")
    for n in range(0, 3 * small, 32):
        paths = [f"/api/unit/SN{k}/steps/{k}" for k in range(n, n + 32)]
        tags = tuple(tag for path in paths for tag in write_tags("http://o.example", path))
        delta = ledger.change(Change(dirty=tags), known(delta))
    other = make().pull(NOTHING)
    assert len(other.dirtied) <= small
    assert other.floors == 0
    assert other.floor < other.epoch
    dirtied = dict(other.dirtied)
    assert not [tag for tag in config if tag in dirtied]
    unit = path_tags("http://o.example", "/api/unit/SN17/steps/17")
    assert max(dirtied.get(tag, 0) for tag in unit) > other.floor
    assert "^http://o.example/api/unit" in dict(other.compacted)
    with sqlite3.connect(tmp_path / "c.db-ledger") as old:  # as the first version reads
        rows = dict(old.execute("SELECT tag, epoch FROM dirtied WHERE epoch > -1"))
    old.close()
    assert rows == dirtied


def test_floors_are_counted_for_every_process(make: Callable[..., SqliteLedger], small: int) -> None:
    ledger = make()
    delta = ledger.pull(NOTHING)
    for n in range(0, small + 64, 64):
        tags = tuple(tag for k in range(n, n + 64) for tag in write_tags("http://o.example", f"/{k}"))
        delta = ledger.change(Change(dirty=tags), known(delta))
    assert make().pull(NOTHING).floors == delta.floors == 1


def test_a_full_table_of_windows_is_compacted_too(make: Callable[..., SqliteLedger], small: int) -> None:
    ledger = make()
    delta = ledger.pull(NOTHING)
    for n in range(0, 2 * small, 64):
        tags = tuple(tag for k in range(n, n + 64) for tag in write_tags("http://o.example", f"/api/unit/{k}"))
        delta = ledger.change(Change(open=Window(f"w{n}", tags, 100.0 + n)), known(delta))
    left: dict[str, float] = {}
    for tag, seconds in ledger.pull(known(delta)).windows:
        left[tag] = max(seconds, left.get(tag, 0.0))
    assert len(left) <= small
    assert left["^http://o.example/api/unit"] > 100.0
    for k in range(2 * small):
        tags = path_tags("http://o.example", f"/api/unit/{k}")
        assert max(left.get(tag, 0.0) for tag in tags) > 99.0 + k // 64 * 64
    assert not [tag for tag in path_tags("http://o.example", "/config/site") if tag in left]


def test_a_full_table_is_folded_into_the_floor(make: Callable[..., SqliteLedger], small: int) -> None:
    ledger = make()
    start = ledger.pull(NOTHING)
    first = ledger.change(Change(dirty=tuple(f"a{n}" for n in range(small))), NOTHING)
    assert first.floor == start.floor
    second = ledger.change(Change(dirty=("b",), soften=tuple(f"s{n}" for n in range(small + 1))), NOTHING)
    assert len(second.softened) == small + 1  # what a change brings is still exact
    second = make().pull(NOTHING)
    assert second.floor == first.epoch
    assert second.dirtied == [("b", second.epoch)]
    assert second.soft_floor == second.epoch
    assert second.softened == []


# ── a process dies within a bump ──────────────────────────────────────────────────────────────────────────────────


class Died(BaseException):
    """The process is gone."""


class AnnouncesAfterTheCommit(SqliteLedger):
    """The mutant: the mapped epoch is written once the transaction is over."""

    def change(self, change: Change, known: Known) -> Delta:
        delta = super().change(change, known)
        self.cells()[EPOCH] = delta.epoch
        return delta

    @staticmethod
    def _announce(cells: memoryview, epoch: int) -> None:
        pass


def dies_after_its_commit(ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    def died(_: Any) -> bool:
        raise Died

    ledger.pull(NOTHING)
    with monkeypatch.context() as patch:
        patch.setattr(SqliteFile, "is_in_place", died)  # the first step after the commit
        patch.setattr(SqliteFile, "_open", lambda file: file._connection)
        with pytest.raises(Died):
            ledger.change(Change(dirty=("a",)), NOTHING)


def test_a_committed_bump_is_seen_though_its_process_died_at_once(
    make: Callable[..., SqliteLedger], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = make()
    before = reader.pull(NOTHING)
    dies_after_its_commit(make(), monkeypatch)
    assert not is_current(reader, before)
    assert reader.pull(known(before)).dirtied == [("a", before.epoch + 1)]


def test_mutant_a_bump_announced_after_its_commit_is_missed(
    make: Callable[..., SqliteLedger], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = make()
    before = reader.pull(NOTHING)
    dies_after_its_commit(make(AnnouncesAfterTheCommit), monkeypatch)
    assert is_current(reader, before)
    assert make().pull(known(before)).dirtied  # it was committed


def test_an_announced_bump_that_was_never_committed_is_put_right(make: Callable[..., SqliteLedger]) -> None:
    reader = make()
    before = reader.pull(NOTHING)
    reader.cells()[EPOCH] = before.epoch + 1
    assert not is_current(reader, before)
    assert reader.pull(known(before)) == before
    assert is_current(reader, before)
    after = make().change(Change(dirty=("a",)), NOTHING)
    assert not is_current(reader, before)
    assert reader.pull(known(before)) == after


def test_the_epoch_is_not_put_right_while_somebody_is_about_to_commit_it(
    make: Callable[..., SqliteLedger], tmp_path: Path
) -> None:
    reader = make()
    before = reader.pull(NOTHING)
    writer = sqlite3.connect(tmp_path / "c.db-ledger", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    reader.cells()[EPOCH] = before.epoch + 1
    assert reader.pull(known(before)) == before
    assert not is_current(reader, before)
    writer.execute("ROLLBACK")
    writer.close()


@pytest.mark.parametrize("mutant", [False, True])
def test_behind_a_process_that_stands_still_within_its_commit_nobody_waits_twice(
    make: Callable[..., SqliteLedger], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mutant: bool
) -> None:
    if mutant:
        monkeypatch.setattr(ledger_module, "HEAL_PAUSE", 0.0)
    reader = make()
    before = reader.pull(NOTHING)
    writer = sqlite3.connect(tmp_path / "c.db-ledger", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    reader.cells()[EPOCH] = before.epoch + 1
    tried: list[object] = []
    write = reader._file.write
    monkeypatch.setattr(reader._file, "write", lambda work: tried.append(work) or write(work))
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    for _ in range(5):
        assert reader.pull(known(before)) == before
    assert len(tried) == (5 if mutant else 1)
    writer.execute("ROLLBACK")
    writer.close()
    clock[0] += 1.0
    reader.pull(known(before))
    assert is_current(reader, before)


# ── faults ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_lost_bump_makes_everything_older_invalid_for_everyone(make: Callable[..., SqliteLedger]) -> None:
    one, other = make(), make()
    before = other.pull(NOTHING)
    one.lose()
    assert not is_current(other, before)
    after = other.pull(known(before))
    assert after.floor == after.epoch > before.epoch
    assert is_current(one, after)


SETTLES = Change(dirty=("a",), open=Window("w", ("a",), 9.5))


def test_a_settle_window_that_was_lost_is_opened_for_everything(
    make: Callable[..., SqliteLedger], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever commits what was lost does not know what it was, and the writer may be dead."""
    monkeypatch.setattr(ledger_module, "since_boot", lambda: 77.0)
    one, other = make(), make()
    before = other.pull(NOTHING)
    one.lose(SETTLES)
    assert other.pull(known(before)).windows == [(EVERYTHING, 10.0)]
    one.pull(NOTHING)
    one.lose(Change(dirty=("a",)))  # what is over does not come back with the next loss
    assert len(make().pull(NOTHING).windows) == 1


def test_two_losses_leave_the_longer_window(make: Callable[..., SqliteLedger], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "since_boot", lambda: 77.0)
    one, other = make(), make()
    other.pull(NOTHING)
    one.lose(SETTLES)
    other.lose(Change(dirty=("a",)))
    assert make().pull(NOTHING).windows == [(EVERYTHING, 10.0)]


def test_a_loss_without_a_window_opens_none(make: Callable[..., SqliteLedger]) -> None:
    """Nor does an announcement: the end of its write is told too."""
    one = make()
    one.pull(NOTHING)
    one.lose(Change(dirty=("a",), open=Window("w", ("a",), 50.0, is_announcement=True)))
    assert make().pull(NOTHING).windows == []


def test_a_window_is_opened_again_in_the_ledger_that_takes_the_place_of_its_own(
    make: Callable[..., SqliteLedger], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "since_boot", lambda: 77.0)
    one = make()
    before = one.change(SETTLES, NOTHING)
    for path in tmp_path.glob("c.db-ledger*"):
        path.unlink()
    make().pull(NOTHING)
    assert one.pull(known(before)).windows == [("a", 9.5)]


def test_closing_says_what_was_lost(make: Callable[..., SqliteLedger], monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = make(), make()
    before = other.pull(NOTHING)
    with monkeypatch.context() as patch:
        patch.setattr("os.open", no_more_files)
        assert not one.lose()
    assert is_current(other, before)
    one.close()
    assert not is_current(other, before)


def test_a_loss_that_could_not_be_said_is_said_as_soon_as_it_can(
    make: Callable[..., SqliteLedger], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = make(), make()
    before = other.pull(NOTHING)
    with monkeypatch.context() as patch:
        patch.setattr("os.open", no_more_files)
        with pytest.raises(StorageError, match="Too many open files"):
            one.change(Change(dirty=("x",)), NOTHING)
        one.lose()
    assert is_current(other, before)  # nobody could have known
    after = one.pull(NOTHING)
    assert not is_current(other, before)
    assert after.floor == after.epoch > before.epoch
    assert other.pull(known(before)).floor == after.floor
    assert one.pull(known(after)) == after  # once


def no_more_files(*_: object) -> int:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def test_a_bump_lost_while_another_process_writes_is_not_overlooked(
    make: Callable[..., SqliteLedger], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = make(), make()
    before = other.pull(NOTHING)

    def lost_meanwhile(cells: memoryview, epoch: int) -> None:
        one.lose()
        cells[EPOCH] = epoch

    with monkeypatch.context() as patch:
        patch.setattr(SqliteLedger, "_announce", staticmethod(lost_meanwhile))
        during = other.change(Change(dirty=("x",)), known(before))
    assert not is_current(other, during)
    after = other.pull(known(during))
    assert after.floor == after.epoch > during.epoch


@pytest.mark.parametrize("removed", ["c.db-ledger", "c.db-epoch"])
def test_a_removed_file_makes_everything_older_invalid(
    make: Callable[..., SqliteLedger], tmp_path: Path, removed: str
) -> None:
    ledger = make()
    before = ledger.change(Change(dirty=("a",)), NOTHING)
    (tmp_path / removed).unlink()
    other = make().pull(NOTHING)
    after = ledger.pull(known(before))
    assert min(after.floor, other.floor) > before.epoch
    assert make().pull(NOTHING).generation == after.generation


def test_a_change_is_not_missed_though_the_mapped_file_is_replaced_before_its_commit(
    make: Callable[..., SqliteLedger], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The change, and with it the coherence, fails; what is lost then is said in the new file."""
    writer, reader = make(), make()
    before = writer.pull(NOTHING)
    write, seen = SqliteFile.write, []

    def replaced_first(file: SqliteFile, work: Any) -> Any:
        monkeypatch.undo()
        (tmp_path / "c.db-epoch").unlink()
        seen.append(reader.pull(known(before)))
        return write(file, work)

    monkeypatch.setattr(SqliteFile, "write", replaced_first)
    with pytest.raises(StorageError, match="replaced"):
        writer.change(Change(dirty=("a",)), known(before))
    writer.lose()
    assert not is_current(reader, seen[0])
    after = reader.pull(known(seen[0]))
    assert after.floor == after.epoch > before.epoch


@pytest.mark.parametrize("writes_first", [False, True])
@pytest.mark.parametrize("is_open", [True, False])
def test_an_older_copy_put_in_place_makes_everything_older_invalid(
    make: Callable[..., SqliteLedger], tmp_path: Path, *, is_open: bool, writes_first: bool
) -> None:
    reader = make()
    start = reader.pull(NOTHING)
    reader.close()
    file, copy = tmp_path / "c.db-ledger", tmp_path / "copy"
    shutil.copy(file, copy)
    before = reader.change(Change(dirty=("a",)), known(start))
    if not is_open:
        reader.close()
    for suffix in ("-wal", "-shm"):
        Path(f"{file}{suffix}").unlink(missing_ok=True)
    os.replace(copy, file)
    after = reader.change(Change(dirty=("b",)), known(before)) if writes_first else reader.pull(known(before))
    assert after.floor == after.epoch > before.epoch
    assert reader.pull(known(after)) == after._replace(dirtied=[])
    assert is_current(reader, after)


def test_a_bump_that_an_older_copy_does_not_have_is_made_up_for(
    make: Callable[..., SqliteLedger], tmp_path: Path
) -> None:
    writer, reader = make(), make()
    before = reader.pull(NOTHING)  # no later than the copy, so its epoch tells nothing
    shutil.copy(tmp_path / "c.db-ledger", tmp_path / "copy")
    shutil.copy(tmp_path / "c.db-ledger-wal", tmp_path / "copy-wal")
    writer.change(Change(dirty=("a",)), known(before))
    for suffix in ("-wal", "-shm"):
        (tmp_path / f"c.db-ledger{suffix}").unlink(missing_ok=True)
    os.replace(tmp_path / "copy-wal", tmp_path / "c.db-ledger-wal")
    os.replace(tmp_path / "copy", tmp_path / "c.db-ledger")
    after = reader.pull(known(before))
    assert after.floor == after.epoch > before.epoch


def test_a_damaged_ledger_is_replaced_and_makes_everything_older_invalid(
    make: Callable[..., SqliteLedger], tmp_path: Path, told: list[str]
) -> None:
    ledger = make()
    before = ledger.pull(NOTHING)
    ledger.close()
    (tmp_path / "c.db-ledger").write_bytes(b"?" * 8192)
    after = make().pull(known(before))
    assert after.generation != before.generation
    assert after.floor > before.epoch
    assert len(told) == 1


@pytest.mark.parametrize("behind", [0, 10**12])
def test_a_new_generation_is_above_every_epoch_that_is_known(make: Callable[..., SqliteLedger], behind: int) -> None:
    ledger = make()
    epoch = ledger.pull(NOTHING).epoch + behind
    after = ledger.pull(Known("another", epoch))
    assert after.floor == after.epoch > epoch


def test_without_its_directory_everything_fails_softly(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "none" / "c.db", pytest.fail)
    with pytest.raises(StorageError):
        ledger.pull(NOTHING)
    with pytest.raises(StorageError):
        ledger.change(Change(), NOTHING)
    ledger.lose()
    (tmp_path / "none").mkdir()
    assert ledger.pull(NOTHING).epoch > 0
    ledger.close()
