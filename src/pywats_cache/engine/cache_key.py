"""What names a stored answer: canonical URL, partition of the credentials, digest of a body."""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from urllib.parse import unquote_plus

from ..protocol.representations import DEFAULT_VARY, wanted

__all__ = [
    "entry_key",
    "is_credential",
    "partition_digest",
    "representation_digest",
    "sorted_query",
    "variant_key",
]

_CREDENTIAL = re.compile(
    r"auth|cookie|token|secret|passw(?:or)?d|passcode|passphrase|credential|session|signature|jwt|bearer|assertion"
    r"|(?:api|subscription|access|functions|app|application|client|account|service|user|private|master)[-_]?key"
)
_NOT_CREDENTIAL = frozenset({":authority"})
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


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


def representation_digest(secret: bytes, names: tuple[str, ...], sent: Mapping[str, list[str]]) -> str:
    """A keyed digest of the form of an answer that header fields want by these names; "" for any form.

    The names count too: where a rule names others, its answers are not those of before.

    - `sent`: the lines of each field that was sent; names in lower case.
    """
    wishes = [(name, wanted(name, sent[name])) for name in names if name in sent]
    stated = [part for name, value in wishes if value is not None for part in (name, value.encode("latin-1"))]
    if not stated and names == DEFAULT_VARY:
        return ""
    return entry_key(secret, "representation", ",".join(names), *stated)


def sorted_query(query: str) -> str:
    """`query` with its parameters in the order of their names; those of one name keep their order."""
    if "&" not in query:
        return query
    return "&".join(sorted(query.split("&"), key=lambda parameter: unquote_plus(parameter.partition("=")[0])))


def entry_key(secret: bytes, *parts: bytes | str) -> str:
    """A keyed digest of the parts (method, URL, partition, body …): it names an answer and tells nothing of them."""
    data, lengths = [], []  # with the lengths no two lists of parts look alike
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        data.append(raw)
        lengths.append(b"%d" % len(raw))
    # 120 bits: two of a million answers share a key once in 10^24 times. In base64, for each letter is a byte an entry.
    digest = blake2b(b"%b:%b" % (b",".join(lengths), b"".join(data)), key=secret, digest_size=15).digest()
    return b2a_base64(digest, newline=False).translate(_URL_SAFE).decode("ascii")


def variant_key(secret: bytes, key: str, values: Iterable[bytes | str | None]) -> str:
    """The key of the variant of `key` that these request header values select (Vary, RFC 9111 §4.1)."""
    sent = [value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value for value in values]
    return entry_key(secret, "vary", key, *(b"-" if value is None else b"+" + value for value in sent))
