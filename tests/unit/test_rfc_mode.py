"""RFC 9111 mode, as a caller sees it."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import hishel
import pytest

from pywats_cache import Bypass, CacheOutcome, Controller, MemoryStorage, Read, TieredStorage, Write
from pywats_cache.http_dates import http_date
from pywats_cache.testing import FakeClock

Make = Callable[..., Any]
Outcome = Callable[[Any], CacheOutcome]
Said = Callable[..., None]

RFC = Controller(rfc9111=True)


@pytest.fixture
def client(cached: Make) -> Any:
    """A client in RFC mode."""
    return cached(RFC)


@pytest.fixture
def says(origin: Any) -> Said:
    """Sets the header fields that the server answers with: `says(etag='"a"', cache_control="max-age=9")`."""

    def set_fields(status: int = 200, *, more: Any = (), **named: str) -> None:
        fields = [(name.replace("_", "-"), value) for name, value in named.items()]
        origin.reply = {"status_code": status, "headers": [*fields, *more]}

    return set_fields


def unchanged(origin: Any, **named: str) -> None:
    """From now on the server answers with a 304."""
    headers = {name.replace("_", "-"): value for name, value in named.items()}
    origin.reply = lambda _: origin.http.Response(304, headers=headers)


def eventually(condition: Callable[[], bool]) -> None:
    """Wait for a refresh."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def breaks(origin: Any) -> None:
    """From now on the server cannot be reached."""

    def fail(request: Any) -> Any:
        raise origin.http.ConnectError("refused", request=request)

    origin.reply = fail


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


# ── validation ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_cache_is_confirmed_each_time(client: Any, origin: Any, says: Said, outcome: Outcome) -> None:
    says(cache_control="no-cache, max-age=60", etag='"a"')
    client.get("/a")
    unchanged(origin, etag='"a"', x_new="1")
    answer = client.get("/a")
    assert outcome(answer)[:2] == ("revalidated", "not-modified")
    assert (answer.text, answer.headers["x-new"]) == ("1", "1")
    assert origin.requests[-1].headers["if-none-match"] == '"a"'
    assert client.get("/a").text == "1"
    assert origin.count == 3


def test_a_304_makes_fresh_by_its_own_fields(client: Any, origin: Any, says: Said, clock: FakeClock) -> None:
    says(cache_control="max-age=10", etag='"a"')
    client.get("/a")
    clock.advance(10)
    unchanged(origin, etag='"a"', cache_control="max-age=100", age="40")
    assert client.get("/a").headers["age"] == "40"
    clock.advance(59)
    assert (client.get("/a").headers["age"], origin.count) == ("99", 2)
    clock.advance(1)
    client.get("/a")
    assert origin.count == 3


def test_a_304_of_another_answer_renews_nothing(client: Any, origin: Any, says: Said, clock: FakeClock) -> None:
    says(cache_control="max-age=10", etag='"a"')
    client.get("/a")
    clock.advance(10)

    def other(request: Any) -> Any:
        if "if-none-match" in request.headers:
            return origin.http.Response(304, headers={"etag": '"b"'})
        return origin.http.Response(200, text="new")

    origin.reply = other
    assert client.get("/a").text == "new"


def test_a_callers_condition_is_answered_from_the_storage(
    client: Any, origin: Any, says: Said, outcome: Outcome, clock: FakeClock
) -> None:
    says(cache_control="max-age=60", etag='"a"', content_type="text/plain")
    client.get("/a")
    clock.advance(7)
    same = client.get("/a", headers={"If-None-Match": 'W/"a"'})
    assert (same.status_code, same.headers["age"], same.content) == (304, "7", b"")
    assert outcome(same)[:2] == ("hit", "precondition")
    assert client.get("/a", headers={"If-None-Match": '"b"'}).status_code == 200
    assert origin.count == 1


def test_a_callers_tags_go_along_with_ours(client: Any, origin: Any, says: Said, clock: FakeClock) -> None:
    says(cache_control="max-age=10", etag='"a"')
    client.get("/a")
    clock.advance(10)
    unchanged(origin, etag='"mine"')
    mine = client.get("/a", headers={"If-None-Match": '"mine"'})
    assert origin.requests[-1].headers["if-none-match"] == '"a", "mine"'
    assert (mine.status_code, mine.headers["etag"]) == (304, '"mine"')
    unchanged(origin, etag='"a"', cache_control="max-age=10")
    assert client.get("/a", headers={"If-None-Match": '"mine"'}).text == "1"
    assert client.get("/a", headers={"If-None-Match": '"a"'}).status_code == 304


def test_if_match_is_for_the_origin(client: Any, origin: Any, says: Said, outcome: Outcome) -> None:
    says(cache_control="max-age=60", etag='"a"')
    client.get("/a")
    assert outcome(client.get("/a", headers={"If-Match": '"a"'}))[:2] == ("bypass", "conditional")
    assert origin.count == 2


