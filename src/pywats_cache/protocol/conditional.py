"""Validators: what to ask the server about a stored answer, what a caller asks about it, and what a 304 changes.

Questions take headers as `storability.fields` gives them: names in lower case, the values of the field lines in order.
What builds headers takes and gives header items `(name, name in lower case, value)` in wire order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import Enum

from .dates import date_field
from .fields import OWS, listed_names

__all__ = [
    "Items",
    "Precondition",
    "conditional_fields",
    "connection_names",
    "entity_tag",
    "evaluate",
    "is_essential",
    "kept_items",
    "listed_tags",
    "matches",
    "not_modified_items",
    "same_strongly",
    "same_weakly",
    "selects",
    "speaks_of_caller",
    "updated_items",
    "validating_tag",
]

Items = Iterable[tuple[bytes, bytes, bytes]]
"""Header fields in wire order: name as received, name in lower case, value."""

# RFC 9111 §3.1 and RFC 9110 §7.6.1: of one connection only, or of one proxy.
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade",
    }
)
# A sender must not list these in Connection (RFC 9110 §7.6.1). Dropping them would change what may be done with the
# answer, or what its body means.
_END_TO_END = frozenset({"cache-control", "content-encoding", "content-type", "set-cookie", "vary"})
# RFC 9111 §3.2: the stored body depends on these, so a 304 does not change them.
_OF_THE_BODY = frozenset({"content-encoding", "content-length", "content-range"})
# RFC 9110 §15.4.5: a 304 repeats none of the metadata of a body that it does not carry.
_NOT_IN_304 = _OF_THE_BODY | {"content-disposition", "content-language", "content-md5", "content-type", "digest"}

# Compiled at first use, by `re` itself.
_ENTITY_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'  # RFC 9110 §8.8.3
_LISTED_TAG = r'(?:W/)?"[^"]*"|[^ \t,]+'


class Precondition(Enum):
    """What becomes of a caller's own conditional request (RFC 9110 §13.2)."""

    NONE = "none"
    """Nothing is asked: the full answer."""
    PASSES = "passes"
    """The caller's copy is another one: the full answer."""
    NOT_MODIFIED = "not modified"
    """The caller's copy is this one: 304."""
    FORWARD = "forward"
    """Only the origin can tell (If-Match, If-Unmodified-Since): leave the cache alone (RFC 9111 §4.3.2)."""


def entity_tag(headers: Mapping[str, list[str]]) -> str | None:
    """The one ETag of an answer, as received; None without one, or with several that differ."""
    values = {value.strip(OWS) for value in headers.get("etag", ())} - {""}
    return values.pop() if len(values) == 1 else None


def validating_tag(headers: Mapping[str, list[str]]) -> str | None:
    """The ETag of an answer if it can validate it: one such as `*` or `a, b`, sent back, asks for other answers."""
    tag = entity_tag(headers)
    return tag if tag is not None and tag != "*" and listed_tags([tag]) == [tag] else None


def same_weakly(one: str, other: str) -> bool:
    """Weak comparison (RFC 9110 §8.8.3.2): the same opaque tag. What is not an entity-tag equals only itself."""
    return _opaque(one) == _opaque(other)


def same_strongly(one: str, other: str) -> bool:
    """Strong comparison (RFC 9110 §8.8.3.2): neither weak, and identical. What is not an entity-tag equals nothing."""
    return one == other and not one.startswith("W/") and re.fullmatch(_ENTITY_TAG, one) is not None


def _opaque(tag: str) -> str:
    return tag[2:] if tag.startswith('W/"') else tag


def listed_tags(lines: Iterable[str]) -> list[str]:
    """The entity-tags of If-None-Match or If-Match, also unquoted ones; a comma inside quotes is part of the tag."""
    return [tag for line in lines for tag in re.findall(_LISTED_TAG, line)]


def conditional_fields(
    stored: Mapping[str, list[str]], request: Mapping[str, list[str]] | None = None
) -> list[tuple[str, str]]:
    """The fields that validate a stored answer (RFC 9111 §4.3.1), in place of the caller's own; [] if none can.

    - `request`: the caller's headers. Entity-tags of its If-None-Match are kept beside ours, so that a caller who holds
      what the server has now is spared the body, too.
    """
    result: list[tuple[str, str]] = []
    tag = validating_tag(stored)
    asked = [] if request is None else listed_tags(request.get("if-none-match", ()))
    if tag is not None and "*" not in asked:
        result.append(("If-None-Match", ", ".join(dict.fromkeys([tag, *asked]))))
    if date_field(stored, "last-modified") is not None and (tag is not None or not asked):
        # As received, to the letter: many servers compare the text (RFC 9110 §13.1.3).
        result.append(("If-Modified-Since", stored["last-modified"][0].strip(OWS)))
    return result


