"""The epoch, the dirtied tags and the open writes of a shared store, in a small SQLite file beside the data.

A change is one transaction that excludes every other writer and is on the disk when it returns:

    lock ─ epoch + 1 ─ tags, windows ─ epoch into the mapped file ─ commit

The mapped file comes *before* the commit: after it, a process that dies between the two would leave a committed bump
that no other process ever asks for. This way they ask once too often, and `heal` puts the cell right.

A change that cannot be committed is *lost*: the mapped file says so to everyone at once (`EpochFile.lose`), and until
somebody can commit that everything older is invalid, nothing that is stored is trusted.
"""

from __future__ import annotations

import os
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import StorageError
from ..shared.backend import EPOCH, LOST, Change, Delta, Known
from .database import SqliteFile, reading
from .epoch_file import EpochFile, lost_in
from .store_files import LEDGER, NotOursError, epoch_state, has_ours, part

__all__ = ["SqliteLedger", "look"]

VERSION = 1
PATIENCE = 0.2
"""Seconds to wait for another process's transaction. One takes a few ms; what lasts longer hangs."""
MAX_TAGS = 4096
"""Bound of the table. Beyond it the older half is folded into the floor."""
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
            on_aside=self._aside,
            is_ours=lambda: has_ours(path),
        )
        self._mapped: EpochFile | None = None
        self._was_mapped: os.stat_result | None = None
        self._owes = False
        """A bump was lost, and not even that could be said yet."""

    def cells(self) -> memoryview:
        """The mapped integers; see `epoch_file`. Raises StorageError where there is no such file."""
        return self._epoch_file().cells

    def _epoch_file(self) -> EpochFile:
        mapped = self._mapped
        if mapped is None or not mapped.is_in_place():
            with self._file.lock:
                mapped = self._map()
        if self._owes:
            self._owes = False
            mapped.lose()
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
            return delta

    def change(self, change: Change, known: Known) -> Delta:
        """Commit `change`. Returns it and what else is new; after this, every process sees it."""
        with self._using() as cells:
            if self._file.is_replaced():
                change = change._replace(all=True)
            delta = self._file.write(lambda connection: self._change(connection, change, known, cells))
            if self.cells() is not cells:
                raise StorageError("the mapped file was replaced before the commit, so others may not see it")
            return delta

    def lose(self) -> bool:
        """A change could not be committed: nobody may trust what is stored until somebody can commit that."""
        with self._file.lock:
            try:
                self._epoch_file().lose()
            except (StorageError, ValueError):
                # Without the mapped file this process does not use the store at all, but others may.
                self._owes = True
            return not self._owes

    def _change(self, connection: sqlite3.Connection, change: Change, known: Known, cells: memoryview) -> Delta:
        row = connection.execute("SELECT generation, epoch, lost FROM state").fetchone()
        lost = cells[LOST]
        if row is None:
            # Above every epoch that a former ledger may have reached, or a process of it would take its own for new.
            generation, epoch = uuid.uuid4().hex, max(known.epoch, time.time_ns() // 1000)
            connection.execute("INSERT INTO state VALUES (1, ?, ?, ?, ?, ?)", (generation, epoch, epoch, 0, lost))
        else:
            generation, epoch = row[0], row[1]
        epoch = max(epoch, known.epoch) + 1
        if row is None or row[2] != lost or change.all or self._is_other(known, generation, row[1]):
            connection.execute("UPDATE state SET floor = ?, lost = ?", (epoch, lost))
            connection.execute("DELETE FROM dirtied")
        now = time.time()
        connection.execute("DELETE FROM windows WHERE ends <= ? OR id = ?", (now, change.close))
        # As in `_delta`; what is open stays open, for its write may be under way.
        connection.execute("UPDATE windows SET ends = ? + length WHERE ends > ? + length", (now, now))
        if change.open is not None:
            rows = [(change.open.id, tag, now + change.open.seconds, change.open.seconds) for tag in change.open.tags]
            connection.executemany("INSERT OR REPLACE INTO windows VALUES (?, ?, ?, ?)", rows)
        for table, tags in (("dirtied", change.dirty), ("softened", change.soften)):
            if tags:
                connection.executemany(
                    f"INSERT OR REPLACE INTO {table} VALUES (?, ?)",  # noqa: S608 - one of two names
                    [(tag, epoch) for tag in tags],
                )
        self._fold(connection, epoch)
        connection.execute("UPDATE state SET epoch = ?", (epoch,))
        self._announce(cells, epoch)
        delta = self._delta(connection, known if known.generation == generation else Known(generation, -1))
        assert delta is not None
        return delta

    @staticmethod
    def _is_other(known: Known, generation: str, epoch: int) -> bool:
        """Whether the ledger at this epoch is not the known one, or a former state of it."""
        return known.generation is not None and (known.generation != generation or known.epoch > epoch)

    @staticmethod
    def _announce(cells: memoryview, epoch: int) -> None:
        cells[EPOCH] = epoch

    @staticmethod
    def _fold(connection: sqlite3.Connection, epoch: int) -> None:
        if connection.execute("SELECT count(*) FROM dirtied").fetchone()[0] > MAX_TAGS:
            middle = connection.execute(
                "SELECT epoch FROM dirtied ORDER BY epoch LIMIT 1 OFFSET ?", (MAX_TAGS // 2,)
            ).fetchone()[0]
            connection.execute("UPDATE state SET floor = max(floor, ?)", (middle,))
            connection.execute("DELETE FROM dirtied WHERE epoch <= ?", (middle,))
        if connection.execute("SELECT count(*) FROM softened").fetchone()[0] > MAX_TAGS:
            connection.execute("UPDATE state SET soft_floor = ?", (epoch,))
            connection.execute("DELETE FROM softened")

    @staticmethod
    def _delta(connection: sqlite3.Connection, known: Known) -> Delta | None:
        row = connection.execute("SELECT generation, epoch, floor, soft_floor, lost FROM state").fetchone()
        if row is None:
            return None
        since = known.epoch if known.generation == row[0] else -1
        now = time.time()
        # A wall clock that was set back must not prolong a window: it never has more left than it was opened for.
        windows = connection.execute("SELECT tag, min(ends - ?, length) FROM windows WHERE ends > ?", (now, now))
        generation, epoch, floor, soft_floor, lost = row
        return Delta(
            generation,
            epoch,
            floor,
            soft_floor,
            lost,
            connection.execute("SELECT tag, epoch FROM dirtied WHERE epoch > ?", (since,)).fetchall(),
            connection.execute("SELECT tag, epoch FROM softened WHERE epoch > ?", (since,)).fetchall(),
            windows.fetchall(),
        )

    def _heal(self, cells: memoryview) -> None:
        """Put the mapped epoch right if a process died before its commit. With the lock nobody is about to commit."""

        def compare(connection: sqlite3.Connection) -> None:
            row = connection.execute("SELECT epoch FROM state").fetchone()
            if row is not None and cells[EPOCH] != row[0]:
                cells[EPOCH] = row[0]

        try:
            self._file.write(compare)
        except StorageError:  # somebody is writing, so there was nothing to put right
            pass

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
            self._file.close()
            mapped, self._mapped = self._mapped, None
            if mapped is not None:
                mapped.close()


def look(path: Path, patience: float) -> Delta:
    """The whole ledger of the store at `path`, which is not changed. Raises StorageError.

    Where `pull` would make everything invalid because a bump was lost, everything is invalid in what this returns.
    """
    lost = lost_in(part(path, "-epoch"))
    with reading(part(path, "-ledger"), LEDGER, VERSION, patience) as connection:
        delta = SqliteLedger._delta(connection, Known(None, -1))
    if delta is None:
        return Delta("", 0, 0, 0, 0, [], [], [])
    return delta if delta.lost == lost else delta._replace(floor=delta.epoch + 1)
