"""Validators: conditional requests, callers' preconditions, and what a 304 changes; and HTTP dates."""

from __future__ import annotations

import datetime

import pytest
from header_fields import headers, http_date, items
from hypothesis import given
from hypothesis import strategies as st

from pywats_cache.protocol.conditional import (
    Precondition,
    conditional_fields,
    connection_names,
    entity_tag,
    evaluate,
    kept_items,
    listed_tags,
    matches,
    not_modified_items,
    same_strongly,
    same_weakly,
    selects,
    speaks_of_caller,
    updated_items,
)
from pywats_cache.protocol.dates import date_field, parse_http_date

MODIFIED = "Sun, 06 Nov 1994 08:49:37 GMT"
EARLIER = "Sun, 06 Nov 1994 08:49:36 GMT"
LATER = "Sun, 06 Nov 1994 08:49:38 GMT"
SECONDS = 784_111_777.0


def pairs(result: list[tuple[bytes, bytes, bytes]]) -> list[tuple[str, str]]:
    assert all(lower == name.lower() for name, lower, _ in result)
    return [(name.decode(), value.decode()) for name, _, value in result]


class TestDates:
    @pytest.mark.parametrize(
        "text",
        [
            MODIFIED,
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "SUN, 06 nov 1994 08:49:37 gmt",
            f" {MODIFIED}\t",
        ],
    )
    def test_all_three_formats_are_read(self, text: str) -> None:
        assert parse_http_date(text) == SECONDS

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "0",
            "784111777",
            "foo",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 +0000",
            "Sun, 06 Nov 1994 08:49:37 AEST",
            "Sun, 06 Nov 94 08:49:37 GMT",
            "Sun 06 Nov 1994 08:49:37 GMT",
            "Sun,  06  Nov  1994 08:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06-Nov-1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08.49.37 GMT",
            "Sun, 06 Nov 1994 8:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:60:37 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT",
            "Thu, 31 Nov 1994 08:49:37 GMT",
            "Wed, 29 Feb 1995 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 0000 08:49:37 GMT",
            "Sun, 06 Foo 1994 08:49:37 GMT",
            f"{MODIFIED}, {MODIFIED}",
            "Sun, ٠٦ Nov 1994 08:49:37 GMT",
            f"{MODIFIED}\n",
        ],
    )
    def test_anything_else_is_no_date(self, text: str) -> None:
        assert parse_http_date(text) is None

    @pytest.mark.parametrize(
        ("now", "two_digits", "year"),
        [(2025, "50", 2050), (2025, "75", 2075), (2025, "76", 1976), (2025, "94", 1994), (2080, "20", 2120)],
    )
    def test_a_two_digit_year_is_at_most_fifty_years_ahead(self, now: int, two_digits: str, year: int) -> None:
        found = parse_http_date(f"Monday, 01-Jan-{two_digits} 00:00:00 GMT", _utc(now))
        assert found == _utc(year)

    @given(st.integers(-10_000_000_000, 250_000_000_000))
    def test_what_the_standard_library_writes_is_read(self, seconds: int) -> None:
        assert parse_http_date(http_date(seconds)) == seconds

    def test_a_repeated_date_counts_only_if_it_says_the_same(self) -> None:
        assert date_field(headers(date=[MODIFIED, MODIFIED]), "date") == SECONDS
        assert date_field(headers(date=[MODIFIED, LATER]), "date") is None
        assert date_field({}, "date") is None
        assert date_field({"date": []}, "date") is None


def _utc(year: int) -> float:
    return datetime.datetime(year, 1, 1, tzinfo=datetime.timezone.utc).timestamp()


