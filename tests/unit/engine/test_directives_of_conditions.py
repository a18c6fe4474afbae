"""What a caller asks by directive beats what its header fields say: conditions, ranges, only-if-cached, no-cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from every_way import MODES, WAYS, Asking, status

from pywats_cache import Controller, Read
from pywats_cache.testing import FakeClock

Make = Callable[..., Asking]
SAID = {"ETag": '"1"', "Cache-Control": "max-age=60", "Content-Type": "text/plain"}
SAME, OTHER = {"If-None-Match": '"1"'}, {"If-None-Match": '"2"'}


@pytest.fixture(params=WAYS)
def make(request: pytest.FixtureRequest, lib: SimpleNamespace, origin: Any, clock: FakeClock) -> Iterator[Make]:
    """Makes a client of a kind, with a controller of a mode."""
    made: list[Asking] = []

    def asking(controller: Controller) -> Asking:
        made.append(Asking(lib, origin, request.param, controller=controller, clock=clock))
        return made[-1]

    origin.reply = {"headers": SAID}
    yield asking
    for one in made:
        one.close()


@pytest.fixture(params=list(MODES))
def ask(request: pytest.FixtureRequest, make: Make) -> Asking:
    """A client that holds a fresh answer with an ETag."""
    asking = make(MODES[request.param])
    asking()
    return asking


@pytest.mark.parametrize(
    "fields",
    [
        SAME,
        OTHER,
        {"If-None-Match": "*"},
        {"If-Modified-Since": "Tue, 01 Jan 2030 00:00:00 GMT"},
        {"If-Match": '"1"'},
        {"If-Range": '"1"'},
        {"Range": "bytes=0-0"},
        {"Range": "bytes=0-0", **SAME},
        {"Cache-Control": "only-if-cached"},
        {"Cache-Control": "only-if-cached", **SAME},
        {"Cache-Control": "no-store", **SAME},
        {"Cache-Control": "no-cache", **SAME},
        {"Upgrade": "h2c"},
    ],
)
@pytest.mark.parametrize("more", [{}, {"refresh": True, "ttl": 5.0, "key": "k"}, {"only_if_cached": True}])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_bypass_means_the_server(ask: Asking, fields: dict[str, str], more: dict[str, Any], method: str) -> None:
    response = ask(method, fields=fields, bypass=True, **more)
    assert status(response) == ("bypass", "caller-bypass")
    assert ask.origin.count == 2
    sent = ask.origin.requests[-1].headers
    assert all(sent[name] == value for name, value in fields.items())
    assert status(ask()) == ("hit", "fresh")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fields", [{}, SAME])
def test_bypass_of_a_post_that_reads_means_the_server(make: Make, mode: str, fields: dict[str, str]) -> None:
    ask = make(Controller([Read("/q", methods=("POST",))], rfc9111=mode == "rfc"))
    ask("POST", "/q", content=b"one")
    assert status(ask("POST", "/q", fields, content=b"one", bypass=True)) == ("bypass", "caller-bypass")
    assert ask.origin.count == 2


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fields", [{}, SAME, {"Range": "bytes=0-0"}])
def test_offline_only_sends_nothing_not_even_a_bypass(make: Make, mode: str, fields: dict[str, str]) -> None:
    ask = make(Controller(ttl=60.0, offline="only", rfc9111=mode == "rfc"))
    response = ask(fields=fields, bypass=True)
    assert (response.status_code, status(response)) == (504, ("bypass", "offline"))
    assert ask.origin.count == 0


@pytest.mark.parametrize("fields", [SAME, OTHER, {"Cache-Control": "only-if-cached"}, {"Range": "bytes=0-0"}])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_refresh_goes_to_the_server_whatever_the_header_fields_say(
    ask: Asking, fields: dict[str, str], method: str
) -> None:
    ask(method, fields=fields, refresh=True)
    assert ask.origin.count == 2


def test_no_store_of_the_caller_sends_a_condition_on_in_ttl_mode(make: Make) -> None:
    ask = make(MODES["ttl"])
    ask()
    assert status(ask(fields={"Cache-Control": "no-store", **SAME})) == ("bypass", "caller-bypass")
    assert ask.origin.count == 2


def test_a_ttl_of_the_caller_bounds_what_answers_its_condition(ask: Asking, clock: FakeClock) -> None:
    clock.advance(10)
    assert status(ask(fields=SAME, ttl=30.0)) == ("hit", "precondition")
    ask(fields=SAME, ttl=5.0)
    assert ask.origin.count == 2


def test_tags_of_the_caller_count_for_its_condition(ask: Asking) -> None:
    ask("POST", "/elsewhere/x", tags=("fruit",))
    ask(fields=SAME, tags=("fruit",))
    assert ask.origin.count == 3


def test_a_condition_under_a_key_is_answered_by_what_that_key_names(ask: Asking) -> None:
    ask("GET", "/b?now=1", key="report")
    ask.origin.reply = {"headers": {**SAID, "ETag": '"2"'}}
    assert status(ask("GET", "/b?now=2", SAME, key="report")) == ("hit", "precondition")
    assert ask.origin.count == 2
    ask("GET", "/a", SAME, key="other")
    assert ask.origin.count == 3


def test_only_if_cached_of_a_condition_is_answered_from_the_storage_or_by_a_504(ask: Asking) -> None:
    assert status(ask(fields=SAME, only_if_cached=True)) == ("hit", "precondition")
    assert ask("GET", "/unknown", SAME, only_if_cached=True).status_code == 504
    assert ask.origin.count == 1


@pytest.mark.parametrize("mode", MODES)
def test_a_condition_on_a_post_that_reads_is_answered_for_its_own_body(make: Make, mode: str) -> None:
    ask = make(Controller([Read("/q", methods=("POST",))], rfc9111=mode == "rfc"))
    empty = ask("POST", "/q")
    other = ask("POST", "/q", OTHER, content=b"other")
    assert (empty.text, other.text) == ("1", "2")


def test_a_condition_on_another_target_is_not_answered_by_the_url(ask: Asking) -> None:
    request = ask.client.build_request("GET", "http://origin/a", headers=SAME, extensions={"target": b"/other"})
    assert status(ask._run(ask.client.send(request))) == ("bypass", "target")
    assert ask.origin.count == 2


@pytest.mark.parametrize("mode", MODES)
def test_a_query_that_bypasses_does_so_for_conditions_too(make: Make, mode: str) -> None:
    ask = make(Controller([Read("/a", bypass_query=("live",))], rfc9111=mode == "rfc"))
    ask(key="k")
    assert status(ask("GET", "/a?live=1", SAME, key="k")) == ("bypass", "query-bypass")
    assert ask.origin.count == 2


def test_a_ttl_for_a_route_without_one_leaves_a_condition_a_condition(make: Make) -> None:
    ask = make(Controller(ttl=0.0, rfc9111=True))
    ask(ttl=60.0)
    assert ask(fields=SAME, ttl=60.0).status_code == 304
    assert ask(fields={"Range": "bytes=0-0"}, ttl=60.0).status_code == 206
    assert ask.origin.count == 1
