"""The default storage: in memory, bounded in entries and bytes, by default least recently used first out."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import hishel

from ..coherence.epochs import Coherence
from ..coherence.single_flight import FlightTable
from ..errors import ConfigurationError, ConfigurationTypeError
from ..support.checks import seconds, whole
from ..support.clock import Clock
from ..support.fork import renew_in_child
from ..support.memo import Memo
from ..support.showing import shown
from .bounded_table import BoundedTable
from .entry import POINTER, StoredResponse, text_size
from .eviction import Policy, items_by
from .hishel_adapter import AsyncFace, HishelFace
from .rule_usage import Tally
from .sweep import Sweep

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import RLock

    from ..support.durations import Duration

__all__ = ["MemoryStorage"]

MAX_REPRESENTATIONS = 8
MAX_VARYING = 4096
NEVER_FOUND_VALID = -2
"""No epoch, nor what stands for an unknown one."""
VARYING = 200
"""Bytes counted for an answer of which it is known by what it varies, on top of those names."""


class MemoryStorage(HishelFace):
    """Keeps answers in memory: `MemoryStorage(max_entries=1000, max_bytes=64 << 20, max_entry_bytes=8 << 20)`.

    - `max_entries`, `max_bytes`: never exceeded, at any moment; an eviction costs O(1).
      Bytes count bodies (as received and, if encoded, decoded), headers, tags and a fixed sum for the objects, which is
      within 10 % of what they take. Beside them each transport remembers requests, and its client calls, in at most
      an eighth of `max_bytes` and at most four for each of `max_entries`; `stats.remembered_bytes` says how much.
    - `max_entry_bytes`: larger answers are not stored (never more than `max_bytes`).
    - `policy`: what is evicted first. `"lru"`: the least recently used. `"w-tinylfu"`: of the oldest newcomer and the
      oldest of the others, the one that is asked for less often, which keeps popular answers through scans; or like
      LRU, while that gives more hits. Or a class or function that makes a `pywats_cache.storage.eviction.Policy`. With
      any of them a new answer is always stored.
    - `clock`: a monotonic function that returns seconds; None: that of the first transport, or the system's.
    - `default_ttl`, `default_tti`, `max_stream_size`: hishel's, for use in hishel's own transports.

    It carries the epoch, the dirtied tags and the flights, so transports that share one storage are coherent with
    each other. It never blocks, so it serves sync and async transports alike, from any thread. As a
    `hishel.BaseStorage` it works inside hishel's transports too; `as_async()` is its view for their async ones.

    After `fork()` the child's is empty. Guarded by `lock`, which is held for O(1) steps only.
    """

    __module__ = "pywats_cache"

    def __init__(
        self,
        max_entries: int = 1000,
        max_bytes: int = 64 << 20,
        max_entry_bytes: int = 8 << 20,
        *,
        policy: str | Callable[[], Policy] = "lru",
        clock: Clock | None = None,
        default_ttl: Duration | None = None,
        default_tti: Duration | None = None,
        max_stream_size: int | None = None,
    ) -> None:
        self.max_entries: int = whole("max_entries", max_entries, least=1)
        self.max_bytes: int = whole("max_bytes", max_bytes, least=1)
        self.max_entry_bytes: int = min(whole("max_entry_bytes", max_entry_bytes, least=1), self.max_bytes)
        if clock is not None and not callable(clock):
            raise ConfigurationTypeError(f"clock must be a function that returns seconds, not {shown(clock)}")
        super().__init__(
            default_ttl=None if default_ttl is None else seconds("default_ttl", default_ttl),
            default_tti=None if default_tti is None else seconds("default_tti", default_tti),
            max_stream_size=None if max_stream_size is None else whole("max_stream_size", max_stream_size, least=0),
        )
        self.policy = policy
        self._clock = clock
        self._new_coherence: Callable[[], Coherence] = Coherence
        self._holds_all = True
        self.has_one_tagging: bool = True
        """Whether all who use it give the same explicit tags to the same request. If not, that one finds an answer
        valid says nothing for the others, so it is not noted in the answer."""
        self._tagging: object = None
        self.secret: bytes = os.urandom(32)
        """Keys the digests of credentials and URLs; lives and dies with this storage."""
        self._start()
        renew_in_child(self)

    def _start(self) -> None:
        self.table: BoundedTable[Any] = BoundedTable(self.max_entries, self.max_bytes, items_by(self.policy))
        self.lock: RLock = self.table.lock
        self._begin_coherence()
        self.flights: FlightTable[StoredResponse] = FlightTable()
        self.varying: Memo = Memo(lambda _, names: VARYING + sum([text_size(name) + POINTER for name in names]))
        self.representations: tuple[str, ...] = ()
        """Digests of the last few forms of answers that were stored; see `Prepared.representation`."""
        self.latest: float = float("-inf")
        """The latest reading of the clock; a hint, written without the lock."""
        self.expirations: int = 0
        self.invalidations: int = 0
        self.errors: int = 0
        self.trouble: str | None = None
        """The last failure of what is behind this memory, with what helps; no secret is in it."""
        self.notices: dict[str, str] = {}
        """What `doctor()` says of what is behind this memory though nothing failed, by code; no secret is in it."""
        self.tally: Tally = Tally()
        self.saved_bytes: int = 0
        self._start_face()

    _renew = _start

    def share(self, new_coherence: Callable[[], Coherence]) -> None:
        """Be coherent with other processes: `new_coherence` makes what knows of them, now and in a forked child.

        Raises ConfigurationError once a transport uses this storage.
        """
        if self._clock is not None and self.latest > float("-inf"):
            raise ConfigurationError("memory must be a MemoryStorage that nothing uses yet")
        self._new_coherence = new_coherence
        self._holds_all = False
        self._begin_coherence()

    def put_before_another(self) -> None:
        """What is stored here is not all: the storage behind it cannot be swept."""
        self._holds_all = False
        self._sweep.end()
        self.coherence.sweep = None

    def _begin_coherence(self) -> None:
        self.coherence: Coherence = self._new_coherence()
        self._sweep = Sweep(self)
        if self._holds_all:
            self.coherence.sweep = self._sweep.pay

    def use_clock(self, clock: Clock | None, default: Clock) -> Clock:
        """Settle on one clock for all transports of this storage. Raises ConfigurationError for a second one."""
        if self._clock is None:
            self._clock = clock or default
        elif clock is not None and clock != self._clock:
            raise ConfigurationError(
                f"clock must be the one its storage uses already ({shown(self._clock)}), not {shown(clock)}"
            )
        return self._clock

    def use_tagging(self, tagging: object) -> None:
        """Whoever uses this storage from now on gives explicit tags by `tagging`; two are compared by value."""
        if self._tagging is None:
            self._tagging = tagging
        elif tagging != self._tagging and self.has_one_tagging:
            self.has_one_tagging = False
            with self.lock:
                for item in self.table.items.values():
                    if item.__class__ is StoredResponse:
                        item.valid_at = NEVER_FOUND_VALID

    def is_timed_by(self, clock: Clock) -> bool:
        """Whether its transports go by `clock`, as far as that is settled."""
        return self._clock is None or self._clock is clock

    def _now(self) -> float:
        return (self._clock or time.monotonic)()

    # What the engine asks. `find` takes no lock; the others are one step each.

    def find(self, key: str) -> StoredResponse | None:
        """What is stored under `key`, fresh or not. Changes nothing."""
        return self.table.items.get(key)

    def put(self, entry: StoredResponse) -> bool:
        """Store `entry`, unless what is there began its fetch later. False if it is larger than allowed."""
        if entry.size > self.max_entry_bytes:
            return False
        with self.lock:
            there = self.table.items.get(entry.key)
            if there is not None and (there.epoch, there.fetched) > (entry.epoch, entry.fetched):
                return False
            gone = self.table.put(entry.key, entry)
            if gone is None:
                return False
            if self._holds_all:
                self._sweep.stored(entry.key, again=there is not None)
            if gone:
                self._went(gone)
            return True

    def _went(self, gone: list[tuple[str, Any]]) -> None:
        """These were taken out of the table."""
        for key, item in gone:
            if item.__class__ is not StoredResponse:
                self._left(key, item)
            elif item.hits:
                self.tally.left(item)

    def resize(self, max_entries: int) -> None:
        """Change the bound on entries; if there are more, the policy evicts some. Raises as the constructor does."""
        most = whole("max_entries", max_entries, least=1)
        with self.lock:
            self.max_entries = most
            self._went(self.table.resize(most))

    def vary_by(self, key: str, names: tuple[str, ...]) -> tuple[str, ...]:
        """Note that answers of `key` vary by these request headers too; returns all names known by now."""
        with self.lock:
            known: tuple[str, ...] = self.varying.get(key, ())
            if not set(names) <= set(known):
                known = tuple(sorted({*known, *names}))
                self.varying.remember(key, known, MAX_VARYING, self)
            return known

    def represent(self, representation: str) -> None:
        """Note that an answer of this form is stored."""
        if representation not in self.representations:
            with self.lock:
                others = tuple(other for other in self.representations if other != representation)
                self.representations = (*others[1 - MAX_REPRESENTATIONS :], representation)

    def drop(self, entry: StoredResponse, *, expired: bool = False) -> None:
        """Take out `entry`, if it is still there."""
        with self.lock:
            if self.table.drop(entry.key, entry):
                self.tally.left(entry)
                if expired:
                    self.expirations += 1

    def derive(self, entry: StoredResponse, make: Callable[[bytes], Any], sizeof: Callable[[Any], int]) -> Any:
        """`entry.derived`, made of its content by `make` at the first call and kept if its bytes fit the bounds."""
        derived = entry.derived
        if derived is None:
            derived = make(entry.content)
            if self.table.grow(entry.key, entry, sizeof(derived)):
                entry.derived = derived
        return derived

    def clear(self) -> None:
        """Forget everything stored. A fetch under way is not stored either."""
        self.coherence.bump_all()  # not under the lock: it does I/O where others share this
        with self.lock:
            for item in self.table.items.values():
                self.tally.left(item)
            self.table.clear()
            self._sweep.cleared()
            self.varying.clear()
            self.representations = ()
            self._start_face()

    def as_async(self) -> hishel.AsyncBaseStorage:
        """A view for hishel's async transports."""
        return AsyncFace(self)

    def __bool__(self) -> bool:
        return True  # an empty storage is one all the same, also to `storage or …` in other code

    def __len__(self) -> int:
        return len(self.table.items)

    @property
    def size_bytes(self) -> int:
        """Bytes counted for what is stored now."""
        return self.table.size_bytes

    def __repr__(self) -> str:
        policy = "" if self.policy == "lru" else f", policy={self.policy!r}"
        return (
            f"MemoryStorage({len(self)}/{self.max_entries} entries, {self.size_bytes}/{self.max_bytes} bytes, "
            f"max_entry_bytes={self.max_entry_bytes}{policy})"
        )
