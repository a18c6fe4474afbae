"""Header fields as bytes: white space, case, and lists of names."""

from __future__ import annotations

import pytest

from pywats_cache.protocol.cache_control import parse_cache_control, seconds_of
from pywats_cache.protocol.conditional import conditional_fields, listed_tags
from pywats_cache.protocol.fields import combined, content_length, listed_names, lowered


def test_only_a_to_z_have_a_case() -> None:
    assert lowered("AZ\xc0\xdeÉ") == "az\xc0\xdeÉ"


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("Accept, X-B\t,,", {"accept", "x-b"}),
        ("Accept\xa0", {"accept\xa0", "accept"}),
        ("a b", {"a b", "a", "b"}),
        ("X-\xc9", {"x-\xc9", "x-"}),
        ("*\x85", {"*\x85", "*"}),
    ],
)
def test_names_are_listed_as_they_are_and_by_their_tokens(line: str, names: set[str]) -> None:
    assert listed_names([line]) == names


def test_lines_of_a_field_are_combined_as_bytes() -> None:
    items = [(b"A", b"a", b"\xe9"), (b"B", b"b", b"x"), (b"a", b"a", b"\xc3\xa9")]
    assert combined(items, b"a") == b"\xe9, \xc3\xa9"
    assert combined(items, b"c") is None


@pytest.mark.parametrize("said", ["no-store\xa0", "\xa0no-store", "x\x85no-store", "no-store; x", "NO-STORE\xe9=1"])
def test_what_binds_does_so_beside_odd_bytes(said: str) -> None:
    assert "no-store" in parse_cache_control([said])


@pytest.mark.parametrize(
    "said", ["max-age=60\xa0", "max-age\xa0=60", "\xa0max-age=60", "max-age=6\xa00", "max-age=\xb2"]
)
def test_seconds_beside_odd_bytes_are_no_number(said: str) -> None:
    assert seconds_of(parse_cache_control([said]), "max-age", invalid=0.0) == 0.0


@pytest.mark.parametrize("said", ["immutable\xa0", "max-stale\xa0", "public\xe9", "must-understand\xa0", "\xa0private"])
def test_what_allows_does_not_beside_odd_bytes(said: str) -> None:
    assert not parse_cache_control([said])


def test_a_no_break_space_is_part_of_a_tag() -> None:
    assert listed_tags(["a\xa0b, c\td"]) == ["a\xa0b", "c", "d"]


@pytest.mark.parametrize("tag", ["*", "a b", '"a", "b"', 'W/"a'])
def test_only_one_entity_tag_validates(tag: str) -> None:
    assert conditional_fields({"etag": [tag]}) == ([("If-None-Match", tag)] if tag == 'W/"a' else [])


def test_a_length_of_any_size_is_read() -> None:
    assert content_length({"content-length": ["9" * 5000]}) == 10**18
    assert content_length({"content-length": ["0" * 5000 + "7"]}) == 7
