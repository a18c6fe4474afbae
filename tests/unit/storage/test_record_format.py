"""A stored answer as bytes: whole or refused."""

from __future__ import annotations

from hashlib import blake2b
from math import isnan, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywats_cache import StorageError
from pywats_cache.storage.entry import StoredResponse
from pywats_cache.storage.shared import record_format
from pywats_cache.storage.shared.record_format import LaterRecordError, is_earlier, pack, read, unpack
from pywats_cache.storage.uses import Uses

CHECKSUM = slice(4, 20)
FLAGS = 20 + record_format._NUMBERS.size - 1


def entry_of(**changes: Any) -> StoredResponse:
    given = {
        "key": "k" * 32,
        "status": 200,
        "headers": ((b"X-A", b"x-a", b"1"), (b"X-a", b"x-a", b"\xe4")),
        "raw": b"\x00raw",
        "content": b"content",
        "extensions": {"http_version": b"HTTP/1.1", "reason_phrase": b"\xd6K"},
        "began": 5.0,
        "ttl": float("inf"),
        "own_ttl": True,
        "tags": ("=a", "^b"),
        "epoch": 7,
        "vary": ("accept",),
        "rule": "/a/{id}",
        "took": 0.25,
    }
    return StoredResponse(**{**given, **changes})


@pytest.fixture
def entry() -> StoredResponse:
    return entry_of()


def signed(rest: bytes, magic: bytes = b"pwc\x02") -> bytes:
    return magic + blake2b(rest, digest_size=16).digest() + rest


def same(one: StoredResponse, other: StoredResponse, **changed: Any) -> None:
    for name in one.__slots__:
        assert getattr(other, name) == changed.get(name, getattr(one, name)), name


def test_what_is_packed_is_unpacked(entry: StoredResponse) -> None:
    uses = Uses(1.0, 2.0, float("inf"), 3.0)
    boot = bytes(range(16))
    record = unpack(pack(entry, wall=1000.5, generation="g", writer="w", uses=uses, boot=boot, since_boot=77.0))
    assert (record.wall, record.generation, record.writer) == (1000.5, "g", "w")
    assert (record.uses, record.boot, record.since_boot) == (uses, boot, 77.0)
    assert (record.began, record.ttl, record.epoch, record.status) == (5.0, float("inf"), 7, 200)
    assert (record.key, record.rule, record.tags, record.length) == ("k" * 32, "/a/{id}", ["=a", "^b"], 0)
    same(entry, record.entry(content=b"content", began=9.0), began=9.0, fetched=9.0)


def test_it_is_useful_to_the_end_of_its_longest_window() -> None:
    record = unpack(pack(entry_of(ttl=10.0), wall=0.0, generation="g", uses=Uses(1.0, 30.0, 2.0, 3.0)))
    assert record.useful == 40.0
    assert unpack(pack(entry_of(ttl=10.0), wall=0.0, generation="g")).useful == 10.0


def test_what_is_of_no_known_date_is_older_than_anything() -> None:
    again = unpack(pack(entry_of(), wall=0.0, generation="g")).entry(content=b"", began=nan)
    assert isnan(again.began)
    assert again.fetched == float("-inf")


_TEXT = st.text(max_size=20)
_BYTES = st.binary(max_size=20)


@given(
    headers=st.lists(st.tuples(_BYTES, _BYTES), max_size=5),
    tags=st.lists(_TEXT, max_size=4).map(tuple),
    vary=st.lists(_TEXT, max_size=3).map(tuple),
    rule=_TEXT,
    extensions=st.dictionaries(_TEXT, _BYTES, max_size=2),
    raw=_BYTES,
)
def test_whatever_a_response_holds_comes_back(headers: Any, **parts: Any) -> None:
    items = tuple((name, name.lower(), value) for name, value in headers if name.lower() != b"set-cookie")
    entry = entry_of(headers=items, content=b"", **parts)
    data = pack(entry, wall=0.0, generation="g", key=b"key")
    again = unpack(data, key=b"key").entry(content=b"", began=5.0)
    assert again.raw == entry.raw
    same(entry, again, tags=tuple(parts["tags"]))


def test_a_cookie_is_not_kept() -> None:
    data = pack(entry_of(headers=((b"Set-Cookie", b"set-cookie", b"s3cr3t"),)), wall=0.0, generation="g")
    assert b"s3cr3t" not in data
    assert unpack(data).items() == []


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


def test_a_record_made_with_another_key_is_refused(entry: StoredResponse) -> None:
    with pytest.raises(StorageError, match="checksum"):
        unpack(pack(entry, wall=1.0, generation="g", key=b"one"), key=b"other")


@pytest.mark.parametrize("length", range(0, 150, 7))
def test_a_head_that_is_not_complete_is_refused(entry: StoredResponse, length: int) -> None:
    rest = pack(entry, wall=1.0, generation="g")[20:]
    assert length < record_format._NUMBERS.size + 20
    with pytest.raises(StorageError, match="head"):
        unpack(signed(rest[:length]))


def test_numbers_that_do_not_fit_the_text_are_refused(entry: StoredResponse) -> None:
    rest = pack(entry, wall=1.0, generation="g")[20:]
    numbers = list(record_format._NUMBERS.unpack_from(rest))
    for at in (13, 14, 16, 17):  # bytes of text and of header fields, tags, names of Vary
        for changed in (numbers[at] + 1, 2**31):
            if at == 17 and changed > 2**16:
                continue
            wrong = record_format._NUMBERS.pack(*numbers[:at], changed, *numbers[at + 1 :])
            with pytest.raises(StorageError, match="head"):
                unpack(signed(wrong + rest[record_format._NUMBERS.size :]))


@pytest.mark.parametrize("version", [3, 4, 255])
def test_a_record_of_a_later_version_is_told_apart_from_a_damaged_one(entry: StoredResponse, version: int) -> None:
    later = signed(b"whatever it may hold", b"pwc" + bytes([version]))
    with pytest.raises(LaterRecordError, match=f"version {version}"):
        read(later)
    assert not is_earlier(later)


def test_a_flag_that_is_not_known_is_of_a_later_version(entry: StoredResponse) -> None:
    data = bytearray(pack(entry, wall=1.0, generation="g"))
    data[FLAGS] |= 0x80
    with pytest.raises(LaterRecordError, match="flags"):
        read(signed(bytes(data[20:])))


def test_a_record_of_an_earlier_version_is_told_apart_too() -> None:
    earlier = signed(b"", b"pwc\x01")
    with pytest.raises(StorageError, match="not a record of this version") as error:
        unpack(earlier)
    assert not isinstance(error.value, LaterRecordError)
    assert is_earlier(earlier)
    assert not is_earlier(b"pw")
    assert not is_earlier(b"pwc")
