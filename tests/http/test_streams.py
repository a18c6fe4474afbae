"""Streams over real sockets: handed on without delay, stored only whole, and never kept from the pool."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from loopback import LONG, Exchange, Server

from pywats_cache import CacheOutcome, MemoryStorage

pytestmark = pytest.mark.anyio
Make = Callable[..., Any]
Outcome = Callable[[Any], CacheOutcome]


async def test_a_body_of_unknown_length_is_handed_on_without_delay_and_stored_at_its_end(
    make: Make, server: Server, outcome: Outcome
) -> None:
    go_on = threading.Event()

    def answer(exchange: Exchange) -> None:
        exchange.start(200, {"Transfer-Encoding": "chunked"})
        exchange.chunk(b"first")
        assert go_on.wait(LONG), "the client did not get the first chunk before the second was sent"
        exchange.chunk(b"second")
        exchange.chunk(b"")

    server.on("/a", answer)
    caller = make()
    got = []
    async with caller.stream("GET", "/a") as stream:
        async for chunk in stream.chunks():
            got.append(chunk)
            assert not outcome(stream.response).stored
            assert caller.cache.stats.entries == 0
            go_on.set()
    assert got == [b"first", b"second"]
    assert outcome(stream.response).stored
    assert outcome(stream.response).status == "miss"
    hit = await caller.get("/a")
    assert (hit.content, outcome(hit).status) == (b"firstsecond", "hit")
    assert server.count() == 1


async def test_a_large_body_of_known_length_is_handed_on_without_delay(make: Make, server: Server) -> None:
    go_on = threading.Event()

    def answer(exchange: Exchange) -> None:
        exchange.start(200, {"Content-Length": "2000"})
        exchange.raw(b"x" * 1000)
        assert go_on.wait(LONG)
        exchange.raw(b"y" * 1000)

    server.on("/a", answer)
    caller = make(cache={"storage": MemoryStorage(max_entry_bytes=1500)})
    async with caller.stream("GET", "/a") as stream:
        async for _ in stream.chunks():
            go_on.set()
    assert go_on.is_set()


@pytest.mark.parametrize(
    "kind", ["text/event-stream", "application/x-ndjson", "multipart/x-mixed-replace; boundary=b", "application/jsonl"]
)
async def test_a_type_meant_to_be_streamed_passes_through_untouched(
    make: Make, server: Server, outcome: Outcome, kind: str
) -> None:
    go_on = threading.Event()

    def answer(exchange: Exchange) -> None:
        exchange.start(200, {"Transfer-Encoding": "chunked", "Content-Type": kind})
        exchange.chunk(b"data: 1\n\n")
        assert go_on.wait(LONG)
        exchange.chunk(b"data: 2\n\n")
        exchange.chunk(b"")

    server.on("/events", answer)
    caller = make()
    for count in (1, 2):
        go_on.clear()
        lines = []
        async with caller.stream("GET", "/events") as stream:
            async for line in stream.chunks("lines"):
                lines.append(line)
                go_on.set()
        assert lines == ["data: 1", "", "data: 2", ""]
        assert outcome(stream.response)[:2] == ("miss", "stream")
        assert server.count() == count
    assert caller.cache.stats.entries == 0


async def test_who_asks_for_events_goes_around_the_cache(make: Make, server: Server, outcome: Outcome) -> None:
    caller = make()
    for count in ("1", "2"):
        response = await caller.get("/a", headers={"Accept": "text/event-stream"})
        assert outcome(response)[:2] == ("bypass", "upgrade")
        assert response.text == count


@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")  # httpx leaves its own unfinished, on trio
async def test_an_early_close_stores_nothing_and_lets_the_next_fetch(make: Make, server: Server) -> None:
    go_on = threading.Event()

    def answer(exchange: Exchange) -> None:
        exchange.start(200, {"Transfer-Encoding": "chunked"})
        exchange.chunk(b"first")
        go_on.wait(LONG)
        exchange.chunk(b"second")
        exchange.chunk(b"")

    server.on("/a", answer)
    caller = make()
    async with caller.stream("GET", "/a") as stream:
        chunks = stream.chunks()
        assert await chunks.__anext__() == b"first"
        await chunks.aclose()
    go_on.set()
    assert caller.cache.stats.entries == 0
    assert (await caller.get("/a")).content == b"firstsecond"
    assert server.count() == 2
    del stream, chunks
    gc.collect()


async def test_a_stream_left_unread_stores_nothing(make: Make, server: Server) -> None:
    server.on("/a", lambda exchange: exchange.send_chunked([b"one", b"two"]))
    caller = make()
    async with caller.stream("GET", "/a"):
        pass
    assert caller.cache.stats.entries == 0
    assert (await caller.get("/a")).content == b"onetwo"


async def test_a_body_that_grows_beyond_the_bound_is_handed_on_whole(make: Make, server: Server) -> None:
    chunks = [bytes([n]) * 500 for n in range(10)]
    server.on("/a", lambda exchange: exchange.send_chunked(chunks))
    caller = make(cache={"storage": MemoryStorage(max_entry_bytes=2500)})
    for _ in range(2):
        assert (await caller.get("/a")).content == b"".join(chunks)
    assert caller.cache.stats.entries == 0
    assert server.count() == 2


@pytest.mark.parametrize("kind", ["client", "mounted"])
async def test_connections_return_to_the_pool(make: Make, server: Server, lib: SimpleNamespace, kind: str) -> None:
    server.on("/chunked", lambda exchange: exchange.send_chunked([b"one", b"two"]))
    server.answers("/cookie", b"x", headers={"Set-Cookie": "a=b"})
    server.answers("/missing", b"x", 404)
    server.answers("/large", b"x" * 5000)
    caller = make(
        kind,
        limits=lib.http.Limits(max_connections=1),
        timeout=lib.http.Timeout(LONG, pool=LONG),
        cache={"storage": MemoryStorage(max_entry_bytes=4000)},
    )
    for _ in range(2):
        for path in ("/a", "/chunked", "/cookie", "/missing", "/large"):
            await caller.get(path)
            await caller.request("HEAD", path)
        await caller.request("POST", "/a")
        async with caller.stream("GET", "/chunked") as stream:
            await stream.all()
    assert server.connections == 1, "one connection was enough, so each was given back"


@pytest.mark.parametrize("path", ["/large", "/chunked"])
async def test_a_stream_left_early_gives_its_connection_back(
    make: Make, server: Server, lib: SimpleNamespace, path: str
) -> None:
    server.on("/chunked", lambda exchange: exchange.send_chunked([b"one", b"two"]))
    server.answers("/large", b"x" * 5000)
    caller = make(
        limits=lib.http.Limits(max_connections=1),
        timeout=lib.http.Timeout(LONG, pool=LONG),
        cache={"storage": MemoryStorage(max_entry_bytes=4000)},
    )
    for _ in range(3):
        async with caller.stream("GET", path):
            pass
    assert (await caller.get("/a")).status_code == 200


async def test_an_upgrade_passes_through_with_its_stream(
    make: Make, server: Server, outcome: Outcome, sync: bool
) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.raw(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        exchange.raw(b"echo:" + exchange.rfile.read(5))
        exchange.hang_up()

    server.on("/ws", answer)
    caller = make()
    headers = {"Connection": "Upgrade", "Upgrade": "echo"}
    async with caller.stream("GET", "/ws", headers=headers) as stream:
        response = stream.response
        assert response.status_code == 101
        assert outcome(response)[:2] == ("bypass", "upgrade")
        network = response.extensions["network_stream"]
        received = b""
        if sync:
            network.write(b"hello", timeout=LONG)
            while len(received) < 10:
                received += network.read(100, timeout=LONG)
        else:
            await network.write(b"hello", timeout=LONG)
            while len(received) < 10:
                received += await network.read(100, timeout=LONG)
    assert received == b"echo:hello"
    assert caller.cache.stats.entries == 0


async def test_a_request_body_is_streamed_to_the_server(make: Make, server: Server, sync: bool) -> None:
    server.on("/a", lambda exchange: exchange.send(exchange.seen.body))
    caller = make()

    def chunks() -> Any:
        yield b"one"
        yield b"two"

    async def async_chunks() -> Any:
        yield b"one"
        yield b"two"

    response = await caller.request("POST", "/a", content=chunks() if sync else async_chunks())
    assert response.content == b"onetwo"
    assert server.log[0].headers["transfer-encoding"] == "chunked"
