"""Packed answers in a SQLite file: bounded in entries and bytes, the least recently used first out."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from ..shared.backend import OPEN, Row, Useless
from ..shared.record_clock import SLACK
from .claims import CLAIMS, TableClaims
from .database import SqliteFile
from .lock_claims import ARE_THERE, NO_LOCKS, LockClaims
from .loop_reader import LoopReader
from .store_files import RECORDS, NotOursError, has_ours, part
from .upkeep_clock import past_use

__all__ = ["SqliteRecords"]

_T = TypeVar("_T")
VERSION = 2
PATIENCE = 0.1
PAUSE = 0.25
"""Seconds for which nothing is written after another program's lock was waited for in vain."""
ROW_BYTES = 300
"""Bytes counted for a row on top of its data: key, dates, its place in four indexes."""
UPKEEP_ROWS = 100
"""Expired rows taken out at one time, so that no request pays for many."""
VACUUM_PAGES = 64
EVICTED = 32
"""Records looked at in one question when some must make room."""
MAX_TOUCHED = 1000
WRITE_PATIENCE = 0.5
"""Seconds that the writer waits for other processes: nobody waits for it."""
TURN_PATIENCE = 2.0
FETCHED_SECONDS = 5.0
"""How long a record that is to be committed is waited for."""
SLICE = 100
"""Records taken out at one time after `clear`, or of a store made with larger bounds, in a few ms."""
_SCHEMA = """
CREATE TABLE totals (id INTEGER PRIMARY KEY CHECK (id = 1), entries INTEGER, bytes INTEGER, clock INTEGER);
INSERT INTO totals VALUES (1, 0, 0, 0);
CREATE TABLE records (
    variant TEXT PRIMARY KEY, key TEXT NOT NULL, data BLOB NOT NULL, size INTEGER NOT NULL, epoch INTEGER NOT NULL,
    wall REAL NOT NULL, expires REAL NOT NULL, used INTEGER NOT NULL);
CREATE INDEX records_key ON records (key);
CREATE INDEX records_used ON records (used, size);
CREATE INDEX records_expires ON records (expires);
"""
_CLEARED = """
CREATE TABLE IF NOT EXISTS cleared (id INTEGER PRIMARY KEY CHECK (id = 1), until INTEGER NOT NULL)
"""
"""What was used last at this clock of `totals`, or before, is to be taken out. Other versions know no such table."""


