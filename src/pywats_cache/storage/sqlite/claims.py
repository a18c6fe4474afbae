"""Who fetches a key for all processes, in a table of the database: where the system has no locks that serve better."""

from __future__ import annotations

import sqlite3
import time
import uuid
from typing import TYPE_CHECKING

from ..shared.backend import OPEN

if TYPE_CHECKING:
    from .database import SqliteFile

__all__ = ["CLAIMS", "TableClaims"]

MAX_CLAIM = 60.0
"""Seconds that no claim lasts longer than."""
CLAIMS = """
CREATE TABLE claims (key TEXT PRIMARY KEY, token TEXT NOT NULL, ends REAL NOT NULL) WITHOUT ROWID;
"""


class TableClaims:
    """The claims in the table `claims` of `file`; see `Rows`. Every method raises StorageError if the disk fails.

    A claim of a process that died ends by itself.
    """

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    def claim(self, key: str, seconds: float) -> str | None:
        """The right to fetch `key` for all."""

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

    def is_claimed(self, key: str) -> bool:
        """Whether another process has the right."""
        row = self._file.read(
            lambda connection: connection.execute("SELECT token, ends FROM claims WHERE key = ?", (key,)).fetchone()
        )
        return row is not None and row[0] != OPEN and time.time() < row[1]

    def prolong(self, key: str, token: str, seconds: float) -> None:
        """Let the right end then."""

        def work(connection: sqlite3.Connection) -> None:
            now = time.time()
            connection.execute(
                "UPDATE claims SET ends = ? WHERE key = ? AND token = ? AND ends > ?", (now + seconds, key, token, now)
            )

        self._file.write(work)

    def release(self, key: str, token: str, open_for: float) -> None:
        """Give the right back."""

        def work(connection: sqlite3.Connection) -> None:
            if open_for:
                connection.execute(
                    "UPDATE claims SET token = ?, ends = ? WHERE key = ? AND token = ?",
                    (OPEN, time.time() + open_for, key, token),
                )
            else:
                connection.execute("DELETE FROM claims WHERE key = ? AND token = ?", (key, token))

        self._file.write(work)

    def close(self) -> None:
        """Nothing is kept open."""
