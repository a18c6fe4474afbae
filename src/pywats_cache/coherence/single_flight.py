"""Single-flight: who fetches which key, who waits for it, and how a flight is handed over or let go.

A flight is opened by its leader and landed exactly once:

- with an answer: every joiner takes it;
- *failed* (error, cancellation, a body closed early): the joiners wake, the first of them opens the next flight and
  the others join that one, so a failure costs one more request, not one for each;
- *stale*: the server failed, and what was stored before stands in, for the joiners too;
- *uncacheable*: the joiners go to the server at once, in parallel, and for a while that key is not collapsed.

Joiners wait for a server, not for a reader. Once the head of the response is there, they leave a flight whose leader
has had chunks in hand for `READER_SECONDS` in all, or whose body takes too long. The flight goes on without them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from enum import Enum
from typing import Any, Generic, TypeVar

__all__ = ["Flight", "FlightTable", "Landing"]

MAX_SOLITARY = 4096
SOLITARY_SECONDS = 10.0
"""How long a key whose answer turned out uncacheable is not collapsed."""
ORDER_STEP = 1e-6
"""Seconds between the `order` of two flights that the clock gave the same time."""
STANDING_STILL = 1.0
"""Seconds that `order` may be ahead of the clock; a clock that is further behind was set back, or is another one."""
LOST_SECONDS = 600.0
"""How long a flight counts as under way. Who drops a streamed response and never closes it lands none."""

READER_SECONDS = 0.05
"""How long a leader may have had chunks of the body in hand, in all, before its joiners leave."""
BODY_SECONDS = 1.0
"""How long a body may take before the joiners leave, if the head did not take more than half of that."""

AnswerT = TypeVar("AnswerT")
"""What a flight brings; only the engine knows that it is a stored response."""

Owner = tuple[int, Hashable]
"""Thread, and the task in it (None for synchronous code)."""


class Landing(Enum):
    """How a flight ended."""

    ANSWERED = "answered"
    FAILED = "failed"
    UNCACHEABLE = "uncacheable"
    STALE = "stale"


class Flight(Generic[AnswerT]):
    """One fetch under way. The fields that describe it are set once; `landing` is guarded by `_lock`.

    - `epoch`: of the coherence at its begin, `began`: on the transport's clock; `order`: the same, but later than that
      of every flight opened before, which a clock of 15 ms steps does not say.
    - `clean_at`, `firm_at`: see `epochs.Held`.
    - `stale`: what its answer may be validated against, so that a sweep marks that too.
    - `shared`: whether it stands in the table, so that others may join.
    - `request`: what it was opened for, or None.
    - `storable`: False inside a settle window.
    - `body_until`: how long the joiners wait for the body, on a monotonic clock; None: the head is still to come.
    - `held`: seconds for which the leader has had chunks of the body in hand, until the last one that it gave back.

    The leader alone changes what is known of the body; others may read it without a lock.
    - `standing`: what callers that need not wait get while it is open, and what that stands on; of the engine. Guarded
      by the storage's lock.
    """

    __slots__ = (
        "_in_hand_since",
        "_is_streamed",
        "_lock",
        "_wakers",
        "answer",
        "began",
        "body_until",
        "clean_at",
        "epoch",
        "firm_at",
        "held",
        "key",
        "landing",
        "order",
        "owner",
        "request",
        "shared",
        "stale",
        "standing",
        "storable",
        "tags",
    )

    def __init__(
        self,
        key: str,
        tags: tuple[str, ...],
        epoch: int,
        began: float,
        owner: Owner,
        *,
        shared: bool,
        storable: bool,
        request: object = None,
    ) -> None:
        self.key: str = key
        self.tags: tuple[str, ...] = tags
        self.epoch: int = epoch
        self.clean_at: int = epoch
        self.firm_at: int = epoch
        self.stale: AnswerT | None = None
        self.began: float = began
        self.order: float = began
        self.owner: Owner = owner
        self.shared: bool = shared
        self.storable: bool = storable
        self.request: object = request
        self.standing: tuple[Any, ...] | None = None
        self.landing: Landing | None = None
        self.answer: AnswerT | None = None
        self.body_until: float | None = None
        self.held: float = 0.0
        self._in_hand_since: float | None = None
        self._is_streamed = False
        self._wakers: list[Callable[[], object]] = []
        self._lock = threading.Lock()

    def head_came(self, now: float, took: float) -> None:
        """The head of the response came, `took` seconds after the request was sent. `now` is of a monotonic clock."""
        took += took
        self.body_until = now + (took if took > BODY_SECONDS else BODY_SECONDS)

    def handed_on(self, now: float) -> None:
        """The leader gets a chunk of the body."""
        self._in_hand_since = now
        if not self._is_streamed:
            self._is_streamed = True
            with self._lock:
                wakers, self._wakers = self._wakers, []
            for wake in wakers:  # from now on they look more often
                wake()

    def asked_again(self, now: float) -> None:
        """The leader asks for the next chunk."""
        since, self._in_hand_since = self._in_hand_since, None
        if since is not None:
            self.held += now - since

    def leave_at(self, now: float) -> float:
        """The earliest moment at which a joiner may have to leave; if that is not after `now`, it leaves."""
        until = self.body_until
        if until is None:
            return now + BODY_SECONDS
        if not self._is_streamed:
            return until
        held, since = self.held, self._in_hand_since  # in this order: else a chunk given back meanwhile counts twice
        return min(until, (now if since is None else since) + READER_SECONDS - held)

    def on_landing(self, wake: Callable[[], object]) -> None:
        """Call `wake` once this flight has landed, or has begun to be read as a stream; at once if it has landed.

        `wake` is called once, and must not block nor raise.
        """
        with self._lock:
            if self.landing is None:
                self._wakers.append(wake)
                return
        wake()

    def forget(self, wake: Callable[[], object]) -> None:
        """The joiner behind `wake` gave up."""
        with self._lock:
            if wake in self._wakers:
                self._wakers.remove(wake)

    def land(self, landing: Landing, answer: AnswerT | None = None) -> None:
        """Land once; later calls do nothing."""
        with self._lock:
            if self.landing is not None:
                return
            self.answer = answer
            self.landing = landing
            wakers, self._wakers = self._wakers, []
        for wake in wakers:
            wake()

    def is_held_by(self, owner: Owner) -> bool:
        """Whether `owner` would wait for itself: the flight's own task, or synchronous code of the same thread."""
        thread, task = self.owner
        return thread == owner[0] and (task is None or owner[1] is None or task == owner[1])


