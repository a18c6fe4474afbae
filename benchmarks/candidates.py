"""Policies that were measured and not taken: SIEVE, S3-FIFO, LRU with TinyLFU's admission, W-TinyLFU of one window.

They keep to the interface of `pywats_cache.storage.eviction.Policy`, but nothing here survives a signal handler.
"""

from __future__ import annotations

from collections import OrderedDict

from pywats_cache.storage.tinylfu import FrequencySketch, WTinyLFU

__all__ = ["S3FIFO", "Sieve", "SmallWindow", "TinyLFUAndLRU"]


class Sieve:
    """One queue; a hand goes from the oldest to the newest and takes out the first not used since it passed."""

    def __init__(self) -> None:
        self._used: set[str] = set()
        self.used = self._used.add
        self._newer: dict[str, str | None] = {}
        self._older: dict[str, str | None] = {}
        self._newest: str | None = None
        self._oldest: str | None = None
        self._hand: str | None = None

    def added(self, key: str) -> None:
        self._older[key], self._newer[key] = self._newest, None
        if self._newest is None:
            self._oldest = key
        else:
            self._newer[self._newest] = key
        self._newest = key

    def removed(self, key: str) -> None:
        newer, older = self._newer.pop(key), self._older.pop(key)
        if newer is None:
            self._newest = older
        else:
            self._older[newer] = older
        if older is None:
            self._oldest = newer
        else:
            self._newer[older] = newer
        if self._hand == key:
            self._hand = newer
        self._used.discard(key)

    def victim(self) -> str:
        key = self._oldest if self._hand is None else self._hand
        while key in self._used:
            self._used.remove(key)
            following = self._newer[key]
            key = self._oldest if following is None else following
        if key is None:
            raise KeyError("nothing is there")
        self._hand = key
        self.removed(key)
        return key


class S3FIFO:
    """A small queue (10 %), a main queue, and the keys that lately left the small one; hits are counted up to 3."""

    def __init__(self) -> None:
        self._hits: dict[str, int] = {}
        self._small: OrderedDict[str, None] = OrderedDict()
        self._main: OrderedDict[str, None] = OrderedDict()
        self._ghosts: OrderedDict[str, None] = OrderedDict()

    def used(self, key: str) -> None:
        hits = self._hits
        if hits[key] < 3:
            hits[key] += 1

    def added(self, key: str) -> None:
        self._hits[key] = 0
        if key in self._ghosts:
            del self._ghosts[key]
            self._main[key] = None
        else:
            self._small[key] = None

    def removed(self, key: str) -> None:
        del self._hits[key]
        (self._small if key in self._small else self._main).pop(key)

    def victim(self) -> str:
        keys = len(self._hits)
        while True:
            if self._small and (10 * len(self._small) >= keys or not self._main):
                key, _ = self._small.popitem(last=False)
                if self._hits[key] > 1:
                    self._hits[key] = 0
                    self._main[key] = None
                    continue
                self._ghosts[key] = None
                if 10 * len(self._ghosts) > 9 * keys:
                    self._ghosts.popitem(last=False)
            else:
                key, _ = self._main.popitem(last=False)
                if self._hits[key]:
                    self._hits[key] -= 1
                    self._main[key] = None
                    continue
            del self._hits[key]
            return key


class TinyLFUAndLRU:
    """Of the newest and the least recently used the one goes that a sketch has seen less often."""

    def __init__(self) -> None:
        self._sketch = FrequencySketch()
        self._keys: OrderedDict[str, None] = OrderedDict()
        self._newest: str | None = None

    def used(self, key: str) -> None:
        self._sketch.add(key)
        self._keys.move_to_end(key)

    def added(self, key: str) -> None:
        self._keys[key] = None
        self._newest = key
        self._sketch.grow(len(self._keys))
        self._sketch.add(key)

    def removed(self, key: str) -> None:
        del self._keys[key]
        if self._newest == key:
            self._newest = None

    def victim(self) -> str:
        oldest, newest = next(iter(self._keys)), self._newest
        if newest is not None and self._sketch.count(newest) <= self._sketch.count(oldest):
            oldest = newest
        self.removed(oldest)
        return oldest


class SmallWindow(WTinyLFU):
    """W-TinyLFU whose window is always 1 % of the keys: no miniature has ever more hits than the other."""

    def _play(self, *_: object) -> bool:
        return False
