"""What the engine needs to know of a request in RFC mode: the rules' part as ever, and what its header fields ask."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any

from .controller import Decision
from .key import entry_key
from .prepared import Fields, Prepared, Preparer
from .rfc9111 import NO_WISHES, wishes

__all__ = ["RfcPreparer", "plain"]

_OF_A_PART = frozenset({b"if-none-match", b"if-modified-since", b"if-range", b"range"})
"""What a stored answer can be asked too. If-Match and If-Unmodified-Since are for the origin (RFC 9111 §4.3.2)."""


class RfcPreparer(Preparer):
    """Leaves the order of the query alone, and makes a read of what TTL mode lets pass: conditions and ranges."""

    __slots__ = ()

    def _key(self, method: str, origin: str, path: str, query: str, partition: str) -> str:
        # Named apart from TTL mode's: an answer that one of them stored is not to be used by the rules of the other.
        return entry_key(self._secret, "rfc9111", method, origin, path, query, partition)

    def _work_out(self, request: Any, fields: Fields, computed: str | None) -> Prepared:
        prepared = super()._work_out(request, fields, computed)
        if prepared.decision is None or prepared.decision.kind != "read":
            return prepared
        headers: dict[str, list[str]] = {}
        for name, value in fields:
            headers.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
        wish = wishes(headers)
        changed: dict[str, Any] = {"refresh": wish.no_cache, "max_age": None}
        if prepared.kind == "read":
            changed["kind"] = "part" if any(name in _OF_A_PART for name, _ in fields) else "read"
            changed["reason"] = "refresh" if wish.no_cache else "unknown"
        if prepared.ttl:
            changed["ttl"] = inf  # the answer's own lifetime is the bound
        if wish != NO_WISHES:
            # `directed`: the short cut of a hit asks nothing of wishes.
            changed.update(wishes=wish, directed=True)
        return prepared._replace(**changed)

    def _why_not(
        self, decision: Decision, first: Mapping[bytes, bytes], controls: Mapping[str, str | None], query: str | None
    ) -> str | None:
        first = {name: value for name, value in first.items() if name not in _OF_A_PART}
        return super()._why_not(decision, first, controls, query)


def plain(request: Any) -> Any:
    """A copy of `request` that asks for the whole, unconditionally."""
    asking = object.__new__(type(request))
    asking.__dict__.update(request.__dict__)
    asking.headers = request.headers.copy()
    for name in _OF_A_PART:
        asking.headers.pop(name.decode(), None)
    return asking
