"""Directives of one request, and Cache-Control."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from pywats_cache import CacheOutcome, CachingError, Controller, Read, Write
from pywats_cache.policy.directives import Directives
from pywats_cache.testing import FakeClock

Outcome = Callable[[Any], CacheOutcome]


def ask(client: Any, path: str = "/a", method: str = "GET", headers: Any = None, **directives: Any) -> Any:
    return client.request(method, path, headers=headers, extensions={"pywats_cache": directives})


@pytest.mark.parametrize(
    ("directives", "named"),
    [
        ({"bypas": True}, "'bypas'"),
        ({"bypass": True, "Refresh": True}, "'Refresh'"),
        ({"ttl": -1}, "'ttl'"),
        ({"ttl": math.nan}, "'ttl'"),
        ({"tags": ["a", ""]}, "'tags'"),
    ],
)
def test_an_unknown_directive_or_a_bad_value_is_an_error(client: Any, directives: Any, named: str) -> None:
    with pytest.raises(ValueError, match="pywats_cache") as caught:
        ask(client, **directives)
    assert isinstance(caught.value, CachingError)
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("directives", "named"),
    [
        ({"bypass": 1}, "bypass"),
        ({"refresh": "yes"}, "refresh"),
        ({"only_if_cached": None}, "only_if_cached"),
        ({"ttl": True}, "ttl"),
        ({"ttl": "60"}, "ttl"),
        ({"tags": "product"}, "tags"),
        ({"tags": [1]}, "tags"),
        ({"key": 5}, "key"),
        ({"key": b"k"}, "key"),
    ],
)
def test_a_directive_of_the_wrong_type_is_an_error(client: Any, directives: Any, named: str) -> None:
    with pytest.raises(TypeError, match=named) as caught:
        ask(client, **directives)
    assert isinstance(caught.value, CachingError)


@pytest.mark.parametrize("given", ["refresh", 5, ["refresh"], True])
def test_directives_must_be_a_mapping(client: Any, given: object) -> None:
    with pytest.raises(TypeError, match="must be a dict of directives"):
        client.get("/a", extensions={"pywats_cache": given})


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS"])
def test_bad_directives_are_an_error_for_every_method_and_nothing_is_sent(
    client: Any, origin: Any, method: str
) -> None:
    with pytest.raises(CachingError):
        ask(client, method=method, unknown=1)
    assert origin.count == 0
    assert client.cache.stats.requests == 0


def test_no_directives_change_nothing() -> None:
    assert Directives.parse({}) == Directives()
    assert Directives.parse({"ttl": None, "key": None}) == Directives()


def test_the_directives_reach_the_next_transport_as_given(client: Any, origin: Any) -> None:
    given = {"refresh": True}
    client.get("/a", extensions={"pywats_cache": given, "other": 1})
    extensions = origin.requests[0].extensions
    assert extensions["pywats_cache"] == {"refresh": True}
    assert extensions["other"] == 1


def test_bypass_neither_looks_up_nor_stores(client: Any, outcome: Outcome) -> None:
    client.get("/a")
    response = ask(client, bypass=True)
    assert response.text == "2"
    assert outcome(response)[:2] == ("bypass", "caller-bypass")
    assert client.get("/a").text == "1"


def test_a_bypassed_write_still_dirties(client: Any) -> None:
    client.get("/a")
    ask(client, method="PUT", bypass=True)
    assert client.get("/a").text == "3"


def test_refresh_fetches_and_stores(client: Any, outcome: Outcome) -> None:
    client.get("/a")
    response = ask(client, refresh=True)
    assert response.text == "2"
    assert outcome(response)[:2] == ("miss", "refresh")
    assert outcome(response).stored
    assert client.get("/a").text == "2"


def test_refresh_of_what_is_not_stored_is_a_refresh_too(client: Any, outcome: Outcome) -> None:
    assert outcome(ask(client, refresh=True))[:2] == ("miss", "refresh")


def test_ttl_is_that_of_this_answer_longer_or_shorter(client: Any, clock: FakeClock, outcome: Outcome) -> None:
    assert outcome(ask(client, "/long", ttl=1000)).ttl == 1000
    assert outcome(ask(client, "/short", ttl=10)).ttl == 10
    clock.advance(10)
    assert client.get("/short").text == "3"
    clock.advance(500)
    assert client.get("/long").text == "1"
    clock.advance(490)
    assert client.get("/long").text == "4"


def test_ttl_of_a_caller_bounds_what_it_takes(client: Any, clock: FakeClock) -> None:
    client.get("/a")
    clock.advance(20)
    assert ask(client, ttl=30).text == "1"
    assert ask(client, ttl=10).text == "2"


def test_ttl_zero_stores_nothing(client: Any, outcome: Outcome) -> None:
    assert not outcome(ask(client, ttl=0)).stored
    assert client.get("/a").text == "2"


def test_ttl_makes_a_route_of_ttl_zero_cacheable(cached: Callable[..., Any], outcome: Outcome) -> None:
    client = cached(Controller(ttl=0))
    assert outcome(client.get("/a"))[:2] == ("bypass", "zero-ttl")
    assert outcome(ask(client, ttl=5)).stored
    assert outcome(ask(client, ttl=5)).status == "hit"


def test_tags_of_a_read_are_dirtied_by_tags_of_a_write(client: Any) -> None:
    ask(client, "/a", tags=("fruit",))
    client.get("/b")
    ask(client, "/elsewhere/x", "POST", tags=("fruit",))
    assert client.get("/b").text == "2"
    assert client.get("/a").text == "4"


def test_tags_are_dirtied_by_a_rule(cached: Callable[..., Any]) -> None:
    client = cached(Controller([Write("/w", dirties=("fruit",))]))
    ask(client, "/a", tags=("fruit",))
    client.post("/w")
    assert client.get("/a").text == "3"


def test_key_names_the_answer_whatever_the_url(client: Any) -> None:
    ask(client, "/a?now=1", key="report")
    assert ask(client, "/a?now=2", key="report").text == "1"
    assert ask(client, "/a?now=2", key="other").text == "2"
    assert client.get("/a?now=1").text == "3"


def test_key_does_not_join_credentials(client: Any) -> None:
    ask(client, key="report", headers={"Authorization": "Bearer one"})
    assert ask(client, key="report", headers={"Authorization": "Bearer two"}).text == "2"
    assert ask(client, key="report", headers={"Authorization": "Bearer one"}).text == "1"


def test_key_does_not_join_origins(client: Any) -> None:
    ask(client, "http://one/a", key="report")
    assert ask(client, "http://two/a", key="report").text == "2"


def test_an_answer_under_a_key_is_still_dirtied_by_its_path(client: Any) -> None:
    ask(client, "/a/b", key="report")
    client.put("/a/b")
    assert ask(client, "/a/b", key="report").text == "3"


def test_only_if_cached_gives_a_stored_answer_or_a_504(client: Any, origin: Any, outcome: Outcome) -> None:
    response = ask(client, only_if_cached=True)
    assert response.status_code == 504
    assert response.content == b""
    assert outcome(response)[:2] == ("miss", "only-if-cached")
    assert origin.count == 0
    client.get("/a")
    assert ask(client, only_if_cached=True).text == "1"


def test_only_if_cached_gives_no_expired_or_dirtied_answer(client: Any, clock: FakeClock, origin: Any) -> None:
    client.get("/a")
    clock.advance(301)
    assert ask(client, only_if_cached=True).status_code == 504
    client.get("/a")
    client.put("/a")
    assert ask(client, only_if_cached=True).status_code == 504
    assert origin.count == 3


def test_the_504_can_be_used_like_any_response(client: Any, lib: SimpleNamespace) -> None:
    response = ask(client, only_if_cached=True)
    assert response.request.url == "http://origin/a"
    assert response.text == ""
    assert response.elapsed.total_seconds() >= 0
    with pytest.raises(lib.http.HTTPStatusError):
        response.raise_for_status()


def test_only_if_cached_of_the_header_is_the_same(client: Any, origin: Any) -> None:
    assert client.get("/a", headers={"Cache-Control": "only-if-cached"}).status_code == 504
    assert origin.count == 0


def test_several_directives_go_together(client: Any, clock: FakeClock, outcome: Outcome) -> None:
    client.get("/a")
    got = outcome(ask(client, refresh=True, ttl=5, tags=("t",)))
    assert got[:2] == ("miss", "refresh")
    assert got.ttl == 5
    client.cache.invalidate(tags=("t",))
    assert client.get("/a").text == "3"


def test_directives_do_not_bend_a_rule_that_bypasses(cached: Callable[..., Any], outcome: Outcome) -> None:
    client = cached(Controller([Read("/a", bypass_query=("fresh",))]))
    assert outcome(ask(client, "/a?fresh=1", ttl=100, refresh=True))[:2] == ("bypass", "query-bypass")
