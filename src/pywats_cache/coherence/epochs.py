"""Coherence after writes: one counter, a table of dirtied tags, and the settle window.

`epoch` is one growing integer. A write notes `dirtied[tag] = epoch + 1` for each tag it dirties and then publishes
the new epoch: O(tags), whatever the cache holds. An entry and a flight remember the epoch at which their fetch
began; they are valid while none of their tags was dirtied later. That alone is the fence: a read that was in flight
during a write carries the old epoch, so it is never served after it.

The order matters, because checks take no lock:

- a bump writes the table *before* it publishes the epoch;
- a check reads the epoch *before* the table, and stamps the value it read.

So whoever sees the new epoch sees the table that belongs to it. The other way round, a check between the two would
stamp an old entry as valid at the new epoch.

The table is bounded, so tags must be forgotten; `floor` says that before it everything may have been dirtied. Where all
that is stored can be visited, a *sweep* (`storage.sweep`) loses nothing by that. It puts the table aside at an epoch,
the horizon; marks everything stored, and every open flight, that was not dirtied up to there, as clean at the horizon;
raises the floor to it; and forgets. Elsewhere the table is *compacted* along the paths (`compaction`). The order
matters again:

- a sweep makes its marks, then raises the floor, then forgets; a compaction sets the tags of subtrees, then raises the
  floor, then forgets;
- a check reads the new tags before those put aside, a tag before those of the subtrees above it and before its bundle,
  the floor after all tags, and the mark of what it checks last.

So whoever does not see a tag any more sees what took its place; and whoever sees the floor of a sweep sees its marks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from .tags import bundles_of

if TYPE_CHECKING:
    from .compaction import Number

__all__ = ["Coherence", "Held"]

_T = TypeVar("_T")
MAX_TAGS = 8192
"""Bound of the table. A dirtied tag of a short path costs about 150 bytes."""
MAX_ORIGINS = 256


class Held(Protocol):
    """What carries tags, since the epoch at which its fetch began: what is stored, or a flight.

    - `clean_at`: none of its tags was dirtied up to then; `firm_at`: none was softened. Raised by sweeps alone.
    """

    @property
    def tags(self) -> tuple[str, ...]:
        """All that it carries."""

    @property
    def epoch(self) -> int:
        """Read before its request was sent."""

    clean_at: int
    firm_at: int


class Coherence:
    """The epoch and the dirtied tags of one storage.

    What writes is guarded by `_lock` (several writers); checks are lock-free and rely on the order described in the
    module.
    """

    __slots__ = (
        "_aside",
        "_cleared",
        "_compacted",
        "_dirtied",
        "_floor",
        "_has_bundles",
        "_lock",
        "_named",
        "_named_aside",
        "_named_floor",
        "_origins",
        "_settle_all",
        "_settling",
        "_soft_aside",
        "_soft_floor",
        "_softened",
        "epoch",
        "floors",
        "is_swept",
        "max_tags",
        "sweep",
    )

    blocks = False
    """Whether a bump does I/O, so that event loops leave it to a worker thread."""
    is_out_of_reach: bool = False
    """Whether what is shared with other processes did not answer when it was asked last: everything settles then."""

    def __init__(self, max_tags: int = MAX_TAGS) -> None:
        self.max_tags: int = max_tags
        self.epoch: int = 0
        self.floors: int = 0
        """How often a full table made responses invalid whose own first two segments no write had reached."""
        self.sweep: Callable[[int], object] | None = None
        """Told of each bump how many tags it dirtied, once half the table is full; None: nothing can be swept."""
        self.is_swept: bool = False
        """A sweep is under way, so that each bump pays for a part of it."""
        self._floor = self._soft_floor = self._named_floor = self._cleared = 0
        self._dirtied: dict[str, int] = {}
        self._softened: dict[str, int] = {}
        self._named: dict[str, int] = {}
        """Explicit tags once more: a request may ask by one that what is stored does not carry."""
        self._named_aside: dict[str, int] = {}
        self._aside: dict[str, int] = {}
        """What is asked after the table: what a sweep has put aside."""
        self._soft_aside: dict[str, int] = {}
        self._compacted: dict[str, int] = {}
        """What a compaction has set, and the epoch of that; for explanations."""
        self._has_bundles = False
        """Bundles must be asked too; see `tags.bundles_of`."""
        self._settling: dict[str, float] = {}
        self._settle_all = float("-inf")
        self._origins: dict[str, None] = {}
        self._lock = threading.Lock()

    def bump(self, tags: Iterable[str]) -> int:
        """Dirty `tags`: whatever carries one of them and began its fetch before now is invalid. Returns the epoch."""
        tags = tuple(tags)
        with self._lock:
            epoch = self.epoch + 1
            self._note(tags, epoch)
            self._publish(epoch)
        if len(self._dirtied) > self.max_tags >> 1 or self.is_swept:
            self._relieve(len(tags))
        return epoch

    def _note(self, tags: Iterable[str], epoch: int) -> None:
        for tag in tags:
            self._dirtied[tag] = epoch  # in place: a tag taken out for a moment would be missed by a check
            if tag[:1] == "#":
                self._named[tag] = epoch

    def _publish(self, epoch: int) -> None:
        self.epoch = epoch

    def bump_all(self) -> int:
        """Make everything that began before now invalid."""
        with self._lock:
            epoch = self.epoch + 1
            self._floor = self._named_floor = self._cleared = epoch
            self._publish(epoch)
            self._dirtied.clear()
            self._named.clear()
            return epoch

    def bump_all_soon(self) -> None:
        """`bump_all` without I/O here: nothing that began before now is valid from now on."""
        self.bump_all()

    def soften(self, tags: Iterable[str]) -> int:
        """Make what carries one of `tags` and began before now stale, but not invalid. Returns the epoch."""
        tags = tuple(tags)
        with self._lock:
            epoch = self.epoch + 1
            for tag in tags:
                self._softened[tag] = epoch
            self._publish(epoch)
        if len(self._softened) > self.max_tags >> 1 or self.is_swept:
            self._relieve(len(tags))
        return epoch

    # ── full tables ───────────────────────────────────────────────────────────────────────────────────────────────

    def _relieve(self, tags: int) -> None:
        if self.sweep is not None:
            self.sweep(tags)
        else:
            with self._lock:
                self._compact()

    def _compact(self) -> None:
        """Make full tables half as large, along the paths: more counts as dirtied, or softened, than was."""
        if len(self._dirtied) > self.max_tags:
            self._note_compacted(self._compact_table(self._dirtied, self._raise_floor).items())
            self._named.clear()  # where nothing is swept nobody asks it
        if len(self._softened) > self.max_tags:
            self._compact_table(self._softened, self._raise_soft_floor)

    def _compact_table(self, table: dict[str, Number], raise_floor: Callable[[Number], object]) -> dict[str, Number]:
        """Compact `table`. Returns what it has set."""
        from .compaction import compacted  # most processes never fill a table

        change = compacted(table, self.max_tags >> 1)
        if change.told is not None:
            self._has_bundles = True  # before one is set, and so before what it stands for goes
        table.update(change.set)
        if change.floor is not None:
            raise_floor(change.floor)
        for tag in change.gone:
            del table[tag]
        self._count_floors(change.floors)
        return change.set

    def _count_floors(self, number: int) -> None:
        self.floors += number

    def _note_compacted(self, tags: Iterable[tuple[str, int]]) -> None:
        if len(self._compacted) > self.max_tags:
            self._compacted.clear()  # explanations say less then
        self._compacted.update(tags)

    def _raise_floor(self, floor: int) -> None:
        self._floor = self._named_floor = max(self._floor, floor)

    def _raise_soft_floor(self, floor: int) -> None:
        self._soft_floor = max(self._soft_floor, floor)

    def fullness(self) -> int:
        """Tags in the fuller table, without those put aside."""
        return max(len(self._dirtied), len(self._softened))

    def put_aside(self) -> int:
        """Begin new tables. Returns the horizon: the epoch up to which those put aside hold everything.

        It is a new one, so that nothing that is held is as clean already.
        """
        with self._lock:
            # Before: a check that finds the new table empty looks here afterwards.
            self.is_swept = True
            self._aside = self._dirtied
            self._soft_aside = self._softened
            self._dirtied, self._softened = {}, {}
            if len(self._named) > self.max_tags >> 1:
                self._named_aside = self._named
                self._named = {}
            self._publish(self.epoch + 1)
            return self.epoch

    def mark(self, held: Held, horizon: int) -> bool:
        """Mark what none of the tables has dirtied as clean at the horizon, so that they may be forgotten for it.

        Returns whether it was not dirtied. What comes after the horizon stays to be found.
        """
        if self.last_dirtied(held.tags) > held.clean_at:
            return False
        if self.last_softened(held.tags) <= held.firm_at < horizon:
            held.firm_at = horizon
        if held.clean_at < horizon:
            held.clean_at = horizon
        return True

    def forget(self, horizon: int) -> tuple[dict[str, int], ...]:
        """Forget what was put aside: what was not marked counts as dirtied, and as softened.

        Returns the tables, at which nobody looks any more; to free them at once would take long.
        """
        with self._lock:
            self._floor = max(self._floor, horizon)
            self._soft_floor = max(self._soft_floor, horizon)
            gone = self._aside, self._soft_aside, self._named_aside
            self._aside, self._soft_aside = {}, {}
            if self._named_aside:
                self._named_floor = max(self._named_floor, horizon)
                self._named_aside = {}
        return gone

    # ── checks ────────────────────────────────────────────────────────────────────────────────────────────────────

    def last_dirtied(self, tags: Sequence[str]) -> int:
        """The epoch at which one of `tags` was dirtied last, or may have been. Read `self.epoch` before."""
        dirtied = self._dirtied
        last = 0
        for tag in tags:
            epoch = dirtied.get(tag, 0)
            if epoch > last:
                last = epoch
        if self._has_bundles:  # which is read after the tags
            last = max([last, *[dirtied.get(tag, 0) for tag in bundles_of(tags)]])
        aside = self._aside
        if aside:
            last = max(last, *[aside.get(tag, 0) for tag in tags])
        floor = self._floor
        return floor if floor > last else last

    def last_softened(self, tags: Sequence[str]) -> int:
        """The epoch at which one of `tags` was softened last, or may have been; the order is that of `last_dirtied`."""
        softened = self._softened
        last = max([softened.get(tag, 0) for tag in tags], default=0) if softened else 0
        if self._has_bundles:
            last = max([last, *[softened.get(tag, 0) for tag in bundles_of(tags)]])
        aside = self._soft_aside
        if aside:
            last = max(last, *[aside.get(tag, 0) for tag in tags])
        floor = self._soft_floor
        return floor if floor > last else last

    def is_dirtied(self, held: Held, asked: tuple[str, ...] = ()) -> bool:
        """Whether `held` was dirtied since its fetch began. Read `self.epoch` before, and stamp only that value.

        - `asked`: the tags of who asks, which may be others than `held` carries.
        """
        if self.last_dirtied(held.tags) > held.clean_at:  # which is read after the tables
            return True
        if asked is held.tags or asked == held.tags:
            return False
        others = [tag for tag in asked if tag not in held.tags]
        return bool(others) and self._last_of_others(others) > held.epoch

    def _last_of_others(self, tags: list[str]) -> int:
        """`last_dirtied` of explicit tags, of which no sweep makes a mark."""
        if self.sweep is None or any(tag[:1] != "#" for tag in tags):
            return self.last_dirtied(tags)
        named = self._named
        last = max(named.get(tag, 0) for tag in tags)
        aside = self._named_aside  # after the newer ones
        if aside:
            last = max(last, *[aside.get(tag, 0) for tag in tags])
        return max(last, self._named_floor)

    def is_softened(self, held: Held) -> bool:
        """Whether `held` was softened since its fetch began."""
        return self.last_softened(held.tags) > held.firm_at

    def dirtied_since(self, tags: Sequence[str], epoch: int) -> bool:
        """Whether one of `tags` was dirtied after `epoch`, or may have been."""
        return self.last_dirtied(tags) > epoch

    def softened_since(self, tags: Sequence[str], epoch: int) -> bool:
        """Whether one of `tags` was softened after `epoch`, or may have been."""
        return self.last_softened(tags) > epoch

    def cleared_since(self, epoch: int) -> bool:
        """Whether everything was made invalid after `epoch`."""
        return self._cleared > epoch

    def dirtiest(self, tags: Iterable[str]) -> tuple[str | None, int]:
        """The tag of `tags` that was dirtied last, and the epoch of that; for explanations."""
        tables = {**self._aside, **self._dirtied}
        tags = tuple(tags)
        tags = (*tags, *bundles_of(tags))
        best = max(((tables.get(tag, 0), tag) for tag in tags), default=(0, ""))
        return (best[1], best[0]) if best[0] > self._floor else (None, self._floor)

    def is_compacted(self, tag: str | None, epoch: int) -> bool:
        """Whether `tag` was not dirtied itself at `epoch`, but stands for all that was below it: the table was full."""
        return tag is not None and self._compacted.get(tag) == epoch

    def settle(self, tags: Iterable[str], now: float, until: float) -> None:
        """Until `until` (on the clock of `now`) reads of `tags` are neither stored nor joined."""
        with self._lock:
            self._forget_ended(now)
            for tag in tags:
                self._settling[tag] = max(until, self._settling.get(tag, until))
            if len(self._settling) > self.max_tags:
                self._forget_ended(now, all=True)
                if len(self._settling) > self.max_tags:
                    self._compact_table(self._settling, self._settle_all_until)

    def _forget_ended(self, now: float, *, all: bool = False) -> None:
        """Forget windows that have ended: those at the front, as most end in their order, or all."""
        ended = []
        for tag, end in self._settling.items():
            if end <= now:
                ended.append(tag)
            elif not all:
                break
        for tag in ended:
            del self._settling[tag]

    def _settle_all_until(self, end: float) -> None:
        self._settle_all = max(self._settle_all, end)

    def is_settling(self, tags: Iterable[str], now: float) -> bool:
        """Whether a write to one of `tags` may still be taking effect at `now`."""
        settling = self._settling
        if settling:
            tags = tuple(tags)
            if any(settling.get(tag, now) > now for tag in tags):
                return True
            if self._has_bundles and any(settling.get(tag, now) > now for tag in bundles_of(tags)):
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
