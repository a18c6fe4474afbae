"""TTL mode: whether an answer may be stored, how its body comes in, and whether it is still fresh."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from enum import Enum

from .cache_control import parse_cache_control
from .controller import Decision

__all__ = ["Body", "content_length", "fields", "is_empty", "unkeepable", "unstorable", "vary_names", "write_lease"]

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


class Body(Enum):
    """How the body of an answer is treated."""

    HAND_ON = "hand on"
    READ = "read"
    TEE = "tee"
    RENEW = "renew"
    """A 304 to our own validators: no body, and what is stored is fresh again."""
    REPLACE = "replace"
    """A failure of the server in whose place a stale answer is served."""


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
    """Why an answer is never stored in TTL mode (DESIGN: 200 only, others by rule), or None."""
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
    if headers.get("content-type", [""])[0].partition(";")[0].strip().lower() in _STREAMS:
        return "stream"
    length = content_length(headers)
    return "too-large" if length is not None and length > bound else None


def content_length(headers: Mapping[str, list[str]]) -> int | None:
    """The announced length of the body in bytes, or None where there is none to rely on (RFC 9112 §6.3)."""
    values = headers.get("content-length", ())
    if "transfer-encoding" in headers or len(values) != 1 or not (values[0].isascii() and values[0].isdigit()):
        return None
    return int(values[0])


def vary_names(headers: Mapping[str, list[str]]) -> tuple[str, ...]:
    """The request headers that selected this answer (RFC 9110 §12.5.5), in lower case, sorted."""
    if "vary" not in headers:
        return ()
    names = {name.strip().lower() for line in headers.get("vary", ()) for name in line.split(",")}
    return tuple(sorted(names - {""}))


def is_empty(content: bytes) -> bool:
    """Whether a body says "nothing there": empty, or JSON's null."""
    return len(content) <= 64 and content.strip() in (b"", b"null")


def default_settle(timeout: Mapping[str, float | None] | None) -> float:
    """Seconds to distrust reads after a write of unknown outcome: the request's timeout, from 5 to 30."""
    given = [value for value in (timeout or {}).values() if value is not None and math.isfinite(value)]
    return min(30.0, max(5.0, *given)) if given else 30.0


def write_lease(timeout: Mapping[str, float | None] | None) -> float:
    """Seconds within which a write that was announced must end: all its timeouts and 30 for queues, 120 at most."""
    given = [value for value in (timeout or {}).values() if value is not None and math.isfinite(value)]
    return min(120.0, 30.0 + sum(given)) if given else 120.0
