"""What is remembered of requests beside the stored answers, bounded by what the storage may hold."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from threading import RLock
from typing import Any, Protocol

__all__ = ["Alone", "Bounds", "Memo", "most_items"]

SHARE = 8
"""The fraction of `max_bytes`, one in so many, that one memo may take beside it."""
PER_ENTRY = 4
"""Requests remembered for each of `max_entries`, at most."""
_NOTHING = object()


class Bounds(Protocol):
    """What a storage says of its bounds, and its lock."""

    max_entries: int
    max_bytes: int
    lock: RLock


class Alone:
    """Bounds where there is no storage."""

    def __init__(self) -> None:
        self.max_entries: int = 1000
        self.max_bytes: int = 64 << 20
        self.lock: RLock = RLock()


def most_items(most: int, bounds: Bounds) -> int:
    """`most`, or less beside a storage of few entries."""
    return min(most, PER_ENTRY * bounds.max_entries)


class Memo(dict[Any, Any]):
    """A dictionary that is read like any other, without a lock, and written by `remember` only.

    - `size_bytes`: counted for all in it; `sizeof` counts an item, and the same for it at any time.
    """

    __slots__ = ("_sizeof", "size_bytes")

    def __init__(self, sizeof: Callable[[Any, Any], int]) -> None:
        super().__init__()
        self._sizeof = sizeof
        self.size_bytes: int = 0

    def remember(self, key: Any, value: Any, most: int, bounds: Bounds) -> None:
        """Remember `value`; the oldest quarter makes room. What is larger than all may be is not remembered."""
        size = self._sizeof(key, value)
        with bounds.lock:
            limit = bounds.max_bytes // SHARE
            there = self.get(key, _NOTHING)
            if there is not _NOTHING:
                more = size - self._sizeof(key, there)
                if self.size_bytes + more <= limit:
                    self[key] = value  # in place: whoever reads it meanwhile must not miss it
                    self.size_bytes += more
                    return
                self._forget(key)
            if size > limit:
                return
            most = most_items(most, bounds)
            while self and (len(self) >= most or self.size_bytes + size > limit):
                self._forget(*list(islice(self, (len(self) + 3) // 4)))
            self[key] = value
            self.size_bytes += size

    def _forget(self, *keys: Any) -> None:
        for key in keys:
            value = self.pop(key, _NOTHING)
            if value is not _NOTHING:
                self.size_bytes -= self._sizeof(key, value)

    def clear(self) -> None:
        """Forget all."""
        super().clear()
        self.size_bytes = 0
