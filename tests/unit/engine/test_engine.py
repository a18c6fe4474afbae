"""Every decision, as a caller sees it: hits, misses and failures."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from pywats_cache import REASONS, Bypass, CacheOutcome, Controller, MemoryStorage, Read, Write
from pywats_cache.coherence.epochs import Coherence
from pywats_cache.coherence.single_flight import LOST_SECONDS
from pywats_cache.engine.steps import Fetch, Join, Stale
from pywats_cache.testing import FakeClock

Make = Callable[..., Any]
Outcome = Callable[[Any], CacheOutcome]


# ── hits and misses ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_second_get_is_a_hit(client: Any, origin: Any, clock: FakeClock, outcome: Outcome) -> None:
    miss = outcome(client.get("/a"))
    assert miss == CacheOutcome("miss", "unknown", 0.0, 300.0, miss.key, True, "default")
    clock.advance(2.5)
    hit = outcome(client.get("/a"))
    assert hit == CacheOutcome("hit", "fresh", 2.5, 300.0, miss.key, True, "default")
    assert origin.count == 1


def test_an_answer_is_fresh_until_its_ttl_and_not_at_it(client: Any, clock: FakeClock, outcome: Outcome) -> None:
    client.get("/a")
    clock.advance(299.999)
    assert client.get("/a").text == "1"
    clock.advance(0.001)
    response = client.get("/a")
    assert outcome(response)[:2] == ("miss", "expired")
    assert response.text == "2"


def test_the_age_counts_from_when_the_request_was_sent(client: Any, origin: Any, clock: FakeClock) -> None:
    def slow(request: Any) -> Any:
        clock.advance(200)
        return origin.http.Response(200, text=str(origin.count))

    origin.reply = slow
    client.get("/a")
    clock.advance(99)
    assert client.get("/a").text == "1"
    clock.advance(1)
    assert client.get("/a").text == "2"


def test_an_answer_slower_than_its_ttl_is_never_a_hit(client: Any, origin: Any, clock: FakeClock) -> None:
    def slow(request: Any) -> Any:
        clock.advance(301)
        return origin.http.Response(200, text=str(origin.count))

    origin.reply = slow
    assert [client.get("/a").text for _ in range(2)] == ["1", "2"]


def test_a_hit_does_not_extend_the_ttl(client: Any, clock: FakeClock) -> None:
    client.get("/a")
    for _ in range(2):
        clock.advance(149)
        assert client.get("/a").text == "1"
    clock.advance(2)
    assert client.get("/a").text == "2"


def test_a_clock_set_back_drops_what_is_stored(
    client: Any, clock: FakeClock, outcome: Outcome, caplog: pytest.LogCaptureFixture
) -> None:
    client.get("/a")
    clock.advance(400)
    client.get("/b")
    clock.advance(-300)
    with caplog.at_level(logging.WARNING, "pywats_cache"):
        response = client.get("/a")
    assert outcome(response).status == "miss"
    assert "the clock went back by 300.0 s" in caplog.text
    assert client.get("/a").text == "3"


def test_a_clock_set_back_is_noticed_by_a_reader_in_the_middle_of_that_too(
    client: Any, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.get("/a")
    clock.advance(400)
    client.get("/b")
    clock.advance(-300)
    drop, seen = Coherence.bump_all_soon, []

    def read_first(coherence: Coherence) -> None:
        monkeypatch.undo()
        seen.append(client.get("/a").text)  # as another thread may
        drop(coherence)

    monkeypatch.setattr(Coherence, "bump_all_soon", read_first)
    client.get("/b")
    assert seen == ["3"]


def test_a_clock_that_jitters_a_little_drops_nothing(client: Any, clock: FakeClock) -> None:
    client.get("/a")
    clock.advance(100)
    client.get("/b")
    clock.advance(-0.5)
    assert client.get("/a").text == "1"
    assert client.get("/b").status_code == 200


def test_an_answer_dated_later_than_now_is_expired(client: Any, clock: FakeClock, outcome: Outcome) -> None:
    client.get("/a")
    clock.advance(-0.5)
    assert outcome(client.get("/a"))[:2] == ("miss", "expired")


def test_an_infinite_ttl_lasts(cached: Make, clock: FakeClock) -> None:
    client = cached(Controller(ttl=float("inf")))
    client.get("/a")
    clock.advance(1e12)
    assert client.get("/a").text == "1"


def test_a_route_of_ttl_zero_goes_around_the_cache(cached: Make, outcome: Outcome) -> None:
    client = cached(Controller([Read("/a", ttl=0)]))
    for count in ("1", "2"):
        response = client.get("/a")
        assert response.text == count
        assert outcome(response) == CacheOutcome("bypass", "zero-ttl", rule="/a")


def test_the_rule_that_decided_is_named(cached: Make, outcome: Outcome) -> None:
    client = cached(Controller([Read("/a/{id}", ttl=7), Bypass("/live"), Write("/w/**")], unmatched="bypass"))
    named = {path: outcome(client.get(path)).rule for path in ("/a/1", "/live", "/else")}
    assert named == {"/a/1": "/a/{id}", "/live": "/live", "/else": "unmatched"}
    assert outcome(client.get("/a/1")).rule == "/a/{id}"
    assert outcome(client.put("/w/1")).rule == "/w/**"
    assert outcome(client.put("/x")).rule == "default"


@pytest.mark.parametrize(
    ("method", "path", "reason"),
    [
        ("GET", "/live", "rule-bypass"),
        ("POST", "/live", "rule-bypass"),
        ("GET", "/else", "rule-bypass"),
        ("HEAD", "/else", "rule-bypass"),
        ("PUT", "/else", "write"),
        ("PURGE", "/else", "write"),
        ("OPTIONS", "/else", "method"),
        ("TRACE", "/else", "method"),
    ],
)
def test_the_reason_of_a_bypass(cached: Make, outcome: Outcome, method: str, path: str, reason: str) -> None:
    client = cached(Controller([Bypass("/live")], unmatched="bypass"))
    response = client.request(method, path)
    assert outcome(response)[:2] == ("bypass", reason)
    assert outcome(response).key is None


def test_every_reason_given_is_documented(cached: Make, clock: FakeClock, origin: Any, outcome: Outcome) -> None:
    client = cached(
        Controller([Bypass("/live"), Write("/w", settle=5)], store_empty=False), MemoryStorage(10, 9000, 2000)
    )
    seen = set()
    for headers in (
        {},
        {"Range": "bytes=0-1"},
        {"If-None-Match": "x"},
        {"Cache-Control": "no-store"},
        {"Upgrade": "x"},
    ):
        for method in ("GET", "HEAD", "POST", "OPTIONS"):
            for path in ("/a", "/live", "/w"):
                for reply in ({}, {"headers": {"Vary": "Accept"}}, {"content": b"x" * 3000}, {"status_code": 500}):
                    origin.reply = reply
                    seen.add(outcome(client.request(method, path, headers=headers)).reason)
        clock.advance(1000)
    assert len(seen) > 8
    assert seen <= set(REASONS)


# ── failures ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_error_of_the_next_transport_reaches_the_caller_and_nothing_is_stored(
    client: Any, origin: Any, lib: SimpleNamespace
) -> None:
    def fail(request: Any) -> Any:
        raise lib.http.ConnectError("no route", request=request)

    origin.reply = fail
    with pytest.raises(lib.http.ConnectError, match="no route") as caught:
        client.get("/a")
    assert caught.value.request.url == "http://origin/a"
    origin.reply = {}
    assert client.get("/a").text == "2"
    assert len(client.cache.storage.flights) == 0


@pytest.mark.parametrize("window", [0.0, math.inf])
def test_a_streamed_response_that_was_dropped_holds_nobody_up_for_good(
    cached: Callable[..., Any], origin: Any, clock: FakeClock, outcome: Outcome, window: float
) -> None:
    client = cached(Controller(ttl=60.0, stale_while_revalidate=window))
    engine, request = client._transport._engine, client.build_request("GET", "/a")
    engine._owner = lambda: (0, None)
    lost = engine.begin(request)
    assert isinstance(lost, Fetch)
    engine._owner = lambda: (1, None)
    join = engine.begin(request)
    assert isinstance(join, Join)
    mine = engine.rejoin(join)  # it waits no longer
    response = origin.http.Response(200, text="1")
    engine.arrived(mine, response)
    engine.finished(mine, response, b"1")
    assert outcome(engine.begin(request))[:2] == ("hit", "fresh")
    clock.advance(LOST_SECONDS + 1)
    step = engine.begin(request)
    assert isinstance(step, Stale if window else Fetch)
    fetch = engine.refresh(step) if window else step
    assert engine.storage.flights.get(fetch.flight.key, engine.now()) is fetch.flight


def test_a_caller_in_the_middle_of_a_fetch_may_ask_for_the_same(client: Any, origin: Any, outcome: Outcome) -> None:
    inner = []

    def reenter(request: Any) -> Any:
        if origin.count == 1:
            inner.append(client.get("/a"))
        return origin.http.Response(200, text=str(origin.count))

    origin.reply = reenter
    client.get("/a")
    assert outcome(inner[0])[:2] == ("miss", "own-flight")
