"""Paths of URLs as servers may read them (RFC 3986)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from urllib.parse import unquote

__all__ = ["normal_path", "plain_path", "resolved"]

_UNRESERVED = re.compile("%(?:2[DE]|3[0-9]|[46][1-9A-F]|[57][0-9A]|5F|7E)", re.IGNORECASE)
"""The letters, digits and marks that mean the same with and without encoding (RFC 3986 §2.3)."""


def normal_path(path: str) -> tuple[str, ...]:
    """The segments of a raw path as tags compare them: decoded, NFC, without case, trailing spaces, empty ones and `.`.

    Servers differ in whether they tell `/A%20/` or `//a` from `/a`; taking all for one invalidates too much at worst.
    """
    if "%" not in path and " " not in path and path.isascii():  # nothing to decode or to strip
        plain = path.lower().split("/")[1:]
    else:
        plain = [
            unicodedata.normalize("NFC", unquote(segment)).casefold().rstrip(" ").replace("/", "%2f")
            for segment in path.split("/")[1:]
        ]
    return tuple([segment for segment in plain if segment and segment != "."])


def plain_path(path: str) -> str:
    """A raw path as servers that normalise it take it: without extra slashes, `.`, `..` and needless encoding."""
    if "//" not in path and "/." not in path and "%" not in path and not path.endswith("/"):
        return path
    segments = _UNRESERVED.sub(lambda found: chr(int(found[0][1:], 16)), path).split("/")[1:]
    return "/" + "/".join(resolved([segment for segment in segments if segment and segment != "."]))


def resolved(segments: Iterable[str]) -> list[str]:
    """`segments` with each `..` taken for the parent of what is before it (RFC 3986 §5.2.4)."""
    found: list[str] = []
    for segment in segments:
        if segment != "..":
            found.append(segment)
        elif found:
            found.pop()
    return found
