"""Lookups: what a client gets from the engine before it builds a request.

The `request` given here is a pattern that all like calls share; it is never changed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..coherence.single_flight import LOST_SECONDS
from ..storage.entry import StoredResponse
from .classify import Prepared
from .fetching import Departures
from .steps import Join

if TYPE_CHECKING:
    from ..support.http_types import HttpRequest

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
    ) -> Any:
        """What becomes of a lookup that no hit answers: a Response, Stale or Join; None: the ordinary way runs.

        - `entry`: what is stored under `key`, if anything is.
        - `may_answer`: asked after a wait: whether a lookup may still answer for the client.
        """
        if entry is not None:
            age = now - entry.began
            if age < entry.ttl and self.may_look_up(entry, prepared, age):
                with self.storage.lock:
                    self.counters.lookups += 1
                    self.touch(key, entry)
                response = self.answers.looked_up(entry, "hit", "ahead", age, request)
                return self._with_refresh(request, prepared, key, entry, now, response, lasting=True)
            reason = self.why_stale_now(entry, prepared, now)
            if reason is not None:
                with self.storage.lock:
                    self.counters.lookups += 1
                    self.counters.stale += 1
                    flight = self.storage.flights.open.get(key)  # there is one nearly always, and a call costs
                    # With its body on the way, `_with_refresh` asks whether others would still wait for it.
                    is_under_way = (
                        flight is not None and flight.body_until is None and now - flight.began <= LOST_SECONDS
                    )
                response = self.answers.looked_up(entry, "stale", reason, age, request)
                if is_under_way or reason == "offline":
                    return response
                return self._with_refresh(request, prepared, key, entry, now, response, lasting=True)
        flights = self.storage.flights
        with self.storage.lock:
            flight = flights.get(key, now)
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