def test_a_condition_that_nothing_stored_answers_is_not_joined(client: Any, origin: Any, outcome: Outcome) -> None:
    unchanged(origin, etag='"a"')
    answer = client.get("/a", headers={"If-None-Match": '"a"'})
    assert (answer.status_code, outcome(answer)[:2]) == (304, ("miss", "status"))
    assert not client.cache.stats.entries


# ── stale ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_stale_while_revalidate_from_the_answer(
    client: Any, origin: Any, says: Said, clock: FakeClock, outcome: Outcome
) -> None:
    says(cache_control="max-age=10, stale-while-revalidate=5")
    client.get("/a")
    clock.advance(15)
    assert outcome(client.get("/a"))[:2] == ("stale", "while-revalidate")
    eventually(lambda: client.get("/a").text == "2")
    clock.advance(16)
    assert client.get("/a").text == "3"


def test_the_controllers_windows_hold_where_the_answer_is_silent(
    cached: Make, says: Said, clock: FakeClock, outcome: Outcome
) -> None:
    client = cached(Controller(rfc9111=True, stale_while_revalidate=100, refresh_ahead=None))
    for path, said in (("/a", ""), ("/b", ", must-revalidate"), ("/c", ", stale-while-revalidate=0")):
        says(cache_control="max-age=10" + said)
        client.get(path)
    clock.advance(15)
    assert [outcome(client.get(path)).status for path in ("/a", "/b", "/c")] == ["stale", "miss", "miss"]


def test_stale_if_error_from_the_answer(
    cached: Make, origin: Any, says: Said, clock: FakeClock, outcome: Outcome
) -> None:
    client = cached(Controller(rfc9111=True, stale_if_error=0))
    says(cache_control="max-age=10, stale-if-error=5")
    client.get("/a")
    clock.advance(14)
    says(503)
    assert outcome(client.get("/a"))[:2] == ("stale", "if-error")
    breaks(origin)
    assert outcome(client.get("/a"))[:2] == ("stale", "if-error")
    clock.advance(2)
    with pytest.raises(origin.http.ConnectError):
        client.get("/a")


def test_an_hour_while_the_server_is_away_where_nobody_says(
    client: Any, origin: Any, says: Said, clock: FakeClock, outcome: Outcome
) -> None:
    says(cache_control="max-age=10")
    client.get("/a")
    breaks(origin)
    clock.advance(3600)
    assert outcome(client.get("/a"))[:2] == ("stale", "if-error")
    clock.advance(11)
    with pytest.raises(origin.http.ConnectError):
        client.get("/a")


@pytest.mark.parametrize("said", ["max-age=10, must-revalidate", "no-cache"])
def test_what_must_be_confirmed_is_a_504_without_a_server(
    client: Any, origin: Any, says: Said, clock: FakeClock, outcome: Outcome, said: str
) -> None:
    says(cache_control=said, etag='"a"')
    client.get("/a")
    clock.advance(10)
    breaks(origin)
    answer = client.get("/a")
    assert (answer.status_code, outcome(answer)[:2]) == (504, ("miss", "must-revalidate"))
    says(503, cache_control="no-store")
    assert client.get("/a").status_code == 503


def test_what_a_write_dirtied_is_never_stale(client: Any, origin: Any, says: Said, clock: FakeClock) -> None:
    says(cache_control="max-age=10, stale-while-revalidate=99, stale-if-error=99")
    client.get("/a")
    clock.advance(11)
    client.post("/a")
    breaks(origin)
    for asked in ({}, {"Cache-Control": "max-stale"}):
        with pytest.raises(origin.http.ConnectError):
            client.get("/a", headers=asked)


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


# ── parts ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("asked", "status", "body", "place"),
    [
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=8-", 206, b"89", "bytes 8-9/10"),
        ("bytes=10-", 416, b"", "bytes */10"),
        ("bytes=0-1,4-5", 200, b"0123456789", None),
        ("lines=1", 200, b"0123456789", None),
    ],
)
def test_a_part_of_what_is_stored(
    client: Any, origin: Any, outcome: Outcome, asked: str, status: int, body: bytes, place: str | None
) -> None:
    origin.reply = {"content": b"0123456789", "headers": {"cache-control": "max-age=60", "etag": '"a"'}}
    client.get("/a")
    answer = client.get("/a", headers={"Range": asked})
    assert (answer.status_code, answer.content, answer.headers.get("content-range")) == (status, body, place)
    assert answer.headers["content-length"] == str(len(body))
    assert outcome(answer).status == "hit"
    assert origin.count == 1


