"""RFC 9111 mode, as a caller sees it: validation, and what is served stale."""

from __future__ import annotations

from typing import Any

import pytest
from header_fields import http_date
from held_refreshes import HeldRefreshes
from rfc_origins import Make, Outcome, Said, breaks, unchanged

from pywats_cache import Controller
from pywats_cache.testing import FakeClock

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


@pytest.mark.parametrize("said", [{"cache_control": "no-store"}, {"vary": "*"}])
def test_a_304_that_forbids_storing_ends_what_is_stored(
    client: Any, origin: Any, says: Said, clock: FakeClock, said: dict[str, str]
) -> None:
    # Old enough for a lifetime to be guessed, once no max-age is stated.
    says(cache_control="max-age=10", etag='"a"', last_modified="Sat, 01 Nov 2025 00:00:00 GMT")
    client.get("/a")
    clock.advance(10)
    unchanged(origin, etag='"a"', **said)
    assert client.get("/a").text == "1"
    says(cache_control="no-store")
    assert client.get("/a", headers={"Cache-Control": "max-stale"}).text == "3"


def test_a_304_may_say_that_more_of_a_request_counts(client: Any, origin: Any, says: Said, clock: FakeClock) -> None:
    says(cache_control="max-age=10", etag='"a"')
    english, german = {"Accept-Language": "en"}, {"Accept-Language": "de"}
    client.get("/a", headers=english)
    clock.advance(10)
    unchanged(origin, etag='"a"', vary="Accept-Language")
    client.get("/a", headers=english)
    says(cache_control="max-age=10", vary="Accept-Language")
    assert [client.get("/a", headers=wanted).text for wanted in (german, english)] == ["3", "1"]


def test_an_expires_is_no_later_after_a_304_without_date(
    client: Any, origin: Any, says: Said, clock: FakeClock
) -> None:
    date, expires = (http_date(clock.wall() + seconds) for seconds in (0, 10))
    says(etag='"a"', date=date, expires=expires)
    client.get("/a")
    clock.advance(12)
    unchanged(origin, etag='"a"')
    assert [client.get("/a").text for _ in range(2)] == ["1", "1"]
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


def test_that_a_range_is_beyond_the_end_says_nothing_of_what_is_stored(
    client: Any, says: Said, outcome: Outcome, clock: FakeClock
) -> None:
    says(cache_control="max-age=10, stale-while-revalidate=100", etag='"a"')
    client.get("/a")
    clock.advance(11)
    says(416)
    assert client.get("/a", headers={"Range": "bytes=99-", "Cache-Control": "no-cache"}).status_code == 416
    HeldRefreshes(client.cache)
    assert outcome(client.get("/a"))[:2] == ("stale", "while-revalidate")


def test_stale_while_revalidate_from_the_answer(
    client: Any, origin: Any, says: Said, clock: FakeClock, outcome: Outcome
) -> None:
    says(cache_control="max-age=10, stale-while-revalidate=5")
    held = HeldRefreshes(client.cache)
    client.get("/a")
    clock.advance(15)
    assert outcome(client.get("/a"))[:2] == ("stale", "while-revalidate")
    held.go()
    assert client.get("/a").text == "2"
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
