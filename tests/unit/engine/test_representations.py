"""Who asks for another form of an answer gets it, in TTL mode also from a server that sends no Vary."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from every_way import WAYS, Asking, status
from held_refreshes import HeldRefreshes

from pywats_cache import Controller, MemoryStorage, Read, Write
from pywats_cache.engine.steps import Fetch, Join
from pywats_cache.testing import FakeClock

JSON, XML = {"Accept": "application/json"}, {"Accept": "application/xml"}
HIT, NEW, OTHER = ("hit", "fresh"), ("miss", "unknown"), ("miss", "vary")
RFC = Controller(rfc9111=True)


@pytest.fixture(params=WAYS)
def make(request: pytest.FixtureRequest, lib: SimpleNamespace, origin: Any, clock: FakeClock) -> Iterator[Any]:
    """Makes a client of a kind, of a server that answers in the form asked for and says nothing of Vary."""
    made: list[Asking] = []

    def asking(controller: Controller | None = None, **parts: Any) -> Asking:
        made.append(Asking(lib, origin, request.param, controller=controller, clock=clock, **parts))
        return made[-1]

    origin.reply = lambda sent: lib.http.Response(200, text=form(sent), headers={"Cache-Control": "max-age=60"})
    yield asking
    for one in made:
        one.close()


@pytest.fixture
def ask(make: Callable[..., Asking]) -> Asking:
    """A client with the default policy."""
    return make()


def form(request: Any) -> str:
    """What the server makes of a request: the fields that it asked for a form with."""
    names = (b"accept", b"accept-language", b"x-unit")
    return repr([(lower, value) for _, lower, value in request.headers._list if lower in names] + [request.read()])


def test_each_form_is_an_answer_of_its_own(ask: Asking) -> None:
    for wish in (JSON, XML, {"Accept-Language": "de"}, {"Accept-Language": "en", **JSON}):
        first = ask(fields=wish)
        assert first.text == form(first.request)
        again = ask(fields=wish)
        assert (status(again), again.text) == (HIT, first.text)
    assert ask.origin.count == 4


def test_rfc_mode_goes_by_what_the_server_says(make: Callable[..., Asking], lib: SimpleNamespace, origin: Any) -> None:
    ask = make(RFC)
    ask(fields=JSON)
    assert status(ask(fields=XML)) == HIT
    origin.reply = lambda sent: lib.http.Response(
        200, text=form(sent), headers={"Cache-Control": "max-age=60", "Vary": "Accept"}
    )
    assert [status(ask(path="/b", fields=wish)) for wish in (JSON, XML, JSON, XML)] == [NEW, OTHER, HIT, HIT]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"Accept": "*/*"}),
        ({}, {"Accept-Language": "*"}),
        (JSON, {"ACCEPT": " Application/JSON "}),
        ({"Accept": "text/a;q=0.5, text/b"}, [(b"Accept", b"text/a ; q=0.5"), (b"accept", b"text/b")]),
        (JSON, {**JSON, "Accept-Encoding": "identity", "User-Agent": "another"}),
    ],
)
def test_what_asks_for_the_same_form_shares_an_answer(ask: Asking, one: Any, other: Any) -> None:
    assert [status(ask(fields=wish)) for wish in (one, other, one)] == [NEW, HIT, HIT]


@pytest.mark.parametrize("other", [{"Accept": ""}, [(b"Accept", b"a/\xe4")], [(b"Accept", "a/ä".encode())]])
def test_what_may_ask_for_another_form_does_not(ask: Asking, other: Any) -> None:
    wishes = ({}, other, [(b"Accept", b"a/\xc4")])
    assert [status(ask(fields=wish)) for wish in wishes] == [NEW, OTHER, OTHER]
    assert [status(ask(fields=wish)) for wish in wishes] == [HIT, HIT, HIT]


def test_a_plain_get_is_one_for_any_form(ask: Asking) -> None:
    ask(fields=XML)
    assert status(ask.get()) == OTHER
    assert [status(ask.get()), status(ask.get()), status(ask())] == [HIT, HIT, HIT]
    assert status(ask(fields=XML)) == HIT


def test_a_head_is_answered_from_the_get_of_its_form(ask: Asking) -> None:
    ask(fields=JSON)
    assert status(ask("HEAD", fields=JSON)) == HIT
    assert status(ask("HEAD", fields=XML)) == ("miss", "head")
    assert status(ask("HEAD")) == ("miss", "head")


def test_a_rule_can_turn_it_off_or_name_other_fields(make: Callable[..., Asking]) -> None:
    ask = make(Controller([Read("/off", vary=()), Read("/unit", vary=("X-UNIT",))]))
    assert [status(ask(path="/off", fields=wish)) for wish in (JSON, XML)] == [NEW, HIT]
    wishes = ({"X-Unit": "mm"}, {"x-unit": "inch"}, {"X-Unit": "mm", **JSON}, XML, {})
    assert [status(ask(path="/unit", fields=wish)) for wish in wishes] == [NEW, OTHER, HIT, OTHER, HIT]
    assert [status(ask(path="/a", fields=wish)) for wish in ({"X-Unit": "mm"}, {"X-Unit": "inch"})] == [NEW, HIT]


def test_a_rule_that_names_other_fields_does_not_use_what_was_stored_by_others(make: Callable[..., Asking]) -> None:
    storage = MemoryStorage()
    off, on = make(Controller([Read("/**", vary=())]), storage=storage), make(storage=storage)
    assert status(off(fields=XML)) == NEW
    assert status(on()) == OTHER, "it may be XML"
    assert [status(off()), status(on())] == [HIT, HIT]


def test_a_query_in_a_body_has_each_form_too(make: Callable[..., Asking]) -> None:
    ask = make(Controller([Read("/q", methods=("POST",))]))

    def post(body: bytes, wish: Any) -> Any:
        return ask("POST", "/q", wish, body)

    assert [status(post(b"1", wish)) for wish in (JSON, XML, JSON, XML)] == [NEW, OTHER, HIT, HIT]
    assert [status(post(b"2", wish)) for wish in (JSON, XML)] == [NEW, OTHER]
    assert post(b"1", XML).text == form(post(b"1", XML).request)


def test_a_name_given_by_the_caller_is_for_each_form(make: Callable[..., Asking]) -> None:
    ask = make(Controller([Read("/off", vary=())]))
    assert [status(ask(path=path, fields=JSON, key="k")) for path in ("/a", "/b")] == [NEW, HIT]
    assert [status(ask(fields=XML, key="k")) for _ in range(2)] == [OTHER, HIT]
    assert [status(ask(path="/off", fields=wish, key="off")) for wish in (JSON, XML)] == [NEW, HIT]


def test_a_write_reaches_every_form(make: Callable[..., Asking]) -> None:
    ask = make(Controller([Write("/w", dirties=("thing",)), Read("/a", tags=("thing",))]))
    for write in (("PUT", "/a"), ("POST", "/w")):
        for wish in (JSON, XML):
            ask(fields=wish)
        ask(*write)
        assert [status(ask(fields=wish)) for wish in (JSON, XML)] == [("miss", "dirtied")] * 2


def test_a_server_that_says_vary_is_heard_too(make: Callable[..., Asking], lib: SimpleNamespace, origin: Any) -> None:
    ask, names = make(), "Accept, X-Unit"
    origin.reply = lambda sent: lib.http.Response(200, text=form(sent), headers={"Vary": names})
    wishes = (JSON, XML, {**JSON, "X-Unit": "mm"}, {**JSON, "X-Unit": "inch"})
    for expected in ([NEW, OTHER, OTHER, OTHER], [HIT] * 4):
        assert [status(ask(fields=wish)) for wish in wishes] == expected
    names = "Accept-Language, accept"
    assert [status(ask(path="/b", fields=wish)) for wish in (JSON, XML, JSON)] == [NEW, OTHER, HIT]


def test_the_reason_vary_ends_with_the_other_form(ask: Asking, clock: FakeClock) -> None:
    ask(fields=JSON)
    assert status(ask(path="/other", fields=XML)) == NEW, "nothing of this URL is stored"
    assert status(ask(fields=XML)) == OTHER
    ask._run(ask.cache.clear()) if ask.loop else ask.cache.clear()
    assert status(ask(fields=XML)) == NEW


@pytest.mark.parametrize(("controller", "kind"), [(Controller(), Fetch), (RFC, Join)])
def test_who_asks_for_another_form_waits_for_no_fetch_in_ttl_mode(
    make: Callable[..., Asking], controller: Controller, kind: type[Any]
) -> None:
    ask = make(controller)
    engine, request = ask.cache._engine, ask.lib.http.Request
    callers = iter(range(9))
    engine._owner = lambda: (next(callers), None)
    first = engine.begin(request("GET", "http://origin/a", headers=JSON))
    assert isinstance(engine.begin(request("GET", "http://origin/a", headers=JSON)), Join)
    assert type(engine.begin(request("GET", "http://origin/a", headers=XML))) is kind
    engine.failed(first)


def test_explain_says_of_each_form_what_happens(ask: Asking) -> None:
    def explained(wish: dict[str, str]) -> tuple[str, str]:
        request = ask.lib.http.Request("GET", "http://origin/a", headers=wish)
        found = ask.cache.explain(request)
        return found.status, found.reason

    for wish in (JSON, XML, {}):
        before = explained(wish)
        assert before == status(ask(fields=wish))
        assert explained(wish) == HIT


@pytest.mark.parametrize("way", ["sync transport", "sync client"])
def test_a_refresh_asks_for_the_form_it_renews(lib: SimpleNamespace, origin: Any, clock: FakeClock, way: str) -> None:
    ask = Asking(lib, origin, way, controller=Controller(ttl=10.0, stale_while_revalidate=10.0), clock=clock)
    origin.reply = lambda sent: lib.http.Response(200, text=form(sent))
    held = HeldRefreshes(ask.cache)
    for wish in (JSON, XML):
        ask(fields=wish)
    clock.advance(11.0)
    stale = ask(fields=XML)
    assert status(stale) == ("stale", "while-revalidate")
    held.go()
    assert form(origin.requests[2]) == stale.text
    assert status(ask(fields=XML)) == HIT
    assert status(ask(fields=JSON)) == ("stale", "while-revalidate")
    ask.close()


@pytest.mark.parametrize("coding", ["gzip", "identity"])
def test_a_compressed_answer_is_one_for_all_codings(ask: Asking, origin: Any, coding: str) -> None:
    origin.reply = {"content": gzip.compress(b"text"), "headers": {"Content-Encoding": "gzip"}}
    ask(fields={"Accept-Encoding": "gzip"})
    again = ask(fields={"Accept-Encoding": coding})
    assert (status(again), again.text, again.headers["Content-Encoding"]) == (HIT, "text", "gzip")


def test_forms_that_are_many_only_lose_the_reason(ask: Asking) -> None:
    for n in range(20):
        ask(fields={"Accept-Language": f"x-{n}"})
    assert len(ask.cache._engine.storage.representations) == 8
    assert [status(ask(fields={"Accept-Language": f"x-{n}"})) for n in range(20)] == [HIT] * 20


def test_counts_add_up(ask: Asking) -> None:
    for wish in (JSON, XML, {}, JSON, XML):
        ask(fields=wish)
    stats = ask.cache.stats
    assert (stats.misses, stats.hits, stats.stores, stats.requests) == (3, 2, 3, 5)
