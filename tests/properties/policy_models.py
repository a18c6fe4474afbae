"""What the bounded table does, by each policy, in lists and sums: too simple to be wrong, too slow to be used."""

from __future__ import annotations

from collections import Counter
from typing import Any

from pywats_cache.storage.tinylfu import LEAD, MINIATURE, MOST, MOVES, RECENT, SAMPLE, SCAN_RESISTANT, USES


class ModelLRU:
    """Keys, the least recently used first."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    def added(self, key: str) -> None:
        self.keys.append(key)

    def used(self, key: str) -> None:
        self.keys.remove(key)
        self.keys.append(key)

    def removed(self, key: str) -> None:
        self.keys.remove(key)

    def victim(self) -> str:
        return self.keys.pop(0)


class ExactCounts:
    """Uses of each key up to MOST, all halved after SAMPLE uses for each of the keys there is room for."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.room = 64
        self.left = SAMPLE * self.room

    def add(self, key: str) -> None:
        self.counts[key] = min(MOST, self.counts[key] + 1)
        self.left -= 1
        if self.left == 0:
            self.counts = Counter({k: n // 2 for k, n in self.counts.items()})
            self.left = SAMPLE * self.room // 2

    def count(self, key: str) -> int:
        return self.counts[key]

    def grow(self, keys: int) -> None:
        while self.room < keys:
            self.left += SAMPLE * self.room
            self.room *= 2


class ModelSegments:
    """Window, probation, protected: three lists, the least recently used first."""

    def __init__(self, percent: int) -> None:
        self.percent = percent
        self.window: list[str] = []
        self.probation: list[str] = []
        self.protected: list[str] = []

    def keys(self) -> list[str]:
        return self.window + self.probation + self.protected

    def share(self) -> int:
        """Keys that belong in the window."""
        return max(1, len(self.keys()) * self.percent // 100)

    def use(self, key: str) -> bool:
        for segment in (self.window, self.probation, self.protected):
            if key in segment:
                segment.remove(key)
                (self.window if segment is self.window else self.protected).append(key)
                if segment is self.probation and len(self.protected) > 0.8 * len(self.probation + self.protected):
                    self.probation.append(self.protected.pop(0))
                return True
        return False

    def add(self, key: str) -> None:
        self.window.append(key)
        for _ in range(MOVES):
            if len(self.window) > self.share():
                self.probation.append(self.window.pop(0))

    def discard(self, key: str) -> None:
        for segment in (self.window, self.probation, self.protected):
            if key in segment:
                segment.remove(key)

    def victim(self, counts: Any) -> str:
        main = self.probation or self.protected
        if not main:
            return self.window.pop(0)
        if len(self.window) < self.share():
            return main.pop(0)
        if counts.count(self.window[0]) > counts.count(main[0]):
            gone = main.pop(0)
            self.probation.append(self.window.pop(0))
            return gone
        return self.window.pop(0)


class ModelTinyLFU:
    """The segments, and two miniatures of them that say how large the window should be."""

    def __init__(self, counts: Any = None) -> None:
        self.counts = ExactCounts() if counts is None else counts
        self.kept = ModelSegments(SCAN_RESISTANT)
        self.miniatures = [ModelSegments(SCAN_RESISTANT), ModelSegments(RECENT)]
        self.lead = 0
        self.noted: list[str] = []

    def used(self, key: str) -> None:
        self.noted = [*self.noted, key][-USES:]

    def settle(self) -> None:
        for key in self.noted:
            self.kept.use(key)
            self.count(key)
        self.noted = []

    def count(self, key: str) -> None:
        self.counts.add(key)
        sampled = max(1, self.counts.room // MINIATURE)  # one key in so many
        if hash(key) % sampled:
            return
        hits = []
        for miniature in self.miniatures:
            hits.append(miniature.use(key))
            if not hits[-1]:
                while len(miniature.keys()) >= max(1, len(self.kept.keys()) // sampled):
                    miniature.victim(self.counts)
                miniature.add(key)
        self.lead = sorted([-LEAD, self.lead + hits[0] - hits[1], LEAD])[1]
        if abs(self.lead) == LEAD:
            self.kept.percent = SCAN_RESISTANT if self.lead > 0 else RECENT

    def added(self, key: str) -> None:
        self.settle()
        room = self.counts.room
        self.counts.grow(len(self.kept.keys()) + 1)
        if self.counts.room > room:
            self.miniatures = [ModelSegments(SCAN_RESISTANT), ModelSegments(RECENT)]
        self.count(key)
        self.kept.add(key)

    def removed(self, key: str) -> None:
        self.settle()
        for segments in (self.kept, *self.miniatures):
            segments.discard(key)

    def victim(self) -> str:
        self.settle()
        return self.kept.victim(self.counts)


POLICY_MODELS = {"lru": ModelLRU, "w-tinylfu": ModelTinyLFU}


class ModelTable:
    """Sizes by key, and who goes next."""

    def __init__(self, max_entries: int, max_bytes: int, policy: Any) -> None:
        self.max_entries, self.max_bytes = max_entries, max_bytes
        self.policy = policy
        self.sizes: dict[str, int] = {}

    def put(self, key: str, size: int) -> None:
        if size > self.max_bytes:
            return
        self.drop(key)
        self.evict(self.max_entries - 1, self.max_bytes - size)
        self.sizes[key] = size
        self.policy.added(key)

    def evict(self, entries: int, size: int) -> None:
        while len(self.sizes) > entries or sum(self.sizes.values()) > size:
            del self.sizes[self.policy.victim()]

    def use(self, key: str, times: int = 1) -> None:
        for _ in range(times if key in self.sizes else 0):
            self.policy.used(key)

    def drop(self, key: str, _: int = 0) -> None:
        if self.sizes.pop(key, None) is not None:
            self.policy.removed(key)

    def grow(self, key: str, extra: int) -> None:
        if key in self.sizes and sum(self.sizes.values()) + extra <= self.max_bytes:
            self.sizes[key] += extra

    def resize(self, _: str, max_entries: int) -> None:
        self.max_entries = max_entries
        self.evict(max_entries, self.max_bytes)

    def clear(self, *_: object) -> None:
        for key in list(self.sizes):
            self.drop(key)
