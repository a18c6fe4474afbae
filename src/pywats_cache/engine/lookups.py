"""Lookups: what a client gets from the engine before it builds a request.

The `request` given here is a pattern that all like calls share; it is never changed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..coherence.single_flight import LOST_SECONDS
from ..storage.entry import StoredResponse, known_age
from .classify import Prepared
from .fetching import Departures
from .judging import Verdict, View, judge
from .steps import Join

if TYPE_CHECKING:
    from ..support.http_types import HttpRequest, HttpResponse
    from .steps import Stale

__all__ = ["Lookups"]


class Lookups(Departures):
    """The part of the engine that answers lookups which are no hits; hits are the `Door`'s own."""

    def missed_lookup(
        self,
        request: HttpRequest,
        prepared: Prepared,
        key: str,
        entry: StoredResponse | None,
        now: float,
        may_answer: Callable[[], bool],
    ) -> HttpResponse | Stale | Join | None:
        """What becomes of a lookup that no hit answers: a Response, Stale or Join; None: the ordinary way runs.

        - `entry`: what is stored under `key`, if anything is.
        - `may_answer`: asked after a wait: whether a lookup may still answer for the client.
        """
        storage = self.storage
        with storage.lock:
            flight = storage.flights.open.get(key)
            standing = None if flight is None else flight.standing
            if (
                flight is not None
                and standing is not None
                and flight.body_until is None  # else it may be one that others would not wait for
                and standing[0] is entry
                and standing[1] is prepared
                and standing[2] == storage.coherence.epoch
                and now < standing[3]
                and not self._superseded
            ):
                verdict: Verdict = standing[4]
            else:
                view = View(storage, prepared, key, now, self._owner)
                verdict = judge(self, request, prepared, entry, view)
                if verdict.action == "join" and view.flight is not None:
                    deadline = time.monotonic() + self._patience(request)
                    return Join(request, prepared, key, view.flight, deadline, may_answer)
                if verdict.action != "answer" or entry is None:
                    return None
                if verdict.status == "hit":
                    self.note_valid(entry, view.epoch)
                elif view.flight is not None and self.controller.offline is None:
                    # While that fetch is open, the next lookups get the same, as long as nothing changes of what was
                    # looked at: to judge costs a third of such an answer.
                    until = min(view.flight.began + LOST_SECONDS, self.stale_until(entry, prepared))
                    view.flight.standing = (entry, prepared, view.epoch, until, verdict)
            assert entry is not None
            self.counters.lookups += 1
            if verdict.status == "hit":
                self.touch(key, entry)
            else:
                self.counters.stale += 1
            if verdict.refresh:
                response = self.answers.looked_up(entry, verdict.status, verdict.reason, now - entry.began, request)
                return self._with_refresh(request, prepared, key, entry, response, lasting=True)
        return self.answers.looked_up(entry, verdict.status, verdict.reason, known_age(now - entry.began), request)

    def rejoin_lookup(self, join: Join) -> HttpResponse | None:
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