class SqliteRecords:
    """The records of the store at `path`, at most `max_entries` and `max_bytes` of them at any commit.

    A store that is larger, for it was made with larger bounds, shrinks slice by slice.

    Bytes count the data and a fixed sum for the row, so the file is about as large, and does not grow further. Every
    method raises StorageError if the disk fails. Safe from any thread and process.
    """

    of_one_machine = True

    def __init__(self, path: Path, *, max_entries: int, max_bytes: int, on_aside: Callable[[str], object]) -> None:
        self.max_entries = max_entries
        self.max_bytes = max_bytes

        def opened(patience: float) -> SqliteFile:
            return SqliteFile(
                path,
                application=RECORDS,
                version=VERSION,
                schema=_SCHEMA + CLAIMS,
                durable=False,  # a record lost with the power is fetched again
                patience=patience,
                on_aside=on_aside,
                is_ours=lambda: has_ours(path),
                pause=PAUSE,
            )

        # Two connections, so that nobody who reads waits for a transaction of the writer.
        self._file = opened(PATIENCE)
        self._writer = opened(max(PATIENCE, WRITE_PATIENCE))
        self._claims: LockClaims | TableClaims = (
            LockClaims(part(path, "-locks")) if ARE_THERE else TableClaims(self._file)
        )
        self.claims_without_io: bool = ARE_THERE
        self.in_loop: LoopReader = LoopReader(opened(0.0))
        self._gives_back_all = False
        self._has_noted_clock = False
        # Without a lock: a fork or a signal in the middle would leave one held.
        self._touched: deque[str] = deque(maxlen=MAX_TOUCHED)

    def get(self, key: str) -> list[tuple[str, bytes]]:
        """The variants of `key` and their data. Writes nothing: that they were used is noted with the next `put`."""
        rows: list[tuple[str, bytes]] = self._file.ask("SELECT variant, data FROM records WHERE key = ?", key)
        for variant, _ in rows:
            self._touched.append(variant)
        return rows

    def get_in_loop(self, key: str) -> list[tuple[str, bytes]]:
        """The same for an event loop, if they were used here lately and nothing has to be waited for; else nothing."""
        rows = self.in_loop.get(key)
        for variant, _ in rows:
            self._touched.append(variant)
        return rows

    def put(self, row: Row, now: float) -> bool:
        """Store `row`, unless what is there began its fetch later or it can never fit. Takes out what is expired."""
        return self.put_all([row], now) == 1

    def put_all(self, rows: list[Row], now: float, useless: Sequence[Useless] = ()) -> int:
        """`put` for many, after what is `useless` was taken out, in one transaction. Returns how many it stored."""
        rows = [row for row in rows if len(row.data) + ROW_BYTES <= self.max_bytes]
        if not rows and not useless:
            return 0
        return self._in_turn(lambda connection: self._put_all(connection, rows, now, useless, self._take_touched()))

    def _in_turn(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """A transaction of the writer, who waits for those of other processes more fairly than SQLite does."""
        claims = self._claims
        if isinstance(claims, TableClaims):
            return self._writer.write(work)
        with claims.turn(TURN_PATIENCE):
            return self._writer.write(work)

    def _take_touched(self) -> set[str]:
        """The variants that were used since the last time. Called by one thread at a time."""
        return {self._touched.popleft() for _ in range(len(self._touched))}

    def _put_all(
        self,
        connection: sqlite3.Connection,
        rows: list[Row],
        now: float,
        useless: Sequence[Useless],
        touched: set[str],
    ) -> int:
        execute = connection.execute
        entries, bytes_, clock = execute("SELECT entries, bytes, clock FROM totals").fetchone()
        clock += 1
        connection.executemany("UPDATE records SET used = ? WHERE variant = ?", [(clock, name) for name in touched])
        out = {
            variant: size
            for _, variant, seen in useless
            for data, size in execute("SELECT data, size FROM records WHERE variant = ?", (variant,))
            if data == seen
        }
        there = _orders(connection, rows)
        coming: dict[str, Row] = {}
        for row in rows:
            size, *order = there.get(row.variant, (0, -1, 0.0))
            # What is dated later than now was dated by a wrong clock, and gives way.
            if order <= [row.epoch, row.wall] or order[1] > now + SLACK:
                coming.pop(row.variant, None)  # the order of the bounds below is that in which they came
                coming[row.variant] = row
                there[row.variant] = (size, row.epoch, row.wall)
        out.update((name, there[name][0]) for name in coming if there[name][0])
        out.update(item for item in self._past_use(connection, now) if item[0] not in coming)
        entries, bytes_ = self._delete(connection, out.items(), entries, bytes_)
        sizes = {name: len(row.data) + ROW_BYTES for name, row in coming.items()}
        more = sum(sizes.values())
        for name in list(sizes):  # the last ones stay, if not all of them fit
            if len(sizes) <= self.max_entries and more <= self.max_bytes:
                break
            more -= sizes.pop(name)
        entries, bytes_ = self._make_room(connection, entries, bytes_, len(sizes), more)
        connection.executemany(
            "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (name, row.key, row.data, sizes[name], row.epoch, row.wall, row.expires, clock)
                for name, row in coming.items()
                if name in sizes
            ],
        )
        entries, bytes_ = entries + len(sizes), bytes_ + more
        execute("UPDATE totals SET entries = ?, bytes = ?, clock = ?", (entries, bytes_, clock))
        self._give_back(connection)
        return len(sizes)

    def _make_room(
        self, connection: sqlite3.Connection, entries: int, bytes_: int, coming: int, more: int
    ) -> tuple[int, int]:
        """Take out the least recently used for `coming` records of `more` bytes. Returns what is left.

        What was over the bounds before goes by a slice at one time, for other processes wait for the transaction.
        """
        fewest, largest = entries - coming - SLICE, max(self.max_bytes, bytes_)
        while entries:
            oldest = connection.execute(
                "SELECT variant, size FROM records ORDER BY used LIMIT ?", (EVICTED,)
            ).fetchall()
            for item in oldest:
                if entries + coming <= self.max_entries and bytes_ + more <= self.max_bytes:
                    return entries, bytes_
                if entries <= fewest and bytes_ + more <= largest:
                    return entries, bytes_
                entries, bytes_ = self._delete(connection, [item], entries, bytes_)
            if not oldest:
                break
        return entries, bytes_

    def _past_use(self, connection: sqlite3.Connection, now: float) -> list[tuple[str, int]]:
        """Some records that are of no use any more, by a clock that can be trusted, and their sizes."""
        of_no_use = connection.execute("SELECT 1 FROM records WHERE expires <= ? LIMIT 1", (now,)).fetchone()
        if of_no_use is None and self._has_noted_clock:
            return []
        self._has_noted_clock = True
        between = past_use(connection, now)
        if between is None:
            return []
        return connection.execute(
            "SELECT variant, size FROM records WHERE expires > ? AND expires <= ? LIMIT ?",
            (*between, UPKEEP_ROWS),
        ).fetchall()

    @staticmethod
    def _delete(
        connection: sqlite3.Connection, out: Iterable[tuple[str, int]], entries: int, bytes_: int
    ) -> tuple[int, int]:
        for variant, size in out:
            connection.execute("DELETE FROM records WHERE variant = ?", (variant,))
            entries, bytes_ = entries - 1, bytes_ - size
        return entries, bytes_

    @staticmethod
    def _give_back(connection: sqlite3.Connection, more_than: float = 0.25) -> bool:
        """Return some free pages to the system, if they are more than such a part of the file. Whether they were."""
        free = connection.execute("PRAGMA freelist_count").fetchone()[0]
        if free <= VACUUM_PAGES or free <= more_than * connection.execute("PRAGMA page_count").fetchone()[0]:
            return False
        for _ in range(VACUUM_PAGES):
            # One by one: Python takes only the first step of a statement that has no columns.
            connection.execute("PRAGMA incremental_vacuum(1)")
        return True

    # ── clear ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def clear(self) -> None:
        """Say that all records there are now are to be taken out, and take out the first ones.

        `clear_slice` takes out the others: in this process, or in the next one if this is killed.
        """

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(_CLEARED)
            connection.execute("INSERT OR REPLACE INTO cleared SELECT 1, clock FROM totals")
            connection.execute("UPDATE totals SET clock = clock + 1")
            self._clear_slice(connection)

        self._file.write(work)

    def clear_slice(self) -> bool:
        """Take out some more of what was cleared, or is over the bounds. Whether anything may be left."""
        return self._in_turn(self._clear_slice)

    def _clear_slice(self, connection: sqlite3.Connection) -> bool:
        connection.execute(_CLEARED)
        row = connection.execute("SELECT until FROM cleared").fetchone()
        if row is None and self._shrink(connection):
            return True
        if row is None:
            self._gives_back_all = self._give_back(connection, 0.0 if self._gives_back_all else 0.25)
            return self._gives_back_all
        out = connection.execute(
            "SELECT variant, size FROM records WHERE used <= ? ORDER BY used LIMIT ?", (*row, SLICE)
        ).fetchall()
        entries, bytes_ = self._delete(
            connection, out, *connection.execute("SELECT entries, bytes FROM totals").fetchone()
        )
        connection.execute("UPDATE totals SET entries = ?, bytes = ?", (entries, bytes_))
        if len(out) < SLICE:
            connection.execute("DELETE FROM cleared")
            self._gives_back_all = True
        return True

    def _shrink(self, connection: sqlite3.Connection) -> bool:
        """Take out a slice of what is over the bounds. Whether anything was."""
        entries, bytes_ = connection.execute("SELECT entries, bytes FROM totals").fetchone()
        after = self._make_room(connection, entries, bytes_, 0, 0)
        if after == (entries, bytes_):
            return False
        connection.execute("UPDATE totals SET entries = ?, bytes = ?", after)
        self._gives_back_all = True
        return True

    # ── who fetches: see `Rows` ───────────────────────────────────────────────────────────────────────────────────

    def claim(self, key: str, seconds: float) -> str | None:
        """The right to fetch `key` for all."""
        try:
            return self._claims.claim(key, seconds)
        except (OSError, NotOursError) as error:
            if isinstance(self._claims, TableClaims) or (isinstance(error, OSError) and error.errno not in NO_LOCKS):
                raise
            # This file system has no such locks, for no process; or there is something else under that name.
            self._claims, self.claims_without_io = TableClaims(self._file), False
            return self._claims.claim(key, seconds)

    def is_claimed(self, key: str) -> bool:
        """Whether another process has the right."""
        return self._claims.is_claimed(key)

    def fetched(self, key: str, token: str | None) -> str | None:
        """Say that only the commit of a record of `key` is waited for. Returns the token of the claim that says so."""
        claims = self._claims
        if not isinstance(claims, LockClaims):
            return token
        token = token or claims.claim(key, FETCHED_SECONDS, beside=True)
        if token is None or token == OPEN:
            return None
        claims.fetched(token)
        return token

    def is_fetched(self, key: str) -> bool:
        """Whether a record of `key` is about to be committed by some process; False where that cannot be seen."""
        return isinstance(self._claims, LockClaims) and self._claims.is_fetched(key)

    def prolong(self, key: str, token: str, seconds: float) -> None:
        """Let the right end then."""
        self._claims.prolong(key, token, seconds)

    def release(self, key: str, token: str, open_for: float) -> None:
        """Give the right back."""
        self._claims.release(key, token, open_for)

    def totals(self) -> tuple[int, int]:
        """Entries and bytes stored now."""
        row = self._file.read(lambda connection: connection.execute("SELECT entries, bytes FROM totals").fetchone())
        return int(row[0]), int(row[1])

    def close(self) -> None:
        """Close the files; the next use opens them again."""
        self._claims.close()
        self.in_loop.close()
        self._file.close()
        self._writer.close()


def _orders(connection: sqlite3.Connection, rows: list[Row]) -> dict[str, tuple[int, int, float]]:
    """Size, epoch and date of what is stored in the place of `rows`, by variant."""
    marks = ",".join("?" * len(rows))
    found = connection.execute(
        f"SELECT variant, size, epoch, wall FROM records WHERE variant IN ({marks})",  # noqa: S608 - only marks
        [row.variant for row in rows],
    )
    return {variant: (size, epoch, wall) for variant, size, epoch, wall in found}
