"""What the header fields of a request say that decide what becomes of it, whatever its method and URL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from ..protocol.cache_control import CacheControl

if TYPE_CHECKING:
    from ..protocol.freshness import Wishes
    from ..telemetry.outcome import Reason

__all__ = ["DECISIVE", "OVERRIDES", "Asked", "Fields", "wants_new", "why_not"]

Fields = tuple[tuple[bytes, bytes], ...]

# Headers that change what may be done with a request; on top come credentials, the partition and what rules vary by.
DECISIVE = frozenset(
    name.encode()
    for name in [
        "accept",
        "cache-control",
        "content-encoding",
        "content-type",
        "host",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "pragma",
        "range",
        "upgrade",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
    ]
)
OVERRIDES = (b"x-http-method", b"x-http-method-override", b"x-method-override")
_CONDITIONAL = (b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since", b"if-range")


class Asked(NamedTuple):
    """What the decisive header fields of a request say.

    - `representations`: by the names of header fields that a rule varies by, the digest of what these fields want;
      without those that want any form.
    """

    separating: Fields
    partition: str
    host: bytes | None
    overridden: bool
    only_if_cached: bool
    refresh: bool
    max_age: float | None
    reason: Reason | None
    body_fields: tuple[bytes, bytes]
    representations: Mapping[tuple[str, ...], str]
    part: bool = False
    wishes: Wishes | None = None


def why_not(first: Mapping[bytes, bytes], controls: CacheControl) -> Reason | None:
    """Why a read with these header fields goes around the cache, or None."""
    if "no-store" in controls:
        return "caller-bypass"
    if b"range" in first:
        return "range"
    if any(name in first for name in _CONDITIONAL):
        return "conditional"
    if b"upgrade" in first or b"text/event-stream" in first.get(b"accept", b"").lower():
        return "upgrade"
    return None


def wants_new(controls: CacheControl, first: Mapping[bytes, bytes]) -> bool:
    """Whether they ask for a new answer. Pragma counts only without Cache-Control (RFC 9111 §5.4)."""
    return "no-cache" in controls or (not controls and b"no-cache" in first.get(b"pragma", b"").lower())
