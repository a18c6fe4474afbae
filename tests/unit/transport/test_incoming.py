"""Responses whose body is still to come: whoever reads them, and however, gets what the library would give."""

from __future__ import annotations

import pickle
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from pywats_cache import Controller
from pywats_cache.testing import FakeClock

pytestmark = pytest.mark.anyio


def body_of(lib: SimpleNamespace, *chunks: bytes | str) -> Any:
    """A stream of chunks, sync and async, which breaks off at a string."""

    class Chunks(lib.http.SyncByteStream, lib.http.AsyncByteStream):  # type: ignore[misc,name-defined]
        def __iter__(self) -> Iterator[bytes]:
            for chunk in chunks:
                if isinstance(chunk, str):
                    raise lib.http.ReadError(chunk)
                yield chunk

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for chunk in self:
                yield chunk

    return Chunks()


def client_of(lib: SimpleNamespace, *replies: Any, **options: Any) -> Any:
    """A client over a mounted transport, whose next one gives `replies` in turn."""
    left = list(replies)
    next_transport = lib.http.MockTransport(lambda request: left.pop(0)())
    return lib.http.Client(transport=lib.CacheTransport(next_transport, **options), base_url="http://host")


def events(client: Any) -> list[tuple[str, str]]:
    return [(event.status, event.reason) for event in client._transport._engine.journal.recent]


def test_the_event_log_is_told_what_became_of_the_body(lib: SimpleNamespace) -> None:
    client = client_of(
        lib,
        lambda: lib.http.Response(200, stream=body_of(lib, b"1")),
        lambda: lib.http.Response(200, stream=body_of(lib, b"1", b"2")),
        lambda: lib.http.Response(200, stream=body_of(lib, b"1", "broken")),
    )
    with client.stream("GET", "/a") as response:
        assert events(client) == []
        response.read()
    with client.stream("GET", "/b") as response:
        next(response.iter_bytes())
    with pytest.raises(lib.http.ReadError, match="broken"):
        client.get("/c")
    assert events(client) == [("miss", "unknown"), ("miss", "incomplete"), ("error", "ReadError")]


@pytest.mark.parametrize("how", ["read", "iterated"])
def test_a_transport_in_front_that_wraps_the_stream_sees_each_chunk(lib: SimpleNamespace, how: str) -> None:
    seen = []

    class Watching(lib.http.BaseTransport):  # type: ignore[misc,name-defined]
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def handle_request(self, request: Any) -> Any:
            response = self.inner.handle_request(request)
            stream = response.stream

            class Watched(lib.http.SyncByteStream):  # type: ignore[misc,name-defined]
                def __iter__(self) -> Iterator[bytes]:
                    for chunk in stream:
                        seen.append(chunk)
                        yield chunk

                def close(self) -> None:
                    stream.close()

            response.stream = Watched()
            return response

    reply = lib.http.MockTransport(lambda request: lib.http.Response(200, stream=body_of(lib, b"1", b"2")))
    transport = lib.CacheTransport(reply)
    client = lib.http.Client(transport=Watching(transport))
    with client.stream("GET", "http://host/a") as response:
        assert (response.read() if how == "read" else b"".join(response.iter_bytes())) == b"12"
    assert seen == [b"1", b"2"]
    assert transport.stats.entries == 1


def test_a_response_that_was_read_can_be_pickled(lib: SimpleNamespace) -> None:
    client = client_of(lib, lambda: lib.http.Response(200, stream=body_of(lib, b"1", b"2")))
    for _ in range(2):
        assert pickle.loads(pickle.dumps(client.get("/a"))).content == b"12"


def test_the_next_transport_keeps_its_response_as_it_was(lib: SimpleNamespace) -> None:
    theirs = lib.http.Response(200, extensions={"own": 1}, stream=body_of(lib, b"1"))
    client = client_of(lib, lambda: theirs)
    response = client.get("/a")
    response.headers["X-Mine"] = "1"
    assert (theirs.extensions, response.extensions["own"]) == ({"own": 1}, 1)


def test_a_504_does_not_take_the_place_of_a_head_that_the_caller_has_seen(lib: SimpleNamespace) -> None:
    headers = {"Cache-Control": "max-age=10, must-revalidate"}
    replies = [lambda: lib.http.Response(200, headers=headers, stream=body_of(lib, b"1"))]
    replies += [lambda: lib.http.Response(200, headers=headers, stream=body_of(lib, "broken"))] * 2
    clock = FakeClock()
    client = client_of(lib, *replies, controller=Controller(rfc9111=True), clock=clock)
    client.get("/a")
    clock.advance(11)
    with client.stream("GET", "/a") as response, pytest.raises(lib.http.ReadError, match="broken"):
        list(response.iter_bytes())
    assert client.get("/a").status_code == 504


def test_reading_the_stream_of_a_read_response_again_gives_the_body(lib: SimpleNamespace) -> None:
    transport = lib.CacheTransport(
        lib.http.MockTransport(lambda request: lib.http.Response(200, stream=body_of(lib, b"1", b"2")))
    )
    for _ in range(2):
        response = transport.handle_request(lib.http.Request("GET", "http://host/a"))
        assert response.read() == b"12"
        assert b"".join(response.stream) == b"12"


async def test_a_sync_reading_of_an_async_response_is_refused_as_by_the_library(lib: SimpleNamespace) -> None:
    reply = lib.http.MockTransport(lambda request: lib.http.Response(200, stream=body_of(lib, b"1")))
    async with (
        lib.http.AsyncClient(transport=lib.AsyncCacheTransport(reply)) as client,
        client.stream("GET", "http://host/a") as response,
    ):
        with pytest.raises(RuntimeError, match="sync"):
            response.read()
        assert await response.aread() == b"1"
