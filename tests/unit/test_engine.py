"""Every decision, as a caller sees it: outcomes, what is stored, what a write does."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from pywats_cache import REASONS, Bypass, CacheOutcome, Controller, MemoryStorage, Read, Write
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


# ── keys ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("/a", "/a#fragment", True),
        ("/a?x=1&y=2", "/a?y=2&x=1", True),
        ("/a?x=1&x=2", "/a?x=2&x=1", False),
        ("/a?x=1", "/a?x=2", False),
        ("/a", "/a?x", False),
        ("/a", "/A", False),
        ("/a", "/a/", False),
        ("/a%2Fb", "/a/b", False),
        ("http://host/a", "http://host:80/a", True),
        ("http://host/a", "http://HOST/a", True),
        ("http://host/a", "http://host:81/a", False),
        ("http://host/a", "https://host/a", False),
        ("http://host/a", "http://other/a", False),
    ],
)
def test_which_urls_are_one(client: Any, one: str, other: str, same: bool) -> None:
    client.get(one)
    assert client.get(other).text == ("1" if same else "2")


def test_methods_do_not_share_answers(cached: Make) -> None:
    client = cached(Controller([Read("/a", methods=("GET", "POST"))]))
    assert client.get("/a").text == "1"
    assert client.post("/a").text == "2"
    assert [client.get("/a").text, client.post("/a").text] == ["1", "2"]


def test_a_host_header_of_its_own_asks_another_site(client: Any) -> None:
    client.get("/a")
    assert client.get("/a", headers={"Host": "other.example"}).text == "2"
    assert client.get("/a", headers={"Host": "other.example"}).text == "2"
    assert client.get("/a", headers={"Host": "origin"}).text == "1"


def test_a_target_of_its_own_goes_around_the_cache(client: Any, outcome: Outcome) -> None:
    client.get("/a")
    response = client.get("/a", extensions={"target": b"/b"})
    assert outcome(response)[:2] == ("bypass", "target")


def test_the_key_tells_nothing_of_url_and_credentials(client: Any, outcome: Outcome) -> None:
    key = outcome(client.get("/secret-path?token=hush", headers={"Authorization": "Bearer hush"})).key
    assert key is not None
    assert len(key) == 32
    assert set(key) <= set("0123456789abcdef")


def test_a_method_override_makes_a_get_a_write(client: Any, outcome: Outcome) -> None:
    client.get("/a")
    response = client.get("/a", headers={"X-HTTP-Method-Override": "DELETE"})
    assert outcome(response)[:2] == ("bypass", "write")
    assert outcome(client.get("/a")).reason == "dirtied"


# ── credentials ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "header",
    ["Authorization", "Proxy-Authorization", "Cookie", "X-API-Key", "X-Auth-Token", "Ocp-Apim-Subscription-Key"],
)
def test_credentials_separate_answers(client: Any, header: str) -> None:
    assert client.get("/a", headers={header: "one"}).text == "1"
    assert client.get("/a", headers={header: "two"}).text == "2"
    assert client.get("/a").text == "3"
    assert client.get("/a", headers={header: "one"}).text == "1"
    assert client.get("/a", headers={header.upper(): "two"}).text == "2"


def test_another_credential_beside_the_same_separates_too(client: Any) -> None:
    client.get("/a", headers={"Authorization": "one"})
    assert client.get("/a", headers={"Authorization": "one", "Cookie": "a=b"}).text == "2"


def test_other_headers_do_not_separate(client: Any) -> None:
    client.get("/a", headers={"X-Request-ID": "1", "User-Agent": "one"})
    assert client.get("/a", headers={"X-Request-ID": "2", "User-Agent": "two"}).text == "1"


def test_userinfo_of_the_url_separates(client: Any) -> None:
    assert client.get("http://one:pw@host/a").text == "1"
    assert client.get("http://two:pw@host/a").text == "2"
    assert client.get("http://host/a").text == "3"
    assert client.get("http://one:pw@host/a").text == "1"


def test_userinfo_separates_what_comes_without_a_client_too(client: Any, lib: SimpleNamespace) -> None:
    def ask(user: str) -> str:
        return client.cache.handle_request(lib.http.Request("GET", f"http://{user}:pw@host/a")).read().decode()

    assert [ask("one"), ask("two"), ask("one")] == ["1", "2", "1"]


def test_a_write_of_one_user_dirties_what_another_holds(client: Any) -> None:
    client.get("/a", headers={"Authorization": "one"})
    client.put("/a", headers={"Authorization": "two"})
    assert client.get("/a", headers={"Authorization": "one"}).text == "3"


def test_a_partition_of_further_headers(cached: Make) -> None:
    client = cached(Controller(partition=("X-Tenant",)))
    assert client.get("/a", headers={"x-tenant": "one"}).text == "1"
    assert client.get("/a", headers={"X-Tenant": "two"}).text == "2"
    assert client.get("/a", headers={"X-Tenant": "one"}).text == "1"
    assert client.get("/a", headers={"X-Tenant": "one", "Authorization": "x"}).text == "3"


def test_a_partition_function_replaces_the_rule(cached: Make) -> None:
    def user(headers: Any) -> str:
        return headers.get("x-user", "")

    client = cached(Controller(partition=user))
    client.get("/a", headers={"X-User": "one", "Authorization": "token-1"})
    assert client.get("/a", headers={"X-User": "one", "Authorization": "token-2"}).text == "1"
    assert client.get("/a", headers={"X-User": "two", "Authorization": "token-1"}).text == "2"


@pytest.mark.parametrize("given", [None, 5, b"user"])
def test_a_partition_function_must_return_a_string(cached: Make, origin: Any, given: object) -> None:
    client = cached(Controller(partition=lambda headers: given))
    with pytest.raises(TypeError, match="partition"):
        client.get("/a")
    assert origin.count == 0


def test_an_error_of_the_partition_function_reaches_the_caller(cached: Make) -> None:
    client = cached(Controller(partition=lambda headers: headers["x-user"]))
    with pytest.raises(KeyError):
        client.get("/a")


def test_a_401_drops_what_the_partition_holds_and_nothing_else(cached: Make, origin: Any) -> None:
    client = cached(Controller(drop_on=(401, 403)))
    for user in ("one", "two"):
        client.get("/a", headers={"Authorization": user})
        client.get("/b", headers={"Authorization": user})
    origin.reply = {"status_code": 401}
    client.get("/c", headers={"Authorization": "one"})
    origin.reply = {}
    assert client.get("/a", headers={"Authorization": "one"}).text == "6"
    assert client.get("/b", headers={"Authorization": "one"}).text == "7"
    assert client.get("/a", headers={"Authorization": "two"}).text == "3"


@pytest.mark.parametrize("request_", [("PUT", "/c", {}), ("OPTIONS", "/c", {}), ("GET", "/c", {"Range": "bytes=0-1"})])
def test_a_401_of_any_request_drops(cached: Make, origin: Any, request_: Any) -> None:
    method, path, headers = request_
    client = cached(Controller(drop_on=(401,)))
    client.get("/a")
    origin.reply = {"status_code": 401}
    client.request(method, path, headers=headers)
    origin.reply = {}
    assert client.get("/a").text == "3"


def test_a_403_drops_that_path_only(cached: Make, origin: Any) -> None:
    client = cached(Controller(drop_on=(401, 403)))
    client.get("/a", headers={"Authorization": "one"})
    client.get("/b", headers={"Authorization": "one"})
    origin.reply = {"status_code": 403}
    client.get("/a", headers={"Authorization": "two"})
    origin.reply = {}
    assert client.get("/a", headers={"Authorization": "one"}).text == "4"
    assert client.get("/b", headers={"Authorization": "one"}).text == "2"


def test_without_drop_on_a_401_drops_nothing(client: Any, origin: Any) -> None:
    client.get("/a")
    origin.reply = {"status_code": 401}
    client.get("/b")
    assert client.get("/a").text == "1"


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


# ── what an answer says ───────────────────────────────────────────────────────────────────────────────────────────────


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


# ── writes ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "PURGE", "FOO"])
def test_an_unsafe_method_dirties_its_path_what_is_below_and_its_collection(client: Any, method: str) -> None:
    paths = ["/a/b", "/a/b/c", "/a", "/a?page=2", "/", "/a/other", "/a/bb"]
    for path in paths:
        client.get(path)
    client.request(method, "/a/b")
    assert [client.get(path).text for path in paths] == ["9", "10", "11", "12", "5", "6", "7"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE"])
def test_a_safe_method_dirties_nothing(client: Any, method: str) -> None:
    client.get("/a")
    client.request(method, "/a")
    assert client.get("/a").text == "1"


def test_case_and_encoding_of_a_path_do_not_hide_a_write(client: Any) -> None:
    client.get("/Api/%C3%84pfel/x")
    client.put("/api/A%CC%88PFEL/x")
    assert client.get("/Api/%C3%84pfel/x").text == "3"


def test_a_write_elsewhere_dirties_nothing(client: Any) -> None:
    client.get("http://one/a")
    client.put("http://two/a")
    client.put("http://one:81/a")
    client.put("https://one/a")
    assert client.get("http://one/a").text == "1"


def test_a_bypass_rule_does_not_dirty(cached: Make) -> None:
    client = cached(Controller([Bypass("/a", methods=("POST",))]))
    client.get("/a")
    client.post("/a")
    assert client.get("/a").text == "1"


def test_a_read_by_post_does_not_dirty(cached: Make) -> None:
    client = cached(Controller([Read("/a", methods=("POST",))]))
    client.get("/a")
    client.post("/a")
    assert client.get("/a").text == "1"


def test_a_get_that_writes_dirties_and_is_never_cached(cached: Make, outcome: Outcome) -> None:
    client = cached(Controller([Write("/log", methods=("GET",), dirties=("log",)), Read("/entries", tags=("log",))]))
    client.get("/entries")
    assert outcome(client.get("/log"))[:2] == ("bypass", "write")
    assert client.get("/log").text == "3"
    assert client.get("/entries").text == "4"


def test_dirties_name_tags_of_reads_anywhere_at_the_origin(cached: Make) -> None:
    controller = Controller([Read("/units", tags=("unit",)), Write("/report", dirties=("unit", "report"))])
    client = cached(controller)
    client.get("/units")
    client.get("http://elsewhere/units")
    client.post("/report")
    assert client.get("/units").text == "4"
    assert client.get("http://elsewhere/units").text == "2"


@pytest.mark.parametrize(
    ("status", "dirties"),
    [
        (200, True),
        (201, True),
        (204, True),
        (303, True),
        (400, False),
        (404, False),
        (409, False),
        (500, True),
        (503, True),
    ],
)
def test_which_answers_to_a_write_dirty(client: Any, origin: Any, status: int, dirties: bool) -> None:
    client.get("/a")
    origin.reply = {"status_code": status}
    client.put("/a")
    origin.reply = {}
    assert client.get("/a").text == ("3" if dirties else "1")
    assert client.cache.stats.invalidations == int(dirties)


@pytest.mark.parametrize(
    ("error", "dirties"),
    [
        ("ReadTimeout", True),
        ("WriteTimeout", True),
        ("ReadError", True),
        ("WriteError", True),
        ("RemoteProtocolError", True),
        ("ConnectError", False),
        ("ConnectTimeout", False),
        ("PoolTimeout", False),
        ("UnsupportedProtocol", False),
    ],
)
def test_a_failed_write_dirties_unless_nothing_was_sent(
    client: Any, origin: Any, lib: SimpleNamespace, error: str, dirties: bool
) -> None:
    client.get("/a")
    kind = getattr(lib.http, error)

    def fail(request: Any) -> Any:
        raise kind("failed", request=request)

    origin.reply = fail
    with pytest.raises(kind):
        client.put("/a")
    origin.reply = {}
    assert client.get("/a").text == ("3" if dirties else "1")


@pytest.mark.parametrize(("marked", "dirties"), [(True, False), (False, True)])
def test_an_error_of_another_kind_dirties_unless_it_says_that_nothing_was_sent(
    client: Any, origin: Any, marked: bool, dirties: bool
) -> None:
    class BreakerOpenError(Exception):
        request_not_sent = marked

    def fail(request: Any) -> Any:
        raise BreakerOpenError

    client.get("/a")
    origin.reply = fail
    with pytest.raises(BreakerOpenError):
        client.put("/a")
    origin.reply = {}
    assert client.get("/a").text == ("3" if dirties else "1")


def test_a_keyboard_interrupt_in_a_write_dirties(client: Any, origin: Any) -> None:
    def interrupt(request: Any) -> Any:
        raise KeyboardInterrupt

    client.get("/a")
    origin.reply = interrupt
    with pytest.raises(KeyboardInterrupt):
        client.put("/a")
    origin.reply = {}
    assert client.get("/a").text == "3"


def test_a_dirtied_answer_says_so(client: Any, outcome: Outcome) -> None:
    client.get("/a")
    client.put("/a")
    assert outcome(client.get("/a"))[:2] == ("miss", "dirtied")


def test_a_read_in_flight_during_a_write_is_not_stored(client: Any, origin: Any, outcome: Outcome) -> None:
    def overtaken(request: Any) -> Any:
        if request.method == "GET" and origin.count == 1:
            client.put("/a")
        return origin.http.Response(200, text=str(origin.count))

    origin.reply = overtaken
    response = client.get("/a")
    assert not outcome(response).stored
    assert client.get("/a").text == "3"


def test_a_write_in_flight_keeps_no_read_out_that_began_after_it_returned(client: Any, outcome: Outcome) -> None:
    client.put("/a")
    assert outcome(client.get("/a")).stored
    assert outcome(client.get("/a")).status == "hit"


# ── the settle window ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_after_an_unknown_outcome_reads_settle(client: Any, origin: Any, clock: FakeClock, outcome: Outcome) -> None:
    origin.reply = {"status_code": 503}
    client.put("/a", timeout=8)
    origin.reply = {}
    for count in ("2", "3"):
        response = client.get("/a")
        assert outcome(response)[:2] == ("miss", "settling")
        assert not outcome(response).stored
        assert response.text == count
    assert outcome(client.get("/elsewhere")).stored
    clock.advance(7.9)
    assert outcome(client.get("/a")).reason == "settling"
    clock.advance(0.1)
    assert outcome(client.get("/a")).stored


@pytest.mark.parametrize(("timeout", "window"), [(1, 5), (12, 12), (600, 30), (None, 30)])
def test_the_window_is_the_requests_timeout_from_5_to_30_s(
    client: Any, origin: Any, clock: FakeClock, outcome: Outcome, timeout: float | None, window: float
) -> None:
    origin.reply = {"status_code": 500}
    client.put("/a", timeout=timeout)
    origin.reply = {}
    clock.advance(window - 0.1)
    assert outcome(client.get("/a")).reason == "settling"
    clock.advance(0.1)
    assert outcome(client.get("/a")).stored


def test_a_broken_write_settles_too(
    client: Any, origin: Any, lib: SimpleNamespace, clock: FakeClock, outcome: Outcome
) -> None:
    def fail(request: Any) -> Any:
        raise lib.http.ReadTimeout("late", request=request)

    origin.reply = fail
    with pytest.raises(lib.http.ReadTimeout):
        client.put("/a")
    origin.reply = {}
    assert outcome(client.get("/a"))[:2] == ("miss", "settling")


@pytest.mark.parametrize("status", [200, 404])
def test_a_known_outcome_does_not_settle(client: Any, origin: Any, outcome: Outcome, status: int) -> None:
    origin.reply = {"status_code": status}
    client.put("/a")
    origin.reply = {}
    assert outcome(client.get("/a")).stored


def test_a_rule_may_settle_after_each_write(cached: Make, clock: FakeClock, outcome: Outcome) -> None:
    client = cached(Controller([Write("/report", dirties=("unit",), settle=3), Read("/units", tags=("unit",))]))
    client.post("/report")
    assert outcome(client.get("/units")).reason == "settling"
    assert outcome(client.get("/else")).stored
    clock.advance(3)
    assert outcome(client.get("/units")).stored


def test_a_read_that_began_inside_the_window_is_not_stored_after_it(
    client: Any, origin: Any, clock: FakeClock, outcome: Outcome
) -> None:
    origin.reply = {"status_code": 500}
    client.put("/a", timeout=5)

    def slow(request: Any) -> Any:
        clock.advance(100)
        return origin.http.Response(200, text="old")

    origin.reply = slow
    assert not outcome(client.get("/a")).stored


def test_what_settles_does_not_hide_a_head_or_a_bypass(client: Any, origin: Any, outcome: Outcome) -> None:
    origin.reply = {"status_code": 500}
    client.put("/a")
    origin.reply = {}
    assert outcome(client.head("/a"))[:2] == ("miss", "head")
    assert outcome(client.get("/a", headers={"Range": "bytes=0-"}))[:2] == ("bypass", "range")


# ── invalidate and clear ──────────────────────────────────────────────────────────────────────────────────────────────


def test_invalidate_a_path_and_all_below_at_every_origin(client: Any) -> None:
    urls = ["/api/Product", "/api/Product/1?x=1", "http://two/api/product/2", "/api/Production", "/api"]
    for url in urls:
        client.get(url)
    client.cache.invalidate("/api/Product")
    assert [client.get(url).text for url in urls] == ["6", "7", "8", "4", "5"]


def test_invalidate_tags(cached: Make) -> None:
    client = cached(Controller([Read("/a", tags=("fruit", "red")), Read("/b", tags=("fruit",)), Read("/c", tags=())]))
    for path in ("/a", "/b", "/c"):
        client.get(path)
    client.cache.invalidate(tags=("red",))
    assert [client.get(path).text for path in ("/a", "/b", "/c")] == ["4", "2", "3"]
    client.cache.invalidate("/c", tags=("fruit",))
    assert [client.get(path).text for path in ("/a", "/b", "/c")] == ["5", "6", "7"]


def test_invalidate_the_root_is_everything(client: Any) -> None:
    for url in ("/", "/a", "http://two/b"):
        client.get(url)
    client.cache.invalidate("/")
    assert [client.get(url).text for url in ("/", "/a", "http://two/b")] == ["4", "5", "6"]


def test_invalidate_reaches_more_origins_than_are_remembered(client: Any) -> None:
    for n in range(300):
        client.get(f"http://host{n}/a")
    client.cache.invalidate("/a")
    assert client.get("http://host0/a").text == "301"
    assert client.get("http://host299/a").text == "302"


def test_invalidate_keeps_a_fetch_under_way_out(client: Any, origin: Any, outcome: Outcome) -> None:
    def overtaken(request: Any) -> Any:
        if origin.count == 1:
            client.cache.invalidate("/a")
        return origin.http.Response(200, text=str(origin.count))

    origin.reply = overtaken
    assert not outcome(client.get("/a")).stored
    assert client.get("/a").text == "2"


@pytest.mark.parametrize(
    ("arguments", "options", "kind"),
    [
        ((), {}, TypeError),
        ((5,), {}, TypeError),
        ((b"/a",), {}, TypeError),
        ((), {"tags": "product"}, TypeError),
        ((), {"tags": (1,)}, TypeError),
        (("a",), {}, ValueError),
        (("",), {}, ValueError),
        (("http://host/a",), {}, ValueError),
        (("/a?x=1",), {}, ValueError),
        ((), {"tags": ("",)}, ValueError),
    ],
)
def test_invalidate_refuses_what_it_cannot_mean(client: Any, arguments: Any, options: Any, kind: type) -> None:
    with pytest.raises(kind) as caught:
        client.cache.invalidate(*arguments, **options)
    assert type(caught.value).__module__ == "pywats_cache.errors"
    assert client.cache.stats.invalidations == 0


def test_soft_invalidation_without_a_stale_window_is_a_miss(client: Any, outcome: Outcome) -> None:
    client.get("/a")
    client.cache.invalidate("/a", soft=True)
    response = client.get("/a")
    assert response.text == "2"
    assert outcome(response)[:2] == ("miss", "softened")


def test_invalidations_are_counted(client: Any) -> None:
    client.cache.invalidate("/a")
    client.cache.invalidate(tags=("t",))
    assert client.cache.stats.invalidations == 2


def test_clear_forgets_everything_stored(client: Any) -> None:
    client.get("/a")
    client.cache.clear()
    assert (client.cache.stats.entries, client.cache.stats.size_bytes) == (0, 0)
    assert client.get("/a").text == "2"


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


def test_a_caller_in_the_middle_of_a_fetch_may_ask_for_the_same(client: Any, origin: Any, outcome: Outcome) -> None:
    inner = []

    def reenter(request: Any) -> Any:
        if origin.count == 1:
            inner.append(client.get("/a"))
        return origin.http.Response(200, text=str(origin.count))

    origin.reply = reenter
    client.get("/a")
    assert outcome(inner[0])[:2] == ("miss", "own-flight")


# ── secrets ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_secret_is_shown_anywhere(
    cached: Make, origin: Any, outcome: Outcome, caplog: pytest.LogCaptureFixture
) -> None:
    secrets = ("hush-token", "hush-cookie", "hush-key", "hush-password")
    client = cached(Controller([Write("/a/w", dirties=("t",))]))
    with caplog.at_level(logging.DEBUG, "pywats_cache"):
        response = client.get(
            "http://user:hush-password@origin/a",
            headers={"Authorization": "Bearer hush-token", "Cookie": "s=hush-cookie", "X-Api-Key": "hush-key"},
        )
        client.put("/a/w", headers={"Authorization": "Bearer hush-token"})
    storage = client.cache.storage
    shown = [repr(client.cache), repr(storage), repr(client.cache.controller), repr(client.cache.stats)]
    shown += [repr(outcome(response)), str(outcome(response).key), caplog.text]
    for key, entry in storage.table.items.items():
        shown += [key, repr(entry)]
        shown += [repr(getattr(entry, name)) for name in entry.__slots__ if name != "stream"]
    shown += [repr(storage.coherence._dirtied), repr(list(storage.flights._open)), repr(list(storage.varying))]
    assert len(storage) == 1
    for secret in secrets:
        assert not [text for text in shown if secret in text]