class TestEntityTags:
    @pytest.mark.parametrize(
        ("one", "other", "strongly", "weakly"),
        [  # RFC 9110 §8.8.3.2, and what is no entity-tag
            ('W/"1"', 'W/"1"', False, True),
            ('W/"1"', 'W/"2"', False, False),
            ('W/"1"', '"1"', False, True),
            ('"1"', '"1"', True, True),
            ('"1"', '"2"', False, False),
            ("1", "1", False, True),
            ("1", '"1"', False, False),
            ('w/"1"', 'w/"1"', False, True),
            ('w/"1"', '"1"', False, False),
            ('""', '""', True, True),
            ('"é"', '"é"', True, True),
        ],
    )
    def test_comparison(self, one: str, other: str, strongly: bool, weakly: bool) -> None:
        assert same_strongly(one, other) is strongly is same_strongly(other, one)
        assert same_weakly(one, other) is weakly is same_weakly(other, one)

    @pytest.mark.parametrize(
        ("lines", "tags"),
        [
            ([], []),
            ([""], []),
            (["*"], ["*"]),
            (['"a"'], ['"a"']),
            (['"a", W/"b" ,"c"'], ['"a"', 'W/"b"', '"c"']),
            (['"a"', '"b"'], ['"a"', '"b"']),
            (['"a, b", "c"'], ['"a, b"', '"c"']),
            ([', ,"a",,'], ['"a"']),
            (["abc, d"], ["abc", "d"]),
        ],
    )
    def test_lists(self, lines: list[str], tags: list[str]) -> None:
        assert listed_tags(lines) == tags

    def test_an_answer_with_two_tags_has_none(self) -> None:
        assert entity_tag(headers(etag=' "a" ')) == '"a"'
        assert entity_tag(headers(etag=['"a"', '"a"'])) == '"a"'
        assert entity_tag(headers(etag=['"a"', '"b"'])) is None
        assert entity_tag(headers(etag="")) is None
        assert entity_tag({}) is None


class TestAsking:
    def test_all_validators_are_sent_to_the_letter(self) -> None:
        odd = "sun, 06 NOV 1994 08:49:37 gmt"
        assert conditional_fields(headers(etag='W/"a"', last_modified=odd)) == [
            ("If-None-Match", 'W/"a"'),
            ("If-Modified-Since", odd),
        ]
        assert conditional_fields(headers(etag="a")) == [("If-None-Match", "a")]

    @pytest.mark.parametrize("stored", [{}, headers(last_modified="yesterday"), headers(etag=['"a"', '"b"'])])
    def test_without_a_validator_nothing_is_sent(self, stored: dict[str, list[str]]) -> None:
        assert conditional_fields(stored) == []

    def test_the_callers_tags_are_kept_beside_ours(self) -> None:
        stored = headers(etag='"a"', last_modified=MODIFIED)
        asked = conditional_fields(stored, headers(if_none_match='"b", "a"'))
        assert asked == [("If-None-Match", '"a", "b"'), ("If-Modified-Since", MODIFIED)]
        assert conditional_fields(stored, headers(if_modified_since=EARLIER))[1] == ("If-Modified-Since", MODIFIED)

    def test_a_date_of_ours_does_not_stand_in_for_the_callers_tags(self) -> None:
        assert conditional_fields(headers(last_modified=MODIFIED), headers(if_none_match='"b"')) == []

    def test_any_star_would_always_be_304(self) -> None:
        asked = conditional_fields(headers(etag='"a"', last_modified=MODIFIED), headers(if_none_match="*"))
        assert "*" not in dict(asked).values()


FULL = headers(etag='"a"', last_modified=MODIFIED)


