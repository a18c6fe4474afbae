"""A stored answer as bytes: whole or refused."""

from __future__ import annotations

import json
from hashlib import blake2b

import pytest

from pywats_cache import StorageError
from pywats_cache.storage.entry import StoredResponse
from pywats_cache.storage.shared.record_format import pack, unpack


@pytest.fixture
def entry() -> StoredResponse:
    return StoredResponse(
        key="k" * 32,
        status=200,
        headers=((b"X-A", b"x-a", b"1"), (b"X-a", b"x-a", b"\xe4")),
        raw=b"\x00raw",
        content=b"content",
        extensions={"http_version": b"HTTP/1.1"},
        began=5.0,
        ttl=float("inf"),
        own_ttl=True,
        tags=("=a", "^b"),
        epoch=7,
        vary=("accept",),
        rule="/a/{id}",
    )


def test_what_is_packed_is_unpacked(entry: StoredResponse) -> None:
    record = unpack(pack(entry, wall=1000.5, generation="g"))
    assert (record.head["wall"], record.head["generation"]) == (1000.5, "g")
    again = record.entry(content=b"content", began=9.0)
    changed = {"began": 9.0, "fetched": 9.0, "stream": None, "derived": None}
    for name in entry.__slots__:
        assert getattr(again, name) == changed.get(name, getattr(entry, name)), name


def test_every_change_of_a_bit_is_noticed(entry: StoredResponse) -> None:
    data = pack(entry, wall=1.0, generation="g")
    for at in range(len(data)):
        with pytest.raises(StorageError):
            unpack(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])


def test_every_shorter_or_longer_record_is_refused(entry: StoredResponse) -> None:
    data = pack(entry, wall=1.0, generation="g")
    for broken in (*(data[:length] for length in range(len(data))), data + b"x"):
        with pytest.raises(StorageError):
            unpack(broken)


@pytest.mark.parametrize("head", [b"", b"[]", b"null", b"{}", b"{", b'{"key": 1}', b"\xff"])
def test_a_head_that_is_not_complete_is_refused(head: bytes) -> None:
    rest = len(head).to_bytes(4, "big") + head + b"raw"
    with pytest.raises(StorageError, match="head"):
        unpack(b"pwc\x01" + blake2b(rest, digest_size=16).digest() + rest)


def test_a_field_of_another_type_is_refused(entry: StoredResponse) -> None:
    data = pack(entry, wall=1.0, generation="g")
    rest = data[20:]
    head = json.loads(rest[4 : 4 + int.from_bytes(rest[:4], "big")])
    for name in head:
        changed = json.dumps({**head, name: {"other": 1} if name != "extensions" else []}).encode()
        body = len(changed).to_bytes(4, "big") + changed
        with pytest.raises(StorageError):
            unpack(b"pwc\x01" + blake2b(body, digest_size=16).digest() + body)
