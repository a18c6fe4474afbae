"""What is past its TTL, validated: by us, and by callers themselves."""

from __future__ import annotations

from typing import Any

import pytest
from stale_origins import ETAG, status, versioned

from pywats_cache import Controller
from pywats_cache.engine.engine import Engine


def test_an_expired_answer_with_an_etag_is_validated_and_renewed(cached: Any, origin: Any, clock: Any) -> None:
    versioned(origin)
    client = cached(Controller(ttl=60.0))
    client.get("/a")
    clock.advance(61)
    renewed = client.get("/a")
    assert status(renewed) == ("revalidated", "not-modified")
    assert (renewed.status_code, renewed.text) == (200, 'version "1"')
    assert renewed.headers["X-Count"] == "2"  # header fields of the 304 replace the stored ones (RFC 9111 §3.2)
    assert renewed.headers["Content-Length"] == str(len(renewed.content))
    clock.advance(59)
    assert status(client.get("/a")) == ("hit", "fresh")
    assert client.cache.stats.revalidated == 1


def test_a_last_modified_of_the_second_of_the_answer_is_not_trusted(cached: Any, origin: Any, clock: Any) -> None:
    moment = "Tue, 24 Nov 2026 12:00:00 GMT"
    origin.reply = {"headers": {"Last-Modified": moment, "Date": moment}}
    client = cached(Controller(ttl=60.0))
    client.get("/a")
    clock.advance(61)
    client.get("/a")
    assert "If-Modified-Since" not in origin.requests[1].headers


def test_an_older_last_modified_validates(cached: Any, origin: Any, clock: Any) -> None:
    before, after = "Tue, 24 Nov 2026 12:00:00 GMT", "Tue, 24 Nov 2026 12:00:05 GMT"
    origin.reply = {"headers": {"Last-Modified": before, "Date": after}}
    client = cached(Controller(ttl=60.0))
    client.get("/a")
    clock.advance(61)
    client.get("/a")
    assert origin.requests[1].headers["If-Modified-Since"] == before


def test_a_304_that_speaks_of_another_version_is_asked_again_plainly(cached: Any, origin: Any, clock: Any) -> None:
    origin.reply = ETAG
    client = cached(Controller(ttl=60.0))
    client.get("/a")
    clock.advance(61)

    def reply(request: Any) -> Any:
        if "If-None-Match" in request.headers:
            return origin.http.Response(304, headers={"ETag": '"other"'})
        return origin.http.Response(200, headers={"ETag": '"2"'}, text="new")

    origin.reply = reply
    response = client.get("/a")
    assert (response.status_code, response.text) == (200, "new")
    assert "If-None-Match" not in origin.requests[-1].headers


def test_the_callers_request_is_not_changed_by_validation(cached: Any, origin: Any, clock: Any) -> None:
    versioned(origin)
    client = cached(Controller(ttl=60.0))
    client.get("/a")
    clock.advance(61)
    request = client.build_request("GET", "/a")
    response = client.send(request)
    assert "If-None-Match" not in request.headers
    assert response.request is request


def test_a_dirtied_answer_is_fetched_whole(cached: Any, origin: Any) -> None:
    versioned(origin)
    client = cached()
    client.get("/a")
    client.put("/a")
    client.get("/a")
    assert "If-None-Match" not in origin.requests[-1].headers


def test_a_refresh_validates_what_is_stored(cached: Any, origin: Any) -> None:
    versioned(origin)
    client = cached()
    client.get("/a")
    response = client.get("/a", headers={"Cache-Control": "no-cache"})
    assert status(response) == ("revalidated", "not-modified")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"If-None-Match": '"1"'}, 304),
        ({"If-None-Match": 'W/"1"'}, 304),
        ({"If-None-Match": '"0", "1"'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"2"'}, 200),
    ],
)
def test_a_callers_own_condition_is_answered_from_the_storage(
    cached: Any, origin: Any, headers: dict[str, str], expected: int
) -> None:
    origin.reply = ETAG
    client = cached()
    client.get("/a")
    response = client.get("/a", headers=headers)
    assert (response.status_code, origin.count) == (expected, 1)
    assert status(response) == ("hit", "precondition")
    assert response.headers["ETag"] == '"1"'
    assert response.content == (b"" if expected == 304 else b"1")


