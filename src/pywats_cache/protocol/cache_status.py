"""The Cache-Status field (RFC 9211): what happened to a request, for those who read the response."""

from __future__ import annotations

from math import inf

from ..telemetry.outcome import CacheOutcome

__all__ = ["cache_status"]

_FORWARDED = {  # RFC 9211 §2.2
    "unknown": "uri-miss",
    "vary": "vary-miss",
    "refresh": "request",
    "caller-bypass": "request",
    "conditional": "request",
    "range": "request",
    "only-if-cached": "request",
    "write": "method",
    "method": "method",
    "expired": "stale",
    "softened": "stale",
    "dirtied": "stale",
    "no-cache": "stale",
    "must-revalidate": "stale",
}


def cache_status(name: str, outcome: CacheOutcome) -> str:
    """What happened as a member of a `Cache-Status` field (RFC 9211), such as `pywats-cache; hit; ttl=280`."""
    ttl, age = outcome.ttl, outcome.age
    left = None if ttl is None or ttl == inf or age is None else int(ttl - age)
    parts = [name]
    if outcome.status in ("hit", "stale"):
        parts.append("hit")
        if left is not None:
            parts.append(f"ttl={left}")
    else:
        how = "stale" if outcome.status == "revalidated" else _FORWARDED.get(outcome.reason)
        parts.append(f"fwd={how or ('bypass' if outcome.status == 'bypass' else 'miss')}")
        if outcome.status == "revalidated":
            parts.append("fwd-status=304")
        if outcome.status == "collapsed":
            parts.append("collapsed")
        if outcome.stored:
            parts.append("stored")
    parts.append(f"detail={outcome.reason}")
    return "; ".join(parts)
