"""Header fields are bytes: what stands above 0x7F in them raises nothing, and two values that differ are two."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hishel
import pytest
from every_way import MODES, WAYS, Asking, status

from pywats_cache import Controller, MemoryStorage, SharedStorage, TieredStorage
from pywats_cache.testing import FakeClock

LATIN, UTF = b"\xe9", "é".encode()
FRESH = (b"Cache-Control", b"max-age=60")
ODD = [b'"\xe9"', b'W/"\xe9"', '"é"'.encode(), b"\xe9", b'"\xa0"', b'"\xff\x80"']


@pytest.fixture(params=WAYS)
def make(request: pytest.FixtureRequest, lib: SimpleNamespace, origin: Any, clock: FakeClock) -> Iterator[Any]:
    """Makes a client of a kind."""
    made: list[Asking] = []

    def asking(controller: Controller, **parts: Any) -> Asking:
        made.append(Asking(lib, origin, request.param, controller=controller, clock=clock, **parts))
        return made[-1]

    yield asking
    for one in made:
        one.close()


@pytest.fixture(params=list(MODES))
def ask(request: pytest.FixtureRequest, make: Callable[..., Asking]) -> Asking:
    """A client of a mode."""
    return make(MODES[request.param])


def raw(message: Any, name: bytes) -> list[bytes]:
    return [value for _, lower, value in message.headers._list if lower == name]


def says(origin: Any, *fields: tuple[bytes, bytes]) -> None:
    """The server answers with these fields and a number that grows; with a 304 to who names its ETag."""

    def reply(request: Any) -> Any:
        tags = [value for name, value in fields if name == b"ETag"]
        if tags and tags[0] in b", ".join(raw(request, b"if-none-match")).split(b", "):
            return origin.http.Response(304, headers=list(fields))
        return origin.http.Response(200, headers=list(fields), text=str(origin.count))

    origin.reply = reply


@pytest.mark.parametrize("tag", ODD)
def test_an_etag_validates_as_the_bytes_it_is(ask: Asking, clock: FakeClock, tag: bytes) -> None:
    says(ask.origin, (b"ETag", tag), FRESH)
    ask()
    for _ in range(2):
        clock.advance(61)
        renewed = ask()
        assert (status(renewed), renewed.text) == (("revalidated", "not-modified"), "1")
        assert raw(ask.origin.requests[-1], b"if-none-match") == [tag]
        assert raw(renewed, b"etag") == [tag]
        assert status(ask.get()) == ("hit", "fresh")


@pytest.mark.parametrize("accept", [LATIN, UTF, b"text/plain"])
def test_a_request_is_validated_whatever_its_own_fields_hold(ask: Asking, clock: FakeClock, accept: bytes) -> None:
    says(ask.origin, (b"ETag", b'"\xe9"'), FRESH)
    for _ in range(2):
        assert ask(fields=[(b"Accept", accept), (b"X-\xe9", accept)]).text == "1"
        clock.advance(61)
    sent = ask.origin.requests[-1]
    assert (raw(sent, b"accept"), raw(sent, b"x-\xe9")) == ([accept], [accept])
    assert sent.headers["accept"]  # whatever it is decoded by, it can be read


@pytest.mark.parametrize("tag", ODD)
def test_a_callers_own_tag_is_compared_as_bytes(ask: Asking, tag: bytes) -> None:
    says(ask.origin, (b"ETag", tag), FRESH)
    ask()
    assert ask(fields=[(b"If-None-Match", tag)]).status_code == 304
    assert ask(fields=[(b"If-None-Match", b'"' + LATIN + UTF + b'"')]).status_code == 200
    assert ask.origin.count == 1


def test_a_callers_tag_goes_along_with_ours_as_bytes(make: Any, clock: FakeClock) -> None:
    ask = make(MODES["rfc"])
    says(ask.origin, (b"ETag", b'"\xe9"'), FRESH)
    ask()
    clock.advance(61)
    answer = ask(fields=[(b"If-None-Match", '"é"'.encode())])
    assert raw(ask.origin.requests[-1], b"if-none-match") == [b'"\xe9", ' + '"é"'.encode()]
    assert (answer.status_code, answer.text) == (200, "1")


@pytest.mark.parametrize("tag", [b"*", b"a, b", b'"a", "b"', b'"a"b"'])
def test_an_etag_that_would_ask_for_another_answer_validates_nothing(ask: Asking, clock: FakeClock, tag: bytes) -> None:
    moment = b"Tue, 24 Nov 2026 12:00:00 GMT"
    says(ask.origin, (b"ETag", tag), (b"Last-Modified", moment), (b"Date", moment), (b"Cache-Control", b"max-age=9"))
    ask()
    clock.advance(61)
    ask()
    assert raw(ask.origin.requests[-1], b"if-none-match") == []
    # In TTL mode a date of the very second of the answer is no validator either (RFC 9110 §8.8.2.2).
    assert raw(ask.origin.requests[-1], b"if-modified-since") == ([moment] if ask.cache.controller.rfc9111 else [])


@pytest.mark.parametrize("name", [b"Accept", b"X-V", b"X-\xe9"])
@pytest.mark.parametrize("vary", [b"%b", b"%b\xa0", b"\xa0%b", b"x\xa0y, %b", b" \t%b\t", b"a %b b", b"%b\x85"])
def test_vary_selects_by_raw_values(ask: Asking, name: bytes, vary: bytes) -> None:
    says(ask.origin, (b"Vary", vary % name), FRESH)
    if not name.isascii():
        ask.origin.reply = lambda request: ask.origin.http.Response(
            200, headers=[(b"Vary", name), FRESH], text=str(ask.origin.count)
        )
    values = [LATIN, UTF, b"\xe8", b"\xa0" + LATIN, b"e", None]
    for _ in range(2):
        got = [ask(fields=[(name, value)] if value else []).text for value in values]
        assert got == ["1", "2", "3", "4", "5", "6"]
    assert ask.origin.count == 6


def test_names_that_only_a_charset_makes_one_are_two(ask: Asking) -> None:
    says(ask.origin, (b"Vary", b"X-\xc0"), FRESH)
    assert [
        ask(fields=[(name, b"1"), (b"X-\xc0", value)]).text
        for name, value in [
            (b"X-\xe0", b"1"),
            (b"X-\xe0", b"2"),
            (b"X-\xe0", b"1"),
        ]
    ] == ["1", "2", "1"]


def test_preferences_that_only_a_charset_makes_one_are_two(make: Any) -> None:
    ask = make(MODES["rfc"])
    says(ask.origin, (b"Vary", b"Accept-Language"), (b"Content-Language", b"\xc0"), FRESH)
    got = [ask(fields=[(b"Accept-Language", value)]).text for value in (b"\xc0", b"\xe0", b"\xa0\xe0", b"EN", b"en")]
    assert got == ["1", "2", "3", "4", "4"]


@pytest.mark.parametrize("name", [b"Authorization", b"Cookie", b"X-Tenant"])
@pytest.mark.parametrize("computed", [False, True])
def test_credentials_that_only_a_charset_makes_one_are_two(make: Any, name: bytes, computed: bool) -> None:
    by: Any = (lambda headers: headers[name.decode().lower()]) if computed else ("X-Tenant",)
    ask = make(Controller(ttl=60.0, partition=by))
    for _ in range(2):
        got = [ask(fields=[(name, value)]).text for value in (LATIN, UTF, b"e")]
        assert got == ["1", "2", "3"]


def test_a_host_that_only_a_charset_makes_one_is_two(ask: Asking) -> None:
    says(ask.origin, FRESH)
    assert [ask(fields=[(b"Host", value)]).text for value in (b"\xc0", b"\xe0", b"A", b"a")] == ["1", "2", "3", "3"]


@pytest.mark.parametrize("name", [b"Cache-Control", b"Content-Type", b"Date", b"Age", b"Last-Modified", b"Expires"])
@pytest.mark.parametrize("value", [b"\xe9", b"\xa0", b'"\xff', b"max-age=1\xa0", b"\xb2", b"text/event-stream\xa0"])
def test_no_field_of_an_answer_raises(ask: Asking, clock: FakeClock, name: bytes, value: bytes) -> None:
    ask.origin.reply = {"headers": [(name, value), (b"ETag", b'"1"')], "text": "x"}
    for _ in range(3):
        assert (ask().text, ask.get().text) == ("x", "x")
        clock.advance(61)


@pytest.mark.parametrize("name", [b"Cache-Control", b"Range", b"If-Range", b"If-Modified-Since", b"Pragma", b"X-\xe9"])
@pytest.mark.parametrize("value", [b"\xe9", b"\xa0", b'"\xff', b"bytes=\xb2-", b"max-age=1\xa0"])
def test_no_field_of_a_request_raises(ask: Asking, clock: FakeClock, name: bytes, value: bytes) -> None:
    ask.origin.reply = {"headers": [FRESH, (b"ETag", b'"\xe9"')], "text": "x"}
    for _ in range(3):
        assert ask(fields=[(name, value)]).text == "x"
        clock.advance(61)


@pytest.mark.parametrize("said", [b"no-store\xa0", b"\xa0no-store", b"no-store\xa0=\xe9", b"private\xa0no-store"])
def test_no_store_beside_odd_bytes_is_honoured(ask: Asking, said: bytes) -> None:
    says(ask.origin, (b"Cache-Control", said))
    assert [ask().text, ask().text] == ["1", "2"]


def test_cache_status_keeps_what_other_caches_said(make: Any) -> None:
    ask = make(Controller(ttl=60.0, cache_status="mine"))
    says(ask.origin, (b"X-\xe9", b"\xe9"), (b"Cache-Status", b"o\xe9; hit"), (b"Cache-Status", b"p; hit"))
    for detail in (b"mine; fwd=uri-miss", b"mine; hit"):
        (value,) = raw(ask(), b"cache-status")
        assert value.startswith(b"o\xe9; hit, p; hit, " + detail)


@pytest.mark.parametrize("code", [200, 302])
def test_a_location_in_bytes_dirties_the_path_it_names(make: Any, code: int) -> None:
    ask = make(MODES["rfc"])
    says(ask.origin, FRESH)
    ask("GET", "/café")
    ask.origin.reply = {"status_code": code, "headers": [(b"Location", "/café".encode())]}
    ask("POST", "/other/x")
    says(ask.origin, FRESH)
    assert ask("GET", "/café").text == "3"


@pytest.mark.parametrize("kind", ["sqlite", "tiered"])
@pytest.mark.parametrize("mode", MODES)
def test_header_bytes_survive_a_store_on_disk(
    lib: SimpleNamespace, origin: Any, tmp_path: Path, kind: str, mode: str
) -> None:
    fields = [(b"ETag", b'"\xe9"'), (b"X-\xe9", b"\xa0\xff"), (b"Vary", b"X-V"), FRESH]
    says(origin, *fields)
    if kind == "sqlite":
        storages: list[Any] = [SharedStorage(tmp_path / "c.db") for _ in range(2)]
    else:
        outer = hishel.SqliteStorage(database_path=tmp_path / "c.db")
        storages = [TieredStorage(MemoryStorage(max_entries=1), outer)] * 2
    got = []
    for storage in storages:
        ask = Asking(lib, origin, "sync transport", controller=MODES[mode], storage=storage)
        got += [ask(fields=[(b"X-V", value)]) for value in (LATIN, UTF)]
    assert [response.text for response in got] == ["1", "2", "1", "2"]
    assert [status(response)[0] for response in got] == ["miss", "miss", "hit", "hit"]
    for name, value in fields:
        assert all(raw(response, name.lower()) == [value] for response in got)
    for opened in storages if kind == "sqlite" else [outer]:
        opened.close()
