"""A full table of invalidated tags is emptied by a sweep of what is stored, so that no response is lost to it.

A sweep begins when the table is half full: the coherence puts it aside, at an epoch that is the *horizon*. Then each
write pays for a few of the stored responses. One that the table invalidates is dropped, every other one is marked as
clean at the horizon. So is what the open flights will bring, and what they may fall back on. When all are marked, what
was put aside is forgotten, and what carries no mark, as a flight that no table knows, counts as invalidated.

Which responses there are is kept in a list beside the table, as a copy of all keys would take milliseconds: it gets
the key of all that is stored, and may hold others too. A sweep moves what is still there, and was not marked yet, into
a new list; one also begins when the list has become much longer than the table.

The table of tags grows with what is stored, so that a write pays for a few only: with `n` responses, a sweep begins at
`max(MAX_TAGS / 2, n)` tags, or at `MOST_TAGS`, and is over after at most half as many more.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Protocol

from .entry import StoredResponse

if TYPE_CHECKING:
    from threading import RLock

    from ..coherence.epochs import Coherence
    from ..coherence.single_flight import FlightTable
    from .bounded_table import BoundedTable

__all__ = ["Sweep"]

SHARE = 2
"""How much faster a sweep goes on than the table fills again."""
LEAST = 4
MOST_TAGS = 32768
"""A sweep begins at so many tags, however much is stored: a larger dictionary takes milliseconds to grow."""
SLICE = 1000
"""At most so many at once: less than a millisecond, in which the storage's lock is held."""
SPARE = 256
"""Keys that the list may have, on top of twice as many as are stored."""


class Swept(Protocol):
    """What a storage has that is swept."""

    table: BoundedTable[Any]
    lock: RLock
    coherence: Coherence
    flights: FlightTable[StoredResponse]

    def drop(self, entry: StoredResponse) -> None:
        """Take out `entry`, if it is still there."""


class Sweep:
    """The sweeps of one storage, one after the other. Guarded by the storage's lock."""

    __slots__ = ("_garbage", "_horizon", "_is_running", "_keys", "_left", "_storage_ref")

    def __init__(self, storage: Swept) -> None:
        self._storage_ref = weakref.ref(storage)  # the storage refers to this, and a bump calls it
        self._horizon: int | None = None
        self._keys: list[str] = []
        """All that is stored, but for what `_left` has."""
        self._left: list[str] = []
        """What this sweep has not looked at yet."""
        self._garbage: list[dict[str, int]] = []
        self._is_running = False

    @property
    def _storage(self) -> Swept:
        storage = self._storage_ref()
        assert storage is not None
        return storage

    @property
    def is_open(self) -> bool:
        """Whether one is under way, so that what is stored now must be looked at too."""
        return self._horizon is not None

    def stored(self, key: str, *, again: bool) -> None:
        """A response was stored under `key`; `again`: in the place of another one."""
        if self.is_open:
            self._left.append(key)  # it must be looked at in this sweep too
        elif again:
            return
        self._keys.append(key)
        if len(self._keys) + len(self._left) > SPARE + 2 * len(self._storage.table.items) and not self._is_running:
            if self._horizon is None:
                self._begin()
            self._look(LEAST)

    def cleared(self) -> None:
        """Nothing is stored any more."""
        self._keys, self._left = [], []

    def end(self) -> None:
        """Bring the one that is under way to its end."""
        with self._storage.lock:
            while self._horizon is not None and not self._is_running:
                self._look(SLICE)
            self._garbage.clear()
            self._storage.coherence.is_swept = False

    def pay(self, tags: int) -> None:
        """A write dirtied so many tags: do its share. It goes on while the table is as large as it may ever be."""
        while self._storage_ref() is not None and self._pay(tags):
            tags = SLICE

    def _pay(self, tags: int) -> bool:
        """One slice. Returns whether the table is too full to leave the rest to others."""
        storage, coherence = self._storage, self._storage.coherence
        with storage.lock:
            if self._is_running:  # a signal handler writes in the middle of a slice
                return False
            self._is_running = True
            try:
                stored, half = len(storage.table.items), coherence.max_tags >> 1
                half = max(half, min(stored, MOST_TAGS))
                share = min(LEAST + SHARE * tags * (stored // half + 1), SLICE)
                if self._horizon is None:
                    self._free(share)
                    if coherence.fullness() <= half or self._garbage:
                        return bool(self._garbage) and coherence.fullness() > 2 * half
                    self._begin()
                self._look(share)
                return coherence.fullness() > half
            finally:
                self._is_running = False

    def _begin(self) -> None:
        storage = self._storage
        horizon = storage.coherence.put_aside()
        for flight in storage.flights.open.values():
            storage.coherence.mark(flight, horizon)
            if flight.stale is not None:
                storage.coherence.mark(flight.stale, horizon)
        # The flights first: what they bring from now on carries their marks.
        self._left, self._keys = self._keys, []
        self._horizon = horizon

    def _look(self, share: int) -> None:
        """Look at the next ones; after the last one, forget."""
        storage, horizon = self._storage, self._horizon
        assert horizon is not None
        left, keys, items, mark = self._left, self._keys, storage.table.items, storage.coherence.mark
        for _ in range(min(share, len(left))):
            at = len(left) - 1
            key = left[at]
            entry: Any = items.get(key)
            if isinstance(entry, StoredResponse) and entry.clean_at < horizon:  # else it stands in the new list too
                if mark(entry, horizon):
                    keys.append(key)
                else:
                    storage.drop(entry)
            del left[at]  # after: what breaks off in between is looked at again; a signal handler may append others
        if not left:
            self._garbage = list(storage.coherence.forget(horizon))
            self._horizon = None
            self._free(0)

    def _free(self, share: int) -> None:
        """Free a part of what nobody looks at any more."""
        garbage = self._garbage
        while garbage and (share > 0 or not garbage[-1]):
            table = garbage[-1]
            while table and share > 0:
                table.popitem()
                share -= 1
            if not table:
                garbage.pop()
        self._storage.coherence.is_swept = self._horizon is not None or bool(self._garbage)
