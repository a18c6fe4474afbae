"""Whether an answer may be stored in TTL mode, and its header fields read; `core` decides whether it is still fresh."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from ..policy.controller import Decision
from ..protocol.cache_control import parse_cache_control
from ..protocol.fields import OWS, content_length, fields, length_of, lowered
from ..protocol.vary import vary_names
from ..telemetry.outcome import Reason

__all__ = [
    "NEGATIVE",
    "Head",
    "head_in",
    "head_of",
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

_DECISIVE = frozenset(
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
_OWN = frozenset({b"content-length", b"set-cookie"})
"""Of those, what differs from response to response. Of a cookie only that it is set is of interest."""
_A_COOKIE = (b"Set-Cookie", b"set-cookie", b"")
_LONG = 256

_Item = tuple[bytes, bytes, bytes]


class Head(NamedTuple):
    """What the header fields of a response say, apart from the length of its body.

    - `vary`: the request header fields that selected it.
    - `is_chunked`: a Content-Length does not count.
    - `no_store`, `sets_cookie`: it says so, which a rule may forgive or not.
    - `unkeepable`: why it is never stored, whatever the policy, or None.
    """

    vary: tuple[str, ...]
    is_encoded: bool
    is_chunked: bool
    no_store: bool
    sets_cookie: bool
    unkeepable: Reason | None


def head_of(items: Iterable[_Item]) -> tuple[Head, int | None]:
    """What these header fields say, and the length of the body that they announce."""
    decisive: list[_Item] = []
    lengths: list[str] = []
    read: Callable[[tuple[_Item, ...]], Head] = _read_once
    for item in items:
        _, lower, value = item
        if lower not in _DECISIVE:
            continue
        if lower not in _OWN:
            decisive.append(item)
            if len(value) > _LONG:
                read = _read
        elif lower == b"set-cookie":
            decisive.append(_A_COOKIE)
        else:
            lengths.append(value.decode("latin-1"))
    head = read(tuple(decisive))
    return head, None if head.is_chunked else length_of(lengths)


def _read(items: tuple[_Item, ...]) -> Head:
    return head_in(fields(items))


_read_once = lru_cache(maxsize=512)(_read)
"""Most responses of a server have these fields in common."""


def head_in(headers: Mapping[str, list[str]]) -> Head:
    """What these header fields say, by name in lower case."""
    vary = vary_names(headers)
    unkeepable: Reason | None = None
    if "*" in vary or len(vary) > MAX_VARY:
        unkeepable = "vary-any"
    elif lowered(headers.get("content-type", [""])[0].partition(";")[0].strip(OWS)) in _STREAMS:
        unkeepable = "stream"
    return Head(
        vary,
        "content-encoding" in headers,
        "transfer-encoding" in headers,
        "cache-control" in headers and "no-store" in parse_cache_control(headers["cache-control"]),
        "set-cookie" in headers,
        unkeepable,
    )


def unstorable(status: int, head: Head, length: int | None, decision: Decision, bound: int) -> Reason | None:
    """Why an answer is never stored in TTL mode (a 200, or what the rule names, is stored), or None."""
    negative = decision.negative_ttl is not None and status in NEGATIVE
    if (status not in decision.statuses and not negative) or status == 206:
        return "status"
    if head.sets_cookie:
        return "set-cookie"
    if head.no_store and not decision.ignore_no_store:
        return "no-store"
    return head.unkeepable or _too_large(length, bound)


def unkeepable(headers: Mapping[str, list[str]], bound: int) -> Reason | None:
    """Why an answer is never stored, whatever the policy: no key selects it, it is a stream, or too large; or None."""
    return head_in(headers).unkeepable or _too_large(content_length(headers), bound)


def _too_large(length: int | None, bound: int) -> Reason | None:
    return "too-large" if length is not None and length > bound else None


def is_empty(content: bytes) -> bool:
    """Whether a body says "nothing there": empty, or JSON's null."""
    return len(content) <= 64 and content.strip() in (b"", b"null")
