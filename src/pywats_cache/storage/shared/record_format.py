"""A stored response as bytes, for storages beyond this process's memory.

Layout: 4 bytes magic and version, 16 bytes checksum of all that follows, then

    numbers of fixed width ─ text, parted by NUL ─ header fields, parted by NUL ─ body

The body is as received, or compressed where the numbers give its length. Nothing is unpickled, and whatever is not
exactly that is refused, so a damaged record is never served. A record of a later version, or with a flag that is not
known here, raises LaterRecordError: it is not damaged, and whoever wrote it may still want it.
The record holds no request header and no URL: what names the response is a keyed digest.
"""

from __future__ import annotations

import re
import struct
from hashlib import blake2b
from math import inf, nan
from typing import Any

from ...coherence.tags import shared_above
from ...errors import StorageError
from ..compression import expand
from ..entry import HeaderItems, StoredResponse, header_items
from ..uses import NO_USES, Uses

__all__ = ["FORMAT", "LaterRecordError", "Record", "is_earlier", "pack", "read", "unpack"]

VERSION = 2
FORMAT = f"{VERSION}."
"""What the keys of records begin with. Each version has keys of its own, so none meets the records of another."""
_NAME = b"pwc"
MAGIC = _NAME + bytes([VERSION])
_CHECKSUM = 16
_NUMBERS = struct.Struct("<ddddddddddqQ16sIIHIIB")
"""wall, began, fetched, ttl, took, since boot, four windows, epoch, length, boot, bytes of text, bytes of header
fields, status, tags, names of Vary, flags."""
_HEAD = len(MAGIC) + _CHECKSUM
_TEXT = _HEAD + _NUMBERS.size
_OWN_TTL, _ESCAPED = 1, 2
_KNOWN_FLAGS = _OWN_TTL | _ESCAPED
NO_BOOT = bytes(16)

MAX_FIELDS = 256
"""Bound on the header fields that are remembered by their bytes: to take them apart is a third of reading a record."""
_fields: dict[bytes, HeaderItems] = {}


class LaterRecordError(StorageError):
    """A record that a later version wrote."""


def pack(
    entry: StoredResponse,
    *,
    wall: float,
    generation: str,
    writer: str = "",
    key: bytes = b"",
    packed: bytes | None = None,
    uses: Uses = NO_USES,
    boot: bytes = NO_BOOT,
    since_boot: float = nan,
) -> bytes:
    """`entry` as bytes.

    - `wall`: when its request was sent, as `time.time()`, for other processes, to which our clock means nothing.
    - `generation`: names the counter that its epoch is of.
    - `writer`: names the storage object on whose clock `began` is.
    - `packed`: its body compressed, to be kept in place of the body.
    - `key`: keys the checksum, so that nobody can make a record without it.
    - `boot`, `since_boot`: 16 bytes that name this run of the machine, and the seconds into it when its request was
      sent; NO_BOOT and NaN where that is not known.
    """
    # A cookie that the response sets is a credential: it stays in memory, where RFC mode keeps it.
    fields = [part for name, lower, value in entry.headers if lower != b"set-cookie" for part in (name, value)]
    text = [generation, writer, entry.key, entry.rule, *entry.tags, *entry.vary]
    for name, value in entry.extensions.items():
        text += (name, value.decode("latin-1"))
    texts, lines = "\0".join(text).encode("utf-8", "surrogatepass"), b"\0".join(fields)
    flags = _OWN_TTL if entry.own_ttl else 0
    if texts.count(b"\0") != len(text) - 1 or lines.count(b"\0") != max(0, len(fields) - 1):
        flags |= _ESCAPED
        texts = b"\0".join([_escaped(part.encode("utf-8", "surrogatepass")) for part in text])
        lines = b"\0".join(map(_escaped, fields))
    numbers = _NUMBERS.pack(
        wall,
        entry.began,
        entry.fetched,
        entry.ttl,
        entry.took,
        since_boot,
        *uses,
        entry.epoch,
        0 if packed is None else len(entry.raw),
        boot,
        len(texts),
        len(lines),
        entry.status,
        len(entry.tags),
        len(entry.vary),
        flags,
    )
    rest = b"".join((numbers, texts, lines, entry.raw if packed is None else packed))
    return MAGIC + blake2b(rest, digest_size=_CHECKSUM, key=key).digest() + rest


