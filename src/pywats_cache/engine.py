"""Every decision, once, without I/O: what a request gets, what becomes of an answer, what a write does.

```
begin(request) ─► Response                 a fresh answer; nothing else to do
               ─► Join ─► (wait) ─► rejoin(join) ─► Response, Fetch or Join
               ─► Fetch ─► (next transport) ─► arrived ─► finished, teed or passed; failed after an error
               ─► Forward ─► (next transport) ─► forwarded; forward_failed after an error
```
The transports do what differs between sync and async, and decide nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from .arrivals import Arrivals
from .directives import DEADLINE, EXTENSION, Directives
from .flights import Flight, Landing, Owner
from .freshness import fields
from .library import copied
from .outcome import CacheOutcome, Status
from .prepared import Prepared
from .steps import Fetch, Join, Stale
from .storage.entry import StoredResponse
from .validators import Precondition, entity_tag, evaluate
from .writes import Writes

__all__ = ["Engine"]

NOBODY: Owner = (0, None)
"""The owner of a flight in the background: no thread that might wait for itself."""


class Engine(Arrivals, Writes):
    """The decisions of one transport: what a request gets. `Arrivals` and `Writes` are the other two thirds."""

    def begin(self, request: Any) -> Any:
        """A Response of the library for a hit, else a Join, Fetch or Forward.

        The budget of a hit is 5 µs with the Response: one memo, one dictionary, one comparison of epochs, one lock.
        What `now`, `is_fresh` and `touch` do in the usual case stands here, for each call costs 0.1 µs.
        """
        prepared = self.preparer.prepare(request)
        extensions = request.extensions
        if (
            prepared.kind != "read"
            or EXTENSION in extensions
            or "target" in extensions
            or getattr(request, "_content", None) != b""
        ):
            prepared = self.particular(request, prepared)
            if prepared.kind != "read":
                return self._aside(request, prepared)
        storage = self.storage
        now = self.clock()
        if now >= storage.latest:
            storage.latest = now
        else:
            now = self.now()
        key = prepared.key
        if storage.varying:
            key = self.variant(request, key)
        items = storage.table.items
        entry = items.get(key)
        if entry is not None:
            age = now - entry.began
            # `is_fresh` with its usual case, nothing dirtied since the last hit, decided here.
            if (
                entry.valid_at == storage.coherence.epoch
                and 0.0 <= age < entry.ttl
                and age < prepared.ttl
                and prepared.max_age is None
                and not prepared.refresh
                and not prepared.directed
            ) or self.is_fresh(entry, prepared, age):
                with storage.lock:
                    self.counters.hit += 1
                    entry.hits += 1
                    if items.get(key) is entry:
                        items.move_to_end(key)
                if age >= entry.ahead:
                    return self._ahead(request, prepared, key, entry, now)
                return self.answers.stored(entry, "hit", "fresh", age, head=prepared.head)
        return self._cold(request, prepared, key, now)

    def _aside(self, request: Any, prepared: Prepared) -> Any:
        """What becomes of a request that is no plain read."""
        if prepared.kind == "bypass" and prepared.reason == "conditional":
            answer = self._precondition(request, prepared)
            if answer is not None:
                return answer
        if prepared.only_if_cached and prepared.kind == "bypass":
            return self._gateway_timeout(prepared, "only-if-cached", "miss")
        if self.controller.offline == "only":
            return self._gateway_timeout(prepared, "offline", "bypass")
        return self._forward(request, prepared, prepared.reason, "bypass")

    def particular(self, request: Any, prepared: Prepared) -> Prepared:
        """`prepared` for this one request: with its body and its directives."""
        given = request.extensions.get(EXTENSION)
        directives = None if given is None else Directives.parse(given)
        if prepared.kind in ("read", "part"):
            body = getattr(request, "_content", None)
            if body is None:
                if not isinstance(request.stream, self.library.byte_stream):
                    return self.preparer.bypassed(prepared, "streamed-body")
                body = request.read()
            if "target" in request.extensions:
                return self.preparer.bypassed(prepared, "target")
            if body:
                prepared = self.preparer.with_body(prepared, body)
        return prepared if directives is None else self.preparer.directed(prepared, directives)

    def _cold(self, request: Any, prepared: Prepared, key: str, now: float, deadline: float | None = None) -> Any:
        """What becomes of a read that is no plain hit."""
        if self.blocks:  # other processes must not be asked under the lock
            return self.with_news(self._looked, request, prepared, key, now, deadline)
        return self._looked(request, prepared, key, now, deadline)

    def _looked(self, request: Any, prepared: Prepared, key: str, now: float, deadline: float | None) -> Any:
        storage = self.storage
        with storage.lock:
            # Again, under the lock: a flight stores its answer and leaves the table in one step.
            entry = storage.find(key)
            stale: StoredResponse | None = None
            reason = prepared.reason
            if reason == "unknown" and key != prepared.key:
                reason = "vary"
            if entry is not None:
                age = now - entry.began
                if self.is_fresh(entry, prepared, age):
                    self.touch(key, entry)
                    return self.answer(request, prepared, entry, "hit", "fresh", age)
                reason = self.why_not_fresh(entry, prepared, age)
                if reason == "expired":
                    self.diary.expired(prepared.rule, age, entry.ttl)
                if reason == "dirtied":
                    storage.drop(entry)
                else:
                    why = self.why_stale_now(entry, prepared, now)
                    if why is not None:
                        return self._stale_now(request, prepared, key, entry, now, why)
                    if reason == "expired" and not self.is_worth_keeping(entry, prepared, age):
                        storage.drop(entry, expired=True)
                    else:
                        stale = entry
            if prepared.only_if_cached:
                return self._gateway_timeout(prepared, "only-if-cached", "miss")
            if self.controller.offline == "only":
                return self._gateway_timeout(prepared, "offline", "miss")
            if prepared.head:
                return self._forward(request, prepared, "head", "miss")
            owner = self._owner()
            solo = storage.flights.is_solitary(key, now)
            flight = storage.flights.get(key)
            if flight is not None and not solo and not prepared.refresh:
                if flight.is_held_by(owner):
                    solo, reason = True, "own-flight"
                elif self._may_join(prepared, flight, now):
                    if deadline is None:  # the first flight that this call waits for, unless its lookup has waited
                        deadline = request.extensions.get(DEADLINE) or time.monotonic() + self._patience(request)
                    return Join(request, prepared, key, flight, deadline)
            solo = solo or prepared.kind == "part"  # its answer may be less than the whole
            fetch = self._take_off(request, prepared, key, now, owner, reason, solo=solo)
        if stale is not None and fetch.flight.storable:
            fetch.stale = stale
            self.ask(fetch)
        return fetch

    def _stale_now(
        self, request: Any, prepared: Prepared, key: str, stale: StoredResponse, now: float, reason: str
    ) -> Any:
        """Serve what is stored past its TTL without asking the server first; one refresh runs, if one may."""
        self._count("stale")
        response = self.answer(request, prepared, stale, "stale", reason, now - stale.began)
        if reason in ("offline", "max-stale") or prepared.head or prepared.only_if_cached:
            return response
        return self._with_refresh(request, prepared, key, stale, now, response)

    def _ahead(self, request: Any, prepared: Prepared, key: str, entry: StoredResponse, now: float) -> Any:
        """A hit close to the end of its TTL: answer it, and refresh it before it ends."""
        response = self.answers.stored(entry, "hit", "ahead", now - entry.began, head=prepared.head)
        if prepared.head:
            return response
        return self._with_refresh(request, prepared, key, entry, now, response)

    def _with_refresh(
        self, request: Any, prepared: Prepared, key: str, entry: StoredResponse, now: float, response: Any
    ) -> Any:
        """`response`, with a refresh in the background unless one runs, the last one has just failed, or none may.

        The flight is opened there, for that is half of what the caller would pay for a refresh.
        """
        if self.controller.offline == "only":
            return response
        storage = self.storage
        with storage.lock:
            if storage.flights.is_expected(key) or not self.may_refresh(key, now):
                return response
            step = Stale(response, request, prepared, key, entry)
            storage.flights.promise(key, step)
        return step

    def refresh(self, stale: Stale) -> Fetch | None:
        """What to send in the background for a stale answer; None: there is a newer one by now, or will be."""
        storage, prepared, key, entry = self.storage, stale.prepared, stale.key, stale.entry
        # The caller may change its own request meanwhile, or many share the one.
        request = copied(stale.request)
        with storage.lock:
            flights = storage.flights
            flights.redeem(key, stale)
            if flights.get(key) is not None or storage.find(key) is not entry:
                return None
            fetch = self._take_off(
                request, prepared, key, self.now(), NOBODY, "while-revalidate", solo=False, background=True
            )
            # After the epoch of the flight was read: a write from here on makes that one old.
            if not storage.coherence.dirtied_since((*entry.tags, *prepared.tags), entry.epoch):
                fetch.stale = entry
        self.ask(fetch)
        return fetch

    def refused(self, stale: Stale) -> None:
        """Nobody can take the refresh on now."""
        self.unrefreshed(stale)
        self._back_off(stale.key)

    def unrefreshed(self, stale: Stale) -> None:
        """The refresh is over, or never began; nothing happens if it did."""
        with self.storage.lock:
            self.storage.flights.redeem(stale.key, stale)

    def _precondition(self, request: Any, prepared: Prepared) -> Any:
        """Answer a caller's own conditional request from a fresh answer with validators (RFC 9110 §13), or None."""
        storage = self.storage
        key = self.variant(request, prepared.key)
        entry = storage.find(key)
        if entry is None or "range" in request.headers:
            return None
        age = self.now() - entry.began
        if not self.is_fresh(entry, prepared, age):
            return None
        headers = fields(entry.headers)
        asked = evaluate(fields(request.headers._list), headers, entry.status)
        if asked is Precondition.FORWARD or not (entity_tag(headers) or "last-modified" in headers):
            return None
        self.touch(key, entry)
        if asked is Precondition.NOT_MODIFIED:
            return self.answers.not_modified(entry, age)
        return self.answers.stored(entry, "hit", "precondition", age, head=prepared.head)

    def _may_join(self, prepared: Prepared, flight: Flight, now: float) -> bool:
        """Whether a flight may answer a read that begins now.

        The window is asked first: a write opens it before it dirties, so one that comes in between is seen by the
        second question.
        """
        coherence = self.storage.coherence
        return not coherence.is_settling(prepared.tags, now) and not coherence.dirtied_since(
            (*flight.tags, *prepared.tags), flight.epoch
        )

    def _take_off(
        self,
        request: Any,
        prepared: Prepared,
        key: str,
        now: float,
        owner: Owner,
        reason: str,
        *,
        solo: bool,
        background: bool = False,
    ) -> Fetch:
        """Open a flight. With `solo` nobody may join it."""
        storage = self.storage
        coherence = storage.coherence
        coherence.saw(prepared.origin)
        # The epoch first: a write of unknown outcome that comes in between then makes this flight old.
        epoch = coherence.epoch
        settling = coherence.is_settling(prepared.tags, now)
        flight = Flight(
            key,
            prepared.tags,
            epoch,
            now,
            owner,
            shared=not (solo or settling),
            storable=not settling and prepared.ttl > 0,
        )
        with storage.lock:
            if flight.shared:
                storage.flights.add(flight)
            if not background:
                self._count("miss")
                self.diary.missed(prepared, request.url._uri_reference.query)
                self.diary.noted(reason)
        return Fetch(request, prepared, flight, "settling" if settling else reason, background=background)

    def rejoin(self, join: Join) -> Any:
        """After a wait: the Response of the other's answer, a Fetch of its own, or the next Join."""
        flight, prepared, request = join.flight, join.prepared, join.request
        now = self.now()
        brought = self._brought(join, now)
        if brought is not None:
            entry, status, reason, age = brought
            with self.storage.lock:
                self._count(status)
            return self.answer(request, prepared, entry, status, reason, age)
        if flight.landing is Landing.FAILED:
            return self._cold(request, prepared, join.key, now, join.deadline)
        if flight.landing is Landing.ANSWERED and flight.answer is not None:
            selected = self.variant(request, prepared.key)
            if flight.answer.key != selected:
                return self._cold(request, prepared, selected, now, join.deadline)
        reason = "join-timeout" if flight.landing is None else "not-shared"
        return self._take_off(request, prepared, join.key, now, self._owner(), reason, solo=True)

    def _brought(self, join: Join, now: float) -> tuple[StoredResponse, Status, str, float] | None:
        """The answer that the flight has brought for this request, as what, why and how old; None: none for it."""
        landing, prepared = join.flight.landing, join.prepared  # before the answer, which is set first
        entry = join.flight.answer
        if landing is None or entry is None:
            return None
        age = now - entry.began
        if landing is Landing.STALE:
            if self.may_serve_on_error(entry, prepared, now):
                return entry, "stale", "if-error", age
            assert prepared.decision is not None
            window = prepared.decision.offline_for
            return (entry, "stale", "offline", age) if self.may_serve_stale(entry, prepared, now, window) else None
        if self.may_share(entry, prepared, age) and entry.key == self.variant(join.request, prepared.key):
            return entry, "collapsed", "joined", age
        return None

    def left(self, join: Join) -> None:
        """A joiner was cancelled while it waited; it counts as a miss."""
        with self.storage.lock:
            self.counters.miss += 1
            self.counters.lookups += join.lookup is not None

    # ── lookups: before there is a request of the caller's; `request` is one like it, for many to share ──────────────

    def missed_lookup(
        self,
        request: Any,
        prepared: Prepared,
        key: str,
        entry: StoredResponse | None,
        now: float,
        may_answer: Callable[[], bool],
    ) -> Any:
        """What becomes of a lookup that no hit answers: a Response, Stale or Join; None: the ordinary way runs.

        - `entry`: what is stored under `key`, if anything is.
        - `may_answer`: whether the client still leaves lookups to us, after a wait.
        """
        if entry is not None:
            age = now - entry.began
            ahead = self.may_look_up(entry, prepared, age)
            status: Status = "hit" if ahead else "stale"
            reason = "ahead" if ahead else self.why_stale_now(entry, prepared, now)
            if reason is not None:
                with self.storage.lock:
                    self.counters.lookups += 1
                    if ahead:
                        self.touch(key, entry)
                    else:
                        self._count("stale")
                response = self.answers.looked_up(entry, status, reason, age, request)
                if reason == "offline":
                    return response
                return self._with_refresh(request, prepared, key, entry, now, response)
        flights = self.storage.flights
        with self.storage.lock:
            flight = flights.get(key)
            if (
                flight is None
                or prepared.only_if_cached
                or self.controller.offline == "only"
                or flights.is_solitary(key, now)
                or flight.is_held_by(self._owner())
                or not self._may_join(prepared, flight, now)
            ):
                return None
        return Join(request, prepared, key, flight, time.monotonic() + self._patience(request), may_answer)

    def rejoin_lookup(self, join: Join) -> Any:
        """After a wait: the Response of the other's answer; None: the ordinary way runs."""
        assert join.lookup is not None
        brought = self._brought(join, self.now()) if join.lookup() else None
        if brought is None or brought[0].status != 200:
            return None
        entry, status, reason, age = brought
        with self.storage.lock:
            self._count(status)
            self.counters.lookups += 1
        return self.answers.looked_up(entry, status, reason, age, join.request)

    def _gateway_timeout(self, prepared: Prepared, reason: str, status: Status) -> Any:
        with self.storage.lock:
            self._count(status)
        key, ttl = (prepared.key if status == "miss" else None), self.stated_ttl(prepared)
        return self.answers.gateway_timeout(CacheOutcome(status, reason, 0.0, ttl, key, False, prepared.rule))
