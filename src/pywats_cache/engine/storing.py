"""What becomes of an answer: how its body comes in, whether it is stored, and how its flight lands."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

from ..coherence.single_flight import Landing
from ..protocol.conditional import selects, updated_items
from ..protocol.fields import content_length, fields
from ..protocol.vary import vary_names
from ..storage.entry import StoredResponse, lasting
from ..telemetry.outcome import EXTENSION, CacheOutcome, Reason
from .http_library import content_of, field_lines
from .incoming import Incoming
from .staleness import Staleness
from .steps import Body, Fetch
from .storability import NEGATIVE, head_in, head_of, is_empty, unstorable

if TYPE_CHECKING:
    from ..support.http_types import HttpResponse

__all__ = ["Arrivals"]

SAYS_NOTHING = frozenset({206, 304, 408, 412, 416, 429})
"""Status codes below 500 of answers that leave what is stored as good as it was."""


_new = tuple.__new__  # the constructor of a NamedTuple costs twice as much


class Arrivals(Staleness):
    """The part of the engine between the next transport's answer and the caller's."""

    def arrived(self, fetch: Fetch, response: HttpResponse) -> Body:
        """What to do with the body of `response`: hand it on, let it be stored as it is read, or look at it now."""
        prepared = fetch.prepared
        assert prepared.decision is not None
        status = response.status_code
        fetch.took = time.perf_counter() - fetch.sent
        fetch.flight.head_came(self.storage.flights.monotonic(), fetch.took)
        with self.storage.lock:
            self.origin_times.answered(fetch.took)
        self.distrust(status, prepared)
        self.answered(prepared.origin)
        if status == 304 and fetch.validating:
            return Body.RENEW
        if self.fails_over(fetch, status):
            return Body.REPLACE
        fetch.supersedes = status < 500 and status not in SAYS_NOTHING
        reason = self.read_head(fetch, status, field_lines(response.headers))
        if reason is not None:
            self.release(fetch)
            self.answers.mark(response, self._outcome(fetch, reason))
            return Body.HAND_ON
        return Body.STREAM if content_of(response) is None else Body.READ

    def read_head(self, fetch: Fetch, status: int, items: list[tuple[bytes, bytes, bytes]]) -> Reason | None:
        """Note in `fetch` what the header fields of its answer say. The reason code if it is not stored, or None."""
        assert fetch.prepared.decision is not None
        head, fetch.length = head_of(items)
        fetch.vary, fetch.encoded = head.vary, head.is_encoded
        return unstorable(status, head, fetch.length, fetch.prepared.decision, self.storage.max_entry_bytes)

    def kept(self, items: list[tuple[bytes, bytes, bytes]]) -> list[tuple[bytes, bytes, bytes]]:
        """The header fields of an answer that are stored."""
        return items

    def release(self, fetch: Fetch) -> None:
        """The answer turned out uncacheable: let all joiners go at once, and do not collapse this key for a while."""
        self._unstorable(fetch)
        self._land(fetch.flight, Landing.UNCACHEABLE)

    def _unstorable(self, fetch: Fetch) -> None:
        if fetch.background:
            self._back_off(fetch.flight.key)
        if fetch.supersedes and fetch.stale is not None:
            self._supersede(fetch.stale)
            if fetch.reason == "refresh":
                # Still fresh, but whoever asked anew has seen that it is not what the server has (RFC 9111 §4.3.3).
                self.storage.drop(fetch.stale)

    def take_in(
        self, fetch: Fetch, response: HttpResponse, raw: bytes | None
    ) -> tuple[StoredResponse | None, Reason | None]:
        """The body is there whole (None: the response holds it decoded only): decode it once, store it, and land.

        Returns the entry, or None where there is nothing to decode or it cannot be; and why it was not stored, or None.
        """
        # What the reader took his time for says nothing of the server.
        fetch.took = time.perf_counter() - fetch.sent - fetch.flight.held
        announced = fetch.length
        if raw is not None and announced is not None and announced != len(raw):
            # Next transports other than httpx's may not check; what is not whole is never stored.
            self.failed(fetch)
            return None, "incomplete"
        try:
            content = self._decoded(fetch, response, raw)
        except Exception:  # noqa: BLE001 - the caller gets the same error when it reads
            self.release(fetch)
            return None, "undecodable"
        if content is None:
            self.release(fetch)
            return None, "too-large"
        return self._store(fetch, response, content if raw is None else raw, content)

    def finished(self, fetch: Fetch, response: HttpResponse, raw: bytes | None) -> HttpResponse:
        """A response that came read already was looked at. Returns the Response for the caller.

        - `raw`: its body; None: the response holds it decoded only.
        """
        entry, why_not = self.take_in(fetch, response, raw)
        if entry is None:
            assert why_not is not None
            return self._undecoded(fetch, response, raw or b"", why_not)
        if raw is None and fetch.encoded:
            fetch.stored = None  # an outer storage keeps bodies as received, and would decode this one again
        if why_not is not None:
            with self.storage.lock:
                self.diary.noted(why_not)
        answer = self.answers.first(entry, why_not or fetch.reason, response, stored=why_not is None)
        answer.extensions = {**response.extensions, EXTENSION: answer.extensions[EXTENSION]}
        return answer

    def incoming(self, fetch: Fetch, response: HttpResponse, kind: type[Any]) -> Incoming:
        """The body of `response` that is still to come, in a Response of `kind` for the caller."""
        ours, headers = object.__new__(kind), object.__new__(self.library.headers)
        headers.__dict__.update(response.headers.__dict__)
        outcome = self._outcome(fetch, fetch.reason)
        ours.__dict__.update(response.__dict__, headers=headers, extensions={**response.extensions, EXTENSION: outcome})
        if self.answers.name is not None:
            self.answers.mark(ours, outcome)
        return Incoming(self, fetch, ours)

    def retract(self, entry: StoredResponse, everywhere: bool) -> None:
        """Take back a response that was stored.

        - `everywhere`: invalidate what a storage behind the memory holds of its path, too.
        """
        self.storage.drop(entry)
        if everywhere:
            self.storage.coherence.bump(tuple(tag for tag in entry.tags if tag[0] == "="))

    def mark(self, fetch: Fetch, response: HttpResponse, why_not: Reason | None) -> None:
        """Say in `response` what became of its body: it is stored (None), or `why_not`."""
        outcome = self._outcome(fetch, why_not or fetch.reason, stored=why_not is None)
        if self.answers.name is None:  # as `Answers.mark` does, with a call less for each miss
            response.extensions[EXTENSION] = outcome
        else:
            self.answers.mark(response, outcome)

    def _decoded(self, fetch: Fetch, response: HttpResponse, raw: bytes | None) -> bytes | None:
        """The body without its content encodings; None once it is larger than an entry may be."""
        content = content_of(response)
        if raw is None or content is not None:
            return content
        return self.decode(field_lines(response.headers), raw) if fetch.encoded else raw

    def decode(self, headers: list[tuple[bytes, bytes, bytes]], raw: bytes) -> bytes | None:
        """`raw` without its content encodings; None once it is larger than an entry may be."""
        return self.library.decode(headers, raw, self.storage.max_entry_bytes)

    def _undecoded(self, fetch: Fetch, response: HttpResponse, raw: bytes, reason: Reason) -> HttpResponse:
        response.stream = self.library.byte_stream(raw)
        response.is_closed = False  # it was, with the connection; the caller reads the body from memory
        self.answers.mark(response, self._outcome(fetch, reason))
        return response

    def _store(
        self, fetch: Fetch, response: HttpResponse, raw: bytes, content: bytes
    ) -> tuple[StoredResponse, Reason | None]:
        """Store the answer unless a write came in between, and land the flight with it, in one step.

        Returns the entry, and why it was not stored, or None.
        """
        key, names = self._selected_by(fetch, fetch.vary)
        entry = self._entry(
            fetch,
            key=key,
            status=response.status_code,
            headers=self.kept(field_lines(response.headers)),
            raw=raw,
            content=raw if content == raw else content,
            extensions=lasting(response.extensions),
            vary=names,
            unchanged=None if fetch.stale is None else content == fetch.stale.content,
        )
        return entry, self._keep(fetch, entry)

    def _selected_by(self, fetch: Fetch, names: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
        """The key of an answer that varies by these request headers, and all names known by now."""
        key = fetch.prepared.key
        if names or key in self.storage.varying:
            names = self.storage.vary_by(key, names)
        # By these names, not by what the storage knows now: it may have forgotten them again.
        return (self.variant_by(fetch.request, key, names) if names else key), names

    def _entry(
        self,
        fetch: Fetch,
        *,
        key: str,
        status: int,
        headers: list[tuple[bytes, bytes, bytes]],
        raw: bytes,
        content: bytes,
        extensions: dict[str, Any],
        vary: tuple[str, ...],
        unchanged: bool | None,
    ) -> StoredResponse:
        flight, prepared = fetch.flight, fetch.prepared
        ttl, own_ttl = self.lifetime(fetch, status, unchanged)
        return StoredResponse(
            key=key,
            status=status,
            headers=headers,
            raw=raw,
            content=content,
            extensions=extensions,
            began=flight.began if fetch.dated is None else fetch.dated,
            fetched=flight.order,
            ttl=ttl,
            own_ttl=own_ttl,
            tags=prepared.tags,
            epoch=flight.epoch,
            vary=vary,
            rule=prepared.rule,
            took=fetch.took,
        )

    def _keep(self, fetch: Fetch, entry: StoredResponse) -> Reason | None:
        """Store `entry` and land the flight with it. Returns why it was not stored, or None."""
        prepared, flight, storage = fetch.prepared, fetch.flight, self.storage
        if prepared.decision is not None:
            entry.ahead = prepared.decision.ahead(entry.ttl)
        why_not: Reason | None = None
        with storage.lock:
            entry.clean_at, entry.firm_at = flight.clean_at, flight.firm_at  # a sweep may have marked the flight since
            if not flight.storable:
                why_not = fetch.reason
            elif not self.controller.store_empty and is_empty(entry.content):
                why_not = "empty"
            elif storage.coherence.is_dirtied(flight):
                why_not = "overtaken"
            elif not storage.put(entry):
                why_not = "too-large" if entry.size > storage.max_entry_bytes else "overtaken"
            if why_not in ("empty", "too-large"):
                self._unstorable(fetch)
            storage.flights.remove(flight)
        if why_not is None:
            storage.represent(prepared.representation)
            fetch.stored = entry
            self._backoff.pop(flight.key, None)  # if it was a refresh, it worked
        flight.land(Landing.ANSWERED, entry)
        return why_not

    def renewed(self, fetch: Fetch, response: HttpResponse) -> HttpResponse | None:
        """A 304 to our validators: what is stored is fresh again, with the new header fields (RFC 9111 §4.3.4).

        Returns the Response; None if the 304 does not speak of what is stored, so that `fetch` must be sent plainly.
        """
        stale = fetch.stale
        assert stale is not None
        received = fields(field_lines(response.headers))
        if not self.confirms(fetch, stale, received):
            return self.unconfirmed(fetch, response, received)
        items = updated_items(stale.headers, self.kept(field_lines(response.headers)))
        headers = fields(items)
        forbidden = self.why_not_renewed(fetch, stale, received, headers) is not None
        key, vary, names = stale.key, stale.vary, vary_names(headers)
        if not forbidden and not set(names) <= set(vary):
            # From now on more of a request selects it, so what is stored answers only requests like this one.
            key, vary = self._selected_by(fetch, names)
        if forbidden or key != stale.key:
            self.storage.drop(stale)
        entry = self._entry(
            fetch,
            key=key,
            status=stale.status,
            headers=self.kept(items),
            raw=stale.raw,
            content=stale.content,
            extensions=stale.extensions,
            vary=vary,
            unchanged=True,
        )
        if forbidden:
            self.release(fetch)
        stored = not forbidden and self._keep(fetch, entry) is None
        self.count(fetch, "revalidated")
        age = 0.0 if fetch.dated is None else self.now() - fetch.dated
        return self.answer(fetch.request, fetch.prepared, entry, "revalidated", "not-modified", age, stored=stored)

    def confirms(self, fetch: Fetch, stale: StoredResponse, received: dict[str, list[str]]) -> bool:
        """Whether a 304 to our validators speaks of what is stored."""
        return selects(received, fields(stale.headers))

    def unconfirmed(self, fetch: Fetch, response: HttpResponse, received: dict[str, list[str]]) -> HttpResponse | None:
        """A 304 speaks of something else: make `fetch` a plain one, and return None, so that it is sent."""
        fetch.stale, fetch.to_send, fetch.validating = None, fetch.request, False
        return None

    def why_not_renewed(
        self, fetch: Fetch, stale: StoredResponse, received: dict[str, list[str]], headers: dict[str, list[str]]
    ) -> Reason | None:
        """The reason code of a stored answer that is not stored any longer once it has these `headers`, or None.

        - `received`: the fields of the 304 alone.
        """
        assert fetch.prepared.decision is not None
        length, bound = content_length(headers), self.storage.max_entry_bytes
        return unstorable(stale.status, head_in(headers), length, fetch.prepared.decision, bound)

    def lifetime(self, fetch: Fetch, status: int, unchanged: bool | None) -> tuple[float, bool]:
        """The TTL of a new answer in seconds, and whether it is its own rather than the rule's.

        - `unchanged`: whether it is what was stored before; None: nothing was.
        """
        prepared = fetch.prepared
        decision = prepared.decision
        assert decision is not None
        ttl, own = prepared.ttl, prepared.own_ttl
        if decision.negative_ttl is not None and status in NEGATIVE:
            ttl = decision.negative_ttl
        elif decision.adaptive is not None and not own:
            least, most = decision.adaptive
            if fetch.stale is None or unchanged is None:
                ttl = min(most, max(least, ttl))
            else:
                ttl = min(most, fetch.stale.ttl * 2) if unchanged else max(least, fetch.stale.ttl / 2)
            own = True
        if self.controller.jitter:
            ttl *= 1.0 - self.controller.jitter * random.random()  # noqa: S311 - spreads load, keeps no secret
        return ttl, own

    def _outcome(self, fetch: Fetch, reason: Reason, *, stored: bool = False) -> CacheOutcome:
        if reason != fetch.reason:
            with self.storage.lock:
                self.diary.noted(reason)
        prepared = fetch.prepared
        ttl = prepared.ttl if fetch.lifetime is None else fetch.lifetime
        return _new(CacheOutcome, ("miss", reason, 0.0, ttl, fetch.flight.key, stored, prepared.rule))