def evaluate(
    request: Mapping[str, list[str]], stored: Mapping[str, list[str]], status: int = 200, received: float | None = None
) -> Precondition:
    """A caller's precondition on a GET or HEAD, evaluated against a stored answer that may be used.

    - `status`: of the stored answer; preconditions count only where the answer would be a success (RFC 9110 §13.2.1).
    - `received`: when the answer was received by the wall clock, for one with neither Last-Modified nor Date.

    If-Range is not looked at: without a Range it means nothing, and with one it is the range's business.
    """
    if "if-match" in request or "if-unmodified-since" in request:
        return Precondition.FORWARD
    if "if-none-match" not in request and "if-modified-since" not in request:
        return Precondition.NONE
    if not 200 <= status < 300:
        return Precondition.PASSES
    if "if-none-match" in request:
        # RFC 9110 §13.1.3: If-Modified-Since is ignored beside If-None-Match.
        asked = listed_tags(request["if-none-match"])
        tag = entity_tag(stored)
        if asked == ["*"] or (tag is not None and any(same_weakly(tag, one) for one in asked)):
            return Precondition.NOT_MODIFIED
        return Precondition.PASSES
    since = date_field(request, "if-modified-since")
    # RFC 9111 §4.3.2: Last-Modified, else Date, else the time of receipt; an invalid If-Modified-Since is ignored.
    modified = date_field(stored, "last-modified")
    if modified is None:
        modified = date_field(stored, "date")
    if modified is None:
        modified = received
    if since is None or modified is None or modified > since:
        return Precondition.PASSES
    return Precondition.NOT_MODIFIED


def selects(
    not_modified: Mapping[str, list[str]],
    stored: Mapping[str, list[str]],
    request: Mapping[str, list[str]] | None = None,
) -> bool:
    """Whether a 304 speaks of this stored answer, the one whose validators were sent (RFC 9111 §4.3.4).

    - `request`: the caller's headers, if its entity-tags were sent beside ours.

    A 304 that names no validator is believed, since the question named ours; not so if the caller's tags went along,
    for then it is not known whose copy is meant.
    """
    new, old = entity_tag(not_modified), entity_tag(stored)
    if new is None and request is not None and "if-none-match" in request:
        return False
    if new is not None and not new.startswith("W/"):
        # A strong validator identifies only answers that carry the same one.
        return new == old
    if new is not None and old is not None:
        return same_weakly(new, old)
    modified, before = date_field(not_modified, "last-modified"), date_field(stored, "last-modified")
    return new is None and (modified is None or before is None or modified == before)


def speaks_of_caller(not_modified: Mapping[str, list[str]], request: Mapping[str, list[str]]) -> bool:
    """Whether a 304 that does not select the stored answer means the caller's own copy, and so is handed on."""
    tag = entity_tag(not_modified)
    return tag is not None and any(same_weakly(tag, one) for one in listed_tags(request.get("if-none-match", ())))


def matches(one: Mapping[str, list[str]], other: Mapping[str, list[str]]) -> bool:
    """Whether two answers, such as a HEAD's and a stored GET's, may be of one representation (RFC 9111 §4.3.5).

    Each validator and Content-Length that both name must be the same.
    """
    for name in ("etag", "last-modified", "content-length"):
        if name in one and name in other and one[name] != other[name]:
            return False
    return True


def is_essential(name: str) -> bool:
    """Whether an answer without this field (in lower case) would mean something else, so that it is always stored."""
    return name in _END_TO_END


def connection_names(items: Items) -> frozenset[str]:
    """Names of the header fields of one connection only, the ones that Connection lists included (RFC 9111 §3.1)."""
    listed = listed_names(value.decode("latin-1") for _, lower, value in items if lower == b"connection")
    return _HOP_BY_HOP | (listed - _END_TO_END)


def kept_items(items: Items) -> list[tuple[bytes, bytes, bytes]]:
    """The header fields of an answer that are stored with it (RFC 9111 §3.1)."""
    items = list(items)
    dropped = connection_names(items)
    return [item for item in items if item[1].decode("latin-1") not in dropped]


def updated_items(stored: Items, received: Items) -> list[tuple[bytes, bytes, bytes]]:
    """The header fields of a stored answer after a 304, or a HEAD's 200, that `selects` it (RFC 9111 §3.2).

    A field that was received replaces all lines of that name, in their place and in the received order; new ones come
    last. What was stored stays, but for Age, which spoke of the older answer.
    """
    new: dict[bytes, list[tuple[bytes, bytes, bytes]]] = {}
    for item in kept_items(received):
        if item[1].decode("latin-1") not in _OF_THE_BODY:
            new.setdefault(item[1], []).append(item)
    result: list[tuple[bytes, bytes, bytes]] = []
    placed: set[bytes] = set()
    for item in stored:
        name = item[1]
        if name not in new:
            if name != b"age":
                result.append(item)
        elif name not in placed:
            placed.add(name)
            result.extend(new[name])
    return [*result, *(item for name, lines in new.items() if name not in placed for item in lines)]


def not_modified_items(stored: Items) -> list[tuple[bytes, bytes, bytes]]:
    """The header fields of a 304 that the cache makes of a stored answer (RFC 9110 §15.4.5); Age is the engine's."""
    items = list(stored)
    dropped = connection_names(items) | _NOT_IN_304
    if any(lower == b"etag" for _, lower, _ in items):
        dropped |= {"last-modified"}  # useful only to a copy without an ETag
    return [item for item in items if item[1].decode("latin-1") not in dropped]
