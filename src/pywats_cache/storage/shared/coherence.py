"""`Coherence` among processes: the local tables, kept equal to a ledger that all processes share.

`epoch` is read at every hit: two integers of a mapped file are compared with the last known ones. Only where they
differ is the ledger asked, for what is new since then; that goes into the local tables, in the order of the module
`coherence`, and the rest of the engine works as with one process. Four times a second it is looked whether the files
are still there and whole.

While the ledger cannot be asked, and something may be new, nothing is valid and nothing is stored: `epoch` is -1,
which no entry was ever valid at, and every tag counts as dirtied and as settling.
"""

from __future__ import annotations

import sys
import threading
import uuid
from collections.abc import Callable, Iterable, Sequence
from threading import get_ident
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from ...coherence.epochs import Coherence
from ...coherence.tags import ANY_ORIGIN, at_any_origin, is_bundle
from ...errors import StorageError
from . import patience
from .backend import EPOCH, LOST, Change, Known, Window
from .windows import EVERYTHING

if TYPE_CHECKING:
    from .backend import Delta, Ledger

__all__ = ["SharedCoherence"]

_T = TypeVar("_T")
UNKNOWN = -1
NOW = sys.maxsize
"""Later than every epoch."""
NEVER = float("-inf")
RETRY = 0.25
"""Seconds without asking after the ledger could not be asked, so that requests are not held up one by one."""
CHECK = 0.25
"""Seconds between two looks at whether the files are still those of the other processes. To look at each hit would
cost 1.7 µs, which is half of a lookup; the clock costs 0.08."""


