"""The Response of a hit: as one that was just received, and the caller's own."""

from __future__ import annotations

import gzip
import pickle
from collections.abc import AsyncIterator, Callable, Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import httpx2
import pytest

import pywats_cache
import pywats_cache.httpx2
from pywats_cache import CacheOutcome, Controller, Read
from pywats_cache.support.collector import Collector
from pywats_cache.transport.streams import AsyncTee, Tee

PLAIN = b'{"part": "\xc3\x84", "list": [1, 2, 3]}'


@pytest.fixture(params=["identity", "gzip"])
def encoded(request: pytest.FixtureRequest, origin: Any) -> bytes:
    """The body as the origin sends it: JSON, encoded or not."""
    raw = gzip.compress(PLAIN) if request.param == "gzip" else PLAIN
    headers = {"Content-Type": "application/json; charset=utf-8", "X-Case": "Kept"}
    if request.param == "gzip":
        headers["Content-Encoding"] = "gzip"
    origin.reply = lambda request: origin.http.Response(200, content=raw, headers=headers)
    return raw


@pytest.fixture
def hit(client: Any, encoded: bytes) -> Any:
    """The Response of a hit."""
    client.get("/a")
    response = client.get("/a")
    assert response.extensions["pywats_cache"].status == "hit"
    return response


def test_everything_of_a_hit_is_there(hit: Any, encoded: bytes) -> None:
    assert hit.status_code == 200
    assert hit.content == hit.read() == PLAIN
    assert hit.text == PLAIN.decode()
    assert hit.json() == {"part": "Ä", "list": [1, 2, 3]}
    assert (hit.encoding, hit.charset_encoding, hit.reason_phrase, hit.http_version) == (
        "utf-8",
        "utf-8",
        "OK",
        "HTTP/1.1",
    )
    assert hit.is_success
    assert not hit.is_redirect
    assert (hit.history, hit.next_request, dict(hit.cookies), hit.links) == ([], None, {}, {})
    assert hit.num_bytes_downloaded == len(encoded)
    assert hit.is_closed
    assert hit.is_stream_consumed
    assert "200" in repr(hit)


def test_the_request_of_a_hit_is_the_callers(client: Any, hit: Any) -> None:
    other = client.get("/a", headers={"X-Mine": "1"})
    assert other.extensions["pywats_cache"].status == "hit"
    assert other.request.headers["x-mine"] == "1"
    assert "x-mine" not in hit.request.headers
    assert str(other.url) == str(other.request.url) == "http://origin/a"
    assert hit.raise_for_status() is hit


def test_elapsed_is_there_for_miss_and_hit(client: Any, encoded: bytes) -> None:
    for status in ("miss", "hit"):
        response = client.get("/a")
        assert response.extensions["pywats_cache"].status == status
        assert response.elapsed.total_seconds() >= 0


def test_headers_stay_as_the_server_sent_them(client: Any, encoded: bytes) -> None:
    miss, hit = client.get("/a"), client.get("/a")
    assert hit.headers.raw == miss.headers.raw
    assert (b"X-Case", b"Kept") in hit.headers.raw
    assert hit.headers["content-length"] == str(len(encoded))


@pytest.mark.parametrize("size", [None, 1, 7, 10_000])
def test_a_streamed_hit_gives_the_body_decoded_and_raw(client: Any, encoded: bytes, size: int | None) -> None:
    client.get("/a")
    with client.stream("GET", "/a") as response:
        assert response.extensions["pywats_cache"].status == "hit"
        assert not response.is_closed
        assert b"".join(response.iter_bytes(size)) == PLAIN
    with client.stream("GET", "/a") as response:
        assert b"".join(response.iter_raw(size)) == encoded
        assert response.num_bytes_downloaded == len(encoded)
    with client.stream("GET", "/a") as response:
        assert "".join(response.iter_text(size)) == PLAIN.decode()
    with client.stream("GET", "/a") as response:
        assert list(response.iter_lines()) == [PLAIN.decode()]
    with client.stream("GET", "/a") as response:
        assert response.read() == PLAIN
        assert response.json()["list"] == [1, 2, 3]
    assert response.is_closed
    assert response.elapsed.total_seconds() >= 0


