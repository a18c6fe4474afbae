"""RFC mode: what the answers to other methods than GET change of what is stored (RFC 9111 §4.3.5, §4.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..coherence.single_flight import Flight
from ..coherence.tags import exact_tags
from ..protocol.conditional import updated_items
from ..protocol.fields import fields
from ..protocol.freshness import freshness
from ..protocol.methods import head_effect, invalidated, usable_for_get
from ..protocol.vary import vary_names
from ..storage.entry import StoredResponse
from ..support.collector import Collector
from ..telemetry.outcome import EXTENSION
from .http_library import content_of, field_lines, raw_of
from .rfc_storing import RfcArrivals
from .scopes import given_here
from .steps import Fetch
from .writing import Gathered, Writes

if TYPE_CHECKING:
    from ..support.http_types import HttpRequest, HttpResponse
    from .classify import Prepared
    from .steps import Forward

__all__ = ["RfcWrites"]

_OF_A_BODY = frozenset({"content-length", "content-type", "content-encoding", "transfer-encoding", "expect"})


class RfcWrites(RfcArrivals, Writes):
    """The effects of HEAD and POST, and of the places that the answer to a write names."""

    def tells_others(self, prepared: Prepared, response: HttpResponse) -> bool:
        """Whether taking in this response does I/O. A HEAD may tell that what is stored is another one."""
        return super().tells_others(prepared, response) or (self.blocks and prepared.head)

    def forwarded(self, forward: Forward, response: HttpResponse) -> Gathered | None:
        """The answer to a write or bypass is there. Returns what stores the body of one that serves a GET too."""
        before = self.storage.coherence.epoch
        fetch = self._for_get(forward, response)
        super().forwarded(forward, response)
        if forward.prepared.head and forward.prepared.kind != "bypass":
            self._apply_head(forward, response)
        # Another write in between may have changed what this answer shows.
        if fetch is None or forward.dirtied != before + 1:
            return None
        if self.storage.coherence.is_settling(fetch.prepared.tags, self.now()):
            return None
        flight = fetch.flight
        flight.epoch = flight.clean_at = flight.firm_at = forward.dirtied
        return fetch, self._gathering(fetch, response)

    def named(self, forward: Forward, response: HttpResponse) -> tuple[str, ...]:
        """The exact paths of Location and Content-Location on the same origin (RFC 9111 §4.4)."""
        request, prepared = forward.request, forward.prepared
        bases = [str(request.url)]
        if "target" in request.extensions:
            bases.append(urlsplit(bases[0])._replace(path=prepared.path, query="").geturl())
        headers = fields(field_lines(response.headers))
        urls = [url for base in bases for url in invalidated(request.method, response.status_code, base, headers)[1:]]
        return tuple(tag for url in urls for tag in exact_tags(prepared.origin, urlsplit(url).path))

    # ── HEAD ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _apply_head(self, forward: Forward, response: HttpResponse) -> None:
        """A HEAD tells of the stored GET that it is the same, and so fresh again, or that it is another."""
        prepared, coherence = forward.prepared, self.storage.coherence
        entry = self.storage.find(self.variant(forward.request, prepared.key))
        if entry is None or entry.own_ttl or coherence.is_dirtied(entry):
            return
        received = fields(field_lines(response.headers))
        effect = head_effect(response.status_code, received, fields(entry.headers))
        if effect == "update":
            # The body is as old as before, so it keeps the epoch of its fetch, and its tags.
            fetch = self._fetch_of(forward, forward.request, entry.epoch, entry.tags)
            fetch.flight.clean_at, fetch.flight.firm_at = entry.clean_at, entry.firm_at
            items = updated_items(entry.headers, self.kept(field_lines(response.headers)))
            headers = fields(items)
            may_stay = self.why_not_renewed(fetch, entry, received, headers) is None
            if may_stay and set(vary_names(headers)) <= set(entry.vary):
                self._put_again(fetch, entry, self.kept(items))
            else:
                effect = "invalidate"
                self.storage.drop(entry)  # not to be served stale, either
        if effect == "invalidate":
            coherence.soften(exact_tags(prepared.origin, prepared.path))

    def _put_again(self, fetch: Fetch, entry: StoredResponse, items: list[tuple[bytes, bytes, bytes]]) -> None:
        renewed = self._entry(
            fetch,
            key=entry.key,
            status=entry.status,
            headers=items,
            raw=entry.raw,
            content=entry.content,
            extensions=entry.extensions,
            vary=entry.vary,
            unchanged=True,
        )
        self._keep(fetch, renewed)

    # ── POST ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _for_get(self, forward: Forward, response: HttpResponse) -> Fetch | None:
        """The fetch of the GET that the answer to a POST serves too (RFC 9110 §9.3.3), or None.

        None also if a write to the same tags came while this one was under way: their order is not known.
        """
        request = forward.request
        if request.method != "POST" or forward.prepared.kind != "write":
            return None
        if EXTENSION in request.extensions or (self.open_scopes and given_here(self)):
            return None
        if "target" in request.extensions:  # it was not the URL that answered
            return None
        headers = fields(field_lines(response.headers))
        fresh = freshness(response.status_code, headers, self.wall())
        if not usable_for_get(response.status_code, str(request.url), headers, fresh):
            return None
        kept = [
            (name, value)
            for name, lower, value in field_lines(request.headers)
            if lower.decode("latin-1") not in _OF_A_BODY
        ]
        get = self.library.request("GET", request.url, headers=kept)
        fetch = self._fetch_of(forward, get, forward.epoch)
        prepared = fetch.prepared
        if prepared.kind != "read" or self.storage.coherence.dirtied_since(prepared.tags, forward.epoch):
            return None
        return fetch if self.read_head(fetch, response.status_code, field_lines(response.headers)) is None else None

    def _fetch_of(
        self, forward: Forward, request: HttpRequest, epoch: int, tags: tuple[str, ...] | None = None
    ) -> Fetch:
        """A fetch that has been answered already, in its own flight, which nobody may join."""
        prepared = self.preparer.prepare(request)
        if tags is not None:
            prepared = prepared._replace(tags=tags)
        flight: Flight[StoredResponse] = Flight(
            prepared.key, prepared.tags, epoch, forward.began, (0, None), shared=False, storable=True
        )
        return Fetch(request, prepared, flight, "unknown", background=True)

    def _gathering(self, fetch: Fetch, response: HttpResponse) -> Collector | None:
        """What gathers the body while it is handed on; None if it was there already."""

        def done(raw: bytes) -> None:
            if fetch.length is not None and fetch.length != len(raw):
                return
            try:
                content = self._decoded(fetch, response, raw)
            except Exception:  # noqa: BLE001 - the caller gets the same error when it reads
                return
            if content is not None:
                self._store(fetch, response, raw, content)

        if content_of(response) is not None:
            raw = raw_of(response.stream)
            if raw is not None:
                done(raw)
            return None
        at_once = self.storage.coherence.without_io  # the body may be read in an event loop
        return Collector(self.storage.max_entry_bytes, lambda raw: at_once(done, raw), lambda too_large: None)
