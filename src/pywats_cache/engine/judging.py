"""The one decision: what a request gets, given what is stored under its key.

`begin`, a lookup that is no hit, what an outer storage brings and `explain` ask the same `judge`, and differ only in
what they do with the verdict. `judge` has no effects: what it looks at is read once into a `View`, and what must be
written afterwards stands in the `Verdict`. TTL mode and RFC mode answer the questions of `Semantics` differently.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, Union

if TYPE_CHECKING:
    from ..coherence.single_flight import Flight, FlightTable, Owner
    from ..policy.controller import Controller
    from ..protocol.ranges import ByteRange
    from ..storage.entry import StoredResponse
    from ..storage.memory import MemoryStorage
    from ..support.http_types import HttpRequest
    from ..telemetry.outcome import Reason, Status
    from .classify import Prepared

__all__ = ["Form", "Semantics", "Verdict", "View", "judge", "judge_fresh"]

Action = Literal["answer", "join", "fetch", "forward", "refuse"]
Form = Union[Literal["whole", "not-modified"], "ByteRange"]
"""How much of a stored response answers: all of it, a 304, or the 206 of a part."""


class Verdict(NamedTuple):
    """What a request gets, and what is to be done. Those that are alike are one object.

    - `action`: `answer` from the stored response, `join` the open flight, `fetch` in a flight of its own, `forward`
      around the cache, or `refuse` with a 504.
    - `status`, `reason`: of the outcome, if the server answers with a new response that can be stored.
    - `form`: how much of the stored response answers.
    - `refresh`: a refresh goes along with the answer.
    - `expired`: the stored response is past its TTL.
    - `drops`: the stored response is of no more use, and to be taken out.
    - `keeps`: the fetch may validate the stored response, and fall back on it.
    - `solo`: nobody may join the fetch.
    - `cause`: why nothing stored answers, where `reason` says why the new response will not be stored.
    """

    action: Action
    status: Status
    reason: Reason
    form: Form = "whole"
    refresh: bool = False
    expired: bool = False
    drops: bool = False
    keeps: bool = False
    solo: bool = False
    cause: Reason | None = None

    @property
    def is_valid(self) -> bool:
        """Whether the stored response was found valid, so that the epoch of the view is to be noted in it."""
        return self.status == "hit"

    @property
    def sends(self) -> bool:
        """Whether the server is asked, by this request or by a refresh that it starts."""
        return self.refresh or self.action in ("fetch", "forward")


_verdict = lru_cache(maxsize=1024)(Verdict)
_FRESH = Verdict("answer", "hit", "fresh")


class View:
    """What a judgement looks at besides the stored response, read once.

    Who acts on a verdict that joins, fetches or refreshes holds the storage's lock from here on. To look at a verdict
    needs no lock.

    - `epoch`: of the coherence. It is read first, as the module `coherence.epochs` says: windows and tables come after
      it, so a write that comes in between makes a flight of this epoch old.
    - `held`: the reason code of why a response that is fetched now may be neither stored nor shared, or None.
    - `flight`: the open flight of `flights` under `key`, or None.
    - `is_fetched`: there is one, or one is promised in the background.
    - `who`: says which thread and task asks.
    """

    __slots__ = ("_prepared", "_storage", "epoch", "flight", "flights", "held", "is_fetched", "key", "now", "who")

    def __init__(
        self, storage: MemoryStorage, prepared: Prepared, key: str, now: float, who: Callable[[], Owner]
    ) -> None:
        coherence = storage.coherence
        self.epoch: int = coherence.epoch
        self.held: Reason | None = None
        if coherence.is_settling(prepared.tags, now):
            self.held = "storage-error" if coherence.is_out_of_reach else "settling"
        flights = storage.flights
        self.flight: Flight[StoredResponse] | None = flights.get(key, now)
        self.is_fetched: bool = self.flight is not None or key in flights.promised
        self.key: str = key
        self.now: float = now
        self.who: Callable[[], Owner] = who
        self.flights: FlightTable[StoredResponse] = flights
        self._storage = storage
        self._prepared = prepared

    def leave_out(self, flight: Flight[StoredResponse]) -> None:
        """Judge as if `flight` were not open: it is that of the request itself."""
        if self.flight is flight:
            self.flight = None
            self.is_fetched = self.key in self._storage.flights.promised

    def may_join(self, flight: Flight[StoredResponse]) -> bool:
        """Whether a flight may answer a read that begins now.

        The window has been asked before: a write opens it before it dirties, so one that comes in between is seen here.
        """
        return self.held is None and not self._storage.coherence.is_dirtied(flight, self._prepared.tags)


class Semantics(Protocol):
    """What `judge` asks. TTL mode and RFC mode answer differently. No answer has an effect.

    `age` is that of the stored response in seconds, `epoch` that of the view.
    """

    controller: Controller

    def why_missed(self, request: HttpRequest, prepared: Prepared, key: str) -> Reason:
        """The reason code of a read for which nothing is stored under `key`."""

    def why_not_fresh(self, entry: StoredResponse, prepared: Prepared, age: float, epoch: int) -> Reason | None:
        """The reason code of a stored response that may not answer as fresh; None: it may."""

    def why_stale_now(self, entry: StoredResponse, prepared: Prepared, view: View) -> Reason | None:
        """The reason to serve it stale without asking the server first, or None."""

    def is_worth_keeping(self, entry: StoredResponse, prepared: Prepared, age: float) -> bool:
        """Whether it can still be of use once it has expired."""

    def may_refresh(self, key: str, now: float) -> bool:
        """Whether a refresh may be started: the last one did not just fail."""

    def form(self, request: HttpRequest, prepared: Prepared, entry: StoredResponse, age: float) -> Form:
        """How much of it answers a read."""

    def precondition(self, request: HttpRequest, entry: StoredResponse) -> Form | None:
        """How much of it answers a conditional request that is no read; None: the server has to."""


def judge(
    semantics: Semantics, request: HttpRequest, prepared: Prepared, entry: StoredResponse | None, view: View
) -> Verdict:
    """What `request` gets.

    - `entry`: what is stored under the key of `view`.
    """
    if prepared.kind not in ("read", "part"):
        return _judge_aside(semantics, request, prepared, entry, view)
    reason: Reason
    expired, drops, keeps = False, False, False
    if entry is not None:
        age = view.now - entry.began
        why_not = semantics.why_not_fresh(entry, prepared, age, view.epoch)
        if why_not is None:
            return judge_fresh(semantics, request, prepared, entry, view)
        reason, expired, drops = why_not, why_not == "expired", why_not == "dirtied"
        if not drops:
            why = semantics.why_stale_now(entry, prepared, view)
            if why is not None:
                form = semantics.form(request, prepared, entry, age) if prepared.kind == "part" else "whole"
                refresh = why == "while-revalidate" and not view.is_fetched and _may_refresh(semantics, prepared, view)
                return _verdict("answer", "stale", why, form, refresh, expired)
            drops = expired and not semantics.is_worth_keeping(entry, prepared, age)
            keeps = not drops
    else:
        reason = semantics.why_missed(request, prepared, view.key)
    if prepared.only_if_cached:
        return _verdict("refuse", "miss", "only-if-cached", expired=expired, drops=drops)
    if semantics.controller.offline == "only":
        return _verdict("refuse", "miss", "offline", expired=expired, drops=drops)
    if prepared.head:
        return _verdict("forward", "miss", "head", expired=expired, drops=drops)
    solo = view.flights.is_solitary(view.key, view.now)
    flight = view.flight
    if flight is not None and not solo and not prepared.refresh:
        if flight.is_held_by(view.who()):
            solo, reason = True, "own-flight"
        elif view.may_join(flight):
            return _verdict("join", "collapsed", "joined", expired=expired, drops=drops)
    solo = solo or prepared.kind == "part"  # its response may be less than the whole
    return _verdict("fetch", "miss", view.held or reason, "whole", False, expired, drops, keeps, solo, reason)


def judge_fresh(
    semantics: Semantics, request: HttpRequest, prepared: Prepared, entry: StoredResponse, view: View
) -> Verdict:
    """What `request` gets from a stored response that is fresh."""
    age = view.now - entry.began
    is_ahead, is_part = age >= entry.ahead, prepared.kind == "part"
    if not (is_ahead or is_part):
        return _FRESH
    reason: Reason = "fresh"
    refresh = False
    form: Form = "whole"
    if is_ahead:
        runs = view.is_fetched
        refresh = not runs and _may_refresh(semantics, prepared, view)
        reason = "ahead" if runs or refresh else "fresh"
    if is_part:
        form = semantics.form(request, prepared, entry, age)
        if form != "whole":
            reason = "precondition" if form == "not-modified" else "partial"
    return _verdict("answer", "hit", reason, form, refresh)


def _may_refresh(semantics: Semantics, prepared: Prepared, view: View) -> bool:
    """Whether a refresh may go along with an answer where none is on its way: it may be sent, and stored, now."""
    return not (
        prepared.head
        or prepared.only_if_cached
        or semantics.controller.offline == "only"
        or view.held is not None
        or prepared.ttl == 0
        or not semantics.may_refresh(view.key, view.now)
    )


def _judge_aside(
    semantics: Semantics, request: HttpRequest, prepared: Prepared, entry: StoredResponse | None, view: View
) -> Verdict:
    """What a request gets that is no read."""
    if entry is not None and prepared.is_question:
        why_not = semantics.why_not_fresh(entry, prepared, view.now - entry.began, view.epoch)
        form = semantics.precondition(request, entry) if why_not is None else None
        if form is not None:
            return _verdict("answer", "hit", "precondition", form)
    if prepared.only_if_cached and prepared.kind == "bypass":
        return _verdict("refuse", "miss", "only-if-cached")
    if semantics.controller.offline == "only":
        return _verdict("refuse", "bypass", "offline")
    return _verdict("forward", "bypass", prepared.reason)
