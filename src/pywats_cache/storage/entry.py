"""What is kept of one response."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Any

from ..coherence.tags import is_shared_tag

__all__ = ["HeaderItems", "StoredResponse", "header_items", "lasting", "text_size"]

HeaderItems = tuple[tuple[bytes, bytes, bytes], ...]
"""Header fields in wire order: name as received, name in lower case, value."""

OVERHEAD = 415
"""Bytes counted for an entry on top of what is counted one by one: objects, key and its place in the order.
Measured with tracemalloc on CPython 3.11 (tests/unit/storage/test_sizes.py)."""
BYTES = 33
"""Bytes of an object of bytes on top of its content; the others are those of an ASCII string, of a tuple, and in it."""
TEXT, TUPLE, POINTER, FLOAT = 49, 40, 8, 24
FIELD = TUPLE + 3 * POINTER + BYTES

_shared: dict[Any, Any] = {}
_MAX_SHARED = 2048
_UNIQUE = frozenset({b"etag", b"last-modified", b"x-request-id", b"x-correlation-id", b"traceparent"})
_OFTEN_UNIQUE = frozenset({b"date", b"content-length"})
"""Header fields that many responses have in common or not, depending on the server; half of them is counted."""


def header_items(items: Iterable[tuple[bytes, bytes, bytes]]) -> HeaderItems:
    """`items` with the parts that many responses have in common made one object, which halves an entry's size."""
    if len(_shared) > _MAX_SHARED:
        _shared.clear()
    result = []
    for item in items:
        shared = _shared.get(item)
        if shared is None:
            raw, lower, value = item
            shared = (_shared.setdefault(raw, raw), _shared.setdefault(lower, lower), value)
            if lower not in _UNIQUE and len(value) <= 64:
                _shared[item] = shared
        result.append(shared)
    return tuple(result)


def _headers_size(items: HeaderItems) -> int:
    """Bytes of header fields without those that many responses have in common."""
    size = TUPLE
    for _, lower, value in items:
        size += POINTER
        if lower in _UNIQUE or len(value) > 64:
            size += FIELD + len(value)
        elif lower in _OFTEN_UNIQUE:
            size += (FIELD + len(value)) // 2
    return size


def text_size(text: str) -> int:
    """Bytes that a string takes, about."""
    return TEXT + len(text) if text.isascii() else 76 + 2 * len(text)


def _tags_size(tags: tuple[str, ...]) -> int:
    """Bytes of `tags` without those that are one object for all that carry them."""
    return TUPLE + sum([POINTER if is_shared_tag(tag) else POINTER + text_size(tag) for tag in tags])


def lasting(extensions: dict[str, Any]) -> dict[str, Any]:
    """What of a response's extensions is true of its stored answer too; one object for all that are alike."""
    kept = {name: extensions[name] for name in ("http_version", "reason_phrase") if name in extensions}
    return _shared.setdefault(("extensions", *kept.items()), kept)  # type: ignore[no-any-return]


class StoredResponse:
    """One stored answer, shared by its hits, so nothing here is ever handed out mutable.

    Set once are all but `valid_at`, `hits`, `derived`, `clean_at` and `firm_at`.

    - `raw`: the body as received; `content`: the body decoded (the same object where it was not encoded).
    - `began`: when its request was sent, on the transport's clock; `ttl`: seconds it stays fresh from then.
      What came with an Age is older than that, so `began` is earlier then; `fetched` is when its request was sent.
    - `own_ttl`: the TTL was set by the caller, for this answer alone.
    - `epoch`: the epoch at which its fetch began; `valid_at`: the last epoch at which it was found valid.
    - `clean_at`, `firm_at`: see `coherence.epochs.Held`.
    - `vary`: names (lower case) of the request headers that select it; their values are in the key only.
    - `encoding`: of the header fields, once known; finding it out costs more than the rest of a hit.
    - `took`: seconds its fetch took, which every hit saves; `hits`: how often it answered (under the storage's lock).
    - `ahead`: the age at which a hit starts a refresh.
    - `derived`: a value made of the content by a layer above (a parsed form), or None; see `MemoryStorage.derive`.
    """

    __slots__ = (
        "ahead",
        "began",
        "clean_at",
        "content",
        "derived",
        "encoding",
        "epoch",
        "extensions",
        "fetched",
        "firm_at",
        "headers",
        "hits",
        "key",
        "own_ttl",
        "raw",
        "rule",
        "size",
        "status",
        "tags",
        "took",
        "ttl",
        "valid_at",
        "vary",
    )

    def __init__(
        self,
        *,
        key: str,
        status: int,
        headers: HeaderItems,
        raw: bytes,
        content: bytes,
        extensions: dict[str, Any],
        began: float,
        ttl: float,
        own_ttl: bool,
        tags: tuple[str, ...],
        epoch: int,
        vary: tuple[str, ...],
        rule: str,
        took: float = 0.0,
        fetched: float | None = None,
    ) -> None:
        self.key: str = key
        self.status: int = status
        self.headers: HeaderItems = headers
        self.raw: bytes = raw
        self.content: bytes = content
        self.extensions: dict[str, Any] = extensions
        self.began: float = began
        self.fetched: float = began if fetched is None or fetched == began else fetched
        self.ttl: float = ttl
        self.own_ttl: bool = own_ttl
        self.tags: tuple[str, ...] = tags
        self.epoch: int = epoch
        self.valid_at: int = epoch
        self.clean_at: int = epoch
        self.firm_at: int = epoch
        self.vary: tuple[str, ...] = vary
        self.rule: str = rule
        self.took: float = took
        self.hits: int = 0
        self.ahead: float = inf
        self.derived: Any = None
        # What httpx would find out for fields that are all ASCII, which nearly all are.
        text = b"".join([part for name, _, value in headers for part in (name, value)])
        self.encoding: str | None = "ascii" if text.isascii() else None
        size = OVERHEAD + _headers_size(headers) + _tags_size(tags) + BYTES + len(raw)
        if content is not raw:
            size += BYTES + len(content)
        self.size: int = size if self.fetched is began else size + FLOAT

    def __repr__(self) -> str:
        return f"<StoredResponse {self.status} of rule {self.rule!r}, {self.size} bytes>"
