"""Which values of Accept and its like are one: those that differ in case and white space only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywats_cache.protocol.representations import wanted


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("accept", ["application/json"], ["Application/JSON"]),
        ("accept", ["application/json;q=0.8, text/html"], ["application/json ; Q = 0.8\t,text/html "]),
        ("accept", ["text/html; Charset=UTF-8"], ["text/html;charset=utf-8"]),
        ("accept", ["text/html", "text/plain"], ["text/html, text/plain"]),
        ("accept", ['a/b;x="p, q"', "c/d"], ['A/B ;X="p, q",c/d']),
        ("accept-language", ["de-DE, en;q=0.5"], ["DE-de,EN; q=0.5"]),
        ("x-unit", ["mm", "inch"], ["mm, inch"]),
        ("x-unit", [" mm "], ["mm"]),
    ],
)
def test_case_and_white_space_make_no_other_wish(name: str, one: list[str], other: list[str]) -> None:
    assert wanted(name, one) == wanted(name, other) is not None


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("accept", "application/json", "application/xml"),
        ("accept", "application/json, application/xml", "application/xml, application/json"),
        ("accept", "a/b, c/d;q=0.5", "a/b;q=0.5, c/d"),
        ("accept", "a/b;profile=One", "a/b;profile=one"),
        ("accept", 'a/b;profile="One"', 'a/b;profile="one"'),
        ("accept", 'a/b;x="p, q"', 'a/b;x="p,q"'),
        ("accept", "", "*/*"),
        ("accept", "*/*;q=0.5", "*/*"),
        ("accept-language", "de", "en"),
        ("accept-language", "\xe4", "\xc4"),
        ("x-unit", "mm", "MM"),
        ("x-unit", "", "*"),
    ],
)
def test_what_may_mean_something_else_is_another_wish(name: str, one: str, other: str) -> None:
    assert wanted(name, [one]) != wanted(name, [other])


@pytest.mark.parametrize(("name", "value"), [("accept", "*/*"), ("accept", " */* "), ("accept-language", "*")])
def test_any_form_is_no_wish(name: str, value: str) -> None:
    assert wanted(name, [value]) is None


SPACE = st.text(" \t", max_size=2)
TOKEN = st.text("abXY019-", min_size=1, max_size=4)
QUOTED = st.text('aB ,;="\\', max_size=5).map(
    lambda text: '"' + "".join(f"\\{c}" if c in '"\\' else c for c in text) + '"'
)
MEMBER = st.tuples(TOKEN, TOKEN, st.lists(st.tuples(TOKEN, st.one_of(TOKEN, QUOTED)), max_size=2))
Member = tuple[str, str, list[tuple[str, str]]]


@given(members=st.lists(MEMBER, min_size=1, max_size=3), data=st.data())
def test_a_list_is_one_however_it_is_spelled_and_split_into_lines(members: list[Member], data: st.DataObject) -> None:
    def written(member: Member, *, plain: bool) -> str:
        def name(text: str) -> str:
            return text if plain else data.draw(st.sampled_from([text, text.lower(), text.upper()]))

        def space() -> str:
            return "" if plain else data.draw(SPACE)

        main, sub, parameters = member
        return f"{space()}{name(main)}/{name(sub)}{space()}" + "".join(
            f";{space()}{name(key)}{space()}={space()}{value}{space()}" for key, value in parameters
        )

    once = [",".join(written(member, plain=True) for member in members)]
    parts = [written(member, plain=False) for member in members]
    cut = data.draw(st.integers(0, len(parts)))
    lines = [",".join(part) for part in (parts[:cut], parts[cut:]) if part]
    assert wanted("accept", once) == wanted("accept", lines)


def meaning(members: list[Member]) -> object:
    return [
        (main.lower(), sub.lower(), [(name.lower(), value) for name, value in parameters])
        for main, sub, parameters in members
    ]


LISTS = st.lists(MEMBER, min_size=1, max_size=2)


@given(one=LISTS, other=LISTS)
def test_no_two_lists_are_taken_for_one(one: list[Member], other: list[Member]) -> None:
    def written(members: list[Member]) -> str:
        return ", ".join(f"{m}/{s}" + "".join(f"; {n}={v}" for n, v in parameters) for m, s, parameters in members)

    assert (wanted("accept", [written(one)]) == wanted("accept", [written(other)])) == (meaning(one) == meaning(other))


@given(value=st.text(st.characters(max_codepoint=0xFF), max_size=12))
def test_any_bytes_come_out_as_some_wish(value: str) -> None:
    first = wanted("accept", [value])
    assert first is None or wanted("accept", [first]) == first
