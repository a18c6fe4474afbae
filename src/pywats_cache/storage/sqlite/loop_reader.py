"""Records read in the thread of an event loop, where that takes less than to ask another thread.

To hand a question to a thread and back costs an event loop more of its time than a `SELECT` whose pages are in memory.
A page that is not, a lock, or a large record would hold the loop up. So only what this process used lately, and what is
small, is asked for here; nothing is waited for; and whatever else it takes, to open the file or to look whether it is
still the same one, is done by a thread. What is not found here is asked for in the usual way.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..entry import StoredResponse
    from .database import SqliteFile

__all__ = ["LoopReader"]

LATELY = 30.0
"""Seconds for which the system is trusted to keep in memory what was read. It forgets what was not used for longest."""
MAX_KEYS = 20_000
MAX_BYTES = 64 << 10
"""Bytes of a response, as received and decoded, that are read, checked and decoded here."""


class LoopReader:
    """Reads by a connection of its own to `file`, whose patience is 0. `get` is for event loops, the others are not."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file
        self._used: set[str] = set()
        self._used_before: set[str] = set()
        self._turned_at = time.monotonic()
        self._is_wanted = False

    def note(self, key: str, entries: Iterable[StoredResponse]) -> None:
        """Under `key` these were read, or stored, just now. Nothing is kept where no event loop asks."""
        if self._is_wanted and all(len(entry.raw) + len(entry.content) <= MAX_BYTES for entry in entries):
            self._used.add(key)

    def get(self, key: str) -> list[tuple[str, bytes]]:
        """The variants of `key` and their data; nothing if they were not used lately, or if it would have to wait."""
        self._is_wanted = True
        if key not in self._used:
            if key not in self._used_before:
                return []
            self._used.add(key)
        return self._file.ask_at_once("SELECT variant, data FROM records WHERE key = ?", key) or []

    def renew(self) -> None:
        """Open the file, or see that it is still the one that others use; forget what was not used lately. Blocks."""
        if not self._is_wanted:
            return
        now = time.monotonic()
        if now - self._turned_at > LATELY or len(self._used) > MAX_KEYS:
            is_old = now - self._turned_at > 2 * LATELY
            self._used_before, self._used = (set() if is_old else self._used), set()
            self._turned_at = now
        self._file.prepare_to_ask()

    def close(self) -> None:
        """Close the file; `renew` opens it again."""
        self._file.close()
