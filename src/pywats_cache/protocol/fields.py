"""Header fields as the bytes they are: white space and case in them, one of them combined, and all by name.

httpx guesses one encoding for all fields of a message, so `headers[name]` may give two different values as one text, or
raise. What is compared, or goes out again, is therefore read from the raw items, and set there
(`engine.http_library.put`).
Text of header fields here is decoded as latin-1, which is lossless, and encoded as latin-1 where it goes out again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from string import ascii_lowercase, ascii_uppercase

__all__ = ["OWS", "TOKEN", "combined", "content_length", "fields", "length_of", "listed_names", "lowered"]

OWS = " \t"
"""All that is white space around a value (RFC 9110 §5.6.3); `str.strip` also takes away bytes of the value."""

_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)
TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 §5.6.2


def lowered(text: str) -> str:
    """`text` without the case of A to Z; what other bytes mean is not known, so they stay as they are."""
    return text.lower() if text.isascii() else text.translate(_LOWER)  # what nearly all are costs a fifth


def listed_names(lines: Iterable[str]) -> frozenset[str]:
    """The field names that these lines list, in lower case.

    One that is no token, such as a name beside a no-break space, counts as it is and for each token in it: a name too
    many only separates or drops more than is needed.
    """
    names = {lowered(name.strip(OWS)) for line in lines for name in line.split(",")} - {""}
    odd = [token for name in names if TOKEN.fullmatch(name) is None for token in TOKEN.findall(name)]
    return frozenset(names.union(odd))


def combined(items: Iterable[tuple[bytes, bytes, bytes]], name: bytes) -> bytes | None:
    """The lines of a field as one value (RFC 9110 §5.3), or None without one; `name` in lower case."""
    values = [value for _, lower, value in items if lower == name]
    return b", ".join(values) if values else None


def fields(items: Iterable[tuple[bytes, bytes, bytes]], only: frozenset[bytes] | None = None) -> dict[str, list[str]]:
    """Header items by name in lower case, each with the values of its lines; `only` those, where given."""
    result: dict[str, list[str]] = {}
    for _, name, value in items:
        if only is None or name in only:
            result.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
    return result


def content_length(headers: Mapping[str, list[str]]) -> int | None:
    """The announced length of the body in bytes, or None where there is none to rely on (RFC 9112 §6.3)."""
    return None if "transfer-encoding" in headers else length_of(headers.get("content-length", ()))


def length_of(values: Sequence[str]) -> int | None:
    """The length that these lines of Content-Length announce together, or None."""
    if len(values) != 1 or not (values[0].isascii() and values[0].isdigit()):
        return None
    # Python refuses to read a number of more than 4300 digits; a body of 10^18 bytes is too large in any case.
    significant = values[0].lstrip("0") or "0"
    return int(significant) if len(significant) < 19 else 10**18