class TestPreconditions:
    @pytest.mark.parametrize(
        ("request_headers", "stored", "result"),
        [
            ({}, FULL, Precondition.NONE),
            (headers(range="bytes=0-1", if_range='"a"'), FULL, Precondition.NONE),
            (headers(if_match='"a"'), FULL, Precondition.FORWARD),
            (headers(if_unmodified_since=MODIFIED), FULL, Precondition.FORWARD),
            (headers(if_match='"a"', if_none_match='"a"'), FULL, Precondition.FORWARD),
            (headers(if_none_match='"a"'), FULL, Precondition.NOT_MODIFIED),
            (headers(if_none_match='W/"a"'), FULL, Precondition.NOT_MODIFIED),
            (headers(if_none_match='"x", "a", "y"'), FULL, Precondition.NOT_MODIFIED),
            (headers(if_none_match=['"x"', '"a"']), FULL, Precondition.NOT_MODIFIED),
            (headers(if_none_match="*"), FULL, Precondition.NOT_MODIFIED),
            (headers(if_none_match="*"), {}, Precondition.NOT_MODIFIED),
            (headers(if_none_match='"b"'), FULL, Precondition.PASSES),
            (headers(if_none_match="a"), FULL, Precondition.PASSES),
            (headers(if_none_match='"a"'), {}, Precondition.PASSES),
            (headers(if_none_match=""), FULL, Precondition.PASSES),
            # If-None-Match takes precedence.
            (headers(if_none_match='"a"', if_modified_since=EARLIER), FULL, Precondition.NOT_MODIFIED),
            (headers(if_none_match='"b"', if_modified_since=LATER), FULL, Precondition.PASSES),
            (headers(if_modified_since=MODIFIED), FULL, Precondition.NOT_MODIFIED),
            (headers(if_modified_since=LATER), FULL, Precondition.NOT_MODIFIED),
            (headers(if_modified_since=EARLIER), FULL, Precondition.PASSES),
            (headers(if_modified_since="Sunday, 06-Nov-94 08:49:37 GMT"), FULL, Precondition.NOT_MODIFIED),
            (headers(if_modified_since="0"), FULL, Precondition.PASSES),
            (headers(if_modified_since=[MODIFIED, LATER]), FULL, Precondition.PASSES),
            # Without Last-Modified the Date counts.
            (headers(if_modified_since=MODIFIED), headers(date=MODIFIED), Precondition.NOT_MODIFIED),
            (headers(if_modified_since=EARLIER), headers(date=MODIFIED), Precondition.PASSES),
            (headers(if_modified_since=LATER), {}, Precondition.PASSES),
        ],
    )
    def test_evaluation(
        self, request_headers: dict[str, list[str]], stored: dict[str, list[str]], result: Precondition
    ) -> None:
        assert evaluate(request_headers, stored) is result

    def test_the_time_of_receipt_counts_where_the_answer_has_no_date(self) -> None:
        asked = headers(if_modified_since=MODIFIED)
        assert evaluate(asked, {}, received=SECONDS) is Precondition.NOT_MODIFIED
        assert evaluate(asked, {}, received=SECONDS + 1) is Precondition.PASSES

    @pytest.mark.parametrize("status", [301, 404, 500])
    def test_a_precondition_counts_only_on_success(self, status: int) -> None:
        assert evaluate(headers(if_none_match='"a"'), FULL, status) is Precondition.PASSES


