"""W-TinyLFU: a newcomer stays only if it is asked for more often than what would go in its place."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable

__all__ = ["FrequencySketch", "WTinyLFU"]

COUNTERS = 16
"""Counters, of one byte, for each key there is room for; with fewer, keys that were asked for once look popular."""
MOST = 15
"""Where a counter ends: what is asked for more often than this is popular enough."""
SAMPLE = 5
"""Uses for each key there is room for, after which all counters are halved, so that yesterday's favourites go. With
more they stay too long, with fewer a scan washes out the counters (benchmarks/policies.py)."""
USES = 128
"""Hits that are remembered until the next insertion or removal; of more, the last ones."""
_HALVED = bytes(count >> 1 for count in range(256))


class FrequencySketch:
    """How often a key was used lately, up to 15: never too few (before halving), seldom too many (a count-min sketch).

    It holds no keys, only `COUNTERS` to `2 * COUNTERS` bytes for each entry of the fullest moment, however many keys
    pass by. Colliding keys cannot be prepared: the hash of a string is keyed per process, and the keys of a
    storage are digests keyed by its secret. If two collide all the same, one of them stays too long.
    """

    __slots__ = ("_counts", "_left", "_mask", "_room")

    def __init__(self, room: int = 64) -> None:
        self._room = room
        """Keys there is room for, a power of two."""
        self._mask = COUNTERS * room - 1
        self._counts = bytearray(COUNTERS * room)
        self._left = SAMPLE * room

    def grow(self, keys: int) -> None:
        """Make room for so many keys. A longer index ends like the shorter one, so all counts stay true."""
        while self._room < keys:
            self._counts = self._counts * 2  # before the mask, which must never be the longer one
            self._mask = 2 * self._mask + 1
            self._left += SAMPLE * self._room
            self._room *= 2

    def add(self, key: str) -> None:
        """Count a use."""
        a, b, c, d = self._places(key)
        counts = self._counts
        at_a, at_b, at_c, at_d = counts[a], counts[b], counts[c], counts[d]
        least = min(at_a, at_b, at_c, at_d)
        if least < MOST:
            # Those that hold more owe it to other keys. A loop would take twice as long.
            if at_a == least:
                counts[a] = least + 1
            if at_b == least:
                counts[b] = least + 1
            if at_c == least:
                counts[c] = least + 1
            if at_d == least:
                counts[d] = least + 1
        self._left -= 1
        if self._left <= 0:
            self._counts = counts.translate(_HALVED)
            self._left = SAMPLE * self._room // 2

    def count(self, key: str) -> int:
        """Uses of `key`, as far as they are remembered."""
        a, b, c, d = self._places(key)
        counts = self._counts
        return min(counts[a], counts[b], counts[c], counts[d])

    def _places(self, key: str) -> tuple[int, int, int, int]:
        mask, a = self._mask, hash(key)
        step = a >> 32 & mask | 1  # odd, so the places differ
        a &= mask
        b = a + step & mask
        c = b + step & mask
        return a, b, c, c + step & mask


class WTinyLFU:
    """A `Policy`: new keys pass a small window; of the oldest there and the oldest behind it, the rarer one goes.

    - The window, 1 % of the keys and at least one, is in order of use: a new key is never the next to go.
    - Behind it are keys on probation and, after a hit there, protected ones, up to 80 % of those behind the window;
      each is in order of use.
    - A `FrequencySketch` remembers keys that went, so one that comes back stays the second or third time.

    So one pass over many keys, however long, takes nothing out but what is in the window (scan resistance). The shares
    are those of the keys there are, not of a bound, so they also fit where bytes are what is short.
    """

    __slots__ = ("_probation", "_protected", "_sketch", "_uses", "_window", "used")

    def __init__(self) -> None:
        self._sketch = FrequencySketch()
        self._window: OrderedDict[str, bool] = OrderedDict()
        self._probation: OrderedDict[str, bool] = OrderedDict()
        self._protected: OrderedDict[str, bool] = OrderedDict()
        self._uses: deque[str] = deque(maxlen=USES)
        self.used: Callable[[str], object] = self._uses.append
        """A hit only leaves a note; the next insertion, which has waited for a server, does the work."""

    def added(self, key: str) -> None:
        """See `Policy.added`."""
        self._settle()
        self._window[key] = True
        self._sketch.grow(self._keys())
        self._sketch.add(key)
        while len(self._window) > self._share():
            self._probation[self._window.popitem(last=False)[0]] = True

    def removed(self, key: str) -> None:
        """See `Policy.removed`."""
        self._settle()
        for segment in (self._window, self._probation, self._protected):
            segment.pop(key, None)

    def victim(self) -> str:
        """See `Policy.victim`."""
        self._settle()
        main = self._probation or self._protected
        if not main:
            return self._window.popitem(last=False)[0]
        oldest = main.popitem(last=False)[0]
        if len(self._window) < self._share():
            return oldest
        candidate = self._window.popitem(last=False)[0]
        if self._sketch.count(candidate) > self._sketch.count(oldest):
            self._probation[candidate] = True
            return oldest
        main[oldest] = True
        main.move_to_end(oldest, last=False)
        return candidate

    def _settle(self) -> None:
        """Do what the hits since the last time have left to do."""
        uses, sketch = self._uses, self._sketch
        window, probation, protected = self._window, self._probation, self._protected
        for _ in range(len(uses)):
            try:
                key = uses.popleft()
            except IndexError:  # a signal handler took the rest
                return
            sketch.add(key)
            if protected.pop(key, False):
                protected[key] = True
            elif probation.pop(key, False):
                protected[key] = True
                if len(protected) > 0.8 * (len(probation) + len(protected)):
                    probation[protected.popitem(last=False)[0]] = True
            elif window.pop(key, False):
                window[key] = True

    def _keys(self) -> int:
        return len(self._window) + len(self._probation) + len(self._protected)

    def _share(self) -> int:
        """Keys that belong in the window."""
        return max(1, self._keys() // 100)
