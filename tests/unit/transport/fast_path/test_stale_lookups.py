"""Lookups of what is past its TTL or near it: answered stale, with a refresh behind the caller."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from fast_path_clients import Make, Outcome, lookups
from held_refreshes import HeldRefreshes

from pywats_cache import Controller, MemoryStorage, Read
from pywats_cache.coherence.single_flight import LOST_SECONDS
from pywats_cache.testing import FakeClock

SWR = Controller(ttl=10.0, stale_while_revalidate=60.0)


def stale_client(make: Make, clock: FakeClock, **options: Any) -> tuple[Any, HeldRefreshes]:
    """A client with an answer past its TTL, whose lookups have been learnt."""
    client = make(**{"controller": SWR, **options})
    held = HeldRefreshes(client.cache)
    client.get("/a"), client.get("/a")
    assert lookups(client) == 1
    clock.advance(11)
    return client, held


def test_a_stale_answer_is_looked_up_and_the_first_one_starts_a_refresh(
    make: Make, clock: FakeClock, outcome: Outcome, origin: Any
) -> None:
    client, held = stale_client(make, clock)
    started = client.get("/a")
    assert (outcome(started)[:3], lookups(client)) == (("stale", "while-revalidate", 11.0), 2)
    assert len(held.waiting) == 1
    looked_up = client.get("/a")
    assert outcome(looked_up) == outcome(started)
    assert (looked_up.text, looked_up.is_closed) == (started.text, True)
    stats = client.cache.stats
    assert (stats.stale, stats.lookups, stats.hits, stats.misses, stats.requests) == (2, 3, 1, 1, 4)
    assert len(held.waiting) == 1
    held.go()
    assert outcome(client.get("/a")).status == "hit"
    assert origin.count == 2
    assert origin.requests[1].headers == origin.requests[0].headers


def test_a_lost_flight_keeps_no_lookup_from_starting_a_refresh(make: Make, clock: FakeClock) -> None:
    client, held = stale_client(make, clock, controller=Controller(ttl=10.0, stale_while_revalidate=3600.0))
    client.get("/a")
    engine = client.cache._engine
    assert engine.refresh(held.waiting.pop()) is not None  # and nothing more comes of it
    client.get("/a")
    assert held.waiting == []
    clock.advance(LOST_SECONDS + 1)
    client.get("/a")
    assert len(held.waiting) == 1


def test_a_body_without_end_keeps_no_lookup_from_starting_a_refresh(make: Make, clock: FakeClock) -> None:
    client, held = stale_client(make, clock)
    client.get("/a")
    engine = client.cache._engine
    fetch = engine.refresh(held.waiting.pop())
    client.get("/a"), client.get("/a")
    assert held.waiting == []
    flights = engine.storage.flights
    fetch.flight.head_came(flights.monotonic(), 0.0)  # and its body goes on and on
    flights.monotonic = lambda: fetch.flight.body_until
    client.get("/a")
    assert len(held.waiting) == 1
    engine.failed(fetch)


def test_a_refresh_sends_a_request_of_its_own(make: Make, clock: FakeClock, origin: Any) -> None:
    client, held = stale_client(make, clock)
    client.get("/a")
    held.go()
    origin.requests[1].headers["X-Poison"] = "1"  # as a next transport may
    clock.advance(11)
    client.get("/a")
    held.go()
    assert "X-Poison" not in origin.requests[2].headers


def test_a_stale_answer_is_not_looked_up_where_another_transport_is_mounted_now(
    make: Make, clock: FakeClock, lib: SimpleNamespace
) -> None:
    client, held = stale_client(make, clock)
    other = lib.http.MockTransport(lambda request: lib.http.Response(200, text="other"))
    client._mounts = {lib.http._utils.URLPattern("all://"): other}
    assert client.get("/a").text == "other"
    assert (lookups(client), held.waiting) == (1, [])
    assert len(client.cache.storage.flights) == 0


def test_a_hit_near_its_end_is_looked_up_and_starts_a_refresh(make: Make, clock: FakeClock, outcome: Outcome) -> None:
    ahead = Controller(ttl=10.0, rules=[Read("/a", ttl=20.0, refresh_ahead=0.5)])
    client, held = stale_client(make, clock, controller=ahead)
    assert outcome(client.get("/a"))[:3] == ("hit", "ahead", 11.0)
    assert (lookups(client), len(held.waiting)) == (2, 1)
    assert outcome(client.get("/a")).reason == "ahead"
    assert (lookups(client), len(held.waiting), client.cache.stats.hits) == (3, 1, 3)


def test_a_lookup_near_its_end_is_a_use_of_the_entry(make: Make, clock: FakeClock) -> None:
    ahead = Controller([Read("/a", ttl=20.0, refresh_ahead=0.5)])
    client, _ = stale_client(make, clock, controller=ahead, storage=MemoryStorage(max_entries=2))
    client.get("/b")
    client.get("/a")
    assert lookups(client) == 2
    assert [entry.hits for entry in client.cache.storage.table.items.values()] == [0, 2]
    client.get("/c")
    assert client.get("/a").text == "1"


@pytest.mark.parametrize("door", [True, False])
def test_nothing_is_refreshed_where_the_server_must_not_be_asked(make: Make, clock: FakeClock, door: bool) -> None:
    storage = MemoryStorage()
    make(storage=storage, controller=SWR).get("/a")
    clock.advance(11)
    only = Controller(ttl=10.0, stale_while_revalidate=60.0, offline="only", offline_for=0.0)
    client = make(storage=storage, controller=only)
    held = HeldRefreshes(client.cache)
    client.lookup("GET", "/a")
    response = client.get("/a") if door else client.request("GET", "/a")
    assert (response.extensions["pywats_cache"].status, lookups(client)) == ("stale", int(door))
    assert held.waiting == []


def test_a_refresh_has_the_timeouts_that_the_client_has_now(make: Make, clock: FakeClock) -> None:
    client, held = stale_client(make, clock)
    client.timeout = 7.0
    assert client.get("/a").request.extensions["timeout"]["read"] == 7.0
    (stale,) = held.waiting
    assert stale.request.extensions["timeout"]["read"] == 7.0


def test_a_refresh_that_may_not_be_started_is_done_with(make: Make, clock: FakeClock, outcome: Outcome) -> None:
    client, held = stale_client(make, clock)
    held.start = lambda fetch: False  # type: ignore[method-assign]
    assert outcome(client.get("/a")).status == "stale"
    assert len(client.cache.storage.flights) == 0


def test_what_starts_a_refresh_is_in_the_journal(make: Make, clock: FakeClock) -> None:
    client, _ = stale_client(make, clock)
    before = len(client.cache._engine.journal.recent)
    client.get("/a")
    event = client.cache._engine.journal.recent[-1]
    assert (len(client.cache._engine.journal.recent), event.status, event.method) == (before + 1, "stale", "GET")


def test_a_call_with_a_timeout_of_its_own_leaves_the_refresh_to_the_ordinary_way(make: Make, clock: FakeClock) -> None:
    client, held = stale_client(make, clock)
    client.get("/a", timeout=7.0)
    assert lookups(client) == 1
    (stale,) = held.waiting
    assert stale.request.extensions["timeout"]["read"] == 7.0


def test_a_stale_answer_is_looked_up_while_its_refresh_is_held_back(
    make: Make, clock: FakeClock, outcome: Outcome, lib: SimpleNamespace, origin: Any
) -> None:
    client, held = stale_client(make, clock)
    client.get("/a")

    def refuse(request: Any) -> Any:
        raise lib.http.ConnectError("refused")

    origin.reply = refuse
    held.go()
    assert outcome(client.get("/a")).status == "stale"
    assert (lookups(client), held.waiting) == (3, [])
    clock.advance(1)  # the back-off is over: the next call starts a refresh
    assert outcome(client.get("/a")).status == "stale"
    assert (lookups(client), len(held.waiting)) == (4, 1)


def test_a_stale_answer_is_looked_up_while_the_server_is_known_to_be_away(
    make: Make, clock: FakeClock, outcome: Outcome, lib: SimpleNamespace, origin: Any
) -> None:
    client, _ = stale_client(make, clock, controller=Controller(ttl=10.0, offline="auto", offline_for=3600.0))

    def refuse(request: Any) -> Any:
        raise lib.http.ConnectError("refused")

    origin.reply = refuse
    assert outcome(client.get("/a")).reason == "offline"
    assert lookups(client) == 1
    assert outcome(client.get("/a"))[:2] == ("stale", "offline")
    assert (lookups(client), origin.count) == (2, 2)


@pytest.mark.parametrize("how", ["dirtied", "past its window"])
def test_what_may_not_be_served_stale_is_not_looked_up(make: Make, clock: FakeClock, how: str) -> None:
    client, held = stale_client(make, clock)
    client.get("/a")
    assert client._door.answer("/a", {}) is not None
    if how == "dirtied":
        client.cache.invalidate("/a")
    else:
        client.cache._engine.refused(held.waiting.pop())
        clock.advance(60)
    before = client.cache.stats
    assert client._door.answer("/a", {}) is None
    assert client.cache.stats == before


def test_who_takes_stored_answers_themselves_never_gets_a_stale_one(make: Make, clock: FakeClock) -> None:
    client, _ = stale_client(make, clock)
    client.get("/a")
    before = client.cache.stats
    assert client.lookup("GET", "/a") is None
    assert client.cache.stats == before


def test_rfc_mode_leaves_stale_answers_to_the_ordinary_way(make: Make, clock: FakeClock, origin: Any) -> None:
    origin.reply = {"headers": {"Cache-Control": "max-age=10, stale-while-revalidate=60"}}
    client, held = stale_client(make, clock, controller=Controller(rfc9111=True))
    for _ in range(3):
        assert client.get("/a").extensions["pywats_cache"].status == "stale"
    assert (lookups(client), len(held.waiting)) == (1, 1)


@pytest.mark.parametrize("change", ["nothing", "time", "write", "soft purge", "another answer"])
def test_lookups_during_a_refresh_get_the_same_until_something_changes(
    make: Make, clock: FakeClock, origin: Any, change: str
) -> None:
    client, held = stale_client(make, clock)
    client.get("/a")
    engine = client.cache._engine
    fetch = engine.refresh(held.waiting.pop())
    for _ in range(3):
        assert client.get("/a").extensions["pywats_cache"][:2] == ("stale", "while-revalidate")
    if change == "time":
        clock.advance(60)
    elif change == "write":
        client.put("/a")
    elif change == "soft purge":
        client.cache.invalidate("/a", soft=True)
    elif change == "another answer":
        origin.reply = {"headers": {"Cache-Control": "no-store"}}
        client.get("/a", extensions={"pywats_cache": {"refresh": True}})
    explained = client.cache.explain(client.build_request("GET", "/a"))
    found = client._door.answer("/a", {})
    if change in ("nothing", "soft purge"):
        assert (explained.status, found.extensions["pywats_cache"].status) == ("stale", "stale")
    elif change == "time":
        assert (explained.status, type(found.step).__name__) == ("collapsed", "Join")
    else:
        assert (explained.status, found) == ("miss", None)
    engine.failed(fetch)
