"""What the engine needs to know of a request in RFC mode: what the rules say, and what its header fields ask."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from ..protocol.freshness import NO_WISHES, wishes
from .asked import Asked, Fields
from .cache_key import entry_key
from .classify import Prepared, Preparer
from .http_library import copied, remove

if TYPE_CHECKING:
    from ..support.http_types import HttpRequest

__all__ = ["RfcPreparer", "plain"]

_OF_A_PART = frozenset({b"if-none-match", b"if-modified-since", b"if-range", b"range"})
"""What a stored answer can be asked too. If-Match and If-Unmodified-Since are for the origin (RFC 9111 §4.3.2)."""


class RfcPreparer(Preparer):
    """Leaves the order of the query alone, and makes reads of conditions and ranges, which TTL mode sends on."""

    __slots__ = ()

    def _key(self, method: str, origin: str, path: str, query: str, partition: str, representation: str) -> str:
        # Named apart from TTL mode's: an answer that one of them stored is not to be used by the rules of the other.
        return entry_key(self._secret, "rfc9111", method, origin, path, query, partition)

    def _read_fields(self, fields: Fields) -> Asked:
        headers: dict[str, list[str]] = {}
        for name, value in fields:
            headers.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
        wish = wishes(headers)
        whole = tuple(field for field in fields if field[0] not in _OF_A_PART)
        return (
            super()
            ._read_fields(fields)
            ._replace(
                reason=super()._read_fields(whole).reason,
                refresh=wish.no_cache,
                max_age=None,
                part=len(whole) < len(fields),
                wishes=None if wish == NO_WISHES else wish,
            )
        )

    def _work_out(self, request: HttpRequest, asked: Asked, computed: str | None) -> Prepared:
        prepared = super()._work_out(request, asked, computed)
        if prepared.decision is None or prepared.decision.kind != "read":
            return prepared
        return prepared._replace(
            kind="part" if asked.part and prepared.kind == "read" else prepared.kind,
            partial=asked.part,
            ttl=inf if prepared.ttl else 0.0,  # the answer's own lifetime is the bound
            wishes=asked.wishes,
            directed=asked.wishes is not None,  # the short cut of a hit asks nothing of wishes
        )


def plain(request: HttpRequest) -> HttpRequest:
    """A copy of `request` that asks for the whole, unconditionally."""
    asking = copied(request)
    remove(asking.headers, _OF_A_PART)
    return asking
