"""What is past its TTL: whether it may be served all the same, validated, or refreshed behind the caller's back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..coherence.single_flight import Landing
from ..protocol.conditional import conditional_fields
from ..protocol.fields import fields
from ..storage.entry import known_age
from .core import Core
from .http_library import copied, put, remove
from .judging import View
from .usefulness import is_validated_surely

if TYPE_CHECKING:
    from ..storage.entry import StoredResponse
    from ..support.http_types import HttpRequest, HttpResponse
    from ..telemetry.outcome import Reason, Status
    from .classify import Prepared
    from .steps import Fetch

__all__ = ["Staleness", "within_wish"]

MAX_REMEMBERED = 1024
BACKOFF_FIRST = 1.0
BACKOFF_MOST = 60.0
"""Seconds after a refresh that failed until the next one is tried; doubled with each failure."""


class Staleness(Core):
    """The part of the engine that serves stale.

    What a write has dirtied, or may be about to, is never served stale; neither is anything to a caller who asked for
    a new answer.
    """

    def is_worth_keeping(self, entry: StoredResponse, prepared: Prepared, age: float) -> bool:
        """Whether an expired answer can still be of use: to be validated, or to be served stale."""
        decision = prepared.decision
        assert decision is not None
        if prepared.while_revalidate is not None or prepared.if_error is not None:
            return not age < 0.0  # what this caller has no use for may be of use to others
        window = max(decision.stale_while_revalidate, decision.stale_if_error, decision.offline_for)
        if not age < entry.ttl + window:  # that of an unknown age, too
            return bool(self.validators(entry, None)) or (age != age and window > 0)
        return age >= 0.0

    def may_serve_stale(self, entry: StoredResponse, prepared: Prepared, view: View, window: float) -> bool:
        """Whether a stored answer may be served up to `window` seconds after its TTL.

        One of an unknown age may stand in for a server that fails, as nothing says that it is too old.
        """
        coherence = self.storage.coherence
        age = view.now - entry.began
        return (
            (0.0 <= age < entry.ttl + window or (age != age and window > 0))
            and not prepared.refresh
            and within_wish(prepared, age, window)
            and view.held is None
            and (
                (entry.valid_at == view.epoch and not prepared.directed)
                or not coherence.is_dirtied(entry, prepared.tags)
            )
        )

    def why_stale_now(self, entry: StoredResponse, prepared: Prepared, view: View) -> Reason | None:
        """The reason to serve a stored answer stale without asking the server first, or None."""
        decision, offline = prepared.decision, self.controller.offline
        assert decision is not None
        if prepared.only_if_cached:
            return None
        if (
            offline is not None
            and (offline == "only" or self.is_down(prepared.origin, view.now))
            and self.may_serve_stale(entry, prepared, view, decision.offline_for)
        ):
            return "offline"
        window = decision.stale_while_revalidate
        if self._superseded and self.is_superseded(entry):
            window = 0.0
        if not window or entry.began != entry.began:  # NaN: of no known age
            return None
        return "while-revalidate" if self.may_serve_stale(entry, prepared, view, window) else None

    def stale_until(self, entry: StoredResponse, prepared: Prepared) -> float:
        """When the window ends in which a stored answer is served stale while it is revalidated."""
        assert prepared.decision is not None
        return entry.began + entry.ttl + prepared.decision.stale_while_revalidate

    def count(self, fetch: Fetch, status: Status) -> None:
        """A fetch that counted as a miss when it began turned out otherwise."""
        if not fetch.background:
            with self.storage.lock:
                self.counters.miss -= 1
                self._count(status)

    # ── validation ────────────────────────────────────────────────────────────────────────────────────────────────

    def validators(self, entry: StoredResponse, request: HttpRequest | None) -> list[tuple[str, str]]:
        """The fields that ask whether `entry` is still what the server has; [] where no answer could be trusted.

        - `request`: the one they are sent with, or None.
        """
        headers = fields(entry.headers)
        return conditional_fields(headers) if is_validated_surely(headers) else []

    def ask(self, fetch: Fetch) -> None:
        """Make a fetch conditional on what is stored, where that has validators (RFC 9111 §4.3.1)."""
        if fetch.stale is None:
            return
        validators = self.validators(fetch.stale, fetch.request)
        if validators:
            asking = copied(fetch.request)
            remove(asking.headers, (b"if-none-match", b"if-modified-since"))  # the caller's own; ours name them too
            for name, value in validators:
                put(asking.headers, name.encode(), value.encode("latin-1"))
            fetch.to_send, fetch.validating = asking, True

    # ── failure ───────────────────────────────────────────────────────────────────────────────────────────────────

    def failed(
        self, fetch: Fetch, error: BaseException | None = None, *, stands_in: bool = True
    ) -> HttpResponse | None:
        """The fetch failed or was cancelled. Returns a Response where one may stand in, else None.

        Without one, the flight is handed over to the next joiner.

        - `stands_in`: whether what is stored may take the place of the response; not once a part of it was handed on.
        """
        if error is not None:
            with self.storage.lock:
                self.origin_times.failed(self._cause(error))
        stale = self._stand_in(fetch, error, stands_in)
        if stale is not None:
            return stale
        if fetch.background:
            self._back_off(fetch.flight.key)
        self._land(fetch.flight, Landing.FAILED)
        return self.unavailable(fetch, error)

    def unavailable(self, fetch: Fetch, error: BaseException | None) -> HttpResponse | None:
        """A Response in place of an error that nothing stored stands in for; None: the caller gets the error."""
        return None

    def replaced(self, fetch: Fetch) -> HttpResponse:
        """The stale Response that takes the place of the answer, after `arrived` returned `Body.REPLACE`."""
        assert fetch.stale is not None
        return self._served(fetch, fetch.stale, "if-error")

    def fails_over(self, fetch: Fetch, status: int) -> bool:
        """Whether a stale answer is served in place of one with this status (RFC 5861 §4)."""
        return (
            status >= 500
            and fetch.stale is not None
            and self.may_serve_on_error(fetch.stale, fetch.prepared, self.view_of(fetch))
        )

    def view_of(self, fetch: Fetch) -> View:
        """What is to be looked at now for a fetch that failed."""
        return View(self.storage, fetch.prepared, fetch.flight.key, self.now(), self._owner)

    def may_serve_on_error(self, entry: StoredResponse, prepared: Prepared, view: View) -> bool:
        """Whether a stored answer may stand in for a failure of the server."""
        window = prepared.decision.stale_if_error if prepared.decision is not None else 0.0
        return window > 0 and self.may_serve_stale(entry, prepared, view, window)

    def _cause(self, error: BaseException) -> str:
        """`unreachable`, `cancelled` or `other`."""
        # A caller's own deadline that ran out before anything was sent says nothing of the server.
        not_sent = getattr(error, "request_not_sent", False) is True and not isinstance(error, TimeoutError)
        if not_sent or isinstance(error, self.library.unreachable):
            return "unreachable"
        return "other" if isinstance(error, Exception) else "cancelled"

    def _stand_in(self, fetch: Fetch, error: BaseException | None, stands_in: bool) -> HttpResponse | None:
        if error is None or self._cause(error) != "unreachable":
            return None
        prepared, stale, decision = fetch.prepared, fetch.stale, fetch.prepared.decision
        assert decision is not None
        view = self.view_of(fetch)
        if self.controller.offline == "auto":
            self._went_down(prepared.origin, view.now)
        if stale is None or not stands_in:
            return None
        if decision.offline_for and self.may_serve_stale(stale, prepared, view, decision.offline_for):
            return self._served(fetch, stale, "offline")
        if self.may_serve_on_error(stale, prepared, view):
            return self._served(fetch, stale, "if-error")
        return None

    def _served(self, fetch: Fetch, stale: StoredResponse, reason: Reason) -> HttpResponse:
        self.count(fetch, "stale")
        if fetch.background:
            self._back_off(fetch.flight.key)
        self._land(fetch.flight, Landing.STALE, stale)
        return self.answer(fetch.request, fetch.prepared, stale, "stale", reason, known_age(self.now() - stale.began))

    # ── memory of failures ────────────────────────────────────────────────────────────────────────────────────────

    def is_down(self, origin: str, now: float) -> bool:
        """Whether the server could not be reached a short while ago, so that asking it again would only cost time."""
        until = self._down.get(origin)
        return until is not None and now < until <= now + self.controller.down_for

    def _went_down(self, origin: str, now: float) -> None:
        if len(self._down) >= self.most(MAX_REMEMBERED):
            self._down.clear()
        self._down[origin] = now + self.controller.down_for

    def _supersede(self, entry: StoredResponse) -> None:
        if len(self._superseded) >= self.most(MAX_REMEMBERED):
            self._superseded.clear()
        self._superseded[entry.key] = entry.fetched

    def is_superseded(self, entry: StoredResponse) -> bool:
        """Whether the server has answered otherwise since, with what is not stored: no use while it is revalidated."""
        return self._superseded.get(entry.key) == entry.fetched

    def _back_off(self, key: str) -> None:
        if len(self._backoff) >= self.most(MAX_REMEMBERED):
            self._backoff.clear()
        _, wait = self._backoff.get(key, (0.0, BACKOFF_FIRST / 2))
        wait = min(BACKOFF_MOST, wait * 2)
        self._backoff[key] = (self.clock() + wait, wait)

    def may_refresh(self, key: str, now: float) -> bool:
        """Whether a refresh may be started: the last one did not just fail."""
        until, wait = self._backoff.get(key, (now, 0.0))
        return not now < until <= now + wait


def within_wish(prepared: Prepared, age: float, window: float) -> bool:
    """Whether what the caller said of the age allows a stored answer of this age to be served stale.

    A bound on the age means: nothing stale. But the caller's own TTL, given together with windows of staleness, is
    where those begin.
    """
    return prepared.max_age is None or (prepared.lenient and age < prepared.max_age + window)
