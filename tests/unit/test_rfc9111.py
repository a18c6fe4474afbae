"""RFC 9111 as pure questions: storing, freshness, use, selection, ranges, and what other methods change."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywats_cache.http_dates import http_date
from pywats_cache.methods import head_effect, invalidated, usable_for_get
from pywats_cache.negotiation import most_recent, preferred_language, selecting_value
from pywats_cache.ranges import ByteRange, partial_items, requested_range, unsatisfied_items
from pywats_cache.rfc9111 import (
    MAX_DELTA,
    MAX_HEURISTIC,
    Freshness,
    Use,
    Wishes,
    age_field,
    freshness,
    has_validator,
    initial_age,
    may_use,
    may_use_on_error,
    parse_directives,
    received_age,
    stored_items,
    unstorable_by_rfc,
    wishes,
)

NOW = 1_700_000_000.0


def at(seconds: float) -> str:
    return http_date(NOW + seconds)


def headers(control: str | list[str] | None = None, **fields: str | list[str]) -> dict[str, list[str]]:
    if control is not None:
        fields["cache_control"] = control
    return {name.replace("_", "-"): [value] if isinstance(value, str) else value for name, value in fields.items()}


def items(*pairs: tuple[str, str]) -> list[tuple[bytes, bytes, bytes]]:
    return [(name.encode(), name.lower().encode(), value.encode()) for name, value in pairs]


def fresh(control: str | list[str] | None = None, status: int = 200, **fields: str | list[str]) -> Freshness:
    return freshness(status, headers(control, **fields), NOW)


@pytest.mark.parametrize(
    ("lines", "directives"),
    [
        ([], {}),
        ([""], {}),
        (["max-age=5, No-Store"], {"max-age": ["5"], "no-store": [None]}),
        (["max-age=5", "max-age=6"], {"max-age": ["5", "6"]}),
        (['max-age="5"'], {"max-age": ["5"]}),
        (["max-age = 5"], {"max-age": ["5"]}),
        (["max-age="], {"max-age": [""]}),
        (["max-age='5'"], {"max-age": ["'5'"]}),
        (['ext="max-age=5, no-store", private'], {"ext": ["max-age=5, no-store"], "private": [None]}),
        ([r'ext="a\"b, no-store", private'], {"ext": ['a"b, no-store'], "private": [None]}),
        (['no-cache="a, b", no-cache'], {"no-cache": ["a, b", None]}),
        ([" ,, max-age=5 ,"], {"max-age": ["5"]}),
        # An unclosed quote does not hide what follows.
        (['ext="a, no-store'], {"ext": ['"a'], "no-store": [None]}),
        (['ext="a', "no-store"], {"ext": ['"a'], "no-store": [None]}),
    ],
)
def test_directives(lines: list[str], directives: dict[str, list[str | None]]) -> None:
    assert parse_directives(lines) == directives


@given(st.lists(st.text(max_size=40), max_size=3))
def test_any_header_is_read(lines: list[str]) -> None:
    for name, values in parse_directives(lines).items():
        assert name == name.lower()
        assert values
    found = freshness(200, {"cache-control": lines, "expires": lines, "age": lines, "date": lines}, NOW)
    assert 0 <= found.lifetime <= MAX_DELTA or math.isfinite(found.lifetime)
    wishes({"cache-control": lines})


class TestLifetime:
    @pytest.mark.parametrize(
        ("control", "lifetime"),
        [
            ("max-age=5", 5),
            ("max-age=005", 5),
            ("max-age=0", 0),
            ('max-age="5"', 5),
            ("MAX-AGE=5", 5),
            ("max-age=2147483647", 2**31 - 1),
            ("max-age=2147483648", 2**31),
            ("max-age=99999999999", 2**31),
            (f"max-age={'9' * 5000}", 2**31),
            (f"max-age={'0' * 5000}5", 5),
            ("max-age=5, max-age=9", 5),
            (["max-age=5", "max-age=9"], 5),
            # Invalid: stale.
            ("max-age=-5", 0),
            ("max-age=5.0", 0),
            ("max-age='5'", 0),
            ("max-age=a5", 0),
            ("max-age=5a", 0),
            ("max-age=", 0),
            ("max-age", 0),
            ("max-age=\u0665", 0),
            # A private cache leaves s-maxage alone.
            ("s-maxage=9, max-age=5", 5),
            ('ext="max-age=9", max-age=5', 5),
        ],
    )
    def test_max_age(self, control: str | list[str], lifetime: float) -> None:
        found = fresh(control, expires=at(1000), date=at(0))
        assert (found.lifetime, found.explicit) == (lifetime, True)

    @pytest.mark.parametrize(
        ("expires", "date", "lifetime"),
        [
            (at(60), at(0), 60),
            (at(60), at(50), 10),
            (at(0), at(0), 0),
            (at(-60), at(0), 0),
            (at(300), at(400), 0),
            ("0", at(0), 0),
            ("", at(0), 0),
            ("Thu, 18 Aug 2050 02:01:18 UTC", at(0), 0),
            ([at(60), at(60)], at(0), 60),
            ([at(60), at(61)], at(0), 0),
            # Without a good Date the time of receipt counts.
            (at(60), "foo", 60),
            (at(60), [at(0), at(1)], 60),
        ],
    )
    def test_expires(self, expires: str | list[str], date: str | list[str], lifetime: float) -> None:
        found = fresh(expires=expires, date=date)
        assert (found.lifetime, found.explicit) == (lifetime, True)

    def test_s_maxage_alone_is_no_lifetime(self) -> None:
        assert fresh("s-maxage=60") == Freshness(0.0, explicit=False)

    @pytest.mark.parametrize("status", [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501])
    def test_heuristic_where_the_status_allows(self, status: int) -> None:
        found = fresh(status=status, date=at(0), last_modified=at(-1000))
        assert (found.lifetime, found.explicit) == (100, False)

    @pytest.mark.parametrize("status", [201, 202, 302, 303, 307, 400, 403, 500, 502, 503, 504, 599])
    def test_no_heuristic_for_other_statuses_unless_public(self, status: int) -> None:
        assert fresh(status=status, date=at(0), last_modified=at(-1000)).lifetime == 0
        assert fresh("public", status=status, date=at(0), last_modified=at(-1000)).lifetime == 100

    def test_the_guess_is_bounded(self) -> None:
        assert fresh(date=at(0), last_modified=at(-(10**9))).lifetime == MAX_HEURISTIC
        assert fresh(date=at(0), last_modified=at(50)).lifetime == 0
        assert fresh(last_modified=at(-1000)).lifetime == 100

    def test_no_guess_where_the_server_said_something(self) -> None:
        assert fresh("max-age=x", date=at(0), last_modified=at(-1000)).lifetime == 0
        assert fresh(expires="0", date=at(0), last_modified=at(-1000)).lifetime == 0
        assert fresh(pragma="no-cache", date=at(0), last_modified=at(-1000)).lifetime == 0
        assert fresh("private", pragma="no-cache", date=at(0), last_modified=at(-1000)).lifetime == 100
        assert fresh("max-age=5", pragma="no-cache").lifetime == 5


def test_what_an_answer_allows_when_it_is_stale() -> None:
    assert fresh("max-age=5, stale-while-revalidate=6, stale-if-error=7") == Freshness(
        5, stale_while_revalidate=6, stale_if_error=7
    )
    assert fresh("max-age=5, immutable, stale-while-revalidate=x") == Freshness(5, immutable=True)
    assert fresh("max-age=5, stale-while-revalidate=6, must-revalidate") == Freshness(5, must_revalidate=True)
    assert fresh("max-age=5, stale-if-error=6, no-cache") == Freshness(5, validate=True)
    assert fresh("max-age=5, stale-if-error=6, proxy-revalidate") == Freshness(5, stale_if_error=6)


@pytest.mark.parametrize(
    ("control", "validate"),
    [
        ("no-cache", True),
        ("No-Cache", True),
        ('no-cache=""', True),
        ('no-cache="a"', False),
        ("no-cache=a", False),
        ('no-cache="a", no-cache', True),
        (['no-cache="a"', "no-cache"], True),
        # Without these nothing could be done with the rest.
        ('no-cache="a, Vary"', True),
        ('ext="no-cache"', False),
    ],
)
def test_no_cache(control: str | list[str], validate: bool) -> None:
    assert fresh(control).validate is validate


class TestAge:
    @pytest.mark.parametrize(
        ("lines", "age"),
        [
            (None, 0),
            (["5"], 5),
            ([" 5 "], 5),
            (["005"], 5),
            (["2147483649"], 2**31),
            (["9" * 5000], 2**31),
            # The first of several.
            (["7200, 0"], 7200),
            (["0, 7200"], 0),
            (["7200", "0"], 7200),
            (["0", "7200"], 0),
            # Not a number: ignored.
            (["abc"], 0),
            (["-7200"], 0),
            (["7200.0"], 0),
            (["7200;foo=bar"], 0),
            ([""], 0),
            (["+5"], 0),
            (["²"], 0),
        ],
    )
    def test_received(self, lines: list[str] | None, age: float) -> None:
        assert received_age({} if lines is None else {"age": lines}) == age

    def test_the_delay_of_the_answer_counts(self) -> None:
        assert initial_age({}, NOW, 2.5) == 2.5
        assert initial_age(headers(age="10", date=at(0)), NOW, 2.5) == 12.5

    def test_an_old_date_counts(self) -> None:
        assert initial_age(headers(date=at(-100)), NOW, 0.0) == 100
        assert initial_age(headers(date=at(-100), age="20"), NOW, 0.0) == 100
        assert initial_age(headers(date=at(-100), age="120"), NOW, 0.0) == 120

    def test_a_part_of_a_second_is_no_age(self) -> None:
        assert initial_age(headers(date=at(0)), NOW + 0.9, 0.0) == 0

    @given(
        st.one_of(st.integers(-(10**12), 10**12).map(str), st.text(max_size=10)),
        st.one_of(st.integers(-(10**9), 10**9).map(at), st.text(max_size=10)),
        st.floats(0, 4e9),
        st.floats(-10, 1e6),
    )
    def test_never_negative(self, age: str, date: str, received: float, delay: float) -> None:
        found = initial_age(headers(age=age, date=date), received, delay)
        assert found >= 0
        assert found >= delay

    @pytest.mark.parametrize(
        ("age", "text"), [(-1.0, "0"), (0.0, "0"), (2.9, "2"), (2.0**40, "2147483648"), (math.inf, "2147483648")]
    )
    def test_field(self, age: float, text: str) -> None:
        assert age_field(age) == text


class TestStoring:
    @staticmethod
    def why_not(
        control: str | None = None, status: int = 200, request: dict[str, list[str]] | None = None, **fields: str
    ) -> str | None:
        response = headers(control, **fields)
        return unstorable_by_rfc(status, request or {}, response, freshness(status, response, NOW))

    @pytest.mark.parametrize("status", [200, 203, 204, 299, 301, 302, 303, 307, 308, 400, 404, 410, 499, 500, 503, 599])
    def test_explicit_freshness_is_enough(self, status: int) -> None:
        assert self.why_not("max-age=5", status) is None
        assert self.why_not(status=status, expires=at(60)) is None

    @pytest.mark.parametrize("status", [101, 206, 304, 412, 600, 999])
    def test_these_are_no_whole_answers(self, status: int) -> None:
        assert self.why_not("max-age=5", status) == "status"

    def test_416_to_a_range_answers_that_range(self) -> None:
        assert self.why_not("max-age=5", 416, headers(range="bytes=5-")) == "status"
        assert self.why_not("max-age=5", 200, headers(range="bytes=5-")) is None

    @pytest.mark.parametrize(
        ("control", "status", "why"),
        [
            ("no-store", 200, "no-store"),
            ("No-Store, max-age=5", 200, "no-store"),
            ('ext="no-store", max-age=5', 200, None),
            ("no-store, must-understand, max-age=5", 200, None),
            ("no-store, must-understand, max-age=5", 599, "status"),
            ("must-understand, max-age=5", 599, "status"),
            ("private, max-age=5", 200, None),
            ('private="a", max-age=5', 200, None),
            ("public", 599, "zero-ttl"),
            ("no-cache, max-age=5", 200, None),
            ("s-maxage=5", 200, "zero-ttl"),
            ("max-age=0", 200, "zero-ttl"),
            ("max-age=0, stale-while-revalidate=5", 200, None),
            ("max-age=0, stale-if-error=5", 200, None),
            (None, 200, "zero-ttl"),
            (None, 201, "status"),
        ],
    )
    def test_directives(self, control: str | None, status: int, why: str | None) -> None:
        assert self.why_not(control, status) == why

    def test_a_validator_is_worth_storing(self) -> None:
        assert self.why_not("no-cache", etag='"a"') is None
        assert self.why_not("max-age=0", last_modified=at(-10)) is None
        assert self.why_not(etag='"a"') is None
        assert self.why_not("max-age=0", last_modified="yesterday") == "zero-ttl"
        assert not has_validator({})

    def test_a_private_cache_stores_for_one_user(self) -> None:
        request = headers(authorization="Bearer x", cookie="a=b")
        assert self.why_not("max-age=5", request=request, set_cookie="a=b") is None

    def test_vary_any_never_matches(self) -> None:
        for vary in ("*", "accept, *", ", *"):
            assert self.why_not("max-age=5", vary=vary) == "vary-any"
        assert self.why_not("max-age=5", vary="accept") is None

    def test_a_caller_may_forbid_it(self) -> None:
        assert self.why_not("max-age=5", request=headers("no-store")) == "caller-bypass"

    def test_fields_that_need_validation_are_not_stored(self) -> None:
        given = items(
            ("Cache-Control", 'no-cache="a, B"'),
            ("A", "1"),
            ("b", "2"),
            ("C", "3"),
            ("Connection", "d"),
            ("D", "4"),
            ("Cache-Control", 'max-age=5, no-cache="vary"'),
            ("Vary", "x"),
        )
        assert [name for name, _, _ in stored_items(given)] == [b"Cache-Control", b"C", b"Cache-Control", b"Vary"]


class TestWishes:
    @pytest.mark.parametrize(
        ("request_headers", "found"),
        [
            ({}, Wishes()),
            (headers("no-cache"), Wishes(no_cache=True)),
            (headers("no-store, only-if-cached"), Wishes(no_store=True, only_if_cached=True)),
            (headers("max-age=5, min-fresh=6, max-stale=7"), Wishes(max_age=5, min_fresh=6, max_stale=7)),
            (headers("max-stale"), Wishes(max_stale=math.inf)),
            (headers("max-stale=x"), Wishes()),
            (headers("max-age=x"), Wishes(max_age=0)),
            (headers("min-fresh=x"), Wishes(min_fresh=MAX_DELTA)),
            (headers("stale-if-error=5"), Wishes(stale_if_error=5)),
            (headers(pragma="no-cache"), Wishes(no_cache=True)),
            (headers(pragma="foo, No-Cache"), Wishes(no_cache=True)),
            (headers(pragma="foo"), Wishes()),
            (headers("foo", pragma="no-cache"), Wishes()),
        ],
    )
    def test_parsing(self, request_headers: dict[str, list[str]], found: Wishes) -> None:
        assert wishes(request_headers) == found


LASTS_10 = Freshness(10.0)


@pytest.mark.parametrize(
    ("age", "found", "wish", "use"),
    [
        (0, LASTS_10, Wishes(), Use.FRESH),
        (9.9, LASTS_10, Wishes(), Use.FRESH),
        (10, LASTS_10, Wishes(), Use.VALIDATE),
        (-0.1, LASTS_10, Wishes(max_stale=math.inf), Use.VALIDATE),
        (0, Freshness(0.0), Wishes(), Use.VALIDATE),
        (0, LASTS_10, Wishes(no_cache=True), Use.VALIDATE),
        (0, Freshness(10.0, validate=True), Wishes(max_stale=math.inf), Use.VALIDATE),
        (0, Freshness(10.0, must_revalidate=True), Wishes(), Use.FRESH),
        # max-age
        (5, LASTS_10, Wishes(max_age=5), Use.FRESH),
        (5.1, LASTS_10, Wishes(max_age=5), Use.VALIDATE),
        (5, LASTS_10, Wishes(max_age=0), Use.VALIDATE),
        (0, LASTS_10, Wishes(max_age=0), Use.FRESH),
        (5, Freshness(10.0, immutable=True), Wishes(max_age=0), Use.FRESH),
        (5, Freshness(10.0, immutable=True), Wishes(max_age=3), Use.VALIDATE),
        (5, Freshness(10.0, immutable=True), Wishes(no_cache=True), Use.VALIDATE),
        (11, Freshness(10.0, immutable=True), Wishes(max_age=0), Use.VALIDATE),
        # min-fresh
        (5, LASTS_10, Wishes(min_fresh=5), Use.FRESH),
        (5, LASTS_10, Wishes(min_fresh=6), Use.VALIDATE),
        (11, LASTS_10, Wishes(min_fresh=0, max_stale=9), Use.VALIDATE),
        # max-stale
        (15, LASTS_10, Wishes(max_stale=5), Use.STALE),
        (16, LASTS_10, Wishes(max_stale=5), Use.VALIDATE),
        (10**9, LASTS_10, Wishes(max_stale=math.inf), Use.STALE),
        (15, LASTS_10, Wishes(max_stale=9, max_age=15), Use.STALE),
        (15, LASTS_10, Wishes(max_stale=9, max_age=14), Use.VALIDATE),
        (15, Freshness(10.0, must_revalidate=True), Wishes(max_stale=9), Use.VALIDATE),
        # stale-while-revalidate
        (15, Freshness(10.0, stale_while_revalidate=5), Wishes(), Use.REFRESH_BEHIND),
        (15.1, Freshness(10.0, stale_while_revalidate=5), Wishes(), Use.VALIDATE),
        (15, Freshness(10.0, stale_while_revalidate=5), Wishes(max_age=20), Use.VALIDATE),
        (15, Freshness(10.0, stale_while_revalidate=5), Wishes(max_stale=2), Use.REFRESH_BEHIND),
    ],
)
def test_use(age: float, found: Freshness, wish: Wishes, use: Use) -> None:
    assert may_use(age, found, wish) is use


@pytest.mark.parametrize(
    ("age", "found", "wish", "window", "allowed"),
    [
        (15, Freshness(10.0, stale_if_error=5), Wishes(), 0, True),
        (15.1, Freshness(10.0, stale_if_error=5), Wishes(), 0, False),
        (15, LASTS_10, Wishes(), 0, False),
        (15, LASTS_10, Wishes(), 5, True),
        # What the server says is no less than what we would do.
        (15, Freshness(10.0, stale_if_error=1), Wishes(), 60, False),
        (15, LASTS_10, Wishes(stale_if_error=5), 0, True),
        (15, Freshness(10.0, stale_if_error=1), Wishes(stale_if_error=5), 0, True),
        (15, Freshness(10.0, stale_if_error=5), Wishes(max_age=14), 0, False),
        (15, Freshness(10.0, stale_if_error=5), Wishes(min_fresh=0), 0, False),
        (5, LASTS_10, Wishes(max_age=5), 0, True),
        (15, Freshness(10.0, stale_if_error=5), Wishes(no_cache=True), 60, False),
        (15, Freshness(10.0, must_revalidate=True), Wishes(stale_if_error=60), 60, False),
        (5, Freshness(10.0, validate=True), Wishes(), 60, False),
        (-1, LASTS_10, Wishes(), 60, False),
    ],
)
def test_use_on_error(age: float, found: Freshness, wish: Wishes, window: float, allowed: bool) -> None:
    assert may_use_on_error(age, found, wish, window) is allowed


amounts = st.none() | st.floats(0, 100)


@given(
    st.floats(-10, 300),
    st.builds(
        Freshness,
        st.floats(0, 100),
        validate=st.booleans(),
        must_revalidate=st.booleans(),
        stale_while_revalidate=st.floats(0, 100),
        immutable=st.booleans(),
    ),
    st.builds(Wishes, no_cache=st.booleans(), max_age=amounts, min_fresh=amounts, max_stale=amounts),
)
def test_nothing_stale_is_called_fresh_nor_used_beyond_its_windows(age: float, found: Freshness, wish: Wishes) -> None:
    use = may_use(age, found, wish)
    if use is Use.FRESH:
        assert 0 <= age < found.lifetime
    elif use is not Use.VALIDATE:
        assert not found.must_revalidate
        assert age - found.lifetime <= max(found.stale_while_revalidate, wish.max_stale or 0.0) + 1e-9
    if found.validate or wish.no_cache:
        assert use is Use.VALIDATE


class TestSelection:
    @pytest.mark.parametrize(
        ("name", "one", "other"),
        [
            ("foo", ["1, 2"], ["1", "2"]),
            ("foo", ["1,2"], [" 1 ,  2\t"]),
            ("foo", ['"a,  b", c'], ['"a,  b",c']),
            ("accept-language", ["en, de"], ["de, en"]),
            ("accept-language", ["en, de"], ["eN,De"]),
            ("accept-language", ["en, de;q=0.50"], ["de ; q=0.5", "en;q=1.0"]),
            ("accept-encoding", ["gzip, br"], ["br,gzip", "GZIP"]),
            ("accept", ["text/html;level=1, */*;q=0.1"], ["*/*; q=0.1, Text/HTML;level=1;q=1"]),
        ],
    )
    def test_values_that_mean_the_same_are_equal(self, name: str, one: list[str], other: list[str]) -> None:
        assert selecting_value(name, one) == selecting_value(name, other)

    @pytest.mark.parametrize(
        ("name", "one", "other"),
        [
            ("foo", None, [""]),
            ("foo", ["1"], ["2"]),
            ("foo", ["1, 2"], ["2, 1"]),
            ("foo", ["a"], ["A"]),
            ("foo", ['"a,  b"'], ['"a, b"']),
            ("accept-language", ["en, de"], ["en, de;q=0.5"]),
            ("accept-language", ["en"], ["en, de"]),
            ("accept", ["a/b;x=Y"], ["a/b;x=y"]),
            ("cookie", ["a=1,2"], ["a=1, 2"]),
            ("authorization", ["Digest a=1,b=2"], ["Digest a=1, b=2"]),
        ],
    )
    def test_values_that_differ_stay_apart(self, name: str, one: list[str] | None, other: list[str]) -> None:
        assert selecting_value(name, one) != selecting_value(name, other)

    @given(st.text(max_size=30))
    def test_any_value_is_read_and_normalised_once(self, value: str) -> None:
        for name in ("foo", "accept-language"):
            found = selecting_value(name, [value])
            assert found is not None
            assert selecting_value(name, [found]) == found

    @pytest.mark.parametrize(
        ("lines", "language"),
        [
            ([], None),
            (["de"], "de"),
            (["fr;q=0.5, DE;q=1.0"], "de"),
            (["fr;q=0.5", "de;q=0.7"], "de"),
            (["fr, de"], None),
            (["*"], None),
            (["de;q=0"], None),
            ([", ,"], None),
        ],
    )
    def test_preferred_language(self, lines: list[str], language: str | None) -> None:
        assert preferred_language({"accept-language": lines}) == language

    def test_the_latest_answer_is_used(self) -> None:
        assert most_recent([(headers(date=at(5)), NOW), (headers(date=at(3)), NOW)]) == 0
        assert most_recent([(headers(date=at(5)), NOW), (headers(date=at(5)), NOW)]) == 1
        assert most_recent([({}, NOW + 9), (headers(date=at(5)), NOW)]) == 0


class TestRanges:
    @pytest.mark.parametrize(
        ("text", "start", "stop"),
        [
            ("bytes=0-0", 0, 1),
            ("bytes=0-4", 0, 5),
            ("bytes=2-", 2, 10),
            ("bytes=2-99", 2, 10),
            ("Bytes = 2-3", 2, 4),
            ("bytes=-3", 7, 10),
            ("bytes=-99", 0, 10),
            ("bytes=002-3", 2, 4),
            (f"bytes=2-{'9' * 5000}", 2, 10),
            (f"bytes=-{'9' * 5000}", 0, 10),
            (f"bytes=2-{'0' * 5000}3", 2, 4),
        ],
    )
    def test_parts(self, text: str, start: int, stop: int) -> None:
        part = requested_range(headers(range=text), {}, 10)
        assert part == ByteRange(start, stop)
        assert part.satisfiable

    @pytest.mark.parametrize("text", ["bytes=10-", "bytes=10-12", "bytes=-0", f"bytes={'9' * 5000}-"])
    def test_what_lies_beyond_cannot_be_satisfied(self, text: str) -> None:
        part = requested_range(headers(range=text), {}, 10)
        assert part is not None
        assert not part.satisfiable

    def test_an_empty_body_has_no_parts(self) -> None:
        for text in ("bytes=0-", "bytes=-5"):
            part = requested_range(headers(range=text), {}, 0)
            assert part is not None
            assert not part.satisfiable

    @pytest.mark.parametrize(
        "text", ["", "bytes", "bytes=", "bytes=-", "bytes=3-2", "bytes=0-1,3-4", "items=0-1", "bytes=a-b", "bytes=0-1;"]
    )
    def test_anything_else_means_the_whole(self, text: str) -> None:
        assert requested_range(headers(range=text), {}, 10) is None

    def test_no_range_or_several_lines_mean_the_whole(self) -> None:
        assert requested_range({}, {}, 10) is None
        assert requested_range(headers(range=["bytes=0-1", "bytes=0-1"]), {}, 10) is None

    @pytest.mark.parametrize(
        ("if_range", "stored", "holds"),
        [
            ('"a"', headers(etag='"a"'), True),
            ('"b"', headers(etag='"a"'), False),
            ('W/"a"', headers(etag='W/"a"'), False),
            ('"a"', {}, False),
            (at(-60), headers(last_modified=at(-60), date=at(0)), True),
            (at(-61), headers(last_modified=at(-60), date=at(0)), False),
            # A date of the very second of the answer is weak.
            (at(0), headers(last_modified=at(0), date=at(0)), False),
            (at(-60), headers(last_modified=at(-60)), False),
            ("a", headers(etag="a"), False),
            (['"a"', '"a"'], headers(etag='"a"'), False),
        ],
    )
    def test_if_range(self, if_range: str | list[str], stored: dict[str, list[str]], holds: bool) -> None:
        part = requested_range(headers(range="bytes=0-1", if_range=if_range), stored, 10)
        assert (part is not None) is holds

    @given(st.text("0123456789-, ", max_size=12), st.integers(0, 50))
    def test_a_part_lies_within_the_body(self, text: str, length: int) -> None:
        part = requested_range(headers(range=f"bytes={text}"), {}, length)
        if part is not None:
            assert 0 <= part.start <= part.stop <= length

    def test_the_fields_of_a_part(self) -> None:
        stored = items(("ETag", '"a"'), ("Content-Length", "10"), ("X-A", "1"))
        assert partial_items(stored, ByteRange(2, 5), 10) == items(
            ("ETag", '"a"'), ("X-A", "1"), ("Content-Range", "bytes 2-4/10"), ("Content-Length", "3")
        )
        assert unsatisfied_items(10)[0] == items(("Content-Range", "bytes */10"))[0]


URL = "http://Example.com:80/a/b?q=1#f"


class TestOtherMethods:
    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "M-SEARCH"])
    @pytest.mark.parametrize("status", [200, 201, 204, 303])
    def test_an_unsafe_method_invalidates_its_target(self, method: str, status: int) -> None:
        assert invalidated(method, status, URL, {}) == ["http://example.com/a/b?q=1"]

    @pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE"])
    def test_a_safe_method_invalidates_nothing(self, method: str) -> None:
        assert invalidated(method, 200, URL, headers(location="/c")) == []

    @pytest.mark.parametrize("status", [100, 400, 404, 500, 503])
    def test_an_error_invalidates_nothing(self, status: int) -> None:
        assert invalidated("POST", status, URL, headers(location="/c")) == []

    @pytest.mark.parametrize(
        ("location", "url"),
        [
            ("/c", "http://example.com/c"),
            ("c?x=1", "http://example.com/a/c?x=1"),
            ("HTTP://EXAMPLE.com:80/c#x", "http://example.com/c"),
            ("//example.com/c", "http://example.com/c"),
            ("", None),
            ("http://other.example/c", None),
            ("https://example.com/c", None),
            ("http://example.com:81/c", None),
            ("http://example.com:x/c", None),
            ("http://[::1/c", None),
        ],
    )
    @pytest.mark.parametrize("name", ["location", "content-location"])
    def test_other_urls_of_the_same_origin(self, name: str, location: str, url: str | None) -> None:
        expected = ["http://example.com/a/b?q=1", *([] if url is None else [url])]
        assert invalidated("POST", 200, URL, {name: [location]}) == expected

    def test_an_ipv6_host_is_kept(self) -> None:
        assert invalidated("PUT", 200, "https://[::1]:443/a", headers(location="/b")) == [
            "https://[::1]/a",
            "https://[::1]/b",
        ]

    @pytest.mark.parametrize(
        ("status", "control", "location", "usable"),
        [
            (200, "max-age=5", "", True),
            (200, "max-age=5", "/a/b?q=1", True),
            (200, "max-age=5", "http://example.com/a/b?q=1", True),
            (200, "max-age=5", "/a/b", False),
            (200, "max-age=0", "", False),
            (200, None, "", False),
            (201, "max-age=5", "", False),
            (200, "max-age=5", [], False),
            (200, "max-age=5", ["", ""], False),
        ],
    )
    def test_a_post_answer_for_later_gets(
        self, status: int, control: str | None, location: str | list[str], usable: bool
    ) -> None:
        response = headers(control, content_location=location)
        assert usable_for_get(status, URL, response, freshness(status, response, NOW)) is usable

    def test_a_head_updates_or_invalidates(self) -> None:
        stored = headers(etag='"a"', content_length="5")
        assert head_effect(200, headers(etag='"a"'), stored) == "update"
        assert head_effect(200, {}, stored) == "update"
        assert head_effect(200, headers(etag='"b"'), stored) == "invalidate"
        assert head_effect(200, headers(content_length="6"), stored) == "invalidate"
        assert head_effect(404, headers(etag='"b"'), stored) == "nothing"
