"""A write reaches what it addresses, whatever its URL and however its path is spelled."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from pywats_cache import Bypass, CacheOutcome, Controller, Read, Write
from pywats_cache.testing import FakeClock
from pywats_cache.wats import wats_controller

Make = Callable[..., Any]
Outcome = Callable[[Any], CacheOutcome]
URL = "http://origin"


@pytest.fixture(params=["transport", "client"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=["TTL", "RFC 9111"])
def mode(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def make(lib: SimpleNamespace, origin: Any, clock: FakeClock, kind: str, mode: str) -> Make:
    """Makes clients in each mode, over a CacheTransport and as a CacheClient; every answer is fresh for 100 s."""
    origin.reply = {"headers": {"Cache-Control": "max-age=100"}}

    def make(*rules: Any, **options: Any) -> Any:
        controller = Controller(rules, rfc9111=mode != "TTL", **options)
        if kind == "client":
            return lib.CacheClient(base_url=URL, transport=origin.transport, controller=controller, clock=clock)
        cache = lib.CacheTransport(origin.transport, controller=controller, clock=clock)
        client = lib.http.Client(transport=cache, base_url=URL)
        client.cache = cache
        return client

    return make


def dropped(client: Any, *paths: str) -> list[bool]:
    """For each path whether its answer, which was stored before, has to be fetched again."""
    return [client.get(URL + path).extensions["pywats_cache"].status != "hit" for path in paths]


# ── a target other than the URL's ─────────────────────────────────────────────────────────────────────────────────────


def test_a_write_by_target_reaches_what_it_addresses(make: Make, outcome: Outcome) -> None:
    client = make()
    paths = ["/b", "/b/c?x=1", "/", "/a", "/other"]
    dropped(client, *paths)
    answer = client.put("/a", extensions={"target": b"/b?x=1"})
    assert outcome(answer)[:2] == ("bypass", "write")
    # The URL's path too: a next transport may not know of targets.
    assert dropped(client, *paths) == [True, True, True, True, False]


@pytest.mark.parametrize(
    ("target", "reached"),
    [
        ("/b", ["/b"]),
        (b"/%62", ["/b"]),
        (b"//b/", ["/b"]),
        (b"/x/../b", ["/b"]),
        (b"http://origin/b", ["/b"]),
        (b"HTTP://me@ORIGIN:80/b?y", ["/b"]),
        (b"http://other.example/b", ["/b"]),
        (b"http://origin", ["/b", "/other", "/other/deep"]),
        # What these address cannot be told.
        (b"*", ["/b", "/other", "/other/deep"]),
        (b"origin:80", ["/b", "/other", "/other/deep"]),
        (b"", ["/b", "/other", "/other/deep"]),
        (b"b", ["/b", "/other", "/other/deep"]),
        (b"/x#/b", ["/b", "/other", "/other/deep"]),
        (b"\\b", ["/b", "/other", "/other/deep"]),
        ("/ä".encode(), ["/b", "/other", "/other/deep"]),
        (b"/b c", ["/b", "/other", "/other/deep"]),
        (b"http://[/b", ["/b", "/other", "/other/deep"]),
        (None, ["/b", "/other", "/other/deep"]),
        (7, ["/b", "/other", "/other/deep"]),
    ],
)
def test_every_form_of_target_reaches_what_it_may_address(make: Make, target: Any, reached: list[str]) -> None:
    client = make()
    paths = ["/b", "/other", "/other/deep"]
    dropped(client, *paths)
    client.put("/a", extensions={"target": target})
    assert dropped(client, *paths) == [path in reached for path in paths]


def test_a_target_in_absolute_form_reaches_the_origin_it_names(make: Make) -> None:
    client = make(Write("/b", dirties=("t",)), Read("/tagged", tags=("t",)))
    for url in ("http://other:81/b", "http://other:81/tagged", "http://third/b"):
        client.get(url)
    client.put("/a", extensions={"target": b"http://other:81/b"})
    statuses = [
        client.get(url).extensions["pywats_cache"].status
        for url in ("http://other:81/b", "http://other:81/tagged", "http://third/b")
    ]
    assert statuses == ["miss", "miss", "hit"]


def test_rules_are_asked_by_the_target(make: Make, clock: FakeClock, outcome: Outcome) -> None:
    client = make(Write("/b", dirties=("t",), settle=5.0), Read("/tagged", tags=("t",)))
    dropped(client, "/tagged", "/free")
    client.put("/a", extensions={"target": b"/b"})
    assert outcome(client.get("/tagged")).reason == "settling"
    assert dropped(client, "/free") == [False]
    clock.advance(5.0)
    assert outcome(client.get("/tagged")).reason != "settling"


def test_where_the_target_cannot_be_told_the_longest_settle_window_applies(make: Make, outcome: Outcome) -> None:
    client = make(Write("/b", settle=5.0), Write("/c", settle=50.0))
    client.put("/a", extensions={"target": b"*"})
    assert outcome(client.get("/anything")).reason == "settling"


@pytest.mark.parametrize("rule", [Read("/query", methods=("POST",)), Bypass("/query")])
def test_a_read_or_bypass_whose_target_is_a_write_dirties(make: Make, rule: Any, outcome: Outcome) -> None:
    client = make(rule)
    dropped(client, "/b")
    answer = client.post("/query", content=b"q", extensions={"target": b"/b"})
    assert outcome(answer)[:2] == ("bypass", "write")
    assert dropped(client, "/b") == [True]


def test_a_write_whose_target_is_no_write_still_dirties_what_its_url_names(make: Make) -> None:
    client = make(Read("/query", methods=("POST",)))
    dropped(client, "/b")
    client.post("/b", extensions={"target": b"/query"})
    assert dropped(client, "/b") == [True]


def test_a_get_whose_target_is_a_write_rule_dirties(make: Make) -> None:
    client = make(Write("/log", methods=("GET",), dirties=("t",)), Read("/tagged", tags=("t",)))
    for target in (b"/log", b"*"):
        dropped(client, "/tagged")
        client.get("/a", extensions={"target": target})
        assert dropped(client, "/tagged") == [True]


@pytest.mark.parametrize("unmatched", ["cache", "bypass"])
def test_a_method_override_dirties_what_the_target_addresses(make: Make, unmatched: Any) -> None:
    client = make(Read("/b"), unmatched=unmatched)
    for target in ({"target": b"/b"}, {"target": b"*"}):
        dropped(client, "/b")
        client.get("/a", headers={"X-HTTP-Method-Override": "PUT"}, extensions=target)
        assert dropped(client, "/b") == [True]


def test_a_method_override_dirties_without_a_rule_too(make: Make) -> None:
    client = make(Read("/a/b"), unmatched="bypass")
    dropped(client, "/a/b")
    client.get("/a", headers={"X-HTTP-Method-Override": "PUT"})
    assert dropped(client, "/a/b") == [True]


def test_a_read_by_target_is_neither_stored_nor_answered(make: Make, origin: Any, outcome: Outcome) -> None:
    client = make()
    client.get("/a")
    assert outcome(client.get("/a", extensions={"target": b"/b"}))[:2] == ("bypass", "target")
    assert outcome(client.head("/a", extensions={"target": b"/b"}))[:2] == ("bypass", "target")
    assert client.get("/a").text == "1"
    assert outcome(client.get("/b")).status == "miss"


def test_a_condition_is_not_answered_for_another_target(make: Make, origin: Any, outcome: Outcome) -> None:
    origin.reply = {"headers": {"Cache-Control": "max-age=100", "ETag": '"1"'}}
    client = make()
    client.get("/a")
    answer = client.get("/a", headers={"If-None-Match": '"1"'}, extensions={"target": b"/b"})
    assert answer.status_code == 200
    assert outcome(answer)[:2] == ("bypass", "target")


def test_a_refusal_by_target_drops_what_it_speaks_of(make: Make, origin: Any) -> None:
    client = make(drop_on=(403,))
    fresh = dict(origin.reply)
    dropped(client, "/a", "/b")
    origin.reply = {"status_code": 403}
    client.get("/a", extensions={"target": b"/b"})
    origin.reply = fresh
    assert dropped(client, "/a", "/b") == [False, True]


def test_a_failed_write_by_target_may_have_been_applied(make: Make, origin: Any, lib: Any) -> None:
    def lost(request: Any) -> Any:
        raise lib.http.ReadError("lost", request=request)

    client = make()
    fresh = dict(origin.reply)
    dropped(client, "/b")
    origin.reply = lost
    with pytest.raises(lib.http.ReadError):
        client.put("/a", extensions={"target": b"/b"})
    origin.reply = fresh
    assert dropped(client, "/b") == [True]


def test_the_answer_to_a_post_by_target_is_not_that_of_its_url(lib: Any, origin: Any, clock: FakeClock) -> None:
    origin.reply = {"headers": {"Cache-Control": "max-age=100", "Content-Location": "/a"}}
    cache = lib.CacheTransport(origin.transport, controller=Controller(rfc9111=True), clock=clock)
    client = lib.http.Client(transport=cache, base_url=URL)
    client.post("/a", extensions={"target": b"/b"})
    assert client.get("/a").text == "2"


def test_a_location_in_the_answer_to_a_write_by_target_is_relative_to_that(lib: Any, origin: Any, clock: Any) -> None:
    cache = lib.CacheTransport(origin.transport, controller=Controller(rfc9111=True), clock=clock)
    client = lib.http.Client(transport=cache, base_url=URL)
    origin.reply = {"headers": {"Cache-Control": "max-age=100"}}
    dropped(client, "/deep/sibling")
    origin.reply = {"headers": {"Location": "sibling"}, "status_code": 201}
    client.post("/a", extensions={"target": b"/deep/b"})
    origin.reply = {}
    assert dropped(client, "/deep/sibling") == [True]


def test_explain_tells_what_a_write_by_target_dirties(client: Any, lib: Any) -> None:
    request = lib.http.Request("PUT", f"{URL}/a", extensions={"target": b"/b"})
    explanation = client.cache.explain(request)
    assert (explanation.kind, explanation.reason) == ("write", "write")
    assert "^http://origin/b" in explanation.tags


@pytest.mark.anyio
async def test_an_async_write_by_target_reaches_what_it_addresses(lib: Any, origin: Any, outcome: Outcome) -> None:
    async with lib.AsyncCacheClient(base_url=URL, transport=origin.transport) as client:
        await client.get("/b")
        await client.put("/a", extensions={"target": b"/b"})
        assert outcome(await client.get("/b")).reason == "dirtied"
        await client.put(f"{URL}//b/")
        assert outcome(await client.get("/b")).reason == "dirtied"


# ── extra slashes, dots and needless encoding ─────────────────────────────────────────────────────────────────────────

SPELLINGS = [
    "/api/Product/",
    "//api/Product",
    "/api//Product",
    "/api/%50roduct",
    "/api/%2e/Product",
    "//api///Product//",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_write_invalidates_what_it_would_without_extra_slashes(
    make: Make, spelling: str, clock: FakeClock, outcome: Outcome
) -> None:
    client = make(Write("/api/Product", dirties=("t",), settle=5.0), Read("/tagged", tags=("t",)), unmatched="cache")
    paths = ["/api/Product", "/api/Product/1?x=1", "/api", "/tagged", "/api/Production"]
    dropped(client, *paths)
    assert outcome(client.put(URL + spelling)).rule == "/api/Product"
    assert outcome(client.get("/tagged")).reason == "settling"
    clock.advance(5.0)
    assert dropped(client, *paths) == [True, True, True, True, False]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_write_reaches_reads_that_are_spelled_with_extra_slashes(make: Make, spelling: str) -> None:
    client = make(Write("/other", dirties=("t",)), Read("/api/Product", tags=("t",)))
    assert dropped(client, spelling, spelling) == [True, False]
    client.put("/api/Product")
    assert dropped(client, spelling, spelling) == [True, False]
    client.put("/other")
    assert dropped(client, spelling) == [True]


def test_reads_are_still_kept_apart_and_matched_as_they_are_spelled(make: Make, outcome: Outcome) -> None:
    client = make(Bypass("/a"))
    assert outcome(client.get("/a")).reason == "rule-bypass"
    assert outcome(client.get("/a/"))[:2] == ("miss", "unknown")
    assert outcome(client.get(f"{URL}//a"))[:2] == ("miss", "unknown")


def test_a_bypass_that_matches_an_extra_slash_only_hides_no_write(make: Make) -> None:
    client = make(Write("/a"), Bypass("/**", methods=("PUT",)))
    dropped(client, "/a")
    client.put("/a/")
    assert dropped(client, "/a") == [True]


def test_the_rules_of_wats_hold_with_a_trailing_slash() -> None:
    controller = wats_controller()
    for path in ("/api/Product", "/api/Report/WSJF", "/api/App/X"):
        for method in ("PUT", "POST", "DELETE"):
            plain, slashed = (controller.decide(method, spelled) for spelled in (path, f"/{path}/"))
            assert slashed.kind == "write" or plain.kind != "write"
            assert set(slashed.tags) >= (set(plain.tags) if plain.kind == "write" else set())
            assert (slashed.settle or 0) >= (plain.settle or 0)


# ── deep paths ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("depth", [63, 64, 65, 500, 2000])
def test_a_deep_path_is_cached_and_invalidated_like_any_other(make: Make, outcome: Outcome, depth: int) -> None:
    client = make()
    path = "/a" * depth
    assert dropped(client, path, path, path + "/b") == [True, False, True]
    client.put(path)
    assert dropped(client, path, path + "/b") == [True, True]
    client.put(path + "/b")
    assert dropped(client, path, path + "/b") == [True, True]
    client.cache.invalidate(path)
    assert dropped(client, path, path + "/b") == [True, True]
    client.put("/a")
    assert dropped(client, path) == [True]
    assert outcome(client.get("/other")).status == "miss"


def test_below_64_segments_a_write_reaches_its_neighbours_too(make: Make) -> None:
    client = make()
    shared = "/a" * 64
    dropped(client, f"{shared}/b/c", f"{shared}/d", "/a" * 63 + "/b")
    client.put(f"{shared}/e/f")
    assert dropped(client, f"{shared}/b/c", f"{shared}/d", "/a" * 63 + "/b") == [True, True, False]
