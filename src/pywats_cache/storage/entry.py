"""What is kept of one response."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Any

from ..coherence.tags import own_size

__all__ = ["HeaderItems", "StoredResponse", "header_items", "known_age", "lasting", "text_size"]

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
    return _in_common(items)[0]


def _in_common(items: Iterable[tuple[bytes, bytes, bytes]]) -> tuple[HeaderItems, int, bool]:
    """`header_items`, the bytes of those that are no others' objects, and whether all are ASCII."""
    if len(_shared) > _MAX_SHARED:
        _shared.clear()
    result, size, is_ascii = [], TUPLE, True
    for item in items:
        shared, own, plain = _shared.get(item) or _shared_item(item)
        result.append(shared)
        size += own
        if not plain:
            is_ascii = False
    return items if isinstance(items, tuple) else tuple(result), size, is_ascii


def _shared_item(item: tuple[bytes, bytes, bytes]) -> tuple[tuple[bytes, bytes, bytes], int, bool]:
    raw, lower, value = item
    shared = (_shared.setdefault(raw, raw), _shared.setdefault(lower, lower), value)
    is_own = lower in _UNIQUE or len(value) > 64
    size = FIELD + len(value) if is_own else 0
    if lower in _OFTEN_UNIQUE and not is_own:
        size = (FIELD + len(value)) // 2
    known = (shared, POINTER + size, raw.isascii() and value.isascii())
    if not is_own:
        _shared[item] = known
    return known


def known_age(age: float) -> float | None:
    """`age` in seconds, or None for NaN: when the request of a stored response was sent is not known."""
    return age if age == age else None


def text_size(text: str) -> int:
    """Bytes that a string takes, about."""
    return TEXT + len(text) if text.isascii() else 76 + 2 * len(text)


def lasting(extensions: dict[str, Any]) -> dict[str, Any]:
    """What of a response's extensions is true of its stored answer too; one object for all that are alike."""
    key = ("extensions", extensions.get("http_version", ...), extensions.get("reason_phrase", ...))
    there: dict[str, Any] | None = _shared.get(key)
    if there is None:
        kept = {name: extensions[name] for name in ("http_version", "reason_phrase") if name in extensions}
        there = _shared.setdefault(key, kept)
    return there


class StoredResponse:
    """One stored answer, shared by its hits, so nothing here is ever handed out mutable.

    Set once are all but `valid_at`, `hits`, `derived`, `clean_at` and `firm_at`.

    - `headers`: a tuple is kept as it is; anything else becomes one by `header_items`.
    - `raw`: the body as received; `content`: the body decoded (the same object where it was not encoded).
    - `began`: when its request was sent, on the transport's clock; `ttl`: seconds it stays fresh from then.
      What came with an Age is older than that, so `began` is earlier then; `fetched` is when its request was sent.
      `began` is NaN where that is not known: the wall clock of a machine was wrong. So no age of it is fresh.
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
        headers: Iterable[tuple[bytes, bytes, bytes]],
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
        self.headers: HeaderItems
        self.headers, own, is_ascii = _in_common(headers)
        # What httpx would find out for fields that are all ASCII, which nearly all are.
        self.encoding: str | None = "ascii" if is_ascii else None
        size = OVERHEAD + own + TUPLE + POINTER * len(tags) + own_size(tags, TEXT) + BYTES + len(raw)
        if content is not raw:
            size += BYTES + len(content)
        self.size: int = size if self.fetched is began else size + FLOAT

    def __repr__(self) -> str:
        return f"<StoredResponse {self.status} of rule {self.rule!r}, {self.size} bytes>"
