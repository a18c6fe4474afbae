"""Keys, partitions and paths."""

from __future__ import annotations

import re

import pytest

from pywats_cache.engine.cache_key import entry_key, is_credential, partition_digest, sorted_query, variant_key
from pywats_cache.protocol.paths import normal_path, plain_path

SECRET = b"s" * 32


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "Proxy-Authorization",
        "Cookie",
        "X-API-Key",
        "X-ApiKey",
        "api-key",
        "X-Auth-Token",
        "X-CSRF-Token",
        "X-Amz-Security-Token",
        "Ocp-Apim-Subscription-Key",
        "X-Functions-Key",
        "X-Session-Id",
        "X-Secret",
        "X-Access-Key",
        "api_key",
        "X-Access_Key",
        "X-App-Key",
        "X-Master-Key",
        "X-JWT-Assertion",
        "X-Bearer",
        "CB-ACCESS-PASSPHRASE",
        "DD-APPLICATION-KEY",
        "X-User-Key",
        "X-Account-Key",
        "X-Service-Key",
        "X-Passwd",
        "X-Passcode",
        "Signature",
    ],
)
def test_a_header_that_says_who_asks_is_a_credential(name: str) -> None:
    assert is_credential(name)
    assert is_credential(name.lower())


@pytest.mark.parametrize(
    "name",
    [
        "Accept",
        "Host",
        "User-Agent",
        "Content-Type",
        ":authority",
        "X-Request-ID",
        "Key",
        "Idempotency-Key",
        "Sec-WebSocket-Key",
        "Sec-Fetch-User",
        "Surrogate-Key",
        "X-Request-Key",
    ],
)
def test_other_headers_are_no_credentials(name: str) -> None:
    assert not is_credential(name)


def test_a_partition_does_not_depend_on_the_order_of_the_headers() -> None:
    one, other = (b"authorization", b"a"), (b"cookie", b"b")
    assert partition_digest(SECRET, [one, other]) == partition_digest(SECRET, [other, one])


def test_no_two_lists_of_headers_look_alike() -> None:
    digests = {
        partition_digest(SECRET, fields)
        for fields in (
            [(b"a", b"bc")],
            [(b"ab", b"c")],
            [(b"a", b"b"), (b"c", b"")],
            [(b"a", b"b"), (b"a", b"b")],
            [(b"a", b"b")],
            [(b"a", b"b1:c=1:d")],
            [],
        )
    }
    assert len(digests) == 7


def test_a_digest_depends_on_the_secret() -> None:
    assert partition_digest(SECRET, [(b"a", b"b")]) != partition_digest(b"t" * 32, [(b"a", b"b")])
    assert entry_key(SECRET, "GET") != entry_key(b"t" * 32, "GET")


def test_a_key_tells_its_parts_apart() -> None:
    assert entry_key(SECRET, "a", "bc") != entry_key(SECRET, "ab", "c")
    assert entry_key(SECRET, "a", "") != entry_key(SECRET, "a")
    assert entry_key(SECRET, "a", b"b") == entry_key(SECRET, b"a", "b")


def test_a_key_tells_nothing_of_its_parts() -> None:
    key = entry_key(SECRET, "GET", "https://host", "/secret-path")
    assert len(key) == 20
    assert re.fullmatch(r"[\w-]+", key, re.ASCII)


def test_a_key_takes_any_text() -> None:
    assert entry_key(SECRET, "\udcff") != entry_key(SECRET, "\udcfe")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ""),
        ("b=1", "b=1"),
        ("b=1&a=2", "a=2&b=1"),
        ("a=2&b=1", "a=2&b=1"),
        ("x=2&x=1&a", "a&x=2&x=1"),
        ("b&a=", "a=&b"),
        ("a=1&&b", "&a=1&b"),
    ],
)
def test_a_query_is_sorted_by_name_and_stays_in_order_within_one(query: str, expected: str) -> None:
    assert sorted_query(query) == expected


def test_a_missing_header_and_an_empty_one_select_different_variants() -> None:
    keys = {variant_key(SECRET, "k", values) for values in ([None], [""], ["-"], ["+"], [None, None], [])}
    assert len(keys) == 6


@pytest.mark.parametrize(
    ("path", "segments"),
    [
        ("/", ()),
        ("", ()),
        ("/a", ("a",)),
        ("/a/", ("a",)),
        ("/Api/PRODUCT", ("api", "product")),
        ("/a%20b", ("a b",)),
        ("/a%20/b", ("a", "b")),
        ("/%C3%84", ("ä",)),
        ("/A%CC%88", ("ä",)),
        ("/a%2Fb", ("a%2fb",)),
        ("/stra%C3%9Fe", ("strasse",)),
        ("//a//b//", ("a", "b")),
        ("/./a/%2e/%20/b/.", ("a", "b")),
        ("/a/../b", ("a", "..", "b")),
        ("/%41%62", ("ab",)),
    ],
)
def test_paths_of_tags_are_compared_decoded_without_case(path: str, segments: tuple[str, ...]) -> None:
    assert normal_path(path) == segments


@pytest.mark.parametrize(
    ("path", "plain"),
    [
        ("/", "/"),
        ("//", "/"),
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b"),
        ("//a///b", "/a/b"),
        ("/./a/./b/.", "/a/b"),
        ("/a/x/../b", "/a/b"),
        ("/../../a", "/a"),
        ("/a/%2e%2E/b", "/b"),
        ("/%41pi/%7euser/%2Fx%20", "/Api/~user/%2Fx%20"),
        ("/.a/..b/...", "/.a/..b/..."),
    ],
)
def test_a_plain_path_is_what_servers_that_normalise_make_of_it(path: str, plain: str) -> None:
    assert plain_path(path) == plain
    assert plain_path(plain) == plain
