"""The epoch, the dirtied tags and the open writes of a shared store, in a small SQLite file beside the data.

A change is one transaction that excludes every other writer and is on the disk when it returns:

    lock ─ epoch + 1 ─ tags, windows ─ epoch into the mapped file ─ commit

The mapped file comes *before* the commit: after it, a process that dies between the two would leave a committed bump
that no other process ever asks for. This way they ask once too often, and `heal` puts the cell right.

A change that cannot be committed is *lost*: the mapped file says so to everyone at once (`EpochFile.lose`), and until
somebody can commit that everything older is invalid, nothing that is stored is trusted. If a window was lost with it,
whoever commits that opens one for everything, as long as that one: only the writer knows its tags, and it may be dead.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...errors import StorageError
from ..shared.backend import EPOCH, LOST, NOTHING, Change, Delta, Known
from ..shared.windows import EVERYTHING, KnownWindows, SeenWindows, boot, since_boot
from .database import SqliteFile, reading
from .epoch_file import EpochFile, lost_in, seconds_in
from .full_tables import Sizes, compact_tags, compact_windows, fold, true_floor
from .store_files import LEDGER, NotOursError, epoch_state, has_ours, part

__all__ = ["SqliteLedger", "look"]

logger: logging.Logger = logging.getLogger("pywats_cache.storage.sqlite")
VERSION = 1
PATIENCE = 0.2
"""Seconds to wait for another process's transaction. One takes a few ms; what lasts longer hangs."""
PAGE_BYTES = 1024
"""Of a new file. A change writes a page of each of five trees, whose size is what its commit waits for."""
HEAL_PAUSE = 0.25
"""Seconds for which nobody here tries to put the mapped epoch right, after one try in vain."""
MAX_TAGS = 4096
"""Bound of each table. Before, it is compacted to half of it: see `full_tables`. At twice as many, which nobody has
compacted, the older half goes into the floor."""
_SCHEMA = """
CREATE TABLE state (
    id INTEGER PRIMARY KEY CHECK (id = 1), generation TEXT NOT NULL, epoch INTEGER NOT NULL, floor INTEGER NOT NULL,
    soft_floor INTEGER NOT NULL, lost INTEGER NOT NULL);
CREATE TABLE dirtied (tag TEXT PRIMARY KEY, epoch INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX dirtied_epoch ON dirtied (epoch);
CREATE TABLE softened (tag TEXT PRIMARY KEY, epoch INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX softened_epoch ON softened (epoch);
CREATE TABLE windows (
    id TEXT NOT NULL, tag TEXT NOT NULL, ends REAL NOT NULL, length REAL NOT NULL, PRIMARY KEY (id, tag)) WITHOUT ROWID
"""
_LATER = (
    "CREATE TABLE IF NOT EXISTS steady (id TEXT NOT NULL, tag TEXT NOT NULL, boot TEXT NOT NULL, ends REAL NOT NULL, "
    "length REAL NOT NULL, PRIMARY KEY (id, tag)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS compacted (tag TEXT PRIMARY KEY, epoch INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS counted (name TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID",
)
"""Tables that the first version of this schema does not know. It goes on with those that it knows, so each of these
only adds to them: when windows end on a clock that nobody sets, which tags a compaction has set, and the floors."""
_New = dict[str, list[tuple[str, int]]]
"""New rows of `dirtied`, `softened` and `compacted`."""
_Left = tuple[str, str, float]
"""Of a window: its id, its tag, and the seconds that it has left."""


