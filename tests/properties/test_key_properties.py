"""Which requests share an answer: the key, the partition of the credentials, the digest of a body."""

from __future__ import annotations

from collections import defaultdict
from typing import Any
from urllib.parse import unquote_plus

import httpx
import httpx2
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pywats_cache import Controller, Read
from pywats_cache.engine.cache_key import entry_key, is_credential, partition_digest, sorted_query, variant_key
from pywats_cache.engine.classify import Prepared, Preparer

SECRET = b"s" * 32
CONTROLLER = Controller(rules=[Read("/**", methods=("GET", "POST"))], partition=("X-Tenant",))
LIBRARIES = pytest.mark.parametrize("library", [httpx, httpx2], ids=lambda library: library.__name__)
NAMES = st.sampled_from(["a", "b", "%61", "c", "+", "ä"])
VALUES = st.sampled_from(["", "1", "2", "%31", "x y", "&", "="])
CREDENTIALS = ["Authorization", "Proxy-Authorization", "Cookie", "X-API-Key", "X-Auth-Token", "X-Tenant"]
FIELDS = st.lists(st.tuples(st.sampled_from(CREDENTIALS), st.sampled_from(["u", "v", "u, v", ""])), max_size=4)


def prepare(request: Any, body: bytes = b"") -> Prepared:
    preparer = Preparer(CONTROLLER, SECRET)
    prepared = preparer.prepare(request)
    assert prepared.kind == "read"
    return preparer.with_body(prepared, body) if body else prepared


def spelled(name: str, upper: bool) -> str:
    return name.upper() if upper else name.lower()


def by_name(query: list[tuple[str, str]]) -> dict[str, list[str]]:
    values = defaultdict(list)
    for name, value in query:
        values[unquote_plus(name)].append(value)
    return dict(values)


@LIBRARIES
@settings(max_examples=200)
@given(
    first=st.lists(st.tuples(NAMES, VALUES), max_size=4),
    second=st.lists(st.tuples(NAMES, VALUES), max_size=4),
    shuffle=st.randoms(use_true_random=False),
)
def test_queries_share_a_key_exactly_if_each_parameter_has_the_same_values_in_the_same_order(
    library: Any, first: list[tuple[str, str]], second: list[tuple[str, str]], shuffle: Any
) -> None:
    def key(query: list[tuple[str, str]]) -> str:
        raw = "&".join(f"{name}={library.URL('http://o/').copy_with(params={'v': value}).query.decode()[2:]}"
                       for name, value in query)  # fmt: skip
        return prepare(library.Request("GET", f"http://o/p?{raw}" if raw else "http://o/p")).key

    if key(first) == key(second):
        assert by_name(first) == by_name(second)
    if by_name(first) == by_name(second) and not written_differently(first, second):
        assert key(first) == key(second)
    mixed = list(first)
    shuffle.shuffle(mixed)
    if by_name(mixed) == by_name(first) and not written_differently(first, mixed):
        assert key(mixed) == key(first)


def written_differently(first: list[tuple[str, str]], second: list[tuple[str, str]]) -> bool:
    """Whether one parameter is written in two ways: then keys may differ, which costs a miss."""
    return {n for n, _ in first} != {n for n, _ in second} or {"a", "%61"} <= {n for n, _ in first}


@given(query=st.lists(st.tuples(NAMES, st.sampled_from(["1", "2"])), max_size=6))
def test_sorting_keeps_the_order_of_a_repeated_parameter(query: list[tuple[str, str]]) -> None:
    result = sorted_query("&".join(f"{name}={value}" for name, value in query))
    pairs = [tuple(pair.split("=")) for pair in result.split("&")] if result else []
    assert sorted(pairs) == sorted(query)
    assert by_name(pairs) == by_name(query)  # type: ignore[arg-type]
    assert sorted_query(result) == result


@LIBRARIES
@given(fragment=st.sampled_from(["", "x", "a/b?c"]), scheme=st.sampled_from(["http", "https"]))
def test_fragment_and_default_port_do_not_matter(library: Any, fragment: str, scheme: str) -> None:
    plain = prepare(library.Request("GET", f"{scheme}://host.example/p?q=1"))
    port = {"http": 80, "https": 443}[scheme]
    assert prepare(library.Request("GET", f"{scheme}://host.example:{port}/p?q=1#{fragment}")).key == plain.key
    assert prepare(library.Request("GET", f"{scheme}://HOST.example/p?q=1")).key == plain.key
    assert prepare(library.Request("GET", f"{scheme}://host.example:8080/p?q=1")).key != plain.key


