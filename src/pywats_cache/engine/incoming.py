"""A body that is still to come: what the engine makes of it while the caller reads it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

from ..coherence.single_flight import READER_SECONDS
from ..protocol.fields import fields
from ..telemetry.outcome import EXTENSION
from .http_library import field_lines

if TYPE_CHECKING:
    from ..storage.entry import StoredResponse
    from ..storage.memory import MemoryStorage
    from ..support.http_types import HttpRequest, HttpResponse
    from ..telemetry.event_log import Journal
    from ..telemetry.outcome import Reason
    from .scopes import Noted
    from .steps import Fetch

__all__ = ["Incoming"]

_ENCODING = frozenset({b"content-encoding"})
LEASE_PAUSE = 0.02
"""Seconds between two times that the claim of a body read as a stream is prolonged, for each costs I/O."""
LEAST_LEASE = 0.001


class Receiver(Protocol):
    """What an incoming body asks of the engine."""

    storage: MemoryStorage
    journal: Journal

    def take_in(
        self, fetch: Fetch, response: HttpResponse, raw: bytes | None
    ) -> tuple[StoredResponse | None, Reason | None]:
        """Decode a whole body, store it, and land the flight."""

    def release(self, fetch: Fetch) -> None:
        """Land the flight as uncacheable."""

    def failed(
        self, fetch: Fetch, error: BaseException | None = None, *, stands_in: bool = True
    ) -> HttpResponse | None:
        """Land the flight as failed, or with the stored response that stands in, which is returned."""

    def retract(self, entry: StoredResponse, everywhere: bool) -> None:
        """Take back a response that was stored."""

    def mark(self, fetch: Fetch, response: HttpResponse, why_not: Reason | None) -> None:
        """Say in the response what became of its body."""

    def answered_request(
        self, request: HttpRequest, response: HttpResponse, took: float, *, lookup: bool = False
    ) -> None:
        """Tell of a request and its response."""


class Incoming:
    """The body of the response to a fetch, on its way to the caller and into the cache. It does no I/O.

    The stream of the response says what happens to it, in one of two ways:

    - read whole: `add` for each chunk, then `whole` or `broke_off`;
    - read as a stream: `add` for each chunk, `handed_on` and `asked_again` around it, then `finish`, `close` or
      `broke_off`. Where other processes wait for it, what `lease_in_hand` and `lease_awaited` say is told them.

    Then `tell`. It has one reader at a time, for the library's responses have.

    - `response`: the caller's; its extensions say what became of the body.
    - `asked`: the request, when it began, and whether it was a lookup, if the event log is to be told of it.
    - `noted`: where blocks of the caller's code see the outcome, if any do.
    - `is_over`: whether it is decided what becomes of the body; its flight has landed then.
    - `is_wrong`: whether what followed on the last byte that was announced says that it was not the last: `retract`.
    """

    __slots__ = (
        "_chunks",
        "_engine",
        "_entry",
        "_is_lease_short",
        "_prolonged",
        "_received",
        "asked",
        "fetch",
        "is_handed_on",
        "is_over",
        "is_wrong",
        "noted",
        "response",
    )

    def __init__(self, engine: Receiver, fetch: Fetch, response: HttpResponse) -> None:
        self._engine = engine
        self._chunks: list[bytes] = []
        self._received = 0
        self._entry: StoredResponse | None = None
        self._is_lease_short = False
        self._prolonged = float("-inf")
        self.asked: tuple[Any, ...] | None = None
        self.noted: Noted | None = None
        self.is_handed_on: bool = False
        self.is_over: bool = False
        self.is_wrong: bool = False
        self.fetch: Fetch = fetch
        self.response: Any = response

    def add(self, chunk: bytes) -> None:
        """One more chunk was received."""
        self._received += len(chunk)
        if not self.is_over:
            self._chunks.append(chunk)
            if self._received > self._engine.storage.max_entry_bytes:
                self._decide()
                self._engine.release(self.fetch)
                self._mark("too-large")
        elif chunk:
            self.is_wrong = self._entry is not None  # more than was announced, so what is stored is not the whole

    # ── read whole ────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def is_in_vain(self) -> bool:
        """Whether nobody needs the rest: the fetch was in the background, and the body turned out too large."""
        return self.is_over and self.fetch.background

    def whole(self, raw: bytes) -> bytes | None:
        """The body was drained. Returns it decoded; None: only the library can decode it, or say why not."""
        if self.is_over:  # it is too large to be stored
            return None
        self.is_over = True
        engine, fetch, response = self._engine, self.fetch, self.response
        entry, why_not = engine.take_in(fetch, response, raw)
        engine.mark(fetch, response, why_not)
        return None if entry is None else entry.content

    # ── read as a stream ──────────────────────────────────────────────────────────────────────────────────────────

    @property
    def is_whole(self) -> bool:
        """Whether all that was announced is there, and `finish` is due before its last chunk is handed on."""
        return self._received == self.fetch.length and not self.is_over

    @property
    def holds_others(self) -> bool:
        """Whether other processes have to wait for this reader, who takes his time."""
        fetch = self.fetch
        return fetch.claim is not None and self._engine.storage.flights.must_leave(fetch.flight)

    def lease_in_hand(self) -> float | None:
        """Before a chunk is handed on: in how many seconds other processes are to be let go; None: as it is."""
        fetch = self.fetch
        if fetch.claim is None or self._is_lease_short:
            return None
        self._is_lease_short = True
        return max(LEAST_LEASE, READER_SECONDS - fetch.flight.held)

    def lease_awaited(self) -> float | None:
        """After the caller has asked again: for how many seconds other processes may wait for the next chunk.

        None: as it is, because that was said a moment ago, or they need not wait any more.
        """
        fetch = self.fetch
        if fetch.claim is None:
            return None
        flights = self._engine.storage.flights
        now, until = flights.monotonic(), fetch.flight.body_until
        if until is None or now - self._prolonged < LEASE_PAUSE or flights.must_leave(fetch.flight):
            return None
        self._prolonged, self._is_lease_short = now, False
        return max(LEAST_LEASE, until - now)

    def handed_on(self) -> None:
        """The caller gets a chunk."""
        self.is_handed_on = True
        self.fetch.flight.handed_on(self._engine.storage.flights.monotonic())

    def asked_again(self) -> None:
        """The caller asks for the next chunk."""
        self.fetch.flight.asked_again(self._engine.storage.flights.monotonic())

    def finish(self) -> None:
        """The stream ended cleanly, or all that was announced is there: store it."""
        if not self.is_over:
            raw = b"".join(self._decide())
            entry, why_not = self._engine.take_in(self.fetch, self.response, raw)
            self._entry = entry if why_not is None else None
            self._mark(why_not)

    def close(self) -> None:
        """The response was closed. Before its end, nothing is stored, and the flight is handed over."""
        if not self.is_over:
            self._decide()
            self._engine.failed(self.fetch)
            self._mark("incomplete")

    def retract(self, everywhere: bool) -> None:
        """What was stored is wrong: take it back; `everywhere`: in the storage behind the memory too, with I/O."""
        entry, self._entry, self.is_wrong, self.fetch.stored = self._entry, None, False, None
        if entry is not None:
            self._engine.retract(entry, everywhere)
            self._mark("incomplete")
            if self.noted is not None:
                self.noted.change(self.response)

    # ── either way ────────────────────────────────────────────────────────────────────────────────────────────────

    def broke_off(self, error: BaseException, *, whole: bool) -> HttpResponse | None:
        """The next transport raised `error`. Returns the Response that takes the place of this one, or None.

        - `whole`: the body is read whole. Otherwise the caller has seen the head, so what takes its place must have
          the same status and content encoding, and nothing may have been handed on.
        """
        if self.is_over:
            # What a reader does who is cancelled says nothing of the body.
            self.is_wrong = self._entry is not None and isinstance(error, Exception)
            return None
        self._decide()
        stands_in = whole or (not self.is_handed_on and self._has_same_head())
        instead = self._engine.failed(self.fetch, error, stands_in=stands_in)
        if instead is not None and (whole or instead.extensions[EXTENSION].status == "stale"):
            return instead
        self._mark("incomplete")
        return None

    def _decide(self) -> list[bytes]:
        self.is_over = True
        chunks, self._chunks = self._chunks, []
        return chunks

    def _has_same_head(self) -> bool:
        stale = self.fetch.stale
        if stale is None or stale.status != self.response.status_code:
            return False
        return fields(stale.headers, _ENCODING) == fields(field_lines(self.response.headers), _ENCODING)

    def _mark(self, why_not: Reason | None) -> None:
        self._engine.mark(self.fetch, self.response, why_not)

    # ── telling ───────────────────────────────────────────────────────────────────────────────────────────────────

    def tell(self, error: BaseException | None = None) -> None:
        """Tell the event log: of the response, or of the `error` that took its place."""
        if self.noted is not None:
            self.noted.change(self.response)
        if self.asked is not None:
            (request, began, lookup), self.asked = self.asked, None
            took = time.perf_counter() - began
            if error is None:
                self._engine.answered_request(request, self.response, took, lookup=lookup)
            else:
                self._engine.journal.failed(request, error, took)