class SqliteLedger:
    """The ledger of the store at `path`: `<path>-ledger` and `<path>-epoch`.

    Every method raises StorageError if the disk fails; the next call tries again. Safe from any
    thread, process and child of a fork.
    """

    def __init__(self, path: Path, on_aside: Callable[[str], object], *, patience: float = PATIENCE) -> None:
        self._path = path
        self._on_aside = on_aside
        self._file = SqliteFile(
            part(path, "-ledger"),
            application=LEDGER,
            version=VERSION,
            schema=_SCHEMA,
            durable=True,
            patience=patience,
            page_bytes=PAGE_BYTES,
            on_aside=self._aside,
            is_ours=lambda: has_ours(path),
        )
        self._mapped: EpochFile | None = None
        self._was_mapped: os.stat_result | None = None
        self._owes: float | None = None
        """A bump was lost, with a window of so many seconds, and not even that could be said yet."""
        self._committed: int | None = None
        """The cell `LOST` as it was committed last, as far as this process has seen."""
        self._heal_at = float("-inf")
        self._seen = SeenWindows()
        self._known = KnownWindows()
        self._full: list[str] = []
        """The tables that the last change found full."""
        self._sizes = Sizes()
        self._has_later: sqlite3.Connection | None = None
        """The connection by which the later tables were found, or made, and committed."""

    def cells(self) -> memoryview:
        """The mapped integers; see `epoch_file`. Raises StorageError where there is no such file."""
        return self._epoch_file().cells

    def _epoch_file(self) -> EpochFile:
        mapped = self._mapped
        if mapped is None or not mapped.is_in_place():
            with self._file.lock:
                mapped = self._map()
        if self._owes is not None:
            seconds, self._owes = self._owes, None
            mapped.lose(seconds, self._committed)
        return mapped

    def _map(self) -> EpochFile:
        old = self._mapped
        if old is not None and old.is_in_place():  # another thread was faster
            return old
        try:
            self._check_epoch_file()
            mapped = self._mapped = EpochFile(part(self._path, "-epoch"))
        except OSError as error:
            raise StorageError(f"{type(error).__name__}: {error}") from error
        self._was_mapped = mapped.opened
        if old is not None:
            old.close()  # who still reads its cells must ask
        return mapped

    def _check_epoch_file(self) -> None:
        """Raise NotOursError for a file that is not to be written to."""
        path = part(self._path, "-epoch")
        if epoch_state(path) == "unknown":
            was = self._was_mapped
            if not (has_ours(self._path) if was is None else os.path.samestat(was, path.lstat())):
                raise NotOursError(f"{path} is no file of this cache")

    @contextmanager
    def _using(self) -> Iterator[memoryview]:
        """The cells, which nobody closes meanwhile, but for a signal handler in this thread."""
        with self._file.lock:
            try:
                yield self.cells()
            except ValueError as error:
                raise StorageError("the files were closed while they were used") from error

    def pull(self, known: Known) -> Delta:
        """What is new. A lost bump, or another ledger than the known one, makes everything older invalid first."""
        with self._using() as cells:
            if self._file.is_replaced():  # perhaps by an older copy of itself, which has the same generation
                return self.change(Change(all=True), known)
            delta = self._file.read(lambda connection: self._delta(connection, known))
            if delta is None or delta.lost != cells[LOST] or self._is_other(known, delta.generation, delta.epoch):
                return self.change(Change(all=True), known)
            if cells[EPOCH] != delta.epoch:
                self._heal(cells)
            self._sizes.grew(known, delta.epoch, {"dirtied": delta.dirtied, "softened": delta.softened})
            return delta

    def change(self, change: Change, known: Known) -> Delta:
        """Commit `change`. Returns it and what else is new; after this, every process sees it."""
        with self._using() as cells:
            if self._file.is_replaced():
                change = change._replace(all=True)
            delta, self._has_later = self._file.write(
                lambda connection: (self._change(connection, change, known, cells), connection)
            )
            if self.cells() is not cells:
                raise StorageError("the mapped file was replaced before the commit, so others may not see it")
        self._relieve(delta.generation)
        return delta

    def lose(self, change: Change = NOTHING) -> bool:
        """`change` could not be committed: nobody may trust what is stored until somebody can commit that."""
        # The end of an announced write is told too, and brings its own window.
        seconds = 0.0 if change.open is None or change.open.is_announcement else change.open.seconds
        with self._file.lock:
            try:
                self._epoch_file().lose(seconds, self._committed)
            except (StorageError, ValueError):
                # Without the mapped file this process does not use the store at all, but others may.
                self._owes = max(seconds, self._owes or 0.0)
            return self._owes is None

    def _change(self, connection: sqlite3.Connection, change: Change, known: Known, cells: memoryview) -> Delta:
        if connection is not self._has_later:
            for statement in _LATER:
                connection.execute(statement)
        row = connection.execute("SELECT generation, epoch, lost FROM state").fetchone()
        lost = cells[LOST]
        if row is None:
            # Above every epoch that a former ledger may have reached, or a process of it would take its own for new.
            generation, epoch = uuid.uuid4().hex, max(known.epoch, time.time_ns() // 1000)
            connection.execute("INSERT INTO state VALUES (1, ?, ?, ?, ?, ?)", (generation, epoch, epoch, 0, lost))
        else:
            generation, epoch = row[0], row[1]
        knows_all = known == (generation, epoch)
        epoch = max(epoch, known.epoch) + 1
        is_other = row is None or self._is_other(known, generation, row[1])
        if is_other or row[2] != lost or change.all:
            connection.execute("UPDATE state SET floor = ?, lost = ?", (epoch, lost))
            connection.execute("DELETE FROM dirtied")
            connection.execute("DELETE FROM compacted")
        windows = self._close_windows(connection, change.close)
        if (row is None or row[2] != lost) and seconds_in(lost):
            windows += self._open_windows(connection, {EVERYTHING: seconds_in(lost)})
        for (id, tag), left in self._known.lost_with("" if is_other else generation, since_boot()).items():
            if id != change.close:
                windows += self._open_windows(connection, {tag: left}, id)
        if change.open is not None:
            opened = dict.fromkeys(change.open.tags, change.open.seconds)
            windows += self._open_windows(connection, opened, change.open.id)
        new: _New = {"dirtied": [], "softened": [], "compacted": []}
        for table, tags in (("dirtied", change.dirty), ("softened", change.soften)):
            if tags:
                new[table] = [(tag, epoch) for tag in tags]
                connection.executemany(f"INSERT OR REPLACE INTO {table} VALUES (?, ?)", new[table])  # noqa: S608 - two names
        since = known if known.generation == generation else Known(generation, -1)
        if not knows_all:
            new = _new(connection, since.epoch)
        self._sizes.grew(since, epoch, new)
        self._full = [table for table in ("dirtied", "softened") if self._sizes.is_over(connection, table, _full())]
        for table in self._full:
            fold(connection, table, 2 * MAX_TAGS)
        if len(windows) > _full():
            self._full.append("windows")
        connection.execute("UPDATE state SET epoch = ?", (epoch,))
        self._announce(cells, epoch)
        delta = self._delta(connection, since, new, windows)
        assert delta is not None
        return delta

    @staticmethod
    def _is_other(known: Known, generation: str, epoch: int) -> bool:
        """Whether the ledger at this epoch is not the known one, or a former state of it."""
        return known.generation is not None and (known.generation != generation or known.epoch > epoch)

    @staticmethod
    def _announce(cells: memoryview, epoch: int) -> None:
        cells[EPOCH] = epoch

    # ── settle windows ────────────────────────────────────────────────────────────────────────────────────────────

    def _close_windows(self, connection: sqlite3.Connection, id: str | None) -> list[_Left]:
        """Take out the windows `id`, and all that have ended. No wall clock ends one.

        Returns those that are left.
        """
        windows = self._windows(connection)
        over = [(name, tag) for name, tag, left in windows if left <= 0 or name == id]
        if over:
            for table in ("windows", "steady"):
                connection.executemany(f"DELETE FROM {table} WHERE id = ? AND tag = ?", over)  # noqa: S608 - two names
        return [window for window in windows if window[2] > 0 and window[0] != id]

    def _open_windows(
        self, connection: sqlite3.Connection, windows: dict[str, float], id: str | None = None
    ) -> list[_Left]:
        """Open a window for each tag, of so many seconds."""
        id = id or uuid.uuid4().hex
        wall = time.time()  # for processes of the first version
        rows = [(id, tag, wall + seconds, seconds) for tag, seconds in windows.items()]
        connection.executemany("INSERT OR REPLACE INTO windows VALUES (?, ?, ?, ?)", rows)
        name = boot()
        if name is not None:
            now = since_boot()
            steady = [(id, tag, name, now + seconds, seconds) for tag, seconds in windows.items()]
            connection.executemany("INSERT OR REPLACE INTO steady VALUES (?, ?, ?, ?, ?)", steady)
        else:
            for tag, seconds in windows.items():
                self._seen.left((id, tag), seconds)
        return [(id, tag, seconds) for tag, seconds in windows.items()]

    def _windows(self, connection: sqlite3.Connection) -> list[_Left]:
        """All windows."""
        found = {row[:2]: row[2] for row in connection.execute("SELECT id, tag, length FROM windows")}
        steady = _rows(connection, "SELECT id, tag, boot, ends, length FROM steady")
        if not (found or steady):
            self._seen.keep(())
            return []
        now, name = since_boot(), boot()
        known: dict[tuple[str, str], float] = {}
        for id, tag, booted, ends, length in steady:
            found[id, tag] = length  # one that an older process has taken out by its wall clock is open all the same
            if booted == name:
                known[id, tag] = min(ends - now, length)
        self._seen.keep(found)
        return [
            (*window, known[window] if window in known else self._seen.left(window, length))
            for window, length in found.items()
        ]

    # ── full tables ───────────────────────────────────────────────────────────────────────────────────────────────

    def _relieve(self, generation: str) -> None:
        """Make full tables half as large. A process of the first version reads on: all are ordinary rows."""
        try:
            for table in self._full:
                if table == "windows":
                    compact_windows(self._file, generation, MAX_TAGS // 2, self._windows, self._open_windows)
                else:
                    compact_tags(self._file, table, generation, MAX_TAGS // 2, _full())
        except StorageError as error:  # the change itself is committed, and the next one tries it again
            logger.debug("a full table was not compacted: %s", error.kind)

    def _delta(
        self,
        connection: sqlite3.Connection,
        known: Known,
        new: _New | None = None,
        windows: list[_Left] | None = None,
    ) -> Delta | None:
        """What is new since `known`. Of that, `new` and the open `windows` may have been read already."""
        row = connection.execute("SELECT generation, epoch, floor, soft_floor, lost FROM state").fetchone()
        if row is None:
            return None
        generation, epoch, floor, soft_floor, lost = row
        counted = dict(_rows(connection, "SELECT name, number FROM counted"))
        if new is None:
            new = _new(connection, known.epoch if known.generation == generation else 0)
        if windows is None:
            windows = [window for window in self._windows(connection) if window[2] > 0]
        self._known.note(generation, {(id, tag): left for id, tag, left in windows}, since_boot())
        self._committed = lost
        return Delta(
            generation,
            epoch,
            true_floor(connection, "dirtied", floor, counted),
            true_floor(connection, "softened", soft_floor, counted),
            lost,
            new["dirtied"],
            new["softened"],
            [(tag, left) for _, tag, left in windows],
            new["compacted"],
            counted.get("floors", 0),
        )

    def _heal(self, cells: memoryview) -> None:
        """Put the mapped epoch right if a process died before its commit. With the lock nobody is about to commit.

        One that is only stopped holds the lock, so nobody tries it again for a while: hits would wait for it, each one.
        """
        if time.monotonic() < self._heal_at:
            return

        def compare(connection: sqlite3.Connection) -> None:
            row = connection.execute("SELECT epoch FROM state").fetchone()
            if row is not None and cells[EPOCH] != row[0]:
                cells[EPOCH] = row[0]

        try:
            self._file.write(compare)
        except StorageError:  # somebody is writing, so there was nothing to put right
            self._heal_at = time.monotonic() + HEAL_PAUSE

    def _aside(self, reason: str) -> None:
        self.lose()  # processes that still have the old file open must look
        self._on_aside(reason)

    def is_in_place(self) -> bool:
        """Whether nobody has removed or replaced a file, so that other processes use the same ones."""
        mapped = self._mapped
        return mapped is not None and mapped.is_in_place() and self._file.is_in_place()

    def close(self) -> None:
        """Close the database and the mapping, once nobody is within a change; the next use opens them again."""
        with self._file.lock:
            if self._owes is not None:  # now or never
                try:
                    self._epoch_file()
                except StorageError as error:
                    logger.warning("other processes could not be told what was written (%s)", error.kind)
            self._file.close()
            mapped, self._mapped = self._mapped, None
            if mapped is not None:
                mapped.close()


def _new(connection: sqlite3.Connection, since: int) -> _New:
    """What came since an epoch. A tag at epoch 0 says nothing: see `full_tables`."""
    return {
        table: _rows(connection, f"SELECT tag, epoch FROM {table} WHERE epoch > ?", max(since, 0))  # noqa: S608 - three names
        for table in ("dirtied", "softened", "compacted")
    }


def _rows(connection: sqlite3.Connection, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
    """The rows of one of the later tables; none where there is no such table yet."""
    try:
        return connection.execute(statement, parameters).fetchall()
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise
        return []


def _full() -> int:
    """Tags from which on a table is compacted: before it has so many that a process of the first version folds it."""
    return MAX_TAGS * 7 // 8


def look(path: Path, patience: float) -> Delta:
    """The whole ledger of the store at `path`, which is not changed. Raises StorageError.

    Where `pull` would make everything invalid because a bump was lost, everything is invalid in what this returns.
    """
    lost = lost_in(part(path, "-epoch"))
    with reading(part(path, "-ledger"), LEDGER, VERSION, patience) as connection:
        delta = SqliteLedger(path, lambda reason: None)._delta(connection, Known(None, -1))
    if delta is None:
        return Delta("", 0, 0, 0, 0, [], [], [])
    return delta if delta.lost == lost else delta._replace(floor=delta.epoch + 1)
