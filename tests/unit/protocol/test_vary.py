"""Which stored variant a request selects: values by their meaning, and languages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywats_cache.protocol.vary import preferred_language, selecting_value


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
