"""Coherence after writes: one counter, a table of dirtied tags, and the settle window.

`epoch` is one growing integer. A write notes `dirtied[tag] = epoch + 1` for each tag it dirties and then publishes
the new epoch: O(tags), whatever the cache holds. An entry and a flight remember the epoch at which their fetch
began; they are valid while none of their tags was dirtied later. That alone is the fence: a read that was in flight
during a write carries the old epoch, so it is never served after it.

The order matters, because checks take no lock:

- a bump writes the table *before* it publishes the epoch;
- a check reads the epoch *before* the table, and stamps the value it read.

So whoever sees the new epoch sees the table that belongs to it. The other way round, a check between the two would
stamp an old entry as valid at the new epoch. For the same reason a fold sets the floor before it forgets tags, and
a check reads the tags before the floor.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

__all__ = [
    "Coherence",
]

_T = TypeVar("_T")
MAX_TAGS = 8192
"""Bound of the table. A dirtied tag of a short path costs about 150 bytes."""
MAX_ORIGINS = 256


class Coherence:
    """The epoch and the dirtied tags of one storage.

    `bump`, `fold` and `settle` are guarded by `_lock` (several writers); checks are lock-free and rely on the order
    described in the module.
    """

    __slots__ = (
        "_dirtied",
        "_floor",
        "_lock",
        "_origins",
        "_settle_all",
        "_settling",
        "_soft_floor",
        "_softened",
        "epoch",
        "max_tags",
    )

    blocks = False
    """Whether a bump does I/O, so that event loops leave it to a worker thread."""
    is_out_of_reach: bool = False
    """Whether what is shared with other processes did not answer when it was asked last: everything settles then."""

    def __init__(self, max_tags: int = MAX_TAGS) -> None:
        self.max_tags: int = max_tags
        self.epoch: int = 0
        self._floor = 0
        self._soft_floor = 0
        self._softened: dict[str, int] = {}
        self._dirtied: dict[str, int] = {}
        self._settling: dict[str, float] = {}
        self._settle_all = float("-inf")
        self._origins: dict[str, None] = {}
        self._lock = threading.Lock()

    def bump(self, tags: Iterable[str]) -> int:
        """Dirty `tags`: whatever carries one of them and began its fetch before now is invalid. Returns the epoch."""
        with self._lock:
            epoch = self.epoch + 1
            self._note(tags, epoch)
            self._publish(epoch)
            if len(self._dirtied) > self.max_tags:
                self._fold()
            return epoch

    def _note(self, tags: Iterable[str], epoch: int) -> None:
        for tag in tags:
            self._dirtied[tag] = epoch  # in place: a tag taken out for a moment would be missed by a check

    def _publish(self, epoch: int) -> None:
        self.epoch = epoch

    def bump_all(self) -> int:
        """Make everything that began before now invalid."""
        with self._lock:
            epoch = self.epoch + 1
            self._floor = epoch
            self._publish(epoch)
            self._dirtied.clear()
            return epoch

    def bump_all_soon(self) -> None:
        """`bump_all` without I/O here: nothing that began before now is valid from now on."""
        self.bump_all()

    def _fold(self) -> None:
        """Fold the older half of the table into the floor: what began before it counts as dirtied."""
        epochs = sorted(self._dirtied.values())
        self._floor = max(self._floor, epochs[len(epochs) // 2])
        for tag in [tag for tag, epoch in self._dirtied.items() if epoch <= self._floor]:
            del self._dirtied[tag]

    def soften(self, tags: Iterable[str]) -> int:
        """Make what carries one of `tags` and began before now stale, but not invalid. Returns the epoch."""
        with self._lock:
            epoch = self.epoch + 1
            for tag in tags:
                self._softened[tag] = epoch
            if len(self._softened) > self.max_tags:
                self._soft_floor = epoch
                self._softened.clear()
            self._publish(epoch)
            return epoch

    def softened_since(self, tags: Iterable[str], epoch: int) -> bool:
        """Whether one of `tags` was softened after `epoch`. The order of reading is that of `dirtied_since`."""
        softened = self._softened
        if softened and any(softened.get(tag, 0) > epoch for tag in tags):
            return True
        return self._soft_floor > epoch

    def dirtied_since(self, tags: Iterable[str], epoch: int) -> bool:
        """Whether one of `tags` was dirtied after `epoch`. Read `self.epoch` before, and stamp only that value."""
        dirtied = self._dirtied
        for tag in tags:
            if dirtied.get(tag, 0) > epoch:
                return True
        return self._floor > epoch

    def dirtiest(self, tags: Iterable[str]) -> tuple[str | None, int]:
        """The tag of `tags` that was dirtied last, and the epoch of that; for explanations."""
        table = dict(self._dirtied)
        best = max(((table.get(tag, 0), tag) for tag in tags), default=(0, ""))
        return (best[1], best[0]) if best[0] > self._floor else (None, self._floor)

    def settle(self, tags: Iterable[str], now: float, until: float) -> None:
        """Until `until` (on the clock of `now`) reads of `tags` are neither stored nor joined."""
        with self._lock:
            for tag in [t for t, end in self._settling.items() if end <= now]:
                del self._settling[tag]
            for tag in tags:
                self._settling[tag] = max(until, self._settling.get(tag, until))
            if len(self._settling) > self.max_tags:
                self._settle_all = max(self._settle_all, *self._settling.values())
                self._settling.clear()

    def is_settling(self, tags: Iterable[str], now: float) -> bool:
        """Whether a write to one of `tags` may still be taking effect at `now`."""
        settling = self._settling
        if settling and any(settling.get(tag, now) > now for tag in tags):
            return True
        return now < self._settle_all  # last: a full table goes into it before it is emptied

    def settling_tags(self, now: float) -> int:
        """How many tags are in a settle window at `now`."""
        with self._lock:
            return sum(end > now for end in self._settling.values()) + (now < self._settle_all)

    # With other processes a write is announced before it is sent; within one the bump at its end is enough.

    def is_current(self) -> bool:
        """Whether `epoch` needs no I/O now."""
        return True

    def refresh(self) -> int:
        """Bring `epoch` up to date. Returns it."""
        return self.epoch

    def without_io(self, step: Callable[..., _T], *arguments: Any) -> _T:
        """`step(*arguments)`, in which nothing is asked of other processes."""
        return step(*arguments)

    def begin_write(self, tags: tuple[str, ...], lease: float) -> str | None:
        """Announce a write to `tags` that ends within `lease` seconds. Returns what names it, if anything does."""
        return None

    def finish_write(self, intent: str | None, tags: tuple[str, ...], settle: float) -> int:
        """The announced write took effect, or may have. Returns the epoch of that."""
        raise NotImplementedError

    def abandon_write(self, intent: str | None) -> None:
        """The announced write had no effect."""

    def saw(self, origin: str) -> None:
        """Remember an origin, so that `invalidate` of a path reaches it."""
        if origin not in self._origins and len(self._origins) <= MAX_ORIGINS:
            self._origins[origin] = None  # one step; the lock may be held for I/O where others share this

    def origins(self) -> list[str] | None:
        """The origins seen; None when there are too many to list, so that the caller invalidates everything."""
        origins = list(self._origins)
        return origins if len(origins) <= MAX_ORIGINS else None
