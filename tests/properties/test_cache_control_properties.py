"""`Cache-Control` as it may come over the wire (RFC 9111 §5.2)."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pywats_cache.protocol.cache_control import parse_cache_control

TOKEN = st.sampled_from(["no-store", "No-Cache", "max-age", "MAX-AGE", "private", "s-maxage", "x", "only-if-cached"])
VALUE = st.one_of(
    st.none(),
    st.sampled_from(["0", "60", "abc"]).map(lambda value: (value, value)),
    st.text("ab ,=;", max_size=6).map(lambda value: (f'"{value}"', value.strip())),
)
SPACE = st.sampled_from(["", " ", "\t", "  "])


@settings(max_examples=400)
@given(directives=st.lists(st.tuples(TOKEN, VALUE, SPACE), max_size=6), cuts=st.sets(st.integers(0, 6)))
def test_directives_come_out_as_they_went_in(
    directives: list[tuple[str, tuple[str, str] | None, str]], cuts: set[int]
) -> None:
    """In any case, with spaces and empty members, quoted or not, on one line or several; the first comes first."""
    lines: list[list[str]] = [[]]
    expected: dict[str, str | None] = {}
    for number, (name, value, space) in enumerate(directives):
        if number in cuts:
            lines.append([])
        lines[-1].append(f"{space}{name}{space}" if value is None else f"{space}{name}={value[0]}{space}")
        expected.setdefault(name.lower(), None if value is None else value[1])
    parsed = parse_cache_control([",".join(line) + ("," if len(line) == 2 else "") for line in lines])
    assert {name: values[0].strip() if values[0] else values[0] for name, values in parsed.items()} == expected


@settings(max_examples=300)
@given(lines=st.lists(st.text(st.characters(codec="latin-1"), max_size=30), max_size=3))
def test_nothing_that_comes_over_the_wire_is_an_error(lines: list[str]) -> None:
    parsed = parse_cache_control(lines)
    assert all(name and name == name.strip().lower() for name in parsed)


@given(
    before=st.sampled_from(["", "max-age=1, ", 'private="set-cookie, x", ', 'private="open, ', ",, ,"]),
    after=st.sampled_from(["", ", x"]),
)
def test_no_store_is_never_overlooked(before: str, after: str) -> None:
    assert "no-store" in parse_cache_control([f"{before}no-store{after}"])
    assert "no-store" in parse_cache_control([before.rstrip(", "), f"No-Store{after}"])
