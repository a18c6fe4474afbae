"""A stored answer as bytes, for storages beyond this process's memory.

Layout: 4 bytes magic and version, 16 bytes checksum of all that follows, 4 bytes length of a JSON head, the head, the
body as received, or compressed where the head gives its length. Nothing is unpickled, and whatever is not exactly that
is refused, so a damaged row is never served.
The head holds no request header and no URL: what names the answer is a keyed digest.
"""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Any

from ...coherence.tags import shared_above
from ...errors import StorageError
from ..compression import expand
from ..entry import StoredResponse, header_items

__all__ = ["Record", "pack", "read", "unpack"]

MAGIC = b"pwc\x01"
_CHECKSUM = 16


def pack(
    entry: StoredResponse,
    *,
    wall: float,
    generation: str,
    writer: str = "",
    key: bytes = b"",
    packed: bytes | None = None,
) -> bytes:
    """`entry` as bytes.

    - `wall`: when its request was sent, as `time.time()`, for other processes, to which our clock means nothing.
    - `generation`: names the counter that its epoch is of.
    - `writer`: names the storage object on whose clock `began` is.
    - `packed`: its body compressed, to be kept in place of the body.
    - `key`: keys the checksum, so that nobody can make a record without it.
    """
    head = json.dumps(
        {
            "key": entry.key,
            "status": entry.status,
            # A cookie that the answer sets is a credential: it stays in memory, where RFC mode keeps it.
            "headers": [
                (name.decode("latin-1"), value.decode("latin-1"))
                for name, lower, value in entry.headers
                if lower != b"set-cookie"
            ],
            "extensions": {name: value.decode("latin-1") for name, value in entry.extensions.items()},
            "wall": wall,
            "began": entry.began,
            "fetched": entry.fetched,
            "ttl": entry.ttl,
            "own_ttl": entry.own_ttl,
            "tags": entry.tags,
            "epoch": entry.epoch,
            "generation": generation,
            "writer": writer,
            "length": 0 if packed is None else len(entry.raw),
            "vary": entry.vary,
            "rule": entry.rule,
        },
        separators=(",", ":"),
    ).encode()
    rest = len(head).to_bytes(4, "big") + head + (entry.raw if packed is None else packed)
    return MAGIC + blake2b(rest, digest_size=_CHECKSUM, key=key).digest() + rest


class Record:
    """What `unpack` found: the head, checked to be complete, and the body as received."""

    __slots__ = ("head", "raw")

    def __init__(self, head: dict[str, Any], raw: bytes) -> None:
        self.head: dict[str, Any] = head
        self.raw: bytes = raw

    def entry(self, *, content: bytes, began: float) -> StoredResponse:
        """The entry, with its decoded body and its date on this process's clock."""
        head = self.head
        return StoredResponse(
            key=head["key"],
            status=head["status"],
            headers=header_items(self.items()),
            raw=self.raw,
            content=content,
            extensions={name: value.encode("latin-1") for name, value in head["extensions"].items()},
            began=began,
            fetched=began + (head["fetched"] - head["began"]),
            ttl=head["ttl"],
            own_ttl=head["own_ttl"],
            tags=shared_above(head["tags"]),
            epoch=head["epoch"],
            vary=tuple(head["vary"]),
            rule=head["rule"],
        )

    def items(self) -> list[tuple[bytes, bytes, bytes]]:
        """The header fields as a library's Headers keeps them."""
        pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self.head["headers"]]
        return [(name, name.lower(), value) for name, value in pairs]


def _is_complete(head: dict[str, Any]) -> bool:
    for name, kind in _FIELDS.items():  # noqa: SIM110 - a generator takes twice the time
        if not isinstance(head.get(name), kind):
            return False
    return True


_FIELDS: dict[str, type | tuple[type, ...]] = {
    "key": str,
    "status": int,
    "headers": list,
    "extensions": dict,
    "wall": (int, float),
    "began": (int, float),
    "fetched": (int, float),
    "ttl": (int, float),
    "own_ttl": bool,
    "tags": list,
    "epoch": int,
    "generation": str,
    "writer": str,
    "length": int,
    "vary": list,
    "rule": str,
}


def unpack(data: bytes, *, key: bytes = b"") -> Record:
    """The record in `data`. Raises StorageError for anything that `pack` did not write with this `key`."""
    record = read(data, key=key)
    if record.head["length"]:
        record.raw = expand(record.raw, record.head["length"])
    return record


def read(data: bytes, *, key: bytes = b"") -> Record:
    """The same, but with its body as it is kept: compressed where `length` is not 0."""
    rest = data[len(MAGIC) + _CHECKSUM :]
    if not data.startswith(MAGIC):
        raise StorageError("not a record of this version")
    if blake2b(rest, digest_size=_CHECKSUM, key=key).digest() != data[len(MAGIC) : len(MAGIC) + _CHECKSUM]:
        raise StorageError("a damaged record: the checksum differs")
    length = int.from_bytes(rest[:4], "big")
    try:
        head = json.loads(rest[4 : 4 + length])
    except ValueError:
        raise StorageError("a damaged record: no head") from None
    if not isinstance(head, dict) or not _is_complete(head):
        raise StorageError("a damaged record: the head is not complete")
    return Record(head, rest[4 + length :])
