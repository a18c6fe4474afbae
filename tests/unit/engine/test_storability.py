"""TTL mode: what may be stored, and the small questions around it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywats_cache.engine import storability
from pywats_cache.engine.storability import head_in, head_of, is_empty, unstorable
from pywats_cache.engine.writing import default_settle
from pywats_cache.policy.controller import Decision
from pywats_cache.protocol.fields import content_length, fields
from pywats_cache.protocol.vary import vary_names

READ = Decision("read", "/x", 60.0)


def reason(status: int = 200, decision: Decision = READ, bound: int = 1000, **headers: str) -> str | None:
    named = {name.replace("_", "-"): [value] for name, value in headers.items()}
    return unstorable(status, head_in(named), content_length(named), decision, bound)


def test_a_plain_200_is_stored() -> None:
    assert reason() is None
    assert reason(content_type="application/json; charset=utf-8", content_length="1000") is None


@pytest.mark.parametrize("status", [201, 203, 204, 206, 301, 302, 304, 400, 404, 500, 503])
def test_other_statuses_are_not_stored(status: int) -> None:
    assert reason(status) == "status"


def test_a_rule_stores_other_statuses_but_never_206() -> None:
    decision = Decision("read", "/x", 60.0, statuses=(200, 206, 404))
    assert reason(404, decision) is None
    assert reason(206, decision) == "status"


def test_an_answer_that_sets_a_cookie_is_not_stored() -> None:
    assert reason(set_cookie="a=b") == "set-cookie"


@pytest.mark.parametrize("vary", ["*", "accept, *", " * "])
def test_an_answer_that_varies_by_anything_is_not_stored(vary: str) -> None:
    assert reason(vary=vary) == "vary-any"


def test_an_answer_that_varies_by_too_many_headers_is_not_stored() -> None:
    assert reason(vary=",".join(f"x-{n}" for n in range(16))) is None
    assert reason(vary=",".join(f"x-{n}" for n in range(17))) is not None


def test_no_store_is_honoured_unless_the_rule_says_otherwise() -> None:
    assert reason(cache_control="private, No-Store") == "no-store"
    assert reason(cache_control="no-store", decision=Decision("read", "/x", 60.0, ignore_no_store=True)) is None
    assert reason(cache_control='ext="no-store"') is None


@pytest.mark.parametrize("control", ["no-cache", "max-age=0", "private", "must-revalidate"])
def test_what_else_the_server_says_does_not_matter_in_ttl_mode(control: str) -> None:
    assert reason(cache_control=control) is None


@pytest.mark.parametrize(
    "kind",
    ["text/event-stream", "Text/Event-Stream; charset=utf-8", "application/x-ndjson", "multipart/x-mixed-replace"],
)
def test_a_type_meant_to_be_streamed_is_not_stored(kind: str) -> None:
    assert reason(content_type=kind) == "stream"


def test_an_announced_length_beyond_the_bound_is_too_large() -> None:
    assert reason(content_length="1001") == "too-large"


@pytest.mark.parametrize(
    ("headers", "length"),
    [
        ({}, None),
        ({"content-length": ["5"]}, 5),
        ({"content-length": ["0"]}, 0),
        ({"content-length": ["5", "5"]}, None),
        ({"content-length": ["5, 5"]}, None),
        ({"content-length": ["-5"]}, None),
        ({"content-length": ["+5"]}, None),
        ({"content-length": ["\u0665"]}, None),
        ({"content-length": [""]}, None),
        ({"content-length": ["5"], "transfer-encoding": ["chunked"]}, None),
    ],
)
def test_a_length_counts_only_where_it_can_be_relied_on(headers: dict[str, list[str]], length: int | None) -> None:
    assert content_length(headers) == length


def test_vary_names_are_sorted_and_have_no_case() -> None:
    assert vary_names({"vary": ["Accept, X-B", "accept,,x-a"]}) == ("accept", "x-a", "x-b")
    assert vary_names({}) == ()


def test_fields_keep_the_values_of_all_lines() -> None:
    items = [(b"Vary", b"vary", b"a"), (b"X", b"x", b"\xe4"), (b"VARY", b"vary", b"b")]
    assert fields(items) == {"vary": ["a", "b"], "x": ["ä"]}


@pytest.mark.parametrize(
    ("content", "empty"),
    [(b"", True), (b" null\r\n", True), (b" \n", True), (b"[]", False), (b"nullable", False), (b" " * 100, False)],
)
def test_empty_is_nothing_or_null(content: bytes, empty: bool) -> None:
    assert is_empty(content) is empty


@pytest.mark.parametrize(
    ("timeout", "seconds"),
    [
        (None, 30.0),
        ({}, 30.0),
        ({"read": None, "connect": None}, 30.0),
        ({"read": 1.0, "connect": 2.0}, 5.0),
        ({"read": 12.0, "connect": 5.0, "write": None}, 12.0),
        ({"read": 600.0}, 30.0),
        ({"read": float("inf"), "write": 7.0}, 7.0),
    ],
)
def test_the_settle_window_is_the_timeout_from_5_to_30(timeout: dict[str, float | None] | None, seconds: float) -> None:
    assert default_settle(timeout) == seconds


NAMES = [
    "Vary",
    "vary",
    "Content-Type",
    "Content-Length",
    "Transfer-Encoding",
    "Set-Cookie",
    "Cache-Control",
    "X-Other",
]
VALUES = ["", "*", "accept", "1", "5", "-1", "gzip", "no-store", "text/event-stream", "\xe9", "v" * 300]


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=6))
def test_header_lines_say_what_their_fields_say(lines: list[tuple[str, str]]) -> None:
    items = [(name.encode(), name.lower().encode(), value.encode("latin-1")) for name, value in lines]
    headers = fields(items)
    assert head_of(items) == head_of(items) == (head_in(headers), content_length(headers))


def test_what_differs_from_response_to_response_takes_no_place_in_the_memo_of_heads() -> None:
    storability._read_once.cache_clear()
    for n in range(10):
        own = [(b"Content-Length", b"content-length", b"%d" % n), (b"Set-Cookie", b"set-cookie", b"secret=%d" % n)]
        head_of([*own, (b"Content-Type", b"content-type", b"text/plain"), (b"ETag", b"etag", b"%d" % n)])
        head_of([(b"Cache-Control", b"cache-control", b"%d" % n * 300)])
    assert storability._read_once.cache_info().currsize == 1