class FlightTable(Generic[AnswerT]):
    """The open flights of one storage. Guarded by the storage's lock, which callers hold.

    - `open`, `promised`: by key, the open flights, and the refreshes that will open one; others may read them.
    - `monotonic`: the clock of those who wait, in seconds.
    """

    __slots__ = ("_latest", "_solitary", "monotonic", "open", "promised")

    def __init__(self) -> None:
        self.open: dict[str, Flight[AnswerT]] = {}
        self.promised: dict[str, object] = {}
        self._solitary: dict[str, float] = {}
        self._latest = float("-inf")
        self.monotonic: Callable[[], float] = time.monotonic

    def get(self, key: str, now: float) -> Flight[AnswerT] | None:
        """The flight that others may join under `key`, unless it is lost, or its joiners leave."""
        flight = self.open.get(key)
        if flight is None or now - flight.began > LOST_SECONDS or self.must_leave(flight):
            return None
        return flight

    def must_leave(self, flight: Flight[AnswerT]) -> bool:
        """Whether to wait longer for `flight` would be to wait for its leader, or for a body without end."""
        if flight.body_until is None:
            return False
        now = self.monotonic()
        return flight.leave_at(now) <= now

    def put_in_order(self, flight: Flight[AnswerT]) -> None:
        """Let it count as opened after all before it, also while the clock stands still."""
        now, latest = flight.began, self._latest
        if now <= latest < now + STANDING_STILL:
            flight.order = now = latest + ORDER_STEP
        self._latest = now

    def add(self, flight: Flight[AnswerT]) -> None:
        """Open `flight`; one of the same key that began earlier goes on for its own joiners, out of the table."""
        self.open[flight.key] = flight

    def remove(self, flight: Flight[AnswerT]) -> None:
        """Take out `flight`, and only it."""
        if self.open.get(flight.key) is flight:
            del self.open[flight.key]

    def promise(self, key: str, by: object) -> None:
        """A flight under `key` will be opened in the background."""
        self.promised[key] = by

    def redeem(self, key: str, by: object) -> None:
        """What was promised is opened now, or never will be; nothing happens if that was clear before."""
        if self.promised.get(key) is by:
            del self.promised[key]

    def tags(self) -> set[str]:
        """What the answers of the open flights will carry."""
        return {tag for flight in self.open.values() for tag in flight.tags}

    def is_solitary(self, key: str, now: float) -> bool:
        """Whether the answers of `key` lately turned out uncacheable, so that waiting for one gains nothing."""
        end = self._solitary.get(key)
        return end is not None and now < end <= now + SOLITARY_SECONDS

    @property
    def solitary(self) -> int:
        """Of how many keys it is remembered that waiting for their answers gains nothing."""
        return len(self._solitary)

    def make_solitary(self, key: str, now: float, most: int = MAX_SOLITARY) -> None:
        """Do not collapse `key` for a while; remember that of at most so many keys."""
        if len(self._solitary) >= most:
            self._solitary.clear()
        self._solitary[key] = now + SOLITARY_SECONDS

    def __len__(self) -> int:
        """How many are open, or promised."""
        return len(self.open) + len(self.promised)
