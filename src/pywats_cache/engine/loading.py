"""What an outer storage brings: it is judged as what memory holds is, and answers, is validated, or stands in.

A fetch looks there before it is sent. So does a request for which no fetch is opened: one of `offline="only"`, or that
wants a stored response or none; a HEAD; and a caller's own conditional request.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from ..coherence.single_flight import Flight, Landing
from ..storage.entry import StoredResponse, known_age
from .classify import Prepared
from .fetching import NOBODY, Departures
from .judging import Verdict, View, judge
from .steps import LEFT, Fetch, Forward, Stale

if TYPE_CHECKING:
    from ..support.http_types import HttpRequest, HttpResponse

__all__ = ["Loading"]

NEWER = 0.001
"""Seconds by which the date of a record may differ from that of the same response in memory."""


class Loading(Departures):
    """The part of the engine between an outer storage and memory."""

    decode: Callable[..., bytes | None]
    looks_behind: bool = False
    """Whether there is a storage behind the memory."""

    glance: Callable[..., StoredResponse | None] | None = None
    """Looks into that storage at the cost of a lookup, where it can be looked into before anything is fetched."""

    seeks: bool = False
    """Whether what `glance` does not find is not there."""

    def _glanced(self, request: HttpRequest, prepared: Prepared, key: str, now: float) -> HttpResponse | None:
        """The answer to a read that memory does not hold, if the outer storage has it fresh; else None.

        No flight is opened for it, nobody is waited for, and nothing is claimed.
        """
        storage, decision = self.storage, prepared.decision
        if prepared.refresh or prepared.ttl <= 0 or decision is None:
            return None
        assert self.glance is not None
        entry = self.glance(prepared.key, self.decode, now)
        if entry is None or entry.vary or entry.key != key:
            return None
        with storage.lock:
            view = View(storage, prepared, key, now, self._owner)
            if view.held is not None or key in storage.table.items:
                return None
            verdict = judge(self, request, prepared, entry, view)
            if verdict.action != "answer" or verdict.refresh or not verdict.is_valid:
                return None
            storage.put(entry)
            self.counters.hit += 1
            self.counters.tier += 1
            entry.hits += 1
            self.note_valid(entry, view.epoch)
            entry.ahead = decision.ahead(entry.ttl)
        storage.represent(prepared.representation)
        return self.answer(request, prepared, entry, "hit", verdict.reason, now - entry.began, form=verdict.form)

    def looks_further(self, prepared: Prepared, entry: StoredResponse | None, view: View, verdict: Verdict) -> bool:
        """Whether an outer storage may answer a request for which no fetch is opened. `entry` is what memory holds."""
        if not (self.looks_behind and verdict.action in ("refuse", "forward") and prepared.ttl > 0):
            return False
        if prepared.refresh or view.held is not None:
            return False
        if prepared.kind in ("read", "part"):
            return True
        if not prepared.is_question:
            return False
        # What is fresh in memory, and does not answer it, is the same there.
        return entry is None or self.why_not_fresh(entry, prepared, view.now - entry.began, view.epoch) is not None

    def _look_behind(
        self,
        request: HttpRequest,
        prepared: Prepared,
        view: View,
        verdict: Verdict,
        done: Callable[[View, Verdict], HttpResponse | Stale | Forward],
    ) -> Fetch:
        """A fetch that is never sent, but looks into the outer storage. If that has nothing, `verdict` is `done`."""
        flight: Flight[StoredResponse] = Flight(
            view.key, prepared.tags, view.epoch, view.now, view.who(), shared=False, storable=True, request=request
        )
        fetch = Fetch(request, prepared, flight, verdict.reason)
        fetch.otherwise = partial(done, view, verdict)
        return fetch

    def nothing_found(self, fetch: Fetch) -> HttpResponse | Stale | Forward:
        """The next step of a request that only looked into the outer storage, which had nothing for it."""
        assert fetch.otherwise is not None
        self._land(fetch.flight, Landing.FAILED)
        return fetch.otherwise()

    def may_load(self, fetch: Fetch) -> bool:
        """Whether an outer storage may answer this fetch. It is asked once."""
        if fetch.spares is not None or not fetch.flight.storable or fetch.prepared.refresh:
            return False
        # Who has left a flight does not wait for its leader's claim either.
        waits = fetch.otherwise is None and fetch.prepared.reason != LEFT
        fetch.patience = self._patience(fetch.request) if waits else 0.0
        fetch.spares = partial(self._spares, fetch)
        return True

    def _spares(self, fetch: Fetch, entry: StoredResponse, now: float) -> bool:
        """Whether `entry` answers without the server. Asked in any thread, without the storage's lock."""
        prepared = fetch.prepared
        key = self.variant_by(fetch.request, prepared.key, entry.vary) if entry.vary else prepared.key
        if entry.key != key:
            return False
        view = View(self.storage, prepared, key, now, lambda: NOBODY)
        view.leave_out(fetch.flight)
        return self._is_answer(fetch, entry, judge(self, fetch.request, prepared, entry, view), view)

    @staticmethod
    def _is_answer(fetch: Fetch, entry: StoredResponse, verdict: Verdict, view: View) -> bool:
        """Whether `entry` answers by this verdict.

        In the background only a fresh one does that is not itself due for a refresh: this fetch may be that refresh.
        """
        if not fetch.background:
            return verdict.action == "answer"
        decision = fetch.prepared.decision
        return verdict.is_valid and (decision is None or view.now - entry.began < decision.ahead(entry.ttl))

    def loaded(self, fetch: Fetch, found: list[StoredResponse]) -> HttpResponse | Stale | None:
        """Take over what an outer storage `found`. What answers the request, if that does, else None.

        What is stale, and does not answer, may be validated by the fetch, and stand in if the server fails.
        """
        prepared, storage = fetch.prepared, self.storage
        for entry in found:
            if entry.vary:
                storage.vary_by(prepared.key, entry.vary)
            key, now = self.variant(fetch.request, prepared.key), self.now()
            if entry.key != key:
                continue
            with storage.lock:
                there = storage.find(key)
                if there is not None and not _is_newer(entry, there):
                    continue  # it was judged before
                view = View(storage, prepared, key, now, self._owner)
                view.leave_out(fetch.flight)
                verdict = judge(self, fetch.request, prepared, entry, view)
                if verdict.drops:
                    continue
                storage.put(entry)
                answers = self._is_answer(fetch, entry, verdict, view)
                if answers and not (verdict.refresh and storage.find(key) is not entry):  # else nobody refreshes it
                    return self._found(fetch, entry, verdict, view)
            if fetch.otherwise is not None:
                continue
            if verdict.action == "fetch":
                fetch.reason = verdict.reason
            self._ask_about(fetch, entry)
        return None

    def _found(self, fetch: Fetch, entry: StoredResponse, verdict: Verdict, view: View) -> HttpResponse | Stale:
        """Answer with what was found. The storage's lock is held."""
        request, prepared, storage = fetch.request, fetch.prepared, self.storage
        assert prepared.decision is not None
        storage.represent(prepared.representation)
        storage.flights.remove(fetch.flight)
        if not fetch.background:
            if fetch.otherwise is None:  # else it was not counted yet
                self.counters.miss -= 1
            self._count(verdict.status)
            self.counters.tier += 1
        age = known_age(view.now - entry.began)
        if verdict.is_valid:
            self.note_valid(entry, view.epoch)
            entry.ahead = prepared.decision.ahead(entry.ttl)  # only from now on a hit may start a refresh
            if not fetch.background:
                entry.hits += 1
            fetch.flight.land(Landing.ANSWERED, entry)
            return self.answer(request, prepared, entry, "hit", verdict.reason, age, form=verdict.form)
        # Who waits finds it in memory now, and is answered as its own request allows.
        fetch.flight.land(Landing.FAILED)
        response = self.answer(request, prepared, entry, verdict.status, verdict.reason, age, form=verdict.form)
        return self._with_refresh(request, prepared, view.key, entry, response) if verdict.refresh else response


def _is_newer(entry: StoredResponse, there: StoredResponse) -> bool:
    """Whether `entry` was fetched after what is there."""
    return entry.epoch > there.epoch or entry.fetched > there.fetched + NEWER