def test_a_part_is_never_stored_but_the_whole_is(client: Any, origin: Any, says: Said, outcome: Outcome) -> None:
    says(206, content_range="bytes 0-0/9", cache_control="max-age=60")
    client.get("/a", headers={"Range": "bytes=0-0"})
    says(200, cache_control="max-age=60")
    assert client.get("/a", headers={"Range": "bytes=0-0"}).text == "2"
    assert outcome(client.get("/a")).status == "hit"


def test_a_stale_whole_is_not_asked_about_by_a_part(client: Any, origin: Any, says: Said, clock: FakeClock) -> None:
    says(cache_control="max-age=10", etag='"a"')
    client.get("/a")
    clock.advance(10)
    client.get("/a", headers={"Range": "bytes=0-0"})
    assert "if-none-match" not in origin.requests[-1].headers
    assert origin.requests[-1].headers["range"] == "bytes=0-0"


def test_an_encoded_body_is_given_whole(client: Any, origin: Any) -> None:
    headers = {"cache-control": "max-age=60", "content-encoding": "gzip"}
    origin.reply = {"content": gzip.compress(b"0123456789"), "headers": headers}
    client.get("/a")
    answer = client.get("/a", headers={"Range": "bytes=0-1"})
    assert (answer.status_code, answer.content, origin.count) == (200, b"0123456789", 1)


# ── HEAD, and unsafe methods ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_head_that_matches_makes_fresh(client: Any, origin: Any, says: Said, clock: FakeClock) -> None:
    says(cache_control="max-age=10", etag='"a"', more=[("content-length", "1")])
    client.get("/a")
    clock.advance(10)
    says(cache_control="max-age=20", etag='"a"', x_new="1", more=[("content-length", "1")])
    client.head("/a")
    clock.advance(19)
    answer = client.get("/a")
    assert (answer.text, answer.headers["x-new"], origin.count) == ("1", "1", 2)
    assert client.head("/a").headers["age"] == "19"


def test_a_head_that_differs_makes_stale(client: Any, origin: Any, says: Said, clock: FakeClock) -> None:
    says(cache_control="max-age=100", etag='"a"')
    client.get("/a")
    says(etag='"b"')
    client.head("/a", headers={"Cache-Control": "no-cache"})
    assert origin.count == 2
    client.get("/a")
    assert origin.requests[-1].headers["if-none-match"] == '"a"'


def test_a_head_does_not_undo_a_write(client: Any, origin: Any, says: Said, clock: FakeClock) -> None:
    says(cache_control="max-age=10", etag='"a"', more=[("content-length", "1")])
    client.get("/a")
    clock.advance(10)

    def write_meanwhile(request: Any) -> Any:
        if request.method == "HEAD":
            client.post("/a")
        return origin.http.Response(200, headers={"cache-control": "max-age=99", "etag": '"a"'}, text="x")

    origin.reply = write_meanwhile
    client.head("/a")
    assert client.get("/a").text == "x"


def test_a_write_dirties_what_its_answer_names_on_the_same_origin(client: Any, origin: Any, says: Said) -> None:
    says(cache_control="max-age=60")
    for path in ("/b", "/c", "/d"):
        client.get(path)
    says(201, location="/b", content_location="http://origin/c")
    client.post("/far/away")
    says(201, location="http://other/d")
    client.post("/far/away")
    says(cache_control="max-age=60")
    assert [client.get(path).text for path in ("/b", "/c", "/d")] == ["6", "7", "3"]


@pytest.mark.parametrize(("status", "texts"), [(200, "3"), (303, "3"), (404, "1"), (500, "3")])
def test_which_writes_dirty(client: Any, says: Said, status: int, texts: str) -> None:
    says(cache_control="max-age=60")
    client.get("/a")
    says(status)
    client.post("/a")
    says(cache_control="max-age=60")
    assert client.get("/a").text == texts


@pytest.mark.parametrize("streamed", [False, True])
def test_the_answer_to_a_post_serves_the_get(client: Any, origin: Any, streamed: bool) -> None:
    headers = {"cache-control": "max-age=60", "content-location": "/a"}
    body = iter([b"po", b"st"]) if streamed else b"post"
    origin.reply = {"content": body, "headers": headers}
    assert client.post("/a").content == b"post"
    assert (client.get("/a").content, origin.count) == (b"post", 1)
    origin.reply = {"content": b"new"}
    client.post("/a")
    assert client.get("/a").content == b"new"


def test_the_answer_to_a_post_is_not_stored_over_a_write_meanwhile(client: Any, origin: Any) -> None:
    headers = {"cache-control": "max-age=60", "content-location": "/a"}

    def write_meanwhile(request: Any) -> Any:
        if request.method == "POST":
            client.delete("/a")
        return origin.http.Response(200, headers=headers, text=request.method)

    origin.reply = write_meanwhile
    client.post("/a")
    assert client.get("/a").text == "GET"


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
    assert explained() == explained(range="bytes=0-1") == ("hit", "fresh", 60.0)
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
