"""RFC 9111 mode, as a caller sees it: parts, HEAD, and unsafe methods."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from rfc_origins import Outcome, Said

from pywats_cache.testing import FakeClock

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


@pytest.mark.parametrize("said", [{"cache_control": "no-store, max-age=99"}, {"vary": "Accept-Language"}])
def test_a_head_that_forbids_storing_ends_what_is_stored(client: Any, says: Said, said: dict[str, str]) -> None:
    says(cache_control="max-age=100", etag='"a"', more=[("content-length", "1")])
    client.get("/a")
    says(etag='"a"', more=[("content-length", "1")], **said)
    client.head("/a", headers={"Cache-Control": "no-cache"})
    assert client.get("/a", headers={"Accept-Language": "de", "Cache-Control": "max-stale"}).text == "3"


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
