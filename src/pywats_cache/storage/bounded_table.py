"""A table with a bound on entries and one on bytes; which entry goes first is a matter of its dictionary."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from .eviction import PolicyItems

__all__ = ["BoundedTable", "Sized"]


class Sized(Protocol):
    """Anything with a size in bytes."""

    size: int


_T = TypeVar("_T", bound=Sized)


class BoundedTable(Generic[_T]):
    """Never holds more than `max_entries` entries nor `max_bytes` bytes, at any moment. Every operation is O(1).

    Guarded by `lock`, which callers hold for what must be one step. It is re-entrant because a signal handler or a
    finalizer may call the cache in a thread that holds it; a plain lock would never be released then.

    - `items`: empty, and owned by the table from now on; its `popitem(last=False)` takes out what goes first, its
      `move_to_end` is told of a use. None: an `OrderedDict`, so the least recently used goes first.
    """

    __slots__ = ("evictions", "items", "lock", "max_bytes", "max_entries", "size_bytes", "squeezed", "stores")

    def __init__(
        self, max_entries: int, max_bytes: int, items: OrderedDict[str, _T] | PolicyItems[_T] | None = None
    ) -> None:
        self.max_entries: int = max_entries
        self.max_bytes: int = max_bytes
        self.lock: threading.RLock = threading.RLock()
        self.items: OrderedDict[str, _T] | PolicyItems[_T] = OrderedDict() if items is None else items
        self.size_bytes: int = 0
        self.stores: int = 0
        self.evictions: int = 0
        self.squeezed: int = 0
        """Of the evictions, those for the bound in bytes."""

    def put(self, key: str, item: _T) -> list[tuple[str, _T]] | None:
        """Store `item`, as used just now. Returns what was taken out for it, or None if it can never fit."""
        if item.size > self.max_bytes:
            return None
        out: list[tuple[str, _T]] = []
        with self.lock:
            items = self.items
            old = items.pop(key, None)
            if old is not None:
                self.size_bytes -= old.size
                out.append((key, old))
            try:
                while items and (len(items) >= self.max_entries or self.size_bytes + item.size > self.max_bytes):
                    victim, gone = items.popitem(last=False)
                    self.size_bytes -= gone.size
                    self.evictions += 1
                    if len(items) + 1 < self.max_entries:
                        self.squeezed += 1
                    out.append((victim, gone))
            except KeyError:  # a signal handler has emptied the table meanwhile
                pass
            items[key] = item
            self.size_bytes += item.size
            self.stores += 1
        return out

    def resize(self, max_entries: int) -> list[tuple[str, _T]]:
        """Set another bound on entries. Returns what was taken out for it, O(1) each."""
        out: list[tuple[str, _T]] = []
        with self.lock:
            self.max_entries = max_entries
            while len(self.items) > max_entries:
                victim, gone = self.items.popitem(last=False)
                self.size_bytes -= gone.size
                self.evictions += 1
                out.append((victim, gone))
        return out

    def drop(self, key: str, item: _T | None = None) -> bool:
        """Take out what is under `key` (only if it is `item`, where one is given)."""
        with self.lock:
            there = self.items.get(key)
            if there is None or (item is not None and there is not item):
                return False
            if self.items.pop(key, None) is None:  # a signal handler was faster
                return False
            self.size_bytes -= there.size
            return True

    def grow(self, key: str, item: _T, extra: int) -> bool:
        """Count `extra` more bytes for a stored item; False (and nothing counted) if they do not fit."""
        with self.lock:
            if self.items.get(key) is not item or self.size_bytes + extra > self.max_bytes:
                return False
            item.size += extra
            self.size_bytes += extra
            return True

    def clear(self) -> None:
        """Take everything out."""
        with self.lock:
            self.items.clear()
            self.size_bytes = 0
