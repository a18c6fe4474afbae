"""Every decision, once, without I/O: what a request gets, what becomes of an answer, what a write does.

```
begin(request) ─► Response                 a fresh answer; nothing else to do
               ─► Join ─► (wait) ─► rejoin(join) ─► Response, Fetch or Join
               ─► Fetch ─► (next transport) ─► arrived ─► finished, incoming or passed; failed after an error
               ─► Forward ─► (next transport) ─► forwarded; forward_failed after an error
```
The transports do what differs between sync and async, and decide nothing.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ..coherence.single_flight import Landing
from ..policy.directives import DEADLINE, Directives
from ..protocol.conditional import Precondition, entity_tag, evaluate
from ..protocol.fields import fields
from ..storage.entry import StoredResponse
from ..telemetry.outcome import EXTENSION, CacheOutcome, Reason, Status
from .classify import Prepared
from .http_library import content_of, field_lines
from .lookups import Lookups
from .steps import LEFT, Join
from .storing import Arrivals
from .writing import Writes

if TYPE_CHECKING:
    from ..support.http_types import HttpRequest, HttpResponse

__all__ = ["Engine"]


class Engine(Lookups, Arrivals, Writes):
    """The decisions of one transport: here, what a request gets.

    `Lookups` is the same before there is a request, `Departures` opens flights and joins them, `Arrivals` sees to what
    becomes of an answer, `Writes` to what a write does.
    """

    def begin(self, request: HttpRequest) -> Any:
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

    def _aside(self, request: HttpRequest, prepared: Prepared) -> Any:
        """What becomes of a request that is not a plain read."""
        if prepared.is_question:
            answer = self._precondition(request, prepared)
            if answer is not None:
                return answer
        if prepared.only_if_cached and prepared.kind == "bypass":
            return self._gateway_timeout(prepared, "only-if-cached", "miss")
        if self.controller.offline == "only":
            return self._gateway_timeout(prepared, "offline", "bypass")
        return self._forward(request, prepared, prepared.reason, "bypass")

    def particular(self, request: HttpRequest, prepared: Prepared) -> Prepared:
        """`prepared` for this one request: with its target on the wire, its body and its directives."""
        given = request.extensions.get(EXTENSION)
        directives = None if given is None else Directives.parse(given)
        if "target" in request.extensions:
            prepared = self.preparer.targeted(request, prepared)
        if prepared.kind in ("read", "part") or prepared.is_question:
            body = content_of(request)
            if body is None:
                if not isinstance(request.stream, self.library.byte_stream):
                    return self.preparer.bypassed(prepared, "streamed-body")
                body = request.read()
            if body:
                prepared = self.preparer.with_body(prepared, body)
        return prepared if directives is None else self.preparer.directed(prepared, directives)

    def _cold(
        self, request: HttpRequest, prepared: Prepared, key: str, now: float, deadline: float | None = None
    ) -> Any:
        """What becomes of a read that is not a plain hit."""
        try:
            if self.blocks:  # other processes must not be asked under the lock
                return self.with_news(self._looked, request, prepared, key, now, deadline)
            return self._looked(request, prepared, key, now, deadline)
        except BaseException:  # a KeyboardInterrupt, too
            self.abandoned(request)
            raise

    def _looked(self, request: HttpRequest, prepared: Prepared, key: str, now: float, deadline: float | None) -> Any:
        storage = self.storage
        with storage.lock:
            # Again, under the lock: a flight stores its answer and leaves the table in one step.
            entry = storage.find(key)
            stale: StoredResponse | None = None
            reason = prepared.reason if entry is not None else self.why_missed(request, prepared, key)
            if entry is not None:
                age = now - entry.began
                if age < entry.ttl and self.is_fresh(entry, prepared, age):
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
            flight = storage.flights.get(key, now)
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
            self._ask_about(fetch, stale)
        return fetch

    def why_missed(self, request: HttpRequest, prepared: Prepared, key: str) -> Reason:
        """The reason code of a read for which nothing is stored under `key`.

        `vary` if another representation is; only memory is asked, and only for those that were stored last.
        """
        if prepared.reason != "unknown" or key != prepared.key:
            return "vary" if prepared.reason == "unknown" else prepared.reason
        storage = self.storage
        for representation in storage.representations:
            if representation != prepared.representation:
                other = self.particular(request, self.preparer.represented(request, prepared, representation)).key
                if other != key and (other in storage.varying or storage.find(other) is not None):
                    return "vary"
        return "unknown"

    def _stale_now(
        self, request: HttpRequest, prepared: Prepared, key: str, stale: StoredResponse, now: float, reason: Reason
    ) -> Any:
        """Serve what is stored past its TTL without asking the server first; one refresh runs, if one may."""
        self.counters.stale += 1
        response = self.answer(request, prepared, stale, "stale", reason, now - stale.began)
        if reason in ("offline", "max-stale"):
            return response
        return self._with_refresh(request, prepared, key, stale, now, response)

    def _ahead(self, request: HttpRequest, prepared: Prepared, key: str, entry: StoredResponse, now: float) -> Any:
        """A hit close to the end of its TTL: answer it, and refresh it before it ends."""
        response = self.answers.stored(entry, "hit", "ahead", now - entry.began, head=prepared.head)
        return self._with_refresh(request, prepared, key, entry, now, response)

    def _precondition(self, request: HttpRequest, prepared: Prepared) -> HttpResponse | None:
        """Answer a caller's own conditional request from a fresh answer with validators (RFC 9110 §13), or None."""
        storage = self.storage
        key = self.variant(request, prepared.key)
        entry = storage.find(key)
        conditions = fields(field_lines(request.headers))
        if entry is None or "range" in conditions:
            return None
        age = self.now() - entry.began
        if not self.is_fresh(entry, prepared, age):
            return None
        headers = fields(entry.headers)
        asked = evaluate(conditions, headers, entry.status)
        if asked is Precondition.FORWARD or not (entity_tag(headers) or "last-modified" in headers):
            return None
        self.touch(key, entry)
        if asked is Precondition.NOT_MODIFIED:
            return self.answers.not_modified(entry, age)
        return self.answers.stored(entry, "hit", "precondition", age, head=prepared.head)

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
        if flight.landing is None and not join.has_left and self.storage.flights.must_leave(flight):
            # Those who leave share the next flight, but wait for no third.
            step = self._cold(request, prepared._replace(reason=LEFT), join.key, now, join.deadline)
            if step.__class__ is Join:
                step.has_left = True
            return step
        reason = LEFT if flight.landing is None else "not-shared"
        return self._take_off(request, prepared, join.key, now, self._owner(), reason, solo=True)

    def _gateway_timeout(self, prepared: Prepared, reason: Reason, status: Status) -> HttpResponse:
        with self.storage.lock:
            self._count(status)
        key, ttl = (prepared.key if status == "miss" else None), self.stated_ttl(prepared)
        return self.answers.gateway_timeout(CacheOutcome(status, reason, 0.0, ttl, key, False, prepared.rule))
