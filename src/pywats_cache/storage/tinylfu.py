"""W-TinyLFU: of a newcomer and what would go in its place the rarer one goes; or LRU, where that makes more hits."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable

__all__ = ["FrequencySketch", "Segments", "WTinyLFU"]

COUNTERS = 16
"""Counters, of one byte, for each key there is room for; with fewer, keys that were asked for once look popular."""
MOST = 15
"""Where a counter ends: what is asked for more often than this is popular enough."""
SAMPLE = 5
"""Uses for each key there is room for, after which all counters are halved, so that yesterday's favourites go. With
more they stay too long, with fewer a scan washes out the counters (benchmarks/policies.py)."""
USES = 128
"""Hits that are remembered until the next insertion or removal; of more, the last ones."""
SCAN_RESISTANT, RECENT = 1, 100
"""Sizes of the window, in percent of the keys; with the second all keys are in it, which is LRU."""
MINIATURE = 128
"""Keys for which a miniature has room at most. With half of them the better window is found later, with twice as many
no sooner (benchmarks/policies.py)."""
LEAD = 32
"""Hits that one miniature must have more than the other, lately. With fewer, chance decides now and then."""
MOVES = 4
"""Keys that leave a window too large, for each one that comes: none has to wait until all have moved."""
_HALVED = bytes(count >> 1 for count in range(256))


class FrequencySketch:
    """How often a key was used lately, up to 15: never too few (before halving), seldom too many (a count-min sketch).

    It holds no keys, only `COUNTERS` to `2 * COUNTERS` bytes for each entry of the fullest moment, however many keys
    pass by. Colliding keys cannot be prepared: the hash of a string is keyed per process, and the keys of a
    storage are digests keyed by its secret. If two collide all the same, one of them stays too long.
    """

    __slots__ = ("_counts", "_left", "_mask", "room")

    def __init__(self, room: int = 64) -> None:
        self.room: int = room
        """Keys there is room for, a power of two."""
        self._mask = COUNTERS * room - 1
        self._counts = bytearray(COUNTERS * room)
        self._left = SAMPLE * room

    def grow(self, keys: int) -> None:
        """Make room for `keys` keys. A longer index ends like the shorter one, so all counts stay true."""
        while self.room < keys:
            self._counts = self._counts * 2  # before the mask, which must never be the longer one
            self._mask = 2 * self._mask + 1
            self._left += SAMPLE * self.room
            self.room *= 2

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
            self._left = SAMPLE * self.room // 2

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


class Segments:
    """Keys in the order of W-TinyLFU: a window, those on probation behind it, and those protected.

    - `percent`: the size of the window, of all keys, and at least one.
    """

    __slots__ = ("percent", "probation", "protected", "window")

    def __init__(self, percent: int) -> None:
        self.percent: int = percent
        self.window: OrderedDict[str, bool] = OrderedDict()
        self.probation: OrderedDict[str, bool] = OrderedDict()
        self.protected: OrderedDict[str, bool] = OrderedDict()

    def __len__(self) -> int:
        return len(self.window) + len(self.probation) + len(self.protected)

    def add(self, key: str) -> None:
        """Let a new key into the window, and out of it what is too much there."""
        window = self.window
        window[key] = True
        for _ in range(min(MOVES, len(window) - self._share())):
            self.probation[window.popitem(last=False)[0]] = True

    def use(self, key: str) -> bool:
        """Note a hit. Returns whether the key is there."""
        window, probation, protected = self.window, self.probation, self.protected
        if protected.pop(key, False):
            protected[key] = True
        elif probation.pop(key, False):
            protected[key] = True
            if len(protected) > 0.8 * (len(probation) + len(protected)):
                probation[protected.popitem(last=False)[0]] = True
        elif window.pop(key, False):
            window[key] = True
        else:
            return False
        return True

    def discard(self, key: str) -> None:
        """Take out `key`, if it is there."""
        for segment in (self.window, self.probation, self.protected):
            segment.pop(key, None)

    def victim(self, sketch: FrequencySketch) -> str:
        """Take out the key that goes next. Raises KeyError if there is none."""
        window, main = self.window, self.probation or self.protected
        if not main:
            return window.popitem(last=False)[0]
        share = self._share()
        oldest = main.popitem(last=False)[0]
        if len(window) < share:
            return oldest
        candidate = window.popitem(last=False)[0]
        if sketch.count(candidate) > sketch.count(oldest):
            self.probation[candidate] = True
            return oldest
        main[oldest] = True
        main.move_to_end(oldest, last=False)
        return candidate

    def _share(self) -> int:
        """Keys that belong in the window."""
        return max(1, len(self) * self.percent // 100)


class WTinyLFU:
    """A `Policy`: new keys pass a window; of the oldest there and the oldest behind it, the rarer one goes.

    - The window, 1 % of the keys and at least one, is in order of use: a new key is never the next to go.
    - Behind it are keys on probation and, after a hit there, protected ones, up to 80 % of those behind the window;
      each is in order of use.
    - A `FrequencySketch` remembers keys that went, so one that comes back stays the second or third time.

    So one pass over many keys, however long, takes nothing out but what is in the window (scan resistance). The shares
    are those of the keys there are, not of a bound, so they also fit where bytes are what is short.

    Where everything fits that is asked for at one time, or popularity passes quickly, LRU has more hits. So two
    miniatures, of one key in `room / 128` by its hash and with as small a part of the room, play what comes, one with
    that window, one as LRU (miniature simulation). The window takes the size of the one that has lately had more hits.
    """

    __slots__ = ("_frequent", "_kept", "_lead", "_others", "_recent", "_sketch", "_uses", "used")

    def __init__(self) -> None:
        self._sketch = FrequencySketch()
        self._kept = Segments(SCAN_RESISTANT)
        self._lead = 0
        """Hits of `_frequent` minus those of `_recent`, from -LEAD to LEAD."""
        self._begin()
        self._uses: deque[str] = deque(maxlen=USES)
        self.used: Callable[[str], object] = self._uses.append
        """A hit only leaves a note; the next insertion, which has waited for a server, does the work."""

    def added(self, key: str) -> None:
        """See `Policy.added`."""
        self._settle()
        if len(self._kept) >= self._sketch.room:
            self._sketch.grow(len(self._kept) + 1)
            self._begin()
        self._count(key)
        self._kept.add(key)  # at last: what a signal handler stores meanwhile must not take this one out

    def removed(self, key: str) -> None:
        """See `Policy.removed`."""
        self._settle()
        for segments in (self._kept, self._frequent, self._recent):
            segments.discard(key)

    def victim(self) -> str:
        """See `Policy.victim`."""
        self._settle()
        return self._kept.victim(self._sketch)

    def _settle(self) -> None:
        """Do what the hits since the last time have left to do."""
        uses = self._uses
        for _ in range(len(uses)):
            try:
                key = uses.popleft()
                self._kept.use(key)
            except LookupError:  # a signal handler took the rest
                return
            self._count(key)

    def _begin(self) -> None:
        """Make the miniatures, anew where the sample changes: keys outside it would stay in them."""
        self._frequent, self._recent = Segments(SCAN_RESISTANT), Segments(RECENT)
        self._others = max(1, self._sketch.room // MINIATURE) - 1
        """Keys that are not in the sample, for each one that is; a power of two less one."""

    def _count(self, key: str) -> None:
        """Count a use; of a key in the sample, see by which window there are more hits."""
        self._sketch.add(key)
        if hash(key) & self._others:
            return
        try:
            lead = self._lead + self._play(self._frequent, key) - self._play(self._recent, key)
        except KeyError:  # a signal handler has emptied one
            return
        self._lead = max(-LEAD, min(LEAD, lead))
        if lead >= LEAD:
            self._kept.percent = SCAN_RESISTANT
        elif lead <= -LEAD:
            self._kept.percent = RECENT

    def _play(self, miniature: Segments, key: str) -> bool:
        """Whether `key` is a hit in a miniature, which stores it if not."""
        if miniature.use(key):
            return True
        room = max(1, len(self._kept) // (self._others + 1))
        while len(miniature) >= room:
            miniature.victim(self._sketch)
        miniature.add(key)
        return False