class TestNotModified:
    @pytest.mark.parametrize(
        ("received", "stored", "selected"),
        [
            ({}, FULL, True),
            (headers(etag='"a"'), FULL, True),
            (headers(etag='"b"'), FULL, False),
            (headers(etag='"a"', last_modified=LATER), FULL, True),
            (headers(etag='W/"a"'), FULL, True),
            (headers(etag='W/"b"'), FULL, False),
            (headers(etag='"a"'), headers(etag='W/"a"'), False),
            (headers(etag='"a"'), headers(last_modified=MODIFIED), False),
            (headers(etag='W/"a"'), headers(last_modified=MODIFIED), False),
            (headers(last_modified=MODIFIED), FULL, True),
            (headers(last_modified=LATER), FULL, False),
            (headers(last_modified=MODIFIED), headers(etag='"a"'), True),
            (headers(last_modified="Sunday, 06-Nov-94 08:49:37 GMT"), FULL, True),
        ],
    )
    def test_selection(self, received: dict[str, list[str]], stored: dict[str, list[str]], selected: bool) -> None:
        assert selects(received, stored) is selected

    def test_a_304_without_a_tag_is_not_believed_where_the_callers_tags_were_sent_along(self) -> None:
        assert not selects({}, FULL, headers(if_none_match='"b"'))
        assert selects(headers(etag='"a"'), FULL, headers(if_none_match='"b"'))
        assert selects({}, FULL, headers(if_modified_since=EARLIER))

    def test_whom_a_304_speaks_of(self) -> None:
        caller = headers(if_none_match='"b", W/"c"')
        assert speaks_of_caller(headers(etag='"b"'), caller)
        assert speaks_of_caller(headers(etag='"c"'), caller)
        assert not speaks_of_caller(headers(etag='"a"'), caller)
        assert not speaks_of_caller({}, caller)
        assert not speaks_of_caller(headers(etag='"b"'), {})

    def test_a_head_matches_if_nothing_both_name_differs(self) -> None:
        stored = headers(etag='"a"', last_modified=MODIFIED, content_length="5")
        assert matches({}, stored)
        assert matches(stored, stored)
        assert matches(stored, {})
        for name in stored:
            assert not matches({**stored, name: ["other"]}, stored)

    def test_fields_that_were_received_replace_those_of_their_name_in_place(self) -> None:
        stored = items(("Date", "1"), ("X-A", "old"), ("ETag", '"a"'), ("x-a", "older"), ("X-B", "kept"))
        received = items(("X-New", "1"), ("X-a", "new"), ("X-A", "newer"), ("Date", "2"), ("X-New", "2"))
        assert pairs(updated_items(stored, received)) == [
            ("Date", "2"),
            ("X-a", "new"),
            ("X-A", "newer"),
            ("ETag", '"a"'),
            ("X-B", "kept"),
            ("X-New", "1"),
            ("X-New", "2"),
        ]

    @pytest.mark.parametrize("name", ["Content-Length", "Content-Encoding", "Content-Range"])
    def test_what_the_body_depends_on_is_not_updated(self, name: str) -> None:
        stored = items((name, "1"))
        assert updated_items(stored, items((name, "2"))) == stored
        assert updated_items([], items((name, "2"))) == []

    def test_fields_of_the_connection_are_not_taken_over(self) -> None:
        received = items(("Connection", "X-A"), ("X-A", "1"), ("Keep-Alive", "5"), ("Transfer-Encoding", "chunked"))
        assert updated_items(items(("X-A", "0")), received) == items(("X-A", "0"))

    def test_the_age_of_the_older_answer_goes(self) -> None:
        assert updated_items(items(("Age", "5")), []) == []
        assert updated_items(items(("Age", "5")), items(("Age", "1"))) == items(("Age", "1"))

    @given(
        st.lists(st.tuples(st.sampled_from("abcde"), st.text("xyz", max_size=2)), max_size=8),
        st.lists(st.tuples(st.sampled_from("cdefg"), st.text("xyz", max_size=2)), max_size=8),
    )
    def test_merging_keeps_the_order_of_lines(
        self, stored: list[tuple[str, str]], received: list[tuple[str, str]]
    ) -> None:
        merged = pairs(updated_items(items(*stored), items(*received)))
        new = {name for name, _ in received}
        for name in {name for name, _ in stored} | new:
            source = received if name in new else stored
            assert [pair for pair in merged if pair[0] == name] == [pair for pair in source if pair[0] == name]
        kept = [pair for pair in stored if pair[0] not in new]
        assert [pair for pair in merged if pair[0] not in new] == kept
        assert pairs(updated_items(items(*merged), items(*received))) == merged

    def test_a_304_of_the_cache_has_no_metadata_of_a_body(self) -> None:
        stored = items(
            ("Date", "1"),
            ("ETag", '"a"'),
            ("Last-Modified", MODIFIED),
            ("Content-Type", "text/plain"),
            ("Content-Length", "5"),
            ("Content-Encoding", "gzip"),
            ("Content-Location", "/a"),
            ("Cache-Control", "max-age=5"),
            ("Vary", "Accept"),
            ("Expires", "0"),
            ("X-A", "1"),
        )
        names = [name for name, _ in pairs(not_modified_items(stored))]
        assert names == ["Date", "ETag", "Content-Location", "Cache-Control", "Vary", "Expires", "X-A"]

    def test_a_304_has_last_modified_where_there_is_no_tag(self) -> None:
        stored = items(("Last-Modified", MODIFIED))
        assert not_modified_items(stored) == stored


class TestConnection:
    @pytest.mark.parametrize(
        "name",
        [
            "Connection",
            "Keep-Alive",
            "Proxy-Authenticate",
            "Proxy-Authentication-Info",
            "Proxy-Authorization",
            "Proxy-Connection",
            "TE",
            "Transfer-Encoding",
            "Upgrade",
        ],
    )
    def test_hop_by_hop_fields_are_not_kept(self, name: str) -> None:
        assert kept_items(items((name, "x"), ("X-A", "1"))) == items(("X-A", "1"))

    def test_listed_fields_are_not_kept(self) -> None:
        stored = items(("Connection", "close, X-A"), ("x-a", "1"), ("connection", "X-B,"), ("X-B", "2"), ("X-C", "3"))
        assert kept_items(stored) == items(("X-C", "3"))
        assert {"close", "x-a", "x-b"} < connection_names(stored)
        assert "" not in connection_names(stored)

    @pytest.mark.parametrize("name", ["Cache-Control", "Vary", "Content-Encoding", "Content-Type", "Set-Cookie"])
    def test_what_gives_the_answer_its_meaning_is_kept_even_if_listed(self, name: str) -> None:
        assert items((name, "x"))[0] in kept_items(items(("Connection", name), (name, "x")))
