"""What a request says of caching, as a caller sees it: its headers, HEAD, and bodies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from pywats_cache import CacheOutcome, Controller, Read, Write
from pywats_cache.testing import FakeClock

Make = Callable[..., Any]
Outcome = Callable[[Any], CacheOutcome]


# ── what a request says ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"Range": "bytes=0-1"}, "range"),
        ({"If-None-Match": '"x"'}, "conditional"),
        ({"If-Match": '"x"'}, "conditional"),
        ({"If-Modified-Since": "Tue, 01 Jan 2030 00:00:00 GMT"}, "conditional"),
        ({"If-Unmodified-Since": "Tue, 01 Jan 2030 00:00:00 GMT"}, "conditional"),
        ({"Cache-Control": "no-store"}, "caller-bypass"),
        ({"Cache-Control": "max-age=5, No-Store"}, "caller-bypass"),
        ({"Upgrade": "websocket"}, "upgrade"),
        ({"Accept": "text/event-stream"}, "upgrade"),
    ],
)
def test_a_request_that_goes_around_the_cache(client: Any, outcome: Outcome, headers: Any, reason: str) -> None:
    client.get("/a")
    response = client.get("/a", headers=headers)
    assert outcome(response)[:2] == ("bypass", reason)
    assert response.text == "2"
    assert client.get("/a").text == "1", "it stored nothing"


@pytest.mark.parametrize(
    "headers", [{"Cache-Control": "no-cache"}, {"Cache-Control": "max-age=0"}, {"Pragma": "no-cache"}]
)
def test_a_request_for_a_new_answer_refreshes(client: Any, outcome: Outcome, headers: Any) -> None:
    client.get("/a")
    response = client.get("/a", headers=headers)
    assert outcome(response)[:2] == ("miss", "refresh")
    assert response.text == "2"
    assert client.get("/a").text == "2"


def test_pragma_counts_only_without_cache_control(client: Any) -> None:
    client.get("/a")
    assert client.get("/a", headers={"Pragma": "no-cache", "Cache-Control": "max-age=60"}).text == "1"


def test_max_age_bounds_the_age_that_a_caller_takes(client: Any, clock: FakeClock, outcome: Outcome) -> None:
    client.get("/a")
    clock.advance(10)
    assert client.get("/a", headers={"Cache-Control": "max-age=10"}).text == "1"
    clock.advance(0.5)
    response = client.get("/a", headers={"Cache-Control": "max-age=10"})
    assert outcome(response)[:2] == ("miss", "refresh")
    assert client.get("/a").text == "2"


@pytest.mark.parametrize("value", ["max-age=-1", "max-age=x", "max-age", "max-age=1.5"])
def test_a_malformed_max_age_is_no_bound(client: Any, value: str) -> None:
    client.get("/a")
    assert client.get("/a", headers={"Cache-Control": value}).text == "1"


@pytest.mark.parametrize(
    ("query", "bypassed"),
    [
        ("fresh=1", True),
        ("FRESH", True),
        ("a=1&fr%65sh=", True),
        ("freshness=1", False),
        ("a=fresh", False),
        ("", False),
    ],
)
def test_a_query_parameter_may_bypass(cached: Make, outcome: Outcome, query: str, bypassed: bool) -> None:
    client = cached(Controller([Read("/a", bypass_query=("Fresh",))]))
    response = client.get(f"/a?{query}")
    assert (outcome(response)[:2] == ("bypass", "query-bypass")) is bypassed


# ── HEAD and bodies of requests ───────────────────────────────────────────────────────────────────────────────────────


def test_a_head_is_answered_from_a_stored_get(client: Any, origin: Any, outcome: Outcome) -> None:
    origin.reply = {"content": b"x" * 50, "headers": {"ETag": '"1"'}}
    client.get("/a")
    response = client.head("/a")
    assert outcome(response)[:2] == ("hit", "fresh")
    assert origin.count == 1
    assert response.content == b""
    assert response.headers["content-length"] == "50"
    assert response.headers["etag"] == '"1"'
    assert response.num_bytes_downloaded == 0
    assert response.request.method == "HEAD"
    assert client.get("/a").content == b"x" * 50


def test_a_head_stores_nothing(client: Any, origin: Any, outcome: Outcome) -> None:
    origin.reply = lambda request: origin.http.Response(200, content=b"" if request.method == "HEAD" else b"body")
    for _ in range(2):
        assert outcome(client.head("/a"))[:2] == ("miss", "head")
    response = client.get("/a")
    assert response.content == b"body"
    assert outcome(response).status == "miss"
    assert origin.count == 3


def test_a_head_is_not_answered_from_an_expired_or_dirtied_get(client: Any, clock: FakeClock, origin: Any) -> None:
    client.get("/a")
    clock.advance(300)
    client.head("/a")
    assert origin.count == 2
    client.get("/a")
    client.put("/a")
    client.head("/a")
    assert origin.count == 5


def test_a_post_that_reads_is_keyed_by_its_body(cached: Make, outcome: Outcome) -> None:
    client = cached(Controller([Read("/query", methods=("POST",), ttl=60)]))
    assert client.post("/query", json={"part": "A"}).text == "1"
    assert client.post("/query", json={"part": "B"}).text == "2"
    response = client.post("/query", json={"part": "A"})
    assert response.text == "1"
    assert outcome(response)[:2] == ("hit", "fresh")
    assert client.post("/query").text == "3"


def test_the_type_of_a_body_is_part_of_the_key(cached: Make) -> None:
    client = cached(Controller([Read("/query", methods=("POST",))]))
    client.post("/query", content=b"1", headers={"Content-Type": "application/json"})
    assert client.post("/query", content=b"1", headers={"Content-Type": "text/csv"}).text == "2"
    assert client.post("/query", content=b"1", headers={"Content-Encoding": "gzip"}).text == "3"


def test_a_post_that_reads_is_dirtied_like_any_read(cached: Make) -> None:
    client = cached(Controller([Read("/q/find", methods=("POST",), tags=("unit",)), Write("/w", dirties=("unit",))]))
    client.post("/q/find", json={})
    client.post("/w")
    assert client.post("/q/find", json={}).text == "3"


def test_a_get_with_a_body_is_keyed_by_it(client: Any) -> None:
    assert client.request("GET", "/a", content=b"one").text == "1"
    assert client.request("GET", "/a", content=b"two").text == "2"
    assert client.request("GET", "/a").text == "3"
    assert client.request("GET", "/a", content=b"one").text == "1"


def test_a_streamed_body_goes_around_the_cache_unconsumed(
    cached: Make, origin: Any, lib: SimpleNamespace, outcome: Outcome
) -> None:
    given: list[bytes] = []
    bodies: list[bytes] = []

    class Transport(lib.http.BaseTransport):
        def handle_request(self, request: Any) -> Any:
            assert given == [], "nothing was consumed for a key"
            bodies.append(b"".join(request.stream))
            return lib.http.Response(200, text="ok")

    def chunks() -> Iterator[bytes]:
        for chunk in (b"one", b"two"):
            given.append(chunk)
            yield chunk

    transport = lib.CacheTransport(Transport(), controller=Controller([Read("/q", methods=("POST",))]))
    with lib.http.Client(transport=transport) as client:
        response = client.post("http://host/q", content=chunks())
    assert outcome(response)[:2] == ("bypass", "streamed-body")
    assert bodies == [b"onetwo"]


def test_a_body_that_was_read_before_is_replayable(cached: Make, outcome: Outcome) -> None:
    client = cached(Controller([Read("/q", methods=("POST",))]))

    def send() -> Any:
        request = client.build_request("POST", "/q", content=iter([b"one", b"two"]))
        request.read()
        return client.send(request)

    assert outcome(send()).stored
    assert outcome(send()).status == "hit"
