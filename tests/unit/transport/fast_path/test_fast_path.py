"""Lookups: which stored answer a call gets before the client builds a request, and what teaches the door."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from fast_path_clients import Make, Outcome, lookups

from pywats_cache import CacheOutcome, Controller, MemoryStorage, Read
from pywats_cache.testing import FakeClock


def test_a_plain_hit_is_a_lookup(client: Any, outcome: Outcome, clock: FakeClock) -> None:
    miss = client.get("/a")
    assert lookups(client) == 0
    clock.advance(3)
    hit = client.get("/a")
    assert outcome(hit) == CacheOutcome("hit", "fresh", 3.0, 300.0, outcome(miss).key, True, "default")
    stats = client.cache.stats
    assert (stats.hits, stats.lookups, stats.misses, stats.requests) == (1, 1, 1, 2)


def test_a_lookup_is_a_use_of_the_entry(make: Make) -> None:
    client = make(storage=MemoryStorage(max_entries=2))
    client.get("/a")
    client.get("/b")
    assert client.lookup("GET", "/a") is not None
    client.get("/c")
    assert client.get("/a").text == "1"
    assert client.get("/b").text == "4"


def test_a_lookup_shows_what_is_stored(client: Any) -> None:
    client.get("/a")
    found = client.lookup("GET", "/a")
    assert (found.status, found.content) == (200, b"1")
    stats = client.cache.stats
    assert (stats.hits, stats.lookups) == (1, 1)


def test_a_clock_set_back_revives_nothing(client: Any, clock: FakeClock) -> None:
    client.get("/a")
    clock.advance(400)
    client.get("/other")
    clock.advance(-300)
    assert client.get("/a").text == "3"


def test_variants_are_looked_up_by_their_headers(client: Any, origin: Any) -> None:
    origin.reply = {"headers": {"Vary": "X-Mode"}}
    for mode in "12":
        client.get("/a", headers={"X-Mode": mode})
    assert [client.get("/a", headers={"X-Mode": mode}).text for mode in "12"] == ["1", "2"]
    assert lookups(client) == 2


def test_what_the_client_sends_with_each_request_is_part_of_the_key(client: Any) -> None:
    assert client.get("/a").text == "1"
    client.headers["Authorization"] = "one"
    assert client.get("/a").text == "2"
    assert client.get("/a").text == "2"
    client.headers["Authorization"] = "two"
    assert client.get("/a").text == "3"
    del client.headers["Authorization"]
    assert client.get("/a").text == "1"
    client.params = {"x": "1"}
    assert client.get("/a").text == "4"
    client.base_url = "http://elsewhere"
    assert client.get("/a").text == "5"
    client.params = {}
    client.base_url = "http://origin"
    assert client.get("/a").text == "1"


def test_values_of_parameters_count_with_their_type(client: Any) -> None:
    sent = [{"a": 1}, {"a": True}, {"a": "1"}, {"a": "true"}, {"a": None}, {"a": ""}, {}]
    texts = [client.get("/a", params=params).text for params in sent]
    assert texts == ["1", "2", "1", "2", "3", "3", "4"], "as httpx writes them: a=1, a=true, a="
    assert [client.get("/a", params=params).text for params in sent] == texts


def test_empty_params_take_the_query_away_and_none_leave_it(client: Any) -> None:
    calls: list[dict[str, Any]] = [{"headers": {}}, {"params": {}}, {"headers": {"X": "1"}}]
    calls.append({"params": {}, "headers": {"X": "1"}})
    for _ in range(3):
        assert [client.get("/a?b=1", **call).text for call in calls] == ["1", "2", "1", "2"]


@pytest.mark.parametrize("rfc9111", [False, True])
def test_the_order_of_the_clients_params_counts(make: Make, origin: Any, rfc9111: bool) -> None:
    origin.reply = {"headers": {"Cache-Control": "max-age=60"}}
    client = make(controller=Controller(rfc9111=rfc9111))
    for params, text in (([("a", "1"), ("a", "2")], "1"), ([("a", "2"), ("a", "1")], "2")):
        client.params = params
        assert [client.get("/a").text for _ in range(3)] == [text] * 3
    assert lookups(client) > 0


def test_headers_of_one_call_are_part_of_the_key(client: Any) -> None:
    client.get("/a", headers={"Authorization": "one"})
    assert client.get("/a", headers={"Authorization": "two"}).text == "2"
    assert client.get("/a", headers={"authorization": "one"}).text == "1"
    assert client.get("/a", headers=[("Authorization", "two")]).text == "2"


def test_a_post_that_reads_is_looked_up_by_its_body(make: Make) -> None:
    client = make(controller=Controller([Read("/q", methods=("POST",))]))
    client.post("/q", json={"part": "A", "n": 1})
    client.post("/q", content=b"raw")
    client.post("/q", content="text")
    assert client.lookup("POST", "/q", json={"part": "A", "n": 1}).content == b"1"
    assert client.lookup("POST", "/q", content=b"raw").content == b"2"
    assert client.lookup("POST", "/q", content=b"text").content == b"3"
    assert client.lookup("POST", "/q", json={"part": "A", "n": True}) is None
    assert client.lookup("POST", "/q", json={"n": 1, "part": "A"}) is None
    assert client.lookup("POST", "/q") is None
    assert client.lookup("POST", "/q", content=b"raw", json={"part": "A", "n": 1}) is None


def test_more_calls_than_the_memo_holds_still_answer_right(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pywats_cache.transport.fast_path.MAX_MEMO", 3)
    client = make()
    for _ in range(2):
        assert [client.get(f"/{n}").text for n in range(10)] == [str(n + 1) for n in range(10)]
    assert len(client._door._memo) <= 3


@pytest.mark.anyio
async def test_an_async_lookup_does_not_suspend(lib: SimpleNamespace, origin: Any) -> None:
    async with lib.AsyncCacheClient(transport=origin.transport, base_url="http://origin") as client:
        await client.get("/a")
        coroutine = client.get("/a")
        with pytest.raises(StopIteration) as stopped:
            coroutine.send(None)
        response = stopped.value.value
        assert response.text == "1"
        assert await response.aread() == b"1"
        assert str(response.url) == "http://origin/a"
        stats = client.cache.stats
        assert (stats.hits, stats.lookups, stats.requests) == (1, 1, 2)
        client.cookies.set("a", "b")
        assert (await client.get("/a")).text == "2"
        assert client.cache.stats.lookups == 1


def test_the_second_call_is_looked_up_without_building_a_request(
    client: Any, monkeypatch: pytest.MonkeyPatch, lib: SimpleNamespace
) -> None:
    first = client.get("/a", headers={"X-One": "1"})
    first.request.headers["X-Poison"] = "1"
    with monkeypatch.context() as patched:
        patched.setattr(lib.http._client, "URL", None)  # what building a request begins with
        second = client.get("/a", headers={"X-One": "1"})
    assert lookups(client) == 1
    assert "X-Poison" not in second.request.headers
    assert second.request.headers["X-One"] == "1"
    assert second.request.extensions == first.request.extensions


def test_a_call_with_timeouts_of_its_own_teaches_nothing(client: Any) -> None:
    client.get("/a", timeout=7.0)
    looked_up = client.get("/a")
    assert lookups(client) == 1
    assert looked_up.request.extensions["timeout"]["read"] == 5.0


@pytest.mark.parametrize("header", ["Authorization", "X-Mode"])
def test_a_request_that_the_next_transport_changed_teaches_nothing(
    make: Make, lib: SimpleNamespace, origin: Any, header: str
) -> None:
    class Changing(lib.http.BaseTransport):
        def handle_request(self, request: Any) -> Any:
            request.headers[header] = "its own"
            return origin.transport.handle_request(request)

    client = make(transport=Changing())
    client.get("/a")
    looked_up = client.get("/a")
    assert lookups(client) == 1
    assert header not in looked_up.request.headers
