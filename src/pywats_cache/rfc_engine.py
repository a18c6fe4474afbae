"""RFC mode: the same engine, its questions answered by RFC 9111 as a private cache, instead of by TTLs.

`Controller(rfc9111=True)` chooses this class when a transport is made, so a hit in TTL mode pays nothing for it. The
order of the decisions, the flights, the fence and the storage are the engine's; only what is asked about one request,
one answer or one stored answer differs:

| question | class |
|---|---|
| what a request asks (Cache-Control, conditions, Range) | `RfcPreparer` |
| whether a stored answer may be used, fresh or stale, and how much of it | `RfcStaleness` |
| what is stored of an answer, and for how long it is fresh | `RfcArrivals` |
| what HEAD and POST change of what is stored | `RfcWrites` |
"""

from __future__ import annotations

from typing import Any

from .engine import Engine
from .prepared import Prepared
from .rfc_prepared import plain
from .rfc_writes import RfcWrites

__all__ = ["RfcEngine"]


class RfcEngine(RfcWrites, Engine):
    """The decisions of one transport in RFC mode."""

    def _aside(self, request: Any, prepared: Prepared) -> Any:
        if prepared.kind != "part":
            return super()._aside(request, prepared)
        # Never by the short cut of a hit, which answers with the whole.
        return self._cold(request, prepared, self.variant(request, prepared.key), self.now())

    def missed_lookup(self, *_: Any) -> Any:
        """None: what may be served stale or shared here depends on fields that the ordinary way reads."""
        return None

    def _with_refresh(self, request: Any, prepared: Prepared, *rest: Any, lasting: bool = False) -> Any:
        if prepared.kind == "part":  # the refresh is of the whole
            request, prepared, lasting = plain(request), prepared._replace(kind="read"), True
        return super()._with_refresh(request, prepared, *rest, lasting=lasting)
