"""Requests for a part, and the answers to them."""

from __future__ import annotations

import pytest
from header_fields import at, headers, items
from hypothesis import given
from hypothesis import strategies as st

from pywats_cache.protocol.ranges import ByteRange, partial_items, requested_range, unsatisfied_items


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