def test_chunks_of_a_hit_have_the_size_asked_for(client: Any, encoded: bytes) -> None:
    client.get("/a")
    with client.stream("GET", "/a") as response:
        assert [len(chunk) for chunk in response.iter_bytes(5)][:-1] == [5] * (len(PLAIN) // 5)


def test_a_streamed_hit_may_be_left_unread(client: Any, encoded: bytes) -> None:
    client.get("/a")
    with client.stream("GET", "/a") as response:
        pass
    assert response.is_closed
    assert client.get("/a").content == PLAIN


def test_the_raw_body_is_read_once_as_of_any_response(client: Any, hit: Any, lib: SimpleNamespace) -> None:
    with pytest.raises(lib.http.StreamConsumed):
        next(hit.iter_raw())
    assert b"".join(hit.iter_bytes()) == PLAIN


def test_a_hit_survives_pickling(hit: Any) -> None:
    copy = pickle.loads(pickle.dumps(hit))
    assert copy.content == PLAIN
    assert copy.status_code == 200
    assert copy.headers == hit.headers
    assert copy.json() == hit.json()
    assert str(copy.request.url) == "http://origin/a"
    assert copy.elapsed == hit.elapsed
    assert copy.is_closed


def test_a_miss_survives_pickling(client: Any, encoded: bytes) -> None:
    copy = pickle.loads(pickle.dumps(client.get("/a")))
    assert (copy.content, str(copy.url)) == (PLAIN, "http://origin/a")


def poison(response: Any) -> None:
    """All that a caller can do to what it was given."""
    response.headers["x-case"] = "poison"
    response.headers["x-new"] = "poison"
    del response.headers["content-type"]
    response.extensions["pywats_cache"] = "poison"
    response.extensions["http_version"] = b"poison"
    response.extensions["new"] = "poison"
    response.json()["list"].append("poison")
    response.status_code = 500
    response.history.append(response)
    response.encoding = "latin-1" if not hasattr(response, "_text") else response.encoding
    response.request.headers["x-poison"] = "1"
    response.request.extensions["poison"] = 1
    response.default_encoding = "latin-1"
    response._content = b"poison"
    response._elapsed = None
    response.close()


def test_nothing_a_caller_does_changes_the_next_hit(client: Any, encoded: bytes) -> None:
    for _ in range(3):
        poison(client.get("/a"))
    hit = client.get("/a")
    assert hit.extensions["pywats_cache"].status == "hit"
    assert hit.headers["x-case"] == "Kept"
    assert hit.headers["content-type"] == "application/json; charset=utf-8"
    assert "x-new" not in hit.headers
    assert hit.http_version == "HTTP/1.1"
    assert "new" not in hit.extensions
    assert hit.status_code == 200
    assert hit.history == []
    assert "x-poison" not in hit.request.headers
    assert "poison" not in hit.request.extensions
    assert hit.text == PLAIN.decode()
    assert hit.json()["list"] == [1, 2, 3]
    assert b"".join(hit.iter_bytes()) == PLAIN


def test_the_miss_is_as_much_the_callers_own(client: Any, encoded: bytes) -> None:
    miss = client.get("/a")
    poison(miss)
    assert client.get("/a").json()["list"] == [1, 2, 3]


def test_an_untyped_hit_takes_the_default_encoding_of_its_client(
    lib: SimpleNamespace, origin: Any, cached: Callable[..., Any]
) -> None:
    origin.reply = lambda request: origin.http.Response(
        200, content="Ä".encode("latin-1"), headers={"Content-Type": "text/plain"}
    )
    client = cached(default_encoding="latin-1")
    assert [client.get("/a").text for _ in range(2)] == ["Ä", "Ä"]


@pytest.fixture
def counted() -> tuple[Collector, list[Any]]:
    ends: list[Any] = []
    return Collector(5, ends.append, lambda too_large: ends.append(("failed", too_large))), ends


def test_a_collector_is_done_with_the_whole_body(counted: tuple[Collector, list[Any]]) -> None:
    collector, ends = counted
    collector.add(b"12")
    collector.add(b"345")
    assert ends == []
    collector.finish()
    collector.end()
    collector.finish()
    assert ends == [b"12345"]


def test_a_collector_fails_at_the_bound_and_only_once(counted: tuple[Collector, list[Any]]) -> None:
    collector, ends = counted
    collector.add(b"123456")
    collector.add(b"7")
    collector.finish()
    collector.end()
    assert ends == [("failed", True)]


def test_a_collector_fails_at_an_early_end(counted: tuple[Collector, list[Any]]) -> None:
    collector, ends = counted
    collector.add(b"1")
    collector.end()
    collector.finish()
    assert ends == [("failed", False)]


class Source:
    """A stream of chunks that may break off, sync and async."""

    def __init__(self, *chunks: bytes, error: Exception | None = None) -> None:
        self.chunks = chunks
        self.error = error
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        yield from self.chunks
        if self.error is not None:
            raise self.error

    def __aiter__(self) -> AsyncIterator[bytes]:
        self.ahead = iter(self)
        return self

    async def __anext__(self) -> bytes:
        for chunk in self.ahead:
            return chunk
        raise StopAsyncIteration

    def close(self) -> None:
        self.closed = True

    async def aclose(self) -> None:
        self.closed = True


def test_a_tee_stores_at_a_clean_end_only(counted: tuple[Collector, list[Any]]) -> None:
    collector, ends = counted
    source, after = Source(b"1", b"2"), []
    tee = Tee(source, collector, lambda: after.append(list(ends)))
    assert list(tee) == [b"1", b"2"]
    assert ends == [b"12"]
    assert after == [[b"12"]]
    tee.close()
    assert source.closed
    assert ends == [b"12"]


def test_a_tee_of_a_broken_stream_raises_and_stores_nothing(counted: tuple[Collector, list[Any]]) -> None:
    collector, ends = counted
    tee = Tee(Source(b"1", error=OSError("broken")), collector, lambda: ends.append("after"))
    stream = iter(tee)
    assert next(stream) == b"1"
    with pytest.raises(OSError, match="broken"):
        next(stream)
    assert ends == [("failed", False)]
    tee.close()
    assert ends == [("failed", False), "after"]


def test_a_tee_closed_early_stores_nothing(counted: tuple[Collector, list[Any]]) -> None:
    collector, ends = counted
    source = Source(b"1", b"2")
    tee = Tee(source, collector, lambda: ends.append("after"))
    next(iter(tee))
    tee.close()
    assert source.closed
    assert ends == [("failed", False), "after"]
    tee.close()
    assert ends == [("failed", False), "after"]


def test_a_tee_of_too_large_a_body_says_so_before_its_end(counted: tuple[Collector, list[Any]]) -> None:
    collector, ends = counted
    stream = iter(Tee(Source(b"123", b"456", b"789"), collector, lambda: ends.append("after")))
    assert [next(stream), next(stream)] == [b"123", b"456"]
    assert ends == [("failed", True), "after"]
    assert list(stream) == [b"789"]
    assert ends == [("failed", True), "after"]


@pytest.mark.anyio
async def test_an_async_tee_does_the_same() -> None:
    for source, early, expected in (
        (Source(b"1", b"2"), False, [b"12", "after"]),
        (Source(b"1", error=OSError("broken")), False, [("failed", False), "after"]),
        (Source(b"1", b"2"), True, [("failed", False), "after"]),
        (Source(b"1", b"23456"), False, [("failed", True), "after"]),
    ):
        ends: list[Any] = []

        async def after(ends: list[Any] = ends) -> None:
            ends.append("after")

        def failed(too_large: bool, ends: list[Any] = ends) -> None:
            ends.append(("failed", too_large))

        tee = AsyncTee(source, Collector(5, ends.append, failed), after)
        stream = tee.__aiter__()
        assert await stream.__anext__() == b"1"
        try:
            while not early:
                await stream.__anext__()
        except (StopAsyncIteration, OSError):
            pass
        await stream.aclose()
        await tee.aclose()
        assert source.closed
        assert ends == expected


@pytest.mark.anyio
async def test_an_async_hit_reads_in_all_ways(lib: SimpleNamespace, origin: Any, encoded: bytes) -> None:
    transport = lib.AsyncCacheTransport(origin.transport)
    async with lib.http.AsyncClient(transport=transport, base_url="http://origin") as client:
        await client.get("/a")
        hit = await client.get("/a")
        outcome: CacheOutcome = hit.extensions["pywats_cache"]
        assert outcome.status == "hit"
        assert hit.content == await hit.aread() == PLAIN
        assert hit.elapsed.total_seconds() >= 0
        assert pickle.loads(pickle.dumps(hit)).content == PLAIN
        async with client.stream("GET", "/a") as response:
            assert b"".join([chunk async for chunk in response.aiter_bytes(7)]) == PLAIN
        async with client.stream("GET", "/a") as response:
            assert b"".join([chunk async for chunk in response.aiter_raw()]) == encoded
            assert response.num_bytes_downloaded == len(encoded)
        async with client.stream("GET", "/a") as response:
            assert "".join([chunk async for chunk in response.aiter_text()]) == PLAIN.decode()
        async with client.stream("GET", "/a") as response:
            assert [line async for line in response.aiter_lines()] == [PLAIN.decode()]
        async with client.stream("GET", "/a") as response:
            assert await response.aread() == PLAIN
        async with client.stream("GET", "/a") as response:
            pass
        assert response.is_closed
        assert origin.count == 1


def test_reason_phrases_are_those_of_each_library() -> None:
    stored = Controller([Read("/**", statuses=(200, 416))])
    for lib, cache in ((httpx, pywats_cache), (httpx2, pywats_cache.httpx2)):
        server = lib.MockTransport(lambda request, lib=lib: lib.Response(416, content=iter([b"x"])))
        with lib.Client(transport=server) as bare, cache.CacheClient(transport=server, controller=stored) as ours:
            plain = bare.get("http://o/").reason_phrase
            assert [ours.get("http://o/").reason_phrase for _ in range(2)] == [plain, plain]