@LIBRARIES
@settings(max_examples=150)
@given(
    urls=st.lists(
        st.tuples(
            st.sampled_from(["GET", "POST"]),
            st.sampled_from(["http", "https"]),
            st.sampled_from(["h", "i"]),
            st.sampled_from(["", ":80", ":443", ":81"]),
            st.sampled_from(["/", "/a", "/a/", "/A", "/a%2Fb", "/a/b"]),
        ),
        min_size=2,
        max_size=2,
    )
)
def test_method_scheme_host_port_and_path_are_told_apart(library: Any, urls: list[tuple[str, ...]]) -> None:
    def canonical(method: str, scheme: str, host: str, port: str, path: str) -> tuple[str, ...]:
        default = {"http": ":80", "https": ":443"}[scheme]
        return method, scheme, host, port or default, path

    keys = [prepare(library.Request(url[0], f"{url[1]}://{url[2]}{url[3]}{url[4]}")).key for url in urls]
    assert (keys[0] == keys[1]) == (canonical(*urls[0]) == canonical(*urls[1]))


@LIBRARIES
@settings(max_examples=300)
@given(first=FIELDS, second=FIELDS, upper=st.lists(st.booleans(), min_size=8, max_size=8), order=st.randoms())
def test_partitions_are_equal_exactly_if_the_credentials_are(
    library: Any, first: list[tuple[str, str]], second: list[tuple[str, str]], upper: list[bool], order: Any
) -> None:
    def request(fields: list[tuple[str, str]], cases: list[bool]) -> Any:
        items = [(spelled(n, u), v) for (n, v), u in zip(fields, cases, strict=False)] + [("Accept-Language", "de")]
        order.shuffle(items)
        return library.Request("GET", "http://o/p", headers=items)

    one, two = prepare(request(first, upper[:4])), prepare(request(second, upper[4:]))
    same = sorted(first) == sorted(second)
    assert (one.partition == two.partition) == same
    assert (one.key == two.key) == same
    assert (one.partition == "") == (first == [])


@LIBRARIES
@given(
    name=st.sampled_from(["Accept-Charset", "User-Agent", "X-Request-Id", "Traceparent", "Accept-Encoding"]),
    value=st.text("abc", min_size=1),
)
def test_a_header_that_is_no_credential_does_not_separate(library: Any, name: str, value: str) -> None:
    plain = prepare(library.Request("GET", "http://o/p"))
    assert prepare(library.Request("GET", "http://o/p", headers={name: value})).key == plain.key


@LIBRARIES
@given(
    first=st.sampled_from(["", "ann@", "ann:@", "ann:x@", "bob:x@", "ann:y@"]),
    second=st.sampled_from(["", "ann@", "ann:x@", "bob:x@", "ann:y@"]),
)
def test_userinfo_separates_and_is_not_shown(library: Any, first: str, second: str) -> None:
    one, two = (prepare(library.Request("GET", f"http://{userinfo}o/p")) for userinfo in (first, second))
    assert (one.key == two.key) == (first == second)
    for secret in ("ann", "bob"):
        assert secret not in f"{one.key}{one.partition}{one.origin}{one.tags}"


@settings(max_examples=200)
@given(
    bodies=st.lists(st.tuples(st.binary(max_size=4), st.sampled_from(["", "text/a", "text/b"])), min_size=2, max_size=2)
)
def test_bodies_share_a_key_exactly_if_they_and_their_type_are_equal(bodies: list[tuple[bytes, str]]) -> None:
    assume(all(body for body, _ in bodies))
    keys = [
        prepare(httpx.Request("POST", "http://o/p", headers={"Content-Type": kind} if kind else {}), body).key
        for body, kind in bodies
    ]
    assert (keys[0] == keys[1]) == (bodies[0] == bodies[1])


