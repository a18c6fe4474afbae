"""Whether an answer may be stored in TTL mode, and its header fields read; `core` decides whether it is still fresh."""

from __future__ import annotations

from collections.abc import Mapping

from ..policy.controller import Decision
from ..protocol.cache_control import parse_cache_control
from ..protocol.fields import OWS, content_length, lowered
from ..protocol.vary import vary_names
from ..telemetry.outcome import Reason

__all__ = [
    "DECISIVE",
    "NEGATIVE",
    "is_empty",
    "unkeepable",
    "unstorable",
]

MAX_VARY = 16
NEGATIVE = frozenset({404, 410})
_STREAMS = (
    "text/event-stream",
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/json-seq",
    "application/stream+json",
    "multipart/x-mixed-replace",
    "multipart/mixed",
    "application/grpc",
)

DECISIVE = frozenset(
    {
        b"cache-control",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"set-cookie",
        b"transfer-encoding",
        b"vary",
    }
)
"""The response header fields that TTL mode looks at."""


def unstorable(status: int, headers: Mapping[str, list[str]], decision: Decision, bound: int) -> Reason | None:
    """Why an answer is never stored in TTL mode (a 200, or what the rule names, is stored), or None."""
    negative = decision.negative_ttl is not None and status in NEGATIVE
    if (status not in decision.statuses and not negative) or status == 206:
        return "status"
    if "set-cookie" in headers:
        return "set-cookie"
    if (
        "cache-control" in headers
        and not decision.ignore_no_store
        and "no-store" in parse_cache_control(headers["cache-control"])
    ):
        return "no-store"
    return unkeepable(headers, bound)


def unkeepable(headers: Mapping[str, list[str]], bound: int) -> Reason | None:
    """Why an answer is never stored, whatever the policy: no key selects it, it is a stream, or too large; or None."""
    vary = vary_names(headers)
    if "*" in vary or len(vary) > MAX_VARY:
        return "vary-any"
    if lowered(headers.get("content-type", [""])[0].partition(";")[0].strip(OWS)) in _STREAMS:
        return "stream"
    length = content_length(headers)
    return "too-large" if length is not None and length > bound else None


def is_empty(content: bytes) -> bool:
    """Whether a body says "nothing there": empty, or JSON's null."""
    return len(content) <= 64 and content.strip() in (b"", b"null")
