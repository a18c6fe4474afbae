"""What a write dirties, against docs/explanation/coherence.md written down again in a few lines."""

from __future__ import annotations

import unicodedata
from typing import Any
from urllib.parse import quote, unquote

import httpx
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from pywats_cache import CacheClient, Controller, Read, Write
from pywats_cache.coherence.epochs import Coherence
from pywats_cache.coherence.tags import path_tags, write_tags

SEGMENT = st.sampled_from(["a", "ab", "b", "Product", "Production", "ä", "straße", "x y", "a/b", "a%", "1"])
PATH = st.lists(SEGMENT, max_size=4)
ORIGIN = "http://o:80"


def raw(segments: list[str]) -> str:
    return "/" + "/".join(quote(segment, safe="") for segment in segments)


def dirties(write: list[str], read: list[str]) -> bool:
    """Everything below the path of the write, and exactly its collection."""
    return read[: len(write)] == write or (bool(write) and read == write[:-1])


def is_dirtied(write: str, read: str, origin: str = ORIGIN) -> bool:
    coherence = Coherence()
    coherence.bump(write_tags(origin, write))
    return coherence.dirtied_since(path_tags(ORIGIN, read), 0)


@settings(max_examples=500)
@given(write=PATH, read=PATH)
def test_a_write_dirties_what_is_below_it_and_its_collection_and_nothing_else(
    write: list[str], read: list[str]
) -> None:
    event(f"dirtied: {dirties(write, read)}")
    assert is_dirtied(raw(write), raw(read)) == dirties(write, read)


@given(above=PATH, first=SEGMENT, second=SEGMENT, below=PATH)
def test_siblings_survive_and_segment_boundaries_count(
    above: list[str], first: str, second: str, below: list[str]
) -> None:
    write, read = raw([*above, first]), raw([*above, second, *below])
    assert is_dirtied(write, read) == (first == second)
    assert not is_dirtied(write, raw([*above, first + "x"]))


def spellings(segment: str, draw: Any) -> str:
    """The segment as another client might write it."""
    text = draw(st.sampled_from([segment, segment.upper(), segment.lower(), segment + "  "]))
    text = draw(st.sampled_from([text, unicodedata.normalize("NFD", text), unicodedata.normalize("NFC", text)]))
    encoded = quote(text, safe="")
    if draw(st.booleans()):
        encoded = "".join(
            f"%{ord(c):02x}" if c.isascii() and c.isalnum() and "%" not in encoded else c for c in encoded
        )
    return encoded


@settings(max_examples=300)
@given(write=PATH, read=PATH, data=st.data())
def test_spelling_does_not_save_an_old_answer(write: list[str], read: list[str], data: Any) -> None:
    def spelled(segments: list[str]) -> str:
        slash = "/" if segments and data.draw(st.booleans()) else ""
        return "/" + "/".join(spellings(segment, data.draw) for segment in segments) + slash

    def folded(segments: list[str]) -> list[str]:
        return [unicodedata.normalize("NFC", segment).casefold() for segment in segments]

    assert is_dirtied(spelled(write), spelled(read)) == dirties(folded(write), folded(read))


DEEP = st.lists(st.sampled_from("ab"), max_size=200)


@st.composite
def near(draw: st.DrawFn) -> tuple[list[str], list[str]]:
    """Two paths of up to 200 segments, the second of which often begins as the first does."""
    write = draw(DEEP)
    kept = draw(st.sampled_from([len(write), max(len(write) - 1, 0), len(write) // 2, 63, 64, 65]))
    return write, (write[:kept] + draw(DEEP))[:200]


@settings(max_examples=300)
@given(paths=near())
@example(paths=(["a"] * 200, ["a"] * 199))
@example(paths=(["a"] * 65, ["a"] * 64))
@example(paths=(["a"] * 64, ["a"] * 200))
@example(paths=(["a"] * 200, ["a"] * 64))
def test_a_write_reaches_what_it_must_however_deep_and_up_to_64_segments_nothing_else(
    paths: tuple[list[str], list[str]],
) -> None:
    write, read = paths
    reached = is_dirtied(raw(write), raw(read))
    event(f"must: {dirties(write, read)}, does: {reached}")
    assert reached >= dirties(write, read)
    if len(write) <= 64:
        assert reached == dirties(write, read)
    else:
        assert reached == (read[:64] == write[:64])


@given(path=DEEP)
def test_no_path_takes_more_than_64_subtrees_and_itself(path: list[str]) -> None:
    assert len(path_tags(ORIGIN, raw(path))) <= 2 + 64
    assert len(write_tags(ORIGIN, raw(path))) <= 2


def noise(segments: list[str], draw: Any) -> str:
    """The path with what many servers leave out, or resolve."""
    extra = st.lists(st.sampled_from(["", ".", "%2e", "x/..", "x/%2E%2e"]), max_size=2)
    return "/" + "/".join([*(part for s in segments for part in (*draw(extra), quote(s, safe=""))), *draw(extra)])


@given(write=PATH, read=PATH, data=st.data())
def test_extra_slashes_and_dots_hide_no_write(write: list[str], read: list[str], data: Any) -> None:
    spelled = noise(write, data.draw)
    if dirties(write, read):
        assert is_dirtied(spelled, raw(read))
        assert is_dirtied(raw(write), noise(read, data.draw))
    if ".." not in unquote(spelled):
        assert is_dirtied(spelled, raw(read)) == dirties(write, read)


@given(path=st.text(st.characters(codec="utf-8", exclude_characters="?#"), max_size=12))
def test_any_path_is_dirtied_by_a_write_to_itself_and_to_its_collections_member(path: str) -> None:
    path = "/" + path
    assert is_dirtied(path, path)
    assert is_dirtied(path, path.rstrip("/") + "/below")
    assert is_dirtied(path.rstrip("/") + "/member", path)
    assert is_dirtied("/" + quote(unquote(path[1:]), safe="/"), path) or "%" in path


@given(write=PATH, read=PATH, other=st.sampled_from(["https://o:443", "http://o:81", "http://p:80"]))
def test_another_origin_is_never_dirtied(write: list[str], read: list[str], other: str) -> None:
    assert not is_dirtied(raw(write), raw(read), origin=other)


@settings(max_examples=150)
@given(
    read=PATH,
    write=PATH,
    query=st.sampled_from(["", "?x=1", "?x=1&y=2"]),
    how=st.sampled_from(["path", "rule", "directive", "none"]),
    status=st.sampled_from([200, 204, 302, 400, 404, 409, 500, 503]),
)
def test_an_answer_is_dropped_exactly_if_a_write_dirtied_it(
    read: list[str], write: list[str], query: str, how: str, status: int
) -> None:
    """End to end: with any query, by path, by a rule's tags or by the caller's, and by no other outcome."""

    def respond(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200 if request.method == "GET" else status)

    rules = [Read("/**", tags=("of-rule",)), Write("/**", dirties=("of-rule",) if how == "rule" else ())]
    client = CacheClient(transport=httpx.MockTransport(respond), controller=Controller(rules))
    reads = {"pywats_cache": {"tags": ("mine",)}}
    writes = {"pywats_cache": {"tags": ("mine",)}} if how == "directive" else {}
    url = f"http://o{raw(read)}{query}"
    client.get(url, extensions=reads)
    client.post(f"http://o{raw(write)}", extensions=writes)
    again = client.get(url, extensions=reads).extensions["pywats_cache"]
    dirty = (dirties(write, read) or how in ("rule", "directive")) and not 400 <= status < 500
    assert again.reason == ("fresh" if not dirty else "settling" if status >= 500 else "dirtied")