class Record:
    """What `unpack` found, checked to be complete: see `pack`. `raw`: the body as received."""

    __slots__ = ("_fields", "_numbers", "_texts", "raw")

    def __init__(self, numbers: tuple[Any, ...], texts: list[str], fields: HeaderItems, raw: bytes) -> None:
        self._numbers = numbers
        self._texts = texts
        self._fields = fields
        self.raw: bytes = raw

    @property
    def wall(self) -> float:
        """When its request was sent, as `time.time()` of the writer."""
        return self._numbers[0]  # type: ignore[no-any-return]

    @property
    def began(self) -> float:
        """The same on the writer's clock."""
        return self._numbers[1]  # type: ignore[no-any-return]

    @property
    def ttl(self) -> float:
        """Seconds it stays fresh."""
        return self._numbers[3]  # type: ignore[no-any-return]

    @property
    def since_boot(self) -> float:
        """Seconds from the start of the writer's machine until its request was sent, or NaN."""
        return self._numbers[5]  # type: ignore[no-any-return]

    @property
    def uses(self) -> Uses:
        """For how long it may be of use once its TTL is over."""
        return Uses(*self._numbers[6:10])

    @property
    def servable(self) -> float:
        """Its age in seconds from which on it is not served any more, though perhaps still validated."""
        numbers = self._numbers
        return numbers[3] + max(numbers[6:9])  # type: ignore[no-any-return]

    @property
    def useful(self) -> float:
        """Its age in seconds from which on it is of no use."""
        numbers = self._numbers
        return numbers[3] + max(numbers[6:10])  # type: ignore[no-any-return]

    @property
    def epoch(self) -> int:
        """The epoch at which its fetch began."""
        return self._numbers[10]  # type: ignore[no-any-return]

    @property
    def length(self) -> int:
        """Bytes of the body, where it is compressed, else 0."""
        return self._numbers[11]  # type: ignore[no-any-return]

    @property
    def boot(self) -> bytes:
        """Names the run of the writer's machine, or NO_BOOT."""
        return self._numbers[12]  # type: ignore[no-any-return]

    @property
    def status(self) -> int:
        """The status code."""
        return self._numbers[15]  # type: ignore[no-any-return]

    @property
    def generation(self) -> str:
        """Names the counter that its epoch is of."""
        return self._texts[0]

    @property
    def writer(self) -> str:
        """Names the storage object on whose clock `began` is."""
        return self._texts[1]

    @property
    def key(self) -> str:
        """Names the response."""
        return self._texts[2]

    @property
    def rule(self) -> str:
        """The pattern of the rule that decided."""
        return self._texts[3]

    @property
    def tags(self) -> list[str]:
        """What invalidates it."""
        return self._texts[4 : 4 + self._numbers[16]]

    def items(self) -> list[tuple[bytes, bytes, bytes]]:
        """The header fields as a library's Headers keeps them."""
        return list(self._fields)

    def entry(self, *, content: bytes, began: float) -> StoredResponse:
        """The entry, with its decoded body and its date on this process's clock; NaN: that is not known."""
        _, its_began, fetched, ttl, took, *_, epoch, _, _, _, _, status, tags, vary, flags = self._numbers
        texts = self._texts
        end = 4 + tags
        rest = texts[end + vary :]
        return StoredResponse(
            key=texts[2],
            status=status,
            headers=self._fields,
            raw=self.raw,
            content=content,
            extensions=dict(zip(rest[::2], [value.encode("latin-1") for value in rest[1::2]], strict=True)),
            began=began,
            # What is of an unknown date is older than anything that is fetched from now on.
            fetched=began + (fetched - its_began) if began == began else -inf,
            ttl=ttl,
            own_ttl=bool(flags & _OWN_TTL),
            tags=shared_above(texts[4:end]),
            epoch=epoch,
            vary=tuple(texts[end : end + vary]),
            rule=texts[3],
            took=took,
        )


def unpack(data: bytes, *, key: bytes = b"") -> Record:
    """The record in `data`. Raises LaterRecordError, or StorageError for anything that `pack` did not write with `key`.

    A record of an earlier version raises StorageError too: nobody meets one under the keys of this version.
    """
    record = read(data, key=key)
    if record.length:
        record.raw = expand(record.raw, record.length)
    return record


def read(data: bytes, *, key: bytes = b"") -> Record:
    """The same, but with its body as it is kept: compressed where `length` is not 0."""
    if data[: len(MAGIC)] != MAGIC:
        version = data[len(_NAME) : len(MAGIC)]
        if data[: len(_NAME)] == _NAME and version > MAGIC[len(_NAME) :]:
            raise LaterRecordError(f"a record of version {version[0]}, written by a later pywats-cache")
        raise StorageError("not a record of this version")
    if blake2b(memoryview(data)[_HEAD:], digest_size=_CHECKSUM, key=key).digest() != data[len(MAGIC) : _HEAD]:
        raise StorageError("a damaged record: the checksum differs")
    try:
        numbers = _NUMBERS.unpack_from(data, _HEAD)
        if numbers[18] & ~_KNOWN_FLAGS:
            raise LaterRecordError("a record with flags of a later pywats-cache")
        end = _TEXT + numbers[13]
        body = end + numbers[14]
        if body > len(data):
            raise ValueError
        if numbers[18] & _ESCAPED:
            texts = [_unescaped(part).decode("utf-8", "surrogatepass") for part in data[_TEXT:end].split(b"\0")]
            fields = _items([_unescaped(part) for part in data[end:body].split(b"\0")] if body > end else [])
        else:
            texts = data[_TEXT:end].decode("utf-8", "surrogatepass").split("\0")
            fields = _remembered(data[end:body])
        left = len(texts) - 4 - numbers[16] - numbers[17]
        if left < 0 or left % 2:
            raise ValueError
    except (struct.error, ValueError):  # also what is no text
        raise StorageError("a damaged record: the head is not complete") from None
    return Record(numbers, texts, fields, data[body:])


def is_earlier(data: bytes) -> bool:
    """Whether `data` is a record of an earlier version."""
    return data[: len(_NAME)] == _NAME and b"" < data[len(_NAME) : len(MAGIC)] < MAGIC[len(_NAME) :]


def _remembered(lines: bytes) -> HeaderItems:
    """The header fields that are kept as `lines`."""
    found = _fields.get(lines)
    if found is None:
        found = _items(lines.split(b"\0") if lines else [])
        if len(_fields) >= MAX_FIELDS:
            _fields.clear()
        _fields[lines] = found
    return found


def _items(parts: list[bytes]) -> HeaderItems:
    return header_items([(name, name.lower(), value) for name, value in zip(parts[::2], parts[1::2], strict=True)])


def _escaped(part: bytes) -> bytes:
    return part.replace(b"\\", b"\\\\").replace(b"\0", b"\\0")


def _unescaped(part: bytes) -> bytes:
    return re.sub(rb"\\(.)", lambda found: b"\0" if found[1] == b"0" else found[1], part, flags=re.DOTALL)
