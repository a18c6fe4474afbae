"""RFC 9111 mode, as a caller sees it: what is stored, for how long, and what a request asks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import hishel
import pytest
from header_fields import http_date
from rfc_origins import RFC, Make, Outcome, Said, unchanged

from pywats_cache import Bypass, CacheOutcome, Controller, MemoryStorage, Read, TieredStorage, Write
from pywats_cache.testing import FakeClock

# ── lifetime and age ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_answer_says_how_long_it_is_fresh(client: Any, says: Said, clock: FakeClock, outcome: Outcome) -> None:
    says(cache_control="max-age=60")
    miss = client.get("/a")
    assert outcome(miss) == CacheOutcome("miss", "unknown", 0.0, 60.0, outcome(miss).key, True, "default")
    clock.advance(59)
    hit = client.get("/a")
    assert outcome(hit)[:4] == ("hit", "fresh", 59.0, 60.0)
    assert (hit.text, hit.headers["age"]) == ("1", "59")
    clock.advance(1)
    assert outcome(client.get("/a"))[:2] == ("miss", "expired")


def test_without_lifetime_and_validator_nothing_is_stored(client: Any, outcome: Outcome) -> None:
    assert outcome(client.get("/a"))[1:6:4] == ("zero-ttl", False)
    assert client.get("/a").text == "2"


def test_an_answer_is_as_old_as_the_cache_before_said(client: Any, says: Said, clock: FakeClock) -> None:
    says(cache_control="max-age=60", age="50")
    assert client.get("/a").headers["age"] == "50"
    clock.advance(9)
    again = client.get("/a")
    assert again.headers.get_list("age") == ["59"]
    clock.advance(1)
    assert client.get("/a").text == "2"


def test_the_later_answer_replaces_one_of_lesser_age(client: Any, says: Said, clock: FakeClock) -> None:
    says(cache_control="max-age=1000")
    client.get("/a")
    clock.advance(5)
    says(cache_control="max-age=1000", age="500")
    client.get("/a", headers={"Cache-Control": "no-cache"})
    assert (client.get("/a").text, client.get("/a").headers["age"]) == ("2", "500")


def test_an_answer_without_date_gets_that_of_its_receipt(client: Any, says: Said, clock: FakeClock) -> None:
    says(cache_control="max-age=60")
    client.get("/a")
    received = http_date(clock.wall())
    clock.advance(9)
    assert client.get("/a").headers["date"] == received


def test_expires_counts_from_the_date(client: Any, says: Said, clock: FakeClock) -> None:
    says(date=http_date(clock.wall()), expires=http_date(clock.wall() + 10))
    client.get("/a")
    clock.advance(8)
    assert client.get("/a").text == "1"
    clock.advance(3)
    assert client.get("/a").text == "2"


def test_a_lifetime_is_guessed_from_the_last_change(client: Any, says: Said, clock: FakeClock) -> None:
    says(date=http_date(clock.wall()), last_modified=http_date(clock.wall() - 1000))
    client.get("/a")
    clock.advance(98)
    assert client.get("/a").text == "1"
    clock.advance(3)
    assert client.get("/a").text == "2"


def test_the_ttl_of_a_rule_counts_only_as_zero(cached: Make, says: Said, outcome: Outcome) -> None:
    says(cache_control="max-age=60")
    client = cached(Controller([Read("/no", ttl=0), Read("/yes", ttl=1)], ttl=2, rfc9111=True))
    assert outcome(client.get("/no"))[:2] == ("bypass", "zero-ttl")
    assert outcome(client.get("/yes")).ttl == outcome(client.get("/other")).ttl == 60.0


def test_a_caller_may_set_the_lifetime(client: Any, clock: FakeClock) -> None:
    client.get("/a", extensions={"pywats_cache": {"ttl": 5.0}})
    clock.advance(4)
    assert client.get("/a").text == "1"
    clock.advance(1)
    assert client.get("/a").text == "2"


def test_rules_bypass_and_tag_as_ever(cached: Make, says: Said, outcome: Outcome) -> None:
    says(cache_control="max-age=60")
    rules = [Bypass("/never"), Read("/r", tags=("t",)), Write("/w", dirties=("t",))]
    client = cached(Controller(rules, rfc9111=True))
    assert outcome(client.get("/never"))[:2] == ("bypass", "rule-bypass")
    client.get("/r")
    client.post("/w")
    assert outcome(client.get("/r"))[:2] == ("miss", "dirtied")


# ── what is stored ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("status", "fields", "reason"),
    [
        (200, {"cache_control": "no-store, max-age=60"}, "no-store"),
        (200, {"cache_control": "max-age=60", "vary": "*"}, "vary-any"),
        (206, {"cache_control": "max-age=60", "content_range": "bytes 0-0/9"}, "status"),
        (599, {"cache_control": "must-understand, max-age=60"}, "status"),
        (500, {"last_modified": "Sun, 06 Nov 1994 08:49:37 GMT"}, "status"),
    ],
)
def test_what_is_not_stored(
    client: Any, says: Said, outcome: Outcome, status: int, fields: dict[str, str], reason: str
) -> None:
    says(status, **fields)
    assert outcome(client.get("/a"))[1:6:4] == (reason, False)
    assert client.get("/a").text == "2"


def test_other_statuses_are_stored_where_they_say_for_how_long(client: Any, says: Said) -> None:
    says(404, cache_control="max-age=60")
    client.get("/a")
    assert (client.get("/a").status_code, client.get("/a").text) == (404, "1")


def test_a_private_cache_stores_cookies_and_lookups_leave_them_to_the_client(
    lib: SimpleNamespace, origin: Any, says: Said, clock: FakeClock
) -> None:
    says(cache_control="private, max-age=60", set_cookie="a=1")
    with lib.CacheClient(transport=origin.transport, controller=RFC, clock=clock, base_url="http://origin") as client:
        for _ in range(4):
            assert client.get("/a").headers["set-cookie"] == "a=1"
            client.cookies.clear()
        assert (origin.count, client.cache.stats.lookups) == (1, 0)


def test_a_lookup_tells_the_age(lib: SimpleNamespace, origin: Any, says: Said, clock: FakeClock) -> None:
    says(cache_control="max-age=60")
    with lib.CacheClient(transport=origin.transport, controller=RFC, clock=clock, base_url="http://origin") as client:
        client.get("/a")
        clock.advance(3)
        for _ in range(3):
            assert client.get("/a").headers["age"] == "3"
        assert client.cache.stats.lookups == 3
        assert client.get("/a", headers={"Cache-Control": "max-age=1"}).text == "2"


def test_fields_of_the_connection_reach_only_the_first_caller(client: Any, says: Said) -> None:
    said = "x-gone, close"
    says(connection=said, x_gone="1", x_kept="2", cache_control='max-age=60, no-cache="x-too"', x_too="3")
    first, hit = client.get("/a").headers, client.get("/a").headers
    assert {"x-gone", "x-kept", "x-too", "connection"} <= set(first)
    assert "x-kept" in hit
    assert not {"x-gone", "x-too", "connection"} & set(hit)


def test_the_order_of_a_query_counts(client: Any, says: Said) -> None:
    says(cache_control="max-age=60")
    assert [client.get(path).text for path in ("/a?b=1&c=2", "/a?c=2&b=1", "/a?b=1&c=2")] == ["1", "2", "1"]


def test_modes_on_one_storage_do_not_use_each_others_answers(cached: Make, says: Said) -> None:
    storage = MemoryStorage()
    says(cache_control="no-cache", etag='"a"')
    ttl, rfc = cached(None, storage), cached(RFC, storage)
    assert [ttl.get("/a").text, rfc.get("/a").text, ttl.get("/a").text] == ["1", "2", "1"]
    rfc.post("/a")
    assert ttl.get("/a").text == "4"


# ── what a request asks ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"Cache-Control": "max-age=20"}, "hit"),
        ({"Cache-Control": "max-age=5"}, "miss"),
        ({"Cache-Control": "max-age=0"}, "miss"),
        ({"Cache-Control": "min-fresh=50"}, "hit"),
        ({"Cache-Control": "min-fresh=51"}, "miss"),
        ({"Cache-Control": "no-cache"}, "miss"),
        ({"Pragma": "no-cache"}, "miss"),
        ({"Pragma": "no-cache", "Cache-Control": "max-stale"}, "hit"),
        ({"Cache-Control": "no-store"}, "bypass"),
        ({"Cache-Control": "only-if-cached"}, "hit"),
    ],
)
def test_what_a_request_asks_of_a_fresh_answer(
    client: Any, says: Said, clock: FakeClock, outcome: Outcome, asked: dict[str, str], status: str
) -> None:
    says(cache_control="max-age=60")
    client.get("/a")
    clock.advance(10)
    assert outcome(client.get("/a", headers=asked)).status == status


def test_max_stale_takes_what_is_stale_and_asks_nobody(
    client: Any, origin: Any, says: Said, clock: FakeClock, outcome: Outcome
) -> None:
    says(cache_control="max-age=10")
    client.get("/a")
    clock.advance(15)
    asked = {"Cache-Control": "max-stale=10, only-if-cached"}
    assert outcome(client.get("/a", headers=asked))[:2] == ("stale", "max-stale")
    assert origin.count == 1
    clock.advance(6)
    answer = client.get("/a", headers=asked)
    assert (answer.status_code, outcome(answer).reason) == (504, "only-if-cached")


def test_max_stale_does_not_overrule_must_revalidate(client: Any, says: Said, clock: FakeClock) -> None:
    says(cache_control="max-age=10, must-revalidate")
    client.get("/a")
    clock.advance(15)
    assert client.get("/a", headers={"Cache-Control": "max-stale"}).text == "2"


def test_immutable_answers_are_not_reloaded(client: Any, says: Said, outcome: Outcome) -> None:
    says(cache_control="max-age=60, immutable")
    client.get("/a")
    assert outcome(client.get("/a", headers={"Cache-Control": "max-age=0"})).status == "hit"


# ── Vary ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_variants_are_kept_side_by_side_and_by_meaning(client: Any, says: Said) -> None:
    says(cache_control="max-age=60", vary="Accept-Language")
    ask = ["en, de;q=0.5", "fr", "DE ; q=0.5,en", "fr;q=1.0"]
    assert [client.get("/a", headers={"Accept-Language": value}).text for value in ask] == ["1", "2", "1", "2"]


def test_an_answer_in_the_best_language_will_do(client: Any, says: Said) -> None:
    says(cache_control="max-age=60", vary="Accept-Language", content_language="de")
    client.get("/a", headers={"Accept-Language": "en, de"})
    assert client.get("/a", headers={"Accept-Language": "fr;q=0.5, de"}).text == "1"
    assert client.get("/a", headers={"Accept-Language": "fr"}).text == "2"


# ── around it ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_soft_purge_makes_stale(client: Any, origin: Any, says: Said, outcome: Outcome) -> None:
    says(cache_control="max-age=60", etag='"a"')
    client.get("/a")
    client.cache.invalidate("/a", soft=True)
    unchanged(origin, etag='"a"')
    assert outcome(client.get("/a")).status == "revalidated"
    assert outcome(client.get("/a")).status == "hit"


def test_cache_status_and_statistics(cached: Make, origin: Any, says: Said, clock: FakeClock) -> None:
    client = cached(Controller(rfc9111=True, cache_status="c"))
    says(cache_control="max-age=60", etag='"a"')
    told = [client.get("/a").headers["cache-status"]]
    clock.advance(10)
    told.append(client.get("/a").headers["cache-status"])
    told.append(client.get("/a", headers={"If-None-Match": '"a"'}).headers["cache-status"])
    clock.advance(50)
    unchanged(origin, etag='"a"')
    told.append(client.get("/a").headers["cache-status"])
    assert told == [
        "c; fwd=uri-miss; stored; detail=unknown",
        "c; hit; ttl=50; detail=fresh",
        "c; hit; ttl=50; detail=precondition",
        "c; fwd=stale; fwd-status=304; stored; detail=not-modified",
    ]
    stats = client.cache.stats
    assert (stats.misses, stats.hits, stats.revalidated, stats.requests) == (1, 2, 1, 4)


def test_explanations(client: Any, says: Said, clock: FakeClock, lib: SimpleNamespace) -> None:
    def explained(**headers: str) -> tuple[str, str, float | None]:
        found = client.cache.explain(lib.http.Request("GET", "http://origin/a", headers=headers))
        return found.status, found.reason, found.ttl

    assert explained() == ("miss", "unknown", None)
    says(cache_control="max-age=60")
    client.get("/a")
    assert explained() == ("hit", "fresh", 60.0)
    assert explained(range="bytes=0-0") == ("hit", "partial", 60.0)
    assert explained(**{"cache-control": "min-fresh=99"}) == ("miss", "refresh", 60.0)
    clock.advance(61)
    assert explained(**{"cache-control": "max-stale"}) == ("stale", "max-stale", 60.0)
    assert explained() == ("miss", "expired", 60.0)
    says(cache_control="no-cache", etag='"a"')
    client.get("/a")
    assert explained() == ("miss", "no-cache", 0.0)


def test_an_outer_storage_keeps_age_and_lifetime(
    cached: Make, says: Said, clock: FakeClock, outcome: Outcome, tmp_path: Any
) -> None:
    outer = hishel.SqliteStorage(database_path=tmp_path / "cache.db")
    client = cached(RFC, TieredStorage(MemoryStorage(max_entries=1), outer))
    says(cache_control="max-age=60", age="10")
    client.get("/a")
    client.get("/b")
    clock.advance(5)
    answer = client.get("/a")
    assert (answer.text, answer.headers["age"], outcome(answer)[:4]) == ("1", "15", ("hit", "fresh", 15.0, 60.0))
    clock.advance(45)
    assert client.get("/a").text == "3"
    outer.close()


@pytest.mark.anyio
async def test_the_same_in_tasks(lib: SimpleNamespace, origin: Any, says: Said, clock: FakeClock) -> None:
    says(cache_control="max-age=60", content_location="/a", etag='"a"')
    transport = lib.AsyncCacheTransport(origin.transport, controller=RFC, clock=clock)
    async with lib.http.AsyncClient(transport=transport, base_url="http://origin") as client:
        assert (await client.post("/a")).text == "1"
        clock.advance(3)
        assert (await client.get("/a")).headers["age"] == "3"
        assert (await client.get("/a", headers={"If-None-Match": '"a"'})).status_code == 304
        assert (await client.get("/a", headers={"Range": "bytes=0-0"})).status_code == 206
        clock.advance(60)
        unchanged(origin, etag='"a"')
        assert (await client.get("/a")).text == "1"
        assert origin.count == 2


def test_the_mode_is_a_flag() -> None:
    assert repr(RFC) == "Controller(0 rules, ttl=300.0, unmatched='cache', rfc9111=True)"
    assert (Controller().stale_if_error, RFC.stale_if_error) == (0.0, 3600.0)
    with pytest.raises(TypeError, match="rfc9111"):
        Controller(rfc9111="yes")  # type: ignore[arg-type]
