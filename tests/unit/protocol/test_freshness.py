"""RFC 9111 as pure questions: storing, freshness, and use."""

from __future__ import annotations

import math

import pytest
from header_fields import NOW, at, headers, items
from hypothesis import given
from hypothesis import strategies as st

from pywats_cache.protocol.freshness import (
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
    received_age,
    stored_items,
    unstorable_by_rfc,
    wishes,
)


def fresh(control: str | list[str] | None = None, status: int = 200, **fields: str | list[str]) -> Freshness:
    return freshness(status, headers(control, **fields), NOW)


@given(st.lists(st.text(max_size=40), max_size=3))
def test_any_header_is_read(lines: list[str]) -> None:
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
            (headers("no-store, only-if-cached"), Wishes()),
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
