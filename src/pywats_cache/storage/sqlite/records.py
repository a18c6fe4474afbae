"""Packed answers in a SQLite file: bounded in entries and bytes, the least recently used first out."""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

from ..shared.backend import OPEN, Row
from ..shared.record_clock import SLACK
from .database import SqliteFile
from .store_files import RECORDS, has_ours
from .upkeep_clock import past_use

__all__ = ["SqliteRecords"]

VERSION = 2
PATIENCE = 0.1
PAUSE = 0.25
"""Seconds for which nothing is written after another program's lock was waited for in vain."""
ROW_BYTES = 300
"""Bytes counted for a row on top of its data: key, dates, its place in four indexes."""
UPKEEP_ROWS = 100
"""Expired rows taken out at one time, so that no request pays for many."""
VACUUM_PAGES = 64
MAX_TOUCHED = 1000
MAX_CLAIM = 60.0
"""Seconds that no claim lasts longer than."""
_SCHEMA = """
CREATE TABLE totals (id INTEGER PRIMARY KEY CHECK (id = 1), entries INTEGER, bytes INTEGER, clock INTEGER);
INSERT INTO totals VALUES (1, 0, 0, 0);
CREATE TABLE records (
    variant TEXT PRIMARY KEY, key TEXT NOT NULL, data BLOB NOT NULL, size INTEGER NOT NULL, epoch INTEGER NOT NULL,
    wall REAL NOT NULL, expires REAL NOT NULL, used INTEGER NOT NULL);
CREATE TABLE claims (key TEXT PRIMARY KEY, token TEXT NOT NULL, ends REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX records_key ON records (key);
CREATE INDEX records_used ON records (used, size);
CREATE INDEX records_expires ON records (expires)
"""


