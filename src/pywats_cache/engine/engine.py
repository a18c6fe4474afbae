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
from functools import partial
from typing import TYPE_CHECKING

from ..coherence.single_flight import Landing
from ..policy.directives import DEADLINE
from ..storage.entry import StoredResponse, known_age
from ..telemetry.outcome import EXTENSION, CacheOutcome, Reason
from .classify import Prepared
from .judging import Verdict, View, judge, judge_fresh
from .loading import Loading
from .lookups import Lookups
from .steps import LEFT, Fetch, Join
from .storing import Arrivals
from .writing import Writes

if TYPE_CHECKING:
    from ..support.http_types import HttpRequest, HttpResponse
    from .steps import Forward, Next, Stale

__all__ = ["Engine"]


class Engine(Lookups, Loading, Arrivals, Writes):
    """The decisions of one transport: here, what a request gets.

    `Lookups` is the same before there is a request, `Departures` opens flights and joins them, `Loading` takes over
    what an outer storage holds, `Arrivals` sees to what becomes of an answer, `Writes` to what a write does.
    """

    def begin(self, request: HttpRequest) -> Next:
        """A Response of the library for a hit, else a Join, Fetch or Forward.

        The budget of a hit is 5 µs with the Response: one memo, one dictionary, one comparison of epochs, one lock.
        What `now`, `found_fresh` and `touch` do in the usual case stands here, for each call costs 0.1 µs.
        """
        prepared = self.preparer.prepare(request)
        extensions = request.extensions
        if (
            prepared.kind != "read"
            or EXTENSION in extensions
            or "target" in extensions
            or getattr(request, "_content", None) != b""
            or self.open_scopes
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
            # `found_fresh` with its usual case, nothing dirtied since the last hit, decided here.
            if 0.0 <= age < entry.ttl and (
                (
                    entry.valid_at == storage.coherence.epoch
                    and age < prepared.ttl
                    and prepared.max_age is None
                    and not prepared.refresh
                    and not prepared.directed
                )
                or self.found_fresh(entry, prepared, age)
            ):
                with storage.lock:
                    self.counters.hit += 1
                    entry.hits += 1
                    if items.get(key) is entry:
                        items.move_to_end(key)
                if age >= entry.ahead:
                    return self._ahead(request, prepared, key, entry, now)
                return self.answers.stored(entry, "hit", "fresh", age, head=prepared.head)
        return self._cold(request, prepared, key, now)

    def _aside(self, request: HttpRequest, prepared: Prepared) -> Next:
        """What becomes of a request that is not a plain read."""
        key, now = self.variant(request, prepared.key), self.now()
        if prepared.kind == "part":  # never by the short cut of a hit, which answers with the whole
            return self._cold(request, prepared, key, now)
        entry = self.storage.find(key) if prepared.is_question else None
        view = View(self.storage, prepared, key, now, self._owner)
        verdict = judge(self, request, prepared, entry, view)
        if self.looks_further(prepared, entry, view, verdict):
            return self._look_behind(request, prepared, view, verdict, partial(self._done, request, prepared, None))
        return self._done(request, prepared, entry, view, verdict)

    def _cold(
        self, request: HttpRequest, prepared: Prepared, key: str, now: float, deadline: float | None = None
    ) -> Next:
        """What becomes of a read that is not a plain hit."""
        try:
            if self.glance is not None and deadline is None and key not in self.storage.table.items:
                return self.with_news(self._looked_behind_first, request, prepared, key, now)
            if self.blocks:  # other processes must not be asked under the lock
                return self.with_news(self._looked, request, prepared, key, now, deadline)
            return self._looked(request, prepared, key, now, deadline)
        except BaseException:  # a KeyboardInterrupt, too
            self.abandoned(request)
            raise

    def _looked_behind_first(self, request: HttpRequest, prepared: Prepared, key: str, now: float) -> Next:
        found = self._glanced(request, prepared, key, now)
        if found is not None:
            return found
        step = self._looked(request, prepared, key, now, None)
        if step.__class__ is Fetch:
            step.was_sought = self.seeks
        return step

    def _looked(self, request: HttpRequest, prepared: Prepared, key: str, now: float, deadline: float | None) -> Next:
        storage = self.storage
        with storage.lock:
            # Again, under the lock: a flight stores its answer and leaves the table in one step.
            entry = storage.table.items.get(key)
            view = View(storage, prepared, key, now, self._owner)
            verdict = judge(self, request, prepared, entry, view)
            if entry is not None:
                if verdict.expired:
                    self.diary.expired(prepared.rule, now - entry.began, entry.ttl)
                if verdict.drops:
                    storage.drop(entry, expired=verdict.expired)
            if verdict.action == "join":
                if deadline is None:  # the first flight that this call waits for, unless its lookup has waited
                    deadline = request.extensions.get(DEADLINE) or time.monotonic() + self._patience(request)
                assert view.flight is not None
                return Join(request, prepared, key, view.flight, deadline)
            if verdict.action in ("refuse", "forward") and self.looks_further(prepared, entry, view, verdict):
                return self._look_behind(request, prepared, view, verdict, partial(self._done, request, prepared, None))
            if verdict.action != "fetch":
                return self._done(request, prepared, entry, view, verdict)
            fetch = self._take_off(request, prepared, view, verdict.reason, solo=verdict.solo, cause=verdict.cause)
        if verdict.keeps and entry is not None and fetch.flight.storable:
            self._ask_about(fetch, entry)
        return fetch

    def _done(
        self, request: HttpRequest, prepared: Prepared, entry: StoredResponse | None, view: View, verdict: Verdict
    ) -> HttpResponse | Stale | Forward:
        """Do what a verdict says that needs no flight: answer, forward or refuse.

        The storage's lock is held where a stale answer is given, or a refresh goes along.
        """
        if verdict.action == "forward":
            return self._forward(request, prepared, view, verdict)
        if verdict.action == "refuse" or entry is None:
            return self._gateway_timeout(prepared, verdict)
        if verdict.status == "hit":
            self.note_valid(entry, view.epoch)
            self.touch(view.key, entry)
        else:
            self._count(verdict.status)
        age = known_age(view.now - entry.began)
        response = self.answer(request, prepared, entry, verdict.status, verdict.reason, age, form=verdict.form)
        return self._with_refresh(request, prepared, view.key, entry, response) if verdict.refresh else response

    def _ahead(self, request: HttpRequest, prepared: Prepared, key: str, entry: StoredResponse, now: float) -> Next:
        """A hit close to the end of its TTL: answer it, and refresh it before it ends."""
        with self.storage.lock:
            view = View(self.storage, prepared, key, now, self._owner)
            verdict = judge_fresh(self, request, prepared, entry, view)
            response = self.answers.stored(entry, "hit", verdict.reason, now - entry.began, head=prepared.head)
            return self._with_refresh(request, prepared, key, entry, response) if verdict.refresh else response

    def rejoin(self, join: Join) -> Next:
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
        cause: Reason = LEFT if flight.landing is None else "not-shared"
        view = View(self.storage, prepared, join.key, now, self._owner)
        return self._take_off(request, prepared, view, view.held or cause, solo=True, cause=cause)

    def _gateway_timeout(self, prepared: Prepared, verdict: Verdict) -> HttpResponse:
        with self.storage.lock:
            self._count(verdict.status)
        return self.refused_by(prepared, verdict)

    def refused_by(self, prepared: Prepared, verdict: Verdict) -> HttpResponse:
        """The 504 of a request that is not sent, which was counted before."""
        status = verdict.status
        key, ttl = (prepared.key if status == "miss" else None), self.stated_ttl(prepared)
        return self.answers.gateway_timeout(CacheOutcome(status, verdict.reason, 0.0, ttl, key, False, prepared.rule))