class SharedCoherence(Coherence):
    """The coherence of one process with the others of `ledger`.

    - `on_failure(doing, error)`: told of each failure; nothing is raised.

    Changes and pulls are guarded by `_lock`, for which nobody waits longer than for the ledger itself; checks are
    lock-free, as in the base class.
    """

    __slots__ = (
        "_all_told",
        "_at_any_origin",
        "_cells",
        "_checked_until",
        "_crowded_until",
        "_failed_at",
        "_failures",
        "_generation",
        "_given_up",
        "_given_up_before",
        "_ledger",
        "_local",
        "_lost",
        "_marking",
        "_on_failure",
        "_owes",
        "_pinned",
        "_pulled",
        "_retry_at",
        "_told_floors",
        "_windows",
        "is_out_of_reach",
    )

    blocks = True

    def __init__(self, ledger: Ledger, on_failure: Callable[[str, Exception], object]) -> None:
        self._ledger = ledger
        self._on_failure = on_failure
        self._cells: Sequence[int] = (0, 0)
        self._local: int | None = None
        """The epoch up to which the tables are known to be complete; None while that is not known."""
        self._pulled = UNKNOWN
        self._generation: str | None = None
        self._lost = 0
        self._windows: dict[str, float] = {}
        self._told_floors = 0
        self._retry_at = self._checked_until = self._failed_at = NEVER
        self._failures = 0
        """Changes that could not be committed."""
        self._all_told = self._at_any_origin = self._owes = False
        self.is_out_of_reach: bool = False
        self._crowded_until = NEVER
        """Until then no read waits for its turn, since one has done so in vain."""
        self._given_up: object = None
        """Replaced by who gives up waiting for another thread's answer."""
        self._given_up_before: object = None
        """What that was when the ledger was asked last."""
        self._marking = threading.RLock()
        """Guards both, for two statements at a time."""
        self._pinned: set[int] = set()
        """The threads within `without_io`."""
        super().__init__()
        self._lock = threading.RLock()  # type: ignore[assignment]  # a finalizer may call it in a thread that holds it

    @property
    def epoch(self) -> int:
        """The epoch, of which the local tables know everything; -1 while they may not."""
        # The clock first: to read a mapped file that somebody has cut off kills the process.
        if monotonic() < self._checked_until:
            cells = self._cells
            try:
                epoch = cells[EPOCH]
                if epoch == self._local and cells[LOST] == self._lost:
                    return epoch
            except ValueError:  # the file was closed, perhaps by another thread just now
                pass
        return self.refresh()

    @epoch.setter
    def epoch(self, value: int) -> None:
        """The base class begins at 0; here the ledger says where."""

    @property
    def generation(self) -> str | None:
        """Names the ledger whose epochs these are."""
        return self._generation

    def is_current(self) -> bool:
        """Whether `epoch` needs no I/O now."""
        if monotonic() >= self._checked_until:
            return False
        cells = self._cells
        try:
            return cells[EPOCH] == self._local and cells[LOST] == self._lost
        except ValueError:  # as in `epoch`
            return False

    def refresh(self) -> int:
        """Bring the local tables up to date. Blocks for I/O, up to the ledger's patience. Returns the epoch."""
        if get_ident() in self._pinned:
            return self._known()
        with patience.waiting(patience.BEFORE) as until:
            now = monotonic()
            if not self._lock.acquire(timeout=max(0.0, until - now) if now >= self._crowded_until else 0.0):
                self._crowded_until = monotonic() + RETRY
                return self._give_up()
            try:
                return self._learn()
            finally:
                self._lock.release()

    def _learn(self) -> int:
        now = monotonic()
        if self._local is not None:
            if now >= self._checked_until and self._ledger.is_in_place():
                self._checked_until = now + CHECK
            if self.is_current():
                return self._known()
        if now < self._retry_at:
            return UNKNOWN
        try:
            self._open()
            self._pay()
            self._apply(self._ledger.pull(Known(self._generation, self._pulled)))
        except StorageError as error:
            self._suspend("reading", error)
        return self._known()

    def _give_up(self) -> int:
        """Wait no longer for who asks the ledger now. Its answer may be older than what this caller must know."""
        with self._marking:
            self._given_up = object()
            self._local = None
        return UNKNOWN

    def _known(self) -> int:
        local = self._local  # once: `bump_all_soon` takes no lock
        return UNKNOWN if local is None else local

    def _open(self) -> None:
        now = monotonic()
        self._cells = self._ledger.cells()
        self._checked_until = now + CHECK
        self._given_up_before = self._given_up

    def without_io(self, step: Callable[..., _T], *arguments: Any) -> _T:
        """`step(*arguments)`, in which `epoch` and the checks go by what is known already, and so never block.

        For callers that have just made sure that it is current: a write that comes in between has not returned before
        the read began, so the read may see either value. Event loops need that, and holders of a lock that they take.
        """
        thread, pinned = get_ident(), self._pinned
        if thread in pinned:
            return step(*arguments)
        pinned.add(thread)
        try:
            return step(*arguments)
        finally:
            pinned.discard(thread)

    def doubt(self) -> None:
        """Ask the ledger at the next check, whatever the mapped file says, and whatever it is being asked now."""
        self._give_up()

    def _suspend(self, doing: str, error: Exception) -> None:
        self.is_out_of_reach = True
        self._local = None
        self._retry_at = monotonic() + RETRY
        self._on_failure(doing, error)

    def _apply(self, delta: Delta) -> None:
        """Take over what is new. The tables come first and the epoch last: see the module `coherence`."""
        if any(tag[1:2] == ANY_ORIGIN for tag, _ in (*delta.dirtied, *delta.softened)):
            self._at_any_origin = True
        if any(is_bundle(tag) for tag, _ in (*delta.dirtied, *delta.softened)):
            self._has_bundles = True
        self._floor = max(self._floor, delta.floor)
        self._soft_floor = max(self._soft_floor, delta.soft_floor)
        self._dirtied.update(delta.dirtied)
        self._softened.update(delta.softened)
        self._note_compacted(delta.compacted)
        self._count_floors(max(0, delta.floors - self._told_floors))
        self._told_floors = delta.floors
        self._compact()
        now = monotonic()
        windows: dict[str, float] = {}
        for tag, left in delta.windows:
            windows[tag] = max(now + left, windows.get(tag, now))
        self._windows = windows
        self._generation = delta.generation
        self._lost = delta.lost
        self._pulled = delta.epoch
        with self._marking:
            self._local = delta.epoch if self._given_up is self._given_up_before else None
        self.is_out_of_reach = False
        # While it is not asked again nothing may be known, or who goes by that misses what comes meanwhile.
        self._retry_at = self._failed_at = NEVER
        if self._owes:  # since a moment ago
            self._local = None

    def _pay(self) -> None:
        """Commit what `bump_all_soon` put off."""
        if self._owes:
            self._owes = False  # before: one that comes meanwhile is owed again
            try:
                self._apply(self._ledger.change(Change(all=True), Known(self._generation, self._pulled)))
            except StorageError:
                self._owes = True
                raise

    def _change(self, change: Change) -> int:
        failures = self._failures
        with patience.waiting() as until:
            if not self._lock.acquire(timeout=max(0.0, until - monotonic())):
                self._on_failure(
                    "writing",
                    StorageError("the store does not answer in time: other threads were still waiting for it"),
                )
                return self._change_later(change)
            try:
                return self._change_now(change, failures)
            finally:
                self._lock.release()

    def _change_later(self, change: Change) -> int:
        """Put off a change that did not have its turn in time. All that began before it is invalid then, for all."""
        self.bump_all_soon()
        threading.Thread(target=self._lose_in_turn, args=(change,), name="pywats-cache-debt", daemon=True).start()
        return self._give_up()

    def _lose_in_turn(self, change: Change) -> None:
        with self._lock:
            self._ledger.lose(change)
            self._learn()

    def _change_now(self, change: Change, failures: int) -> int:
        # One that could not be committed has made everything invalid, so the next ones, which would have to wait
        # one after the other, lose nothing. But what was announced is to end: its tags are not stored before.
        # And where the others could not even be told, each one tries, for it may be the last of this process.
        pauses = self._all_told and not change.close
        # While it waited for the lock, that is: counted, for clocks are too rough to order two events.
        since = self._failures != failures and self._failed_at != NEVER
        in_vain = monotonic() < self._failed_at + RETRY if pauses else since
        try:
            if in_vain:
                raise StorageError("another change could not be committed a moment ago")
            self._open()
            self._pay()
            self._apply(self._ledger.change(change, Known(self._generation, self._pulled)))
        except StorageError as error:
            self._all_told = self._ledger.lose(change)
            self._suspend("writing", error)
            if not in_vain:
                self._failed_at = monotonic()
                self._failures += 1
        return self._known()

    # ── what the engine asks ──────────────────────────────────────────────────────────────────────────────────────

    def bump(self, tags: Iterable[str]) -> int:
        """Dirty `tags`, for every process."""
        return self._change(Change(dirty=tuple(tags)))

    def bump_all(self) -> int:
        """Make everything that began before now invalid, for every process."""
        return self._change(Change(all=True))

    def bump_all_soon(self) -> None:
        """The same, put off until the ledger is asked next; nothing is valid until then. Takes no lock."""
        self._owes = True  # before: see `_apply`
        self._local = None

    def soften(self, tags: Iterable[str]) -> int:
        """Make what carries one of `tags` stale, for every process."""
        return self._change(Change(soften=tuple(tags)))

    def settle(self, tags: Iterable[str], now: float, until: float) -> None:
        """For `until - now` seconds reads of `tags` are neither stored nor joined, in any process."""
        self._change(Change(open=Window(uuid.uuid4().hex, tuple(tags), until - now)))

    def last_dirtied(self, tags: Sequence[str]) -> int:
        """The epoch at which one of `tags` was dirtied last, or may have been."""
        if self.epoch == UNKNOWN:
            return NOW
        last = Coherence.last_dirtied(self, tags)
        if not self._at_any_origin:
            return last
        return max(last, Coherence.last_dirtied(self, [at_any_origin(tag) for tag in tags]))

    def last_softened(self, tags: Sequence[str]) -> int:
        """The epoch at which one of `tags` was softened last, or may have been."""
        if self.epoch == UNKNOWN:
            return NOW
        last = Coherence.last_softened(self, tags)
        if not self._at_any_origin:
            return last
        return max(last, Coherence.last_softened(self, [at_any_origin(tag) for tag in tags]))

    def _last_of_others(self, tags: list[str]) -> int:
        return self.last_dirtied(tags)

    def cleared_since(self, epoch: int) -> bool:
        """Whether everything was made invalid after `epoch`, or may have been."""
        return self.dirtied_since((), epoch)

    def dirtiest(self, tags: Iterable[str]) -> tuple[str | None, int]:
        """The tag of `tags` that was dirtied last, and the epoch of that; for explanations."""
        known = tuple(tags)
        return super().dirtiest((*known, *map(at_any_origin, known)))

    def origins(self) -> list[str]:
        """All of them: the entries of other processes may come from origins that this one never saw."""
        return [ANY_ORIGIN]

    def is_settling(self, tags: Iterable[str], now: float) -> bool:
        """Whether a write of any process to one of `tags` is under way, or may be."""
        if self.epoch == UNKNOWN:
            return True
        windows = self._windows
        if windows:
            clock = monotonic()
            return any(windows.get(tag, clock) > clock for tag in (*tags, EVERYTHING))
        return False

    def settling_tags(self, now: float) -> int:
        """How many tags are in a settle window, of any process's write, as far as is known."""
        clock = monotonic()
        return sum(end > clock for end in self._windows.values())

    # ── writes ────────────────────────────────────────────────────────────────────────────────────────────────────

    def begin_write(self, tags: tuple[str, ...], lease: float) -> str | None:
        """Commit that a write to `tags` is about to be sent; its end must be told within `lease` seconds.

        It dirties, so that what was stored before is gone even if this process dies before the answer comes.
        """
        intent = uuid.uuid4().hex
        window = Window(intent, tags, lease, is_announcement=True)
        return None if self._change(Change(dirty=tags, open=window)) == UNKNOWN else intent

    def finish_write(self, intent: str | None, tags: tuple[str, ...], settle: float) -> int:
        """The write took effect, or may have: dirty its tags, and let them settle for `settle` seconds.

        Returns the epoch of that, or -1 if it could not be committed.
        """
        window = Window(uuid.uuid4().hex, tags, settle) if settle else None
        return self._change(Change(dirty=tags, close=intent, open=window))

    def abandon_write(self, intent: str | None) -> None:
        """The write had no effect."""
        if intent is not None:
            self._change(Change(close=intent))