class SqliteRecords:
    """The records of the store at `path`, at most `max_entries` and `max_bytes` of them at any commit.

    Bytes count the data and a fixed sum for the row, so the file is about as large, and does not grow further. Every
    method raises StorageError if the disk fails. Safe from any thread and process.
    """

    of_one_machine = True

    def __init__(self, path: Path, *, max_entries: int, max_bytes: int, on_aside: Callable[[str], object]) -> None:
        self.max_entries = max_entries
        self.max_bytes = max_bytes
        self._file = SqliteFile(
            path,
            application=RECORDS,
            version=VERSION,
            schema=_SCHEMA,
            durable=False,  # a record lost with the power is fetched again
            patience=PATIENCE,
            on_aside=on_aside,
            is_ours=lambda: has_ours(path),
            pause=PAUSE,
        )
        self._has_noted_clock = False
        # Without a lock: a fork or a signal in the middle would leave one held.
        self._touched: deque[str] = deque(maxlen=MAX_TOUCHED)

    def get(self, key: str) -> list[tuple[str, bytes]]:
        """The variants of `key` and their data. Writes nothing: that they were used is noted with the next `put`."""
        rows = self._file.read(
            lambda connection: connection.execute("SELECT variant, data FROM records WHERE key = ?", (key,)).fetchall()
        )
        self._touched.extend(variant for variant, _ in rows)
        return rows

    def put(self, row: Row, now: float) -> bool:
        """Store `row`, unless what is there began its fetch later or it can never fit. Takes out what is expired.

        What is dated later than now was dated by a wrong clock, and gives way.
        """
        size = len(row.data) + ROW_BYTES
        if size > self.max_bytes:
            return False
        return self._file.write(lambda connection: self._put(connection, row, size, now, self._take_touched()))

    def _take_touched(self) -> set[str]:
        """The variants that were used since the last time. Called by one thread at a time."""
        return {self._touched.popleft() for _ in range(len(self._touched))}

    def _put(self, connection: sqlite3.Connection, row: Row, size: int, now: float, touched: set[str]) -> bool:
        entries, bytes_, clock = connection.execute("SELECT entries, bytes, clock FROM totals").fetchone()
        clock += 1
        connection.executemany("UPDATE records SET used = ? WHERE variant = ?", [(clock, name) for name in touched])
        there = connection.execute("SELECT size, epoch, wall FROM records WHERE variant = ?", (row.variant,)).fetchone()
        newer = there is not None and (there[1], there[2]) > (row.epoch, row.wall) and there[2] <= now + SLACK
        out: list[tuple[str, int]] = []
        if there is not None and not newer:
            out.append((row.variant, there[0]))
        out += self._useless(connection, row.variant, now)
        entries, bytes_ = self._delete(connection, out, entries, bytes_)
        if not newer:
            while entries and (entries >= self.max_entries or bytes_ + size > self.max_bytes):
                oldest = connection.execute("SELECT variant, size FROM records ORDER BY used LIMIT 1").fetchone()
                if oldest is None:
                    break
                entries, bytes_ = self._delete(connection, [oldest], entries, bytes_)
            connection.execute(
                "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (row.variant, row.key, row.data, size, row.epoch, row.wall, row.expires, clock),
            )
            entries, bytes_ = entries + 1, bytes_ + size
        connection.execute("UPDATE totals SET entries = ?, bytes = ?, clock = ?", (entries, bytes_, clock))
        self._give_back(connection)
        return not newer

    def _useless(self, connection: sqlite3.Connection, but: str, now: float) -> list[tuple[str, int]]:
        """Some records that are of no use any more, by a clock that can be trusted, but for that of this variant."""
        of_no_use = connection.execute("SELECT 1 FROM records WHERE expires <= ? LIMIT 1", (now,)).fetchone()
        if of_no_use is None and self._has_noted_clock:
            return []
        self._has_noted_clock = True
        between = past_use(connection, now)
        if between is None:
            return []
        return connection.execute(
            "SELECT variant, size FROM records WHERE expires > ? AND expires <= ? AND variant != ? LIMIT ?",
            (*between, but, UPKEEP_ROWS),
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
    def _give_back(connection: sqlite3.Connection) -> None:
        """Return free pages to the system, some at a time, once they are a quarter of the file."""
        free = connection.execute("PRAGMA freelist_count").fetchone()[0]
        if free > VACUUM_PAGES and free * 4 > connection.execute("PRAGMA page_count").fetchone()[0]:
            for _ in range(VACUUM_PAGES):
                # One by one: Python takes only the first step of a statement that has no columns.
                connection.execute("PRAGMA incremental_vacuum(1)")

    def remove(self, variants: list[tuple[str, str]]) -> None:
        """Take out records that nobody can use any more."""

        def work(connection: sqlite3.Connection) -> None:
            for _, variant in variants:
                row = connection.execute("SELECT size FROM records WHERE variant = ?", (variant,)).fetchone()
                if row is not None:
                    connection.execute("DELETE FROM records WHERE variant = ?", (variant,))
                    connection.execute("UPDATE totals SET entries = entries - 1, bytes = bytes - ?", row)

        self._file.write(work)

    def clear(self) -> None:
        """Take out all records, and give the room back to the system."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM records")
            connection.execute("UPDATE totals SET entries = 0, bytes = 0")
            for _ in range(connection.execute("PRAGMA freelist_count").fetchone()[0]):
                connection.execute("PRAGMA incremental_vacuum(1)")  # one by one: see `_give_back`

        self._file.write(work)

    # ── who fetches ───────────────────────────────────────────────────────────────────────────────────────────────

    def claim(self, key: str, seconds: float) -> str | None:
        """The right to fetch `key` for all; see `Rows`."""

        def work(connection: sqlite3.Connection) -> str | None:
            now = time.time()
            row = connection.execute("SELECT token, ends FROM claims WHERE key = ?", (key,)).fetchone()
            # One that ends later than any may was made before the clock was set back.
            if row is not None and now < row[1] <= now + MAX_CLAIM:
                return OPEN if row[0] == OPEN else None
            token = uuid.uuid4().hex
            connection.execute("DELETE FROM claims WHERE ends <= ?", (now,))
            connection.execute("INSERT OR REPLACE INTO claims VALUES (?, ?, ?)", (key, token, now + seconds))
            return token

        return self._file.write(work)

    def prolong(self, key: str, token: str, seconds: float) -> None:
        """Let the right end then; see `Rows`."""

        def work(connection: sqlite3.Connection) -> None:
            now = time.time()
            connection.execute(
                "UPDATE claims SET ends = ? WHERE key = ? AND token = ? AND ends > ?", (now + seconds, key, token, now)
            )

        self._file.write(work)

    def release(self, key: str, token: str, open_for: float) -> None:
        """Give the right back; see `Rows`."""

        def work(connection: sqlite3.Connection) -> None:
            if open_for:
                connection.execute(
                    "UPDATE claims SET token = ?, ends = ? WHERE key = ? AND token = ?",
                    (OPEN, time.time() + open_for, key, token),
                )
            else:
                connection.execute("DELETE FROM claims WHERE key = ? AND token = ?", (key, token))

        self._file.write(work)

    def totals(self) -> tuple[int, int]:
        """Entries and bytes stored now."""
        row = self._file.read(lambda connection: connection.execute("SELECT entries, bytes FROM totals").fetchone())
        return int(row[0]), int(row[1])

    def close(self) -> None:
        """Close the database; the next use opens it again."""
        self._file.close()
