"""What names a stored answer: canonical URL, partition of the credentials, digest of a body."""

from __future__ import annotations

import re
import unicodedata
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from hashlib import blake2b
from urllib.parse import unquote, unquote_plus

__all__ = [
    "entry_key",
    "is_credential",
    "normal_path",
    "partition_digest",
    "plain_path",
    "resolved",
    "sorted_query",
    "variant_key",
]

_CREDENTIAL = re.compile(
    r"auth|cookie|token|secret|passw(?:or)?d|passcode|passphrase|credential|session|signature|jwt|bearer|assertion"
    r"|(?:api|subscription|access|functions|app|application|client|account|service|user|private|master)[-_]?key"
)
_UNRESERVED = re.compile("%(?:2[DE]|3[0-9]|[46][1-9A-F]|[57][0-9A]|5F|7E)", re.IGNORECASE)
"""The letters, digits and marks that mean the same with and without encoding (RFC 3986 §2.3)."""
_NOT_CREDENTIAL = frozenset({":authority"})


def is_credential(name: str) -> bool:
    """Whether a header may say who asks: `Authorization`, `Cookie`, `X-API-Key` and its like.

    Wide on purpose: a header too many only splits the cache, one too few gives one user another's answer.
    """
    return _CREDENTIAL.search(name.lower()) is not None and name.lower() not in _NOT_CREDENTIAL


def partition_digest(secret: bytes, fields: Iterable[tuple[bytes, bytes]]) -> str:
    """A keyed digest of the header fields that separate answers; the same for the same fields in any order.

    Each name and value is preceded by its length, so that no two lists of fields look alike.
    """
    digest = blake2b(key=secret, digest_size=16)
    for name, value in sorted(fields):
        digest.update(b"%d:%b=%d:%b" % (len(name), name, len(value), value))
    return digest.hexdigest()


def sorted_query(query: str) -> str:
    """`query` with its parameters in the order of their names; those of one name keep their order."""
    if "&" not in query:
        return query
    return "&".join(sorted(query.split("&"), key=lambda parameter: unquote_plus(parameter.partition("=")[0])))


def entry_key(secret: bytes, *parts: bytes | str) -> str:
    """A keyed digest of the parts (method, URL, partition, body …): it names an answer and tells nothing of them."""
    data = [part.encode("utf-8", "surrogatepass") if part.__class__ is str else part for part in parts]
    lengths = b",".join([b"%d" % len(part) for part in data])  # so that no two lists of parts look alike
    # 120 bits: two of a million answers share a key once in 10^24 times. In base64, for each letter is a byte an entry.
    digest = blake2b(b"".join([lengths, b":", *data]), key=secret, digest_size=15)  # type: ignore[list-item]
    return urlsafe_b64encode(digest.digest()).decode("ascii")


def variant_key(secret: bytes, key: str, values: Iterable[bytes | str | None]) -> str:
    """The key of the variant of `key` that these request header values select (Vary, RFC 9111 §4.1)."""
    sent = [value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value for value in values]
    return entry_key(secret, "vary", key, *(b"-" if value is None else b"+" + value for value in sent))


def normal_path(path: str) -> tuple[str, ...]:
    """The segments of a raw path as tags compare them: decoded, NFC, without case, trailing spaces, empty ones and `.`.

    Servers differ in whether they tell `/A%20/` or `//a` from `/a`; taking all for one invalidates too much at worst.
    """
    segments = path.split("/")[1:]
    if "%" not in path and path.isascii():  # nothing to decode
        plain = [segment.lower().rstrip(" ") for segment in segments]
    else:
        plain = [
            unicodedata.normalize("NFC", unquote(segment)).casefold().rstrip(" ").replace("/", "%2f")
            for segment in segments
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
