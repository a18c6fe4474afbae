"""Who fetches: flights that are opened, joined, left, and promised for later in the background."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..coherence.single_flight import Flight, Landing, Owner
from ..policy.directives import BACKGROUND, DEADLINE
from ..storage.entry import StoredResponse, known_age
from ..telemetry.outcome import Reason, Status
from .classify import Prepared
from .http_library import copied, parsed, parts
from .judging import View
from .staleness import Staleness
from .steps import Fetch, Join, Stale

if TYPE_CHECKING:
    from ..support.http_types import HttpRequest, HttpResponse

__all__ = ["Departures"]

NOBODY: Owner = (0, None)
"""The owner of a flight in the background: no thread that might wait for itself."""


class Departures(Staleness):
    """The part of the engine before a fetch is sent; `Arrivals` is the one after it."""

    def _take_off(
        self,
        request: HttpRequest,
        prepared: Prepared,
        view: View,
        reason: Reason,
        *,
        solo: bool,
        cause: Reason | None = None,
        background: bool = False,
    ) -> Fetch:
        """Open a flight, of the epoch of `view`. With `solo` nobody may join it.

        - `cause`: what the miss counts under, if not under `reason`.
        """
        storage, held = self.storage, view.held
        storage.coherence.saw(prepared.origin)
        flight: Flight[StoredResponse] = Flight(
            view.key,
            prepared.tags,
            view.epoch,
            view.now,
            NOBODY if background else view.who(),
            shared=not solo and held is None,
            storable=held is None and prepared.ttl > 0,
            request=request,
        )
        with storage.lock:
            storage.flights.put_in_order(flight)
            if flight.shared:
                storage.flights.add(flight)
            if not background:
                self.counters.miss += 1
                self.diary.missed(prepared.rule, parsed(request.url).query, cause or reason)
        return Fetch(request, prepared, flight, reason, background=background)

    def _ask_about(self, fetch: Fetch, entry: StoredResponse) -> None:
        """Let `fetch` validate `entry`, and fall back on it, unless a write dirtied it before the flight began.

        A later write makes the flight old too, so it need not be looked for.
        """
        if not self.storage.coherence.is_dirtied(entry, fetch.prepared.tags):
            fetch.stale = fetch.flight.stale = entry
            self.ask(fetch)

    def _brought(self, join: Join, now: float) -> tuple[StoredResponse, Status, Reason, float | None] | None:
        """What the flight brought for this request: entry, status, reason and age; None if nothing fits."""
        landing, prepared = join.flight.landing, join.prepared  # before the answer, which is set first
        entry = join.flight.answer
        if landing is None or entry is None:
            return None
        age = now - entry.began
        if landing is Landing.STALE:
            view = View(self.storage, prepared, join.key, now, self._owner)
            if self.may_serve_on_error(entry, prepared, view):
                return entry, "stale", "if-error", known_age(age)
            assert prepared.decision is not None
            window = prepared.decision.offline_for
            return (
                (entry, "stale", "offline", known_age(age))
                if self.may_serve_stale(entry, prepared, view, window)
                else None
            )
        if self.may_share(entry, prepared, age) and entry.key == self.variant(join.request, prepared.key):
            return entry, "collapsed", "joined", age
        return None

    def seconds_to_wait(self, join: Join) -> float:
        """How long to wait for the flight before this is asked again; 0: it is time for `rejoin`."""
        flight = join.flight
        if flight.landing is not None:
            return 0.0
        now = self.storage.flights.monotonic()
        return max(0.0, min(join.deadline, flight.leave_at(now)) - now)

    def abandoned(self, request: HttpRequest) -> None:
        """What was to be done for `request` was broken off: a flight opened for it here ends, and is handed over.

        Nothing happens to one that has landed.
        """
        with self.storage.lock:
            found = [flight for flight in self.storage.flights.open.values() if flight.request is request]
        for flight in found:
            if flight.owner in (NOBODY, self._owner()):  # else another thread or task sends the same request
                self._land(flight, Landing.FAILED)

    def left(self, join: Join) -> None:
        """A joiner was cancelled while it waited; it counts as a miss."""
        with self.storage.lock:
            self.counters.miss += 1
            self.counters.lookups += join.lookup is not None

    def given_up(self, request: HttpRequest) -> None:
        """A call was cancelled before it could begin; a read counts as a miss, another as a bypass."""
        reads = self.preparer.prepare(request).kind in ("read", "part")
        with self.storage.lock:
            self._count("miss" if reads else "bypass")

    # ── in the background ─────────────────────────────────────────────────────────────────────────────────────────────

    def _with_refresh(
        self,
        request: HttpRequest,
        prepared: Prepared,
        key: str,
        entry: StoredResponse,
        response: HttpResponse,
        *,
        lasting: bool = False,
    ) -> Stale:
        """`response`, as a Stale that starts a refresh. The storage's lock is held since that was judged.

        Its flight is opened in the background: here it would be a quarter of the engine's work for this answer.

        - `lasting`: `request` is a pattern that nobody changes.
        """
        step = Stale(response, request, None if lasting else parts(request), prepared, key, entry)
        self.storage.flights.promise(key, step)
        return step

    def refresh(self, stale: Stale) -> Fetch | None:
        """Open the flight of a refresh. However it ends, `unrefreshed` must be called.

        None: a newer answer is there or on its way, or none could be stored, because a write may be taking effect.
        """
        storage, prepared, key, entry = self.storage, stale.prepared, stale.key, stale.entry
        request, now = _for_background(stale), self.now()
        try:
            with storage.lock:
                storage.flights.redeem(key, stale)
                view = View(storage, prepared, key, now, self._owner)
                if view.flight is not None or storage.find(key) is not entry:
                    return None
                fetch = self._take_off(request, prepared, view, "while-revalidate", solo=False, background=True)
                stale.flight = fetch.flight
            if not fetch.flight.storable:
                return None
            self._ask_about(fetch, entry)
        except BaseException:
            self.abandoned(request)
            raise
        return fetch

    def refused(self, stale: Stale) -> None:
        """No thread or task can run the refresh now."""
        self.unrefreshed(stale)
        self._back_off(stale.key)

    def unrefreshed(self, stale: Stale) -> None:
        """The refresh is over, or never began. Its flight lands now if it has not: nobody else would see to it."""
        with self.storage.lock:
            self.storage.flights.redeem(stale.key, stale)
        if stale.flight is not None:
            self._land(stale.flight, Landing.FAILED)


def _for_background(stale: Stale) -> HttpRequest:
    """A copy of the request of a stale answer, without what belongs to its caller's call: trace and deadline."""
    mine = copied(stale.request, stale.parts)
    extensions = mine.extensions
    extensions.pop("trace", None)
    extensions.pop(DEADLINE, None)
    extensions[BACKGROUND] = True
    return mine
