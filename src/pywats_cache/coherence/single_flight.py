"""Single-flight: who fetches which key, who waits for it, and how a flight is handed over or let go.

A flight is opened by its leader and landed exactly once:

- with an answer: every joiner takes it;
- *failed* (error, cancellation, a body closed early): the joiners wake, the first of them opens the next flight and
  the others join that one, so a failure costs one more request, not one for each;
- *stale*: the server failed, and what was stored before stands in, for the joiners too;
- *uncacheable*: the joiners go to the server at once, in parallel, and for a while that key is not collapsed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from enum import Enum
from typing import Generic, TypeVar

__all__ = ["Flight", "FlightTable", "Landing"]

MAX_SOLITARY = 4096
SOLITARY_SECONDS = 10.0
"""How long a key whose answer turned out uncacheable is not collapsed."""
LOST_SECONDS = 600.0
"""How long a flight counts as under way. Who drops a streamed response and never closes it lands none."""

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

    - `epoch`: of the coherence at its begin, `began`: on the transport's clock.
    - `shared`: whether it stands in the table, so that others may join.
    - `request`: what it was opened for, or None.
    - `storable`: False inside a settle window.
    """

    __slots__ = (
        "_lock",
        "_wakers",
        "answer",
        "began",
        "epoch",
        "key",
        "landing",
        "owner",
        "request",
        "shared",
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
        self.began: float = began
        self.owner: Owner = owner
        self.shared: bool = shared
        self.storable: bool = storable
        self.request: object = request
        self.landing: Landing | None = None
        self.answer: AnswerT | None = None
        self._wakers: list[Callable[[], object]] = []
        self._lock = threading.Lock()

    def on_landing(self, wake: Callable[[], object]) -> None:
        """Call `wake` once this flight has landed, at once if it has. `wake` must not block nor raise."""
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
    """

    __slots__ = ("_solitary", "open", "promised")

    def __init__(self) -> None:
        self.open: dict[str, Flight[AnswerT]] = {}
        self.promised: dict[str, object] = {}
        self._solitary: dict[str, float] = {}

    def get(self, key: str, now: float) -> Flight[AnswerT] | None:
        """The flight that others may join under `key`, unless it is lost."""
        flight = self.open.get(key)
        return None if flight is None or now - flight.began > LOST_SECONDS else flight

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
        if end is None:
            return False
        if now < end <= now + SOLITARY_SECONDS:
            return True
        del self._solitary[key]
        return False

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
