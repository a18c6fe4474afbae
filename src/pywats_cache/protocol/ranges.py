"""A Range request answered from a whole stored answer (RFC 9110 §14; RFC 9111 §3.3)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from .conditional import Items, entity_tag, same_strongly
from .dates import date_field
from .fields import OWS

__all__ = ["ByteRange", "partial_items", "requested_range", "unsatisfied_items"]

Headers = Mapping[str, list[str]]

# One range only. A server may ignore the others (RFC 9110 §14.2), and so may a cache.
_RANGE = re.compile(r"bytes[ \t]*=[ \t,]*(?:(\d+)-(\d*)|-(\d+))[ \t,]*", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """The bytes from `start` up to but not including `stop`; `satisfiable` says whether there are any."""

    start: int
    stop: int

    @property
    def satisfiable(self) -> bool:
        """False: the answer is a 416."""
        return self.start < self.stop


def requested_range(request: Headers, stored: Headers, length: int) -> ByteRange | None:
    """The part of a stored 200 that a GET asks for; None: the Range counts as absent, and the whole is the answer.

    - `length`: of the body as received: a range is of the encoded bytes (RFC 9110 §14.1.2), so it fits no decoded body.
    """
    values = request.get("range", ())
    found = _RANGE.fullmatch(values[0].strip(OWS)) if len(values) == 1 else None
    if found is None or not _if_range_holds(request, stored):
        return None
    first, last, suffix = found.groups()
    if suffix is not None:
        # RFC 9110 §14.1.2: a suffix longer than the body is the body; one of no length cannot be satisfied.
        return ByteRange(max(0, length - _number(suffix, length)), length)
    start = _number(first, length)
    stop = length if not last else min(length, _number(last, length) + 1)
    if last and _rank(last) < _rank(first):
        return None  # §14.1.1: invalid
    return ByteRange(start, max(start, stop))


def _number(digits: str, length: int) -> int:
    """A position, at most the length of the body: numbers of any size may be sent."""
    significant = digits.lstrip("0") or "0"
    return length if len(significant) > 20 else min(int(significant), length)


def _rank(digits: str) -> tuple[int, str]:
    """Orders numbers of any size: Python refuses to read those of more than 4300 digits."""
    significant = digits.lstrip("0")
    return len(significant), significant


def _if_range_holds(request: Headers, stored: Headers) -> bool:
    """Whether the caller's first part is of this answer (RFC 9110 §13.1.5); otherwise it wants the whole."""
    values = request.get("if-range")
    if values is None:
        return True
    if len(values) != 1:
        return False
    value = values[0].strip(OWS)
    if value.startswith(('"', "W/")):
        tag = entity_tag(stored)
        return tag is not None and same_strongly(tag, value)
    modified, date = date_field(stored, "last-modified"), date_field(stored, "date")
    # §8.8.2.2: a date is a strong validator only if the answer was made at least a second after it.
    if modified is None or date is None or date - modified < 1:
        return False
    return date_field(request, "if-range") == modified


def partial_items(stored: Items, part: ByteRange, length: int) -> list[tuple[bytes, bytes, bytes]]:
    """The header fields of the 206 (RFC 9110 §15.3.7); Age is the engine's."""
    return [
        *(item for item in stored if item[1] not in (b"content-length", b"content-range")),
        (b"Content-Range", b"content-range", b"bytes %d-%d/%d" % (part.start, part.stop - 1, length)),
        (b"Content-Length", b"content-length", b"%d" % (part.stop - part.start)),
    ]


def unsatisfied_items(length: int) -> list[tuple[bytes, bytes, bytes]]:
    """The header fields of the 416 (RFC 9110 §15.5.17), which has no body."""
    return [
        (b"Content-Range", b"content-range", b"bytes */%d" % length),
        (b"Content-Length", b"content-length", b"0"),
    ]
