"""What becomes of an answer: how its body comes in, whether it is stored, and how its flight lands."""

from __future__ import annotations

import datetime
import time
from typing import Any

from .body import Collector
from .core import Core
from .directives import EXTENSION
from .flights import Flight, Landing
from .freshness import DECISIVE, Body, content_length, fields, is_empty, unstorable, vary_names
from .outcome import CacheOutcome
from .steps import Fetch
from .storage.entry import StoredResponse, header_items, lasting

__all__ = ["Arrivals"]


class Arrivals(Core):
    """The part of the engine between the next transport's answer and the caller's."""

    def may_load(self, fetch: Fetch) -> bool:
        """Whether an outer storage may answer this fetch."""
        return fetch.flight.storable and not fetch.prepared.refresh

    def loaded(self, fetch: Fetch, found: list[StoredResponse]) -> Any:
        """What an outer storage holds for a fetch: the Response if it is fresh, else None."""
        prepared, flight, storage = fetch.prepared, fetch.flight, self.storage
        for entry in found:
            if entry.vary:
                storage.vary_by(prepared.key, entry.vary)
            age = self.now() - entry.began
            if entry.key == self.variant(fetch.request, prepared.key) and self.is_fresh(entry, prepared, age):
                with storage.lock:
                    storage.put(entry)
                    storage.flights.remove(flight)
                    self.counters.miss -= 1
                    self.counters.hit += 1
                flight.land(Landing.ANSWERED, entry)
                return self.answers.stored(entry, "hit", "fresh", age)
        return None

    def arrived(self, fetch: Fetch, response: Any) -> Body:
        """What to do with the body of `response`: pass it on, read it now, or hand it on and store it at its end."""
        prepared = fetch.prepared
        assert prepared.decision is not None
        self.distrust(response.status_code, prepared)
        headers = fields(response.headers._list, DECISIVE)
        fetch.length, fetch.vary = content_length(headers), vary_names(headers)
        reason = unstorable(response.status_code, headers, prepared.decision, self.storage.max_entry_bytes)
        if reason is not None:
            self.release(fetch)
            response.extensions[EXTENSION] = self._outcome(fetch, reason)
            return Body.HAND_ON
        if hasattr(response, "_content") or fetch.length is not None:
            return Body.READ
        return Body.TEE

    def release(self, fetch: Fetch) -> None:
        """The answer turned out uncacheable: let all joiners go at once, and do not collapse this key for a while."""
        self._land(fetch.flight, Landing.UNCACHEABLE)

    def failed(self, fetch: Fetch) -> None:
        """The fetch failed or was cancelled: hand over to the next joiner."""
        self._land(fetch.flight, Landing.FAILED)

    def _land(self, flight: Flight, landing: Landing, answer: StoredResponse | None = None) -> None:
        with self.storage.lock:
            self.storage.flights.remove(flight)
            if landing is Landing.UNCACHEABLE and flight.shared:
                self.storage.flights.make_solitary(flight.key, self.clock())
        flight.land(landing, answer)

    def finished(self, fetch: Fetch, response: Any, raw: bytes | None) -> Any:
        """The whole body is there (None: the response holds it decoded only). Returns the Response for the caller."""
        announced = fetch.length
        if raw is not None and announced is not None and announced != len(raw):
            # Next transports other than httpx's may not check; what is not whole is never stored.
            self.failed(fetch)
            return self._undecoded(fetch, response, raw, "incomplete")
        try:
            content = self._decoded(response, raw)
        except Exception:  # noqa: BLE001 - the caller gets the same error when it reads
            self.release(fetch)
            return self._undecoded(fetch, response, raw or b"", "undecodable")
        if content is None:
            self.release(fetch)
            return self._undecoded(fetch, response, raw or b"", "too-large")
        entry, why_not = self._store(fetch, response, content if raw is None else raw, content)
        answer = self.answers.stored(entry, "miss", why_not or fetch.reason, 0.0, stored=why_not is None)
        answer._elapsed = datetime.timedelta(seconds=time.perf_counter() - fetch.sent)
        answer.extensions = {**response.extensions, EXTENSION: answer.extensions[EXTENSION]}
        return answer

    def _decoded(self, response: Any, raw: bytes | None) -> bytes | None:
        """The body without its content encodings; None once it is larger than an entry may be."""
        if raw is None or hasattr(response, "_content"):
            content: bytes = response._content
            return content
        return self.decode(response.headers._list, raw)

    def decode(self, headers: list[tuple[bytes, bytes, bytes]], raw: bytes) -> bytes | None:
        """`raw` without its content encodings; None once it is larger than an entry may be."""
        return self.library.decode(headers, raw, self.storage.max_entry_bytes)

    def _undecoded(self, fetch: Fetch, response: Any, raw: bytes, reason: str) -> Any:
        response.stream = self.library.byte_stream(raw)
        response.is_closed = False  # it was, with the connection; the caller reads the body from memory
        response.extensions[EXTENSION] = self._outcome(fetch, reason)
        return response

    def collector(self, fetch: Fetch, response: Any) -> Collector:
        """Gathers the body of unknown length while it is handed on."""
        response.extensions[EXTENSION] = self._outcome(fetch, fetch.reason)

        def done(raw: bytes) -> None:
            try:
                content = self._decoded(response, raw)
            except Exception:  # noqa: BLE001 - the caller gets the same error when it reads
                unstored("undecodable")
                return
            if content is None:
                unstored("too-large")
                return
            why_not = self._store(fetch, response, raw, content)[1]
            response.extensions[EXTENSION] = self._outcome(fetch, why_not or fetch.reason, stored=why_not is None)

        def failed(too_large: bool) -> None:
            if too_large:
                unstored("too-large")
            else:
                self.failed(fetch)
                response.extensions[EXTENSION] = self._outcome(fetch, "incomplete")

        def unstored(reason: str) -> None:
            self.release(fetch)
            response.extensions[EXTENSION] = self._outcome(fetch, reason)

        return Collector(self.storage.max_entry_bytes, done, failed)

    def _store(self, fetch: Fetch, response: Any, raw: bytes, content: bytes) -> tuple[StoredResponse, str | None]:
        """Store the answer unless a write came in between, and land the flight with it, in one step.

        Returns the entry, and why it was not stored, or None.
        """
        prepared, flight, storage = fetch.prepared, fetch.flight, self.storage
        names = fetch.vary
        if names or prepared.key in storage.varying:
            names = storage.vary_by(prepared.key, names)
        entry = StoredResponse(
            # By these names, not by what the storage knows now: it may have forgotten them again.
            key=self.variant_by(fetch.request, prepared.key, names) if names else prepared.key,
            status=response.status_code,
            headers=header_items(response.headers._list),
            raw=raw,
            content=raw if content == raw else content,
            extensions=lasting(response.extensions),
            began=flight.began,
            ttl=prepared.ttl,
            own_ttl=prepared.own_ttl,
            tags=prepared.tags,
            epoch=flight.epoch,
            vary=names,
            rule=prepared.rule,
        )
        why_not: str | None = None
        with storage.lock:
            if not flight.storable:
                why_not = fetch.reason
            elif not self.controller.store_empty and is_empty(content):
                why_not = "empty"
            elif storage.coherence.dirtied_since(prepared.tags, flight.epoch):
                why_not = "overtaken"
            elif not storage.put(entry):
                why_not = "too-large" if entry.size > storage.max_entry_bytes else "overtaken"
            storage.flights.remove(flight)
        if why_not is None:
            fetch.stored = entry
        flight.land(Landing.ANSWERED, entry)
        return entry, why_not

    def _outcome(self, fetch: Fetch, reason: str, *, stored: bool = False) -> CacheOutcome:
        prepared = fetch.prepared
        return CacheOutcome("miss", reason, 0.0, prepared.ttl, fetch.flight.key, stored, prepared.rule)
