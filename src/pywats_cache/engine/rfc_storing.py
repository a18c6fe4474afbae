"""RFC mode: what is stored of an answer, how long it is fresh, and how old it was when it came (RFC 9111 §3, §4.2)."""

from __future__ import annotations

from dataclasses import replace
from email.utils import formatdate
from typing import TYPE_CHECKING

from ..protocol.conditional import selects, speaks_of_caller
from ..protocol.fields import content_length, fields
from ..protocol.freshness import Freshness, freshness, initial_age, stored_items, unstorable_by_rfc
from ..protocol.vary import vary_names
from .http_library import field_lines
from .rfc_staleness import RfcStaleness
from .storability import unkeepable
from .storing import Arrivals

if TYPE_CHECKING:
    from ..storage.entry import StoredResponse
    from ..support.http_types import HttpResponse
    from ..telemetry.outcome import Reason
    from .steps import Fetch

__all__ = ["RfcArrivals"]

Items = list[tuple[bytes, bytes, bytes]]


class RfcArrivals(RfcStaleness, Arrivals):
    """The questions about an answer that came in, answered by what it says."""

    def read_head(self, fetch: Fetch, status: int, items: Items) -> Reason | None:
        """Note in `fetch` what the header fields of its answer say. The reason code if it is not stored, or None."""
        headers = fields(items)
        fetch.length, fetch.vary = content_length(headers), vary_names(headers)
        fetch.encoded = "content-encoding" in headers
        return self._why_not(fetch, status, headers, headers)

    def _why_not(
        self, fetch: Fetch, status: int, received: dict[str, list[str]], headers: dict[str, list[str]]
    ) -> Reason | None:
        fresh = self._dated(fetch, status, received, headers)
        return unstorable_by_rfc(status, fields(field_lines(fetch.request.headers)), headers, fresh) or unkeepable(
            headers, self.storage.max_entry_bytes
        )

    def _dated(
        self, fetch: Fetch, status: int, received: dict[str, list[str]], headers: dict[str, list[str]]
    ) -> Freshness:
        """Take the age from the fields `received` now, and the lifetime from those that are stored."""
        wall, now = self.wall(), self.now()
        fresh = freshness(status, headers, wall)
        if fetch.prepared.own_ttl:
            fresh = replace(fresh, lifetime=fetch.prepared.ttl, explicit=True)
        # What says no-cache is never fresh; so no hit needs to look for that.
        fetch.lifetime = 0.0 if fresh.validate else fresh.lifetime
        fetch.dated = now - initial_age(received, wall, now - fetch.flight.began)
        return fresh

    def lifetime(self, fetch: Fetch, status: int, unchanged: bool | None) -> tuple[float, bool]:
        """The lifetime that the answer states or allows to guess, or the caller's own TTL."""
        assert fetch.lifetime is not None
        return fetch.lifetime, fetch.prepared.own_ttl

    def kept(self, items: Items) -> Items:
        """The header fields that are stored: none of the connection, none that no-cache lists, and Age made anew.

        A Date that is missing is that of the receipt (RFC 9110 §6.6.1).
        """
        result = [item for item in stored_items(items) if item[1] != b"age"]
        if all(item[1] != b"date" for item in items):
            result.append((b"Date", b"date", formatdate(self.wall(), usegmt=True).encode()))
        return result

    def _keep(self, fetch: Fetch, entry: StoredResponse) -> Reason | None:
        if entry.vary:
            self.remember_language(fetch.prepared.key, entry)
        return super()._keep(fetch, entry)

    # ── a 304 ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def confirms(self, fetch: Fetch, stale: StoredResponse, received: dict[str, list[str]]) -> bool:
        """Whether a 304 speaks of what is stored; the caller's entity-tags may have gone along with ours."""
        return selects(received, fields(stale.headers), fields(field_lines(fetch.request.headers)))

    def unconfirmed(self, fetch: Fetch, response: HttpResponse, received: dict[str, list[str]]) -> HttpResponse | None:
        """A 304 that speaks of the caller's own copy is handed on; after any other `fetch` is to be sent plainly."""
        if not speaks_of_caller(received, fields(field_lines(fetch.request.headers))):
            return super().unconfirmed(fetch, response, received)
        self.release(fetch)
        return self._undecoded(fetch, response, b"", "conditional")

    def why_not_renewed(
        self, fetch: Fetch, stale: StoredResponse, received: dict[str, list[str]], headers: dict[str, list[str]]
    ) -> Reason | None:
        """Take from a 304 how old what is stored is now, how long it is fresh, and whether it may stay stored."""
        return self._why_not(fetch, stale.status, received, headers)