PARTS = st.lists(st.one_of(st.binary(max_size=3), st.sampled_from([b"1:a", b"0:", b"2:", b":", b"1"])), max_size=4)


@settings(max_examples=500)
@given(first=PARTS, second=PARTS, cut=st.integers(0, 6))
def test_no_two_lists_of_parts_look_alike(first: list[bytes], second: list[bytes], cut: int) -> None:
    assert (entry_key(SECRET, *first) == entry_key(SECRET, *second)) == (first == second)
    joined = b"".join(first)
    moved = [joined[:cut], joined[cut:]]
    assert (entry_key(SECRET, *first) == entry_key(SECRET, *moved)) == (first == moved)


PAIRS = st.lists(st.tuples(st.binary(max_size=3), st.binary(max_size=3)), max_size=3)


@settings(max_examples=500)
@given(first=PAIRS, second=PAIRS)
def test_no_two_sets_of_credentials_look_alike(
    first: list[tuple[bytes, bytes]], second: list[tuple[bytes, bytes]]
) -> None:
    one, two = partition_digest(SECRET, first), partition_digest(SECRET, second)
    assert (one == two) == (sorted(first) == sorted(second))
    assert partition_digest(b"t" * 32, first) != one, "the digest is keyed"


@given(
    first=st.lists(st.one_of(st.none(), st.sampled_from(["", "-", "+", "a"])), max_size=3),
    second=st.lists(st.one_of(st.none(), st.sampled_from(["", "-", "+", "a"])), max_size=3),
)
def test_variants_tell_an_absent_header_from_an_empty_one(first: list[str | None], second: list[str | None]) -> None:
    assert (variant_key(SECRET, "k", first) == variant_key(SECRET, "k", second)) == (first == second)


@given(body=st.sampled_from([b"-", b"+", b"+a", b"vary"]), kind=st.sampled_from(["", "+", "-", "+x"]))
def test_a_body_is_never_taken_for_a_variant(body: bytes, kind: str) -> None:
    preparer = Preparer(CONTROLLER, SECRET)
    request = httpx.Request("GET", "http://o/p", headers={"Content-Type": kind, "Content-Encoding": "-"})
    prepared = preparer.prepare(request)
    values = [None if v in ("-", b"-") else v[1:] for v in (body.decode(), kind, "-")]
    variants = {variant_key(SECRET, prepared.key, values[:n]) for n in range(4)}
    assert preparer.with_body(prepared, body).key not in variants


@given(
    prefix=st.text("xyz-", max_size=3),
    name=st.sampled_from(["token", "Auth", "COOKIE", "api-key", "api_key", "JWT", "Secret"]),
)
def test_whatever_sounds_like_a_credential_is_one(prefix: str, name: str) -> None:
    assert is_credential(f"{prefix}{name}")


WISHES = st.dictionaries(
    st.sampled_from(["Accept", "Accept-Language", "X-Unit"]),
    st.sampled_from(["a/b", "A/B ", "a/b,c/d", "c/d , a/b", "", "*/*", "*"]),
    max_size=3,
)


@LIBRARIES
@settings(max_examples=300)
@given(first=WISHES, second=WISHES, named=st.sampled_from([None, (), ("X-Unit",), ("accept", "X-UNIT")]))
def test_requests_share_a_key_exactly_if_they_want_the_same_form_by_the_names_of_the_rule(
    library: Any, first: dict[str, str], second: dict[str, str], named: tuple[str, ...] | None
) -> None:
    names = ("accept", "accept-language") if named is None else tuple(name.lower() for name in named)
    preparer = Preparer(Controller([] if named is None else [Read("/**", vary=named)]), SECRET)

    def form(headers: dict[str, str]) -> dict[str, str]:
        meant = {name.lower(): value.replace(" ", "").lower() for name, value in headers.items()}
        if "X-Unit" in headers:
            meant["x-unit"] = headers["X-Unit"].strip()  # nobody knows what its case means
        anything = {("accept", "*/*"), ("accept-language", "*")}
        return {name: value for name, value in meant.items() if name in names and (name, value) not in anything}

    keys = [preparer.prepare(library.Request("GET", "http://o/p", headers=headers)).key for headers in (first, second)]
    assert (keys[0] == keys[1]) == (form(first) == form(second))
