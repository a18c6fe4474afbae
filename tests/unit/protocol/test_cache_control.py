"""Cache-Control taken apart; tests/properties has what may come over the wire."""

from __future__ import annotations

import pytest

from pywats_cache.protocol.cache_control import MAX_DELTA, delta_seconds, parse_cache_control, seconds_of


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
def test_directives_by_name(lines: list[str], directives: dict[str, list[str | None]]) -> None:
    assert {name: list(values) for name, values in parse_cache_control(lines).items()} == directives


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0", 0), ("005", 5), ("9" * 5000, MAX_DELTA), ("", None), ("-1", None), ("1.5", None), ("٣", None), (None, None)],
)
def test_delta_seconds(value: str | None, seconds: float | None) -> None:
    assert delta_seconds(value) == seconds


def test_the_first_of_several_counts() -> None:
    assert seconds_of(parse_cache_control(["max-age=5, max-age=6"]), "max-age") == 5
    assert seconds_of(parse_cache_control(["max-age=x, max-age=6"]), "max-age", invalid=0.0) == 0
    assert seconds_of(parse_cache_control(["max-age=5"]), "min-fresh", invalid=0.0) is None
