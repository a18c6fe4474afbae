"""The engine of RFC mode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .classify import Prepared
from .engine import Engine
from .rfc_classify import plain
from .rfc_writing import RfcWrites

if TYPE_CHECKING:
    from ..support.http_types import HttpRequest
    from .steps import Stale

__all__ = ["RfcEngine"]


class RfcEngine(RfcWrites, Engine):
    """The decisions of one transport in RFC mode."""

    def missed_lookup(self, *_: Any) -> None:
        """None: what may be served stale or shared here depends on fields that the ordinary way reads."""
        return None

    def _with_refresh(self, request: HttpRequest, prepared: Prepared, *rest: Any, lasting: bool = False) -> Stale:
        if prepared.kind == "part":  # the refresh is of the whole
            request, prepared, lasting = plain(request), prepared._replace(kind="read"), True
        return super()._with_refresh(request, prepared, *rest, lasting=lasting)