@pytest.mark.parametrize("headers", [{"If-Match": '"1"'}, {"If-Unmodified-Since": "Tue, 24 Nov 2026 12:00:00 GMT"}])
def test_a_condition_that_only_the_server_can_judge_passes_through(
    cached: Any, origin: Any, headers: dict[str, str]
) -> None:
    origin.reply = ETAG
    client = cached()
    client.get("/a")
    assert status(client.get("/a", headers=headers)) == ("bypass", "conditional")
    assert origin.requests[-1].headers.items() >= {k.lower(): v for k, v in headers.items()}.items()


def test_a_condition_on_what_has_no_validator_passes_through(cached: Any, origin: Any) -> None:
    client = cached()
    client.get("/a")
    assert status(client.get("/a", headers={"If-None-Match": '"1"'})) == ("bypass", "conditional")


def test_what_is_dirtied_before_its_flight_begins_is_not_validated(
    cached: Any, origin: Any, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin.reply = ETAG
    client = cached(Controller(ttl=60.0))
    client.get("/a")
    clock.advance(61)
    take_off = Engine._take_off

    def written_meanwhile(self: Engine, *args: Any, **options: Any) -> Any:
        self.invalidate("/a", ())
        return take_off(self, *args, **options)

    monkeypatch.setattr(Engine, "_take_off", written_meanwhile)
    client.get("/a")
    assert "If-None-Match" not in origin.requests[-1].headers


@pytest.mark.parametrize("said", [{"Cache-Control": "no-store"}, {"Vary": "*"}, {"Set-Cookie": "session=1"}])
def test_a_304_that_forbids_storing_ends_what_is_stored(cached: Any, origin: Any, said: dict[str, str]) -> None:
    origin.reply = ETAG
    client = cached()
    client.get("/a")
    origin.reply = lambda _: origin.http.Response(304, headers={"ETag": '"1"', **said})
    answer = client.get("/a", headers={"Cache-Control": "no-cache"})
    assert (status(answer), answer.text) == (("revalidated", "not-modified"), "1")
    assert not answer.extensions["pywats_cache"].stored
    client.cookies.clear()
    origin.reply = {"text": "new"}
    assert client.get("/a").text == "new"


@pytest.mark.parametrize("rfc", [False, True])
@pytest.mark.parametrize(
    ("status_code", "said", "expected"),
    [(404, "", "new"), (200, "no-store", "new"), (429, "", "1"), (416, "", "1"), (500, "", "1")],
)
def test_what_a_refresh_has_disproved_is_not_served(
    cached: Any, origin: Any, rfc: bool, status_code: int, said: str, expected: str
) -> None:
    origin.reply = {"headers": {"Cache-Control": "max-age=60"}}
    client = cached(Controller(rfc9111=rfc))
    client.get("/a")
    origin.reply = {"status_code": status_code, "headers": {"Cache-Control": said}}
    client.get("/a", headers={"Cache-Control": "no-cache"})
    origin.reply = {"text": "new"}
    assert client.get("/a").text == expected


def test_a_304_may_say_that_more_of_a_request_counts(cached: Any, origin: Any) -> None:
    origin.reply = ETAG
    client = cached()
    english, german = {"Accept-Language": "en"}, {"Accept-Language": "de"}
    client.get("/a", headers=english)
    origin.reply = lambda _: origin.http.Response(304, headers={"ETag": '"1"', "Vary": "Accept-Language"})
    client.get("/a", headers={**english, "Cache-Control": "no-cache"})
    origin.reply = {"text": "deutsch", "headers": {"Vary": "Accept-Language"}}
    assert [client.get("/a", headers=wanted).text for wanted in (german, english)] == ["deutsch", "1"]
    assert len(client.cache.storage) == 2
