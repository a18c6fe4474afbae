"""What an answer says of caching, as a caller sees it: what is stored, and as which variant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pywats_cache import CacheOutcome, Controller, MemoryStorage, Read

Make = Callable[..., Any]
Outcome = Callable[[Any], CacheOutcome]


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ({"headers": {"Set-Cookie": "a=b"}}, "set-cookie"),
        ({"headers": {"Vary": "*"}}, "vary-any"),
        ({"headers": {"Cache-Control": "no-store"}}, "no-store"),
        ({"headers": {"Content-Type": "text/event-stream"}}, "stream"),
        ({"headers": {"Content-Type": "application/x-ndjson"}}, "stream"),
        ({"status_code": 206}, "status"),
        ({"status_code": 201}, "status"),
        ({"status_code": 404}, "status"),
        ({"status_code": 500}, "status"),
        ({"content": b"x" * 5000}, "too-large"),
    ],
)
def test_an_answer_that_is_not_stored_says_why(
    cached: Make, origin: Any, outcome: Outcome, reply: Any, reason: str
) -> None:
    client = cached(storage=MemoryStorage(max_entry_bytes=4000))
    origin.reply = reply
    for count in (1, 2):
        response = client.get("/a")
        got = outcome(response)
        assert (got.status, got.reason, got.stored) == ("miss", reason, False)
        assert origin.count == count
    assert client.cache.stats.entries == 0


def test_other_statuses_are_stored_by_rule(cached: Make, origin: Any) -> None:
    client = cached(Controller([Read("/a", statuses=(200, 404))]))
    origin.reply = {"status_code": 404}
    assert [client.get("/a").status_code for _ in range(2)] == [404, 404]
    assert origin.count == 1
    assert client.get("/b").status_code == 404
    assert client.get("/b").status_code == 404
    assert origin.count == 3


def test_a_rule_may_store_what_says_no_store(cached: Make, origin: Any) -> None:
    origin.reply = {"headers": {"Cache-Control": "no-store, no-cache"}}
    client = cached(Controller([Read("/a", ignore_no_store=True)]))
    assert [client.get("/a").text for _ in range(2)] == ["1", "1"]
    assert [client.get("/b").text for _ in range(2)] == ["2", "3"]


def test_what_else_a_server_says_of_caching_does_not_matter(client: Any, origin: Any) -> None:
    origin.reply = {"headers": {"Cache-Control": "no-cache, max-age=0, private", "Expires": "0", "Pragma": "no-cache"}}
    assert [client.get("/a").text for _ in range(2)] == ["1", "1"]


@pytest.mark.parametrize(("body", "stored"), [(b"", False), (b" null ", False), (b"[]", True), (b"0", True)])
def test_store_empty_keeps_nothing_out_but_nothing(
    cached: Make, origin: Any, outcome: Outcome, body: bytes, stored: bool
) -> None:
    origin.reply = {"content": body}
    client = cached(Controller(store_empty=False))
    response = client.get("/a")
    assert response.content == body
    assert outcome(response).stored is stored
    client.get("/a")
    assert origin.count == (1 if stored else 2)
    assert outcome(cached().get("/a")).stored, "by default an empty body is stored"


def test_each_variant_is_stored(client: Any, origin: Any, outcome: Outcome) -> None:
    origin.reply = lambda request: origin.http.Response(
        200, text=f"{request.headers['accept-language']} {origin.count}", headers={"Vary": "Accept-Language"}
    )
    got = [client.get("/a", headers={"Accept-Language": language}) for language in ("de", "en", "de", "en", "fr")]
    assert [response.text for response in got] == ["de 1", "en 2", "de 1", "en 2", "fr 3"]
    assert [outcome(response).status for response in got] == ["miss", "miss", "hit", "hit", "miss"]
    assert outcome(got[1]).reason == "vary"


def test_a_missing_header_is_a_variant_of_its_own(client: Any, origin: Any) -> None:
    origin.reply = {"headers": {"Vary": "X-Mode"}}
    assert client.get("/a", headers={"X-Mode": ""}).text == "1"
    assert client.get("/a").text == "2"
    assert client.get("/a", headers={"X-Mode": ""}).text == "1"
    assert client.get("/a").text == "2"


def test_vary_may_name_several_headers_in_several_lines(client: Any, origin: Any) -> None:
    origin.reply = {"headers": [("Vary", "X-A, x-b"), ("vary", "X-C")]}
    client.get("/a", headers={"X-A": "1", "X-B": "1", "X-C": "1"})
    assert client.get("/a", headers={"X-A": "1", "X-B": "1", "X-C": "2"}).text == "2"
    assert client.get("/a", headers={"X-A": "1", "X-B": "2", "X-C": "1"}).text == "3"
    assert client.get("/a", headers={"X-C": "1", "X-B": "1", "X-A": "1", "X-D": "9"}).text == "1"


def test_vary_by_accept_encoding_hits_for_the_same_encoding(client: Any, origin: Any) -> None:
    origin.reply = {"headers": {"Vary": "Accept-Encoding"}}
    client.get("/a")
    assert client.get("/a").text == "1"
    assert client.get("/a", headers={"Accept-Encoding": "identity"}).text == "2"


def test_answers_that_begin_to_vary_are_told_apart(client: Any, origin: Any) -> None:
    client.get("/a", headers={"X-Mode": "1"})
    client.put("/a")
    origin.reply = {"headers": {"Vary": "X-Mode"}}
    assert client.get("/a", headers={"X-Mode": "1"}).text == "3"
    assert client.get("/a", headers={"X-Mode": "2"}).text == "4"
    assert client.get("/a", headers={"X-Mode": "1"}).text == "3"


def test_a_write_dirties_every_variant(client: Any, origin: Any) -> None:
    origin.reply = {"headers": {"Vary": "X-Mode"}}
    for mode in "12":
        client.get("/a", headers={"X-Mode": mode})
    client.put("/a")
    assert [client.get("/a", headers={"X-Mode": mode}).text for mode in "12"] == ["4", "5"]
