"""Whether an answer may be stored in TTL mode, and its header fields read; `core` decides whether it is still fresh."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..policy.controller import Decision
from ..protocol.cache_control import parse_cache_control
from ..protocol.fields import OWS, listed_names, lowered

__all__ = ["DECISIVE", "NEGATIVE", "content_length", "fields", "is_empty", "unkeepable", "unstorable", "vary_names"]

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


def fields(items: Iterable[tuple[bytes, bytes, bytes]], only: frozenset[bytes] | None = None) -> dict[str, list[str]]:
    """Header items by name in lower case, each with the values of its lines; `only` those, where given."""
    result: dict[str, list[str]] = {}
    for _, name, value in items:
        if only is None or name in only:
            result.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
    return result


def unstorable(status: int, headers: Mapping[str, list[str]], decision: Decision, bound: int) -> str | None:
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


def unkeepable(headers: Mapping[str, list[str]], bound: int) -> str | None:
    """Why an answer is never stored, whatever the policy: no key selects it, it is a stream, or too large; or None."""
    vary = vary_names(headers)
    if "*" in vary or len(vary) > MAX_VARY:
        return "vary-any"
    if lowered(headers.get("content-type", [""])[0].partition(";")[0].strip(OWS)) in _STREAMS:
        return "stream"
    length = content_length(headers)
    return "too-large" if length is not None and length > bound else None


def content_length(headers: Mapping[str, list[str]]) -> int | None:
    """The announced length of the body in bytes, or None where there is none to rely on (RFC 9112 §6.3)."""
    values = headers.get("content-length", ())
    if "transfer-encoding" in headers or len(values) != 1 or not (values[0].isascii() and values[0].isdigit()):
        return None
    # Python refuses to read a number of more than 4300 digits; a body of 10^18 bytes is too large in any case.
    significant = values[0].lstrip("0") or "0"
    return int(significant) if len(significant) < 19 else 10**18


def vary_names(headers: Mapping[str, list[str]]) -> tuple[str, ...]:
    """The request headers that selected this answer (RFC 9110 §12.5.5), in lower case, sorted."""
    return tuple(sorted(listed_names(headers.get("vary", ()))))


def is_empty(content: bytes) -> bool:
    """Whether a body says "nothing there": empty, or JSON's null."""
    return len(content) <= 64 and content.strip() in (b"", b"null")
