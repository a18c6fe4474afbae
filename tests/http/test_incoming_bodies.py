"""A body is handed on as it comes and stored as it is read: real sockets, and a server that the test leads."""

from __future__ import annotations

import gzip
import threading
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.to_thread
import pytest
from loopback import LONG, Exchange, Server

from pywats_cache import CacheOutcome, Controller, MemoryStorage, Read

pytestmark = pytest.mark.anyio
Make = Callable[..., Any]
Outcome = Callable[[Any], CacheOutcome]
FRESH = {"Cache-Control": "max-age=60"}
CONTROLLERS = {"ttl": Controller(ttl=60.0), "rfc": Controller(rfc9111=True)}
ENCODERS: dict[str, Callable[[bytes], bytes]] = {"gzip": partial(gzip.compress, mtime=0), "deflate": zlib.compress}


@pytest.fixture(params=sorted(CONTROLLERS))
def mode(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The arguments of a cache in TTL mode, or in RFC mode."""
    return {"controller": CONTROLLERS[request.param]}


@pytest.fixture(params=["client", "mounted"])
def kind(request: pytest.FixtureRequest) -> str:
    """A CacheClient, or a client over a CacheTransport."""
    return str(request.param)


class Slow:
    """A body of known length whose parts the server sends when the test lets it."""

    def __init__(self, *parts: bytes, length: int | None = None, headers: Any = FRESH) -> None:
        self.parts = parts
        self.length = sum(map(len, parts)) if length is None else length
        self.headers = dict(headers)
        self.gates = [threading.Semaphore(0) for _ in parts[1:]]

    def go_on(self, part: int = 1) -> None:
        self.gates[part - 1].release()

    def __call__(self, exchange: Exchange) -> None:
        exchange.start(200, self.headers, self.length)
        for number, part in enumerate(self.parts):
            assert number == 0 or self.gates[number - 1].acquire(timeout=LONG), "nobody let the server go on"
            exchange.raw(part)
        if sum(map(len, self.parts)) != self.length:
            exchange.reset()


@asynccontextmanager
async def beside(call: Callable[[], Any]) -> AsyncIterator[list[Any]]:
    """Runs an async `call` while the block runs; its result is in the list afterwards."""
    results: list[Any] = []

    async def run() -> None:
        results.append(await call())

    with anyio.fail_after(LONG):
        async with anyio.create_task_group() as group:
            group.start_soon(run)
            yield results


async def test_the_first_chunk_comes_before_the_last_is_sent_and_the_body_is_stored(
    make: Make, server: Server, outcome: Outcome, mode: dict[str, Any], kind: str
) -> None:
    body = Slow(b"first", b"second")
    server.on("/a", body)
    caller = make(kind, cache=mode)
    got = []
    async with caller.stream("GET", "/a") as stream:
        assert not stream.response.is_stream_consumed
        assert not outcome(stream.response).stored
        async for chunk in stream.chunks():
            got.append(chunk)
            if len(got) == 1:
                assert caller.cache.stats.entries == 0
                body.go_on()
        assert stream.response.num_bytes_downloaded == 11
        assert stream.response.is_closed
    assert got == [b"first", b"second"]
    assert outcome(stream.response)[:2] == ("miss", "unknown")
    assert outcome(stream.response).stored
    hit = await caller.get("/a")
    assert (hit.content, outcome(hit).status, server.count()) == (b"firstsecond", "hit", 1)


async def test_a_body_of_known_length_is_stored_before_its_last_chunk_is_handed_on(
    make: Make, server: Server, outcome: Outcome, mode: dict[str, Any]
) -> None:
    body = Slow(b"first", b"second")
    server.on("/a", body)
    caller = make(cache=mode)
    entries = []
    async with caller.stream("GET", "/a") as stream:
        async for _ in stream.chunks("raw"):
            entries.append(caller.cache.stats.entries)
            body.go_on()
        assert entries == [0, 1]
        assert len(caller.cache.storage.flights) == 0


async def test_a_body_that_breaks_off_gives_what_came_and_then_the_bare_clients_error(
    make: Make, server: Server, lib: SimpleNamespace, outcome: Outcome, mode: dict[str, Any], kind: str
) -> None:
    server.on("/a", Slow(b"part", length=11))
    seen = []
    for caller in (make("bare"), make(kind, cache=mode)):
        got: list[bytes] = []
        async with caller.stream("GET", "/a") as stream:
            response, chunks = stream.response, stream.chunks()
            got.append(await chunks.__anext__())
            with pytest.raises(lib.http.TransportError) as caught:
                await chunks.__anext__()
        seen.append((got, type(caught.value), str(caught.value.request.url), response.num_bytes_downloaded))
        with pytest.raises(lib.http.TransportError) as caught:
            await caller.get("/a")
        seen.append((type(caught.value), str(caught.value), str(caught.value.request.url)))
    assert seen[:2] == seen[2:]
    assert seen[0][0] == [b"part"]
    assert outcome(response)[:2] == ("miss", "incomplete")
    assert (caller.cache.stats.entries, len(caller.cache.storage.flights)) == (0, 0)


@pytest.mark.parametrize("how", ["bytes", "raw", "text", "whole", "get"])
@pytest.mark.parametrize("encoding", [None, "gzip"])
async def test_a_body_broken_before_its_first_byte_is_handed_on_falls_back_to_a_stale_one(
    make: Make, server: Server, outcome: Outcome, how: str, encoding: str | None
) -> None:
    good = b"good" if encoding is None else ENCODERS[encoding](b"good")
    headers = {} if encoding is None else {"Content-Encoding": encoding}
    server.answers("/a", good, 200, headers)
    caller = make(cache={"controller": Controller(ttl=60.0, stale_if_error=600.0), "clock": lambda: now[0]})
    now = [0.0]
    await caller.get("/a")
    now[0] = 100.0
    server.on("/a", Slow(b"", length=11, headers={**headers, "X-New": "1"}))
    if how == "get":
        response = await caller.get("/a")
        assert response.content == b"good"
    else:
        async with caller.stream("GET", "/a") as stream:
            response = stream.response
            body = await (stream.read() if how == "whole" else stream.all(how))
        wanted = "good" if how == "text" else good if how == "raw" else b"good"
        assert (body if how == "whole" else type(wanted)().join(body)) == wanted
    assert outcome(response)[:2] == ("stale", "if-error")
    assert (response.status_code, "X-New" in response.headers) == (200, False)
    assert response.elapsed.total_seconds() >= 0.0
    assert caller.cache.stats.stale == 1


@pytest.mark.parametrize("new", [{"Content-Encoding": "gzip"}, {}])
async def test_a_stale_body_does_not_stand_in_under_another_encoding_whose_head_was_seen(
    make: Make, server: Server, lib: SimpleNamespace, new: dict[str, str]
) -> None:
    old = {} if new else {"Content-Encoding": "gzip"}
    server.answers("/a", gzip.compress(b"good") if old else b"good", 200, old)
    now = [0.0]
    caller = make(cache={"controller": Controller(ttl=60.0, stale_if_error=600.0), "clock": lambda: now[0]})
    await caller.get("/a")
    now[0] = 100.0
    server.on("/a", Slow(b"", length=11, headers=new))
    with pytest.raises(lib.http.TransportError):
        async with caller.stream("GET", "/a") as stream:
            await stream.all()
    assert (await caller.get("/a")).content == b"good"


@pytest.mark.parametrize("encoding", sorted(ENCODERS))
@pytest.mark.parametrize("how", ["bytes", "raw", "whole"])
async def test_an_encoded_stream_is_handed_on_as_received_and_decoded_once_for_later_hits(
    make: Make, server: Server, outcome: Outcome, mode: dict[str, Any], encoding: str, how: str
) -> None:
    content = b"some text, " * 100
    raw = ENCODERS[encoding](content)
    body = Slow(raw[:10], raw[10:], headers={**FRESH, "Content-Encoding": encoding})
    server.on("/a", body)
    caller = make(cache=mode)
    for count in range(2):
        body.go_on()
        async with caller.stream("GET", "/a") as stream:
            got = await stream.read() if how == "whole" else b"".join(await stream.all(how))
        assert got == (raw if how == "raw" else content)
        assert stream.response.num_bytes_downloaded == len(raw)
        assert stream.response.is_stream_consumed
        assert stream.response.is_closed
        assert outcome(stream.response).status == ("hit" if count else "miss")


async def test_a_second_reading_of_a_stream_is_refused_as_by_the_bare_client(
    make: Make, server: Server, lib: SimpleNamespace, kind: str
) -> None:
    server.answers("/a", b"body")
    seen = []
    for caller in (make("bare"), make(kind)):
        for _ in range(2):
            async with caller.stream("GET", "/a") as stream:
                with pytest.raises(lib.http.ResponseNotRead):
                    _ = stream.response.content
                await stream.all()
                for again in (stream.all, partial(stream.all, "raw"), stream.read):
                    with pytest.raises(lib.http.StreamError) as caught:
                        await again()
                    seen.append(type(caught.value))
            async with caller.stream("GET", "/a") as stream:
                await stream.read()
                assert b"".join(await stream.all()) == b"body"
                assert await stream.read() == stream.response.content == b"body"
            async with caller.stream("GET", "/a") as stream:
                pass
            with pytest.raises(lib.http.StreamError) as caught:
                await stream.all()
            seen.append(type(caught.value))
    assert seen[:8] == seen[8:]


async def test_a_response_read_by_a_hook_is_stored_and_read_once(
    make: Make, server: Server, outcome: Outcome, sync: bool, kind: str
) -> None:
    def hook(response: Any) -> None:
        response.read()

    async def async_hook(response: Any) -> None:
        await response.aread()

    server.answers("/a", b"body")
    caller = make(kind, event_hooks={"response": [hook if sync else async_hook]})
    for status in ("miss", "hit"):
        response = await caller.get("/a")
        assert (response.content, outcome(response).status) == (b"body", status)
    assert server.count() == 1


@pytest.mark.parametrize("stored", [False, True])
async def test_a_redirect_whose_body_comes_slowly_is_followed(
    make: Make, server: Server, outcome: Outcome, stored: bool
) -> None:
    server.on("/a", lambda exchange: exchange.send(b"moved", 301, {"Location": "/b"}))
    server.answers("/b", b"there")
    rules = [Read("/a", statuses=(200, 301))] if stored else []
    caller = make(cache={"controller": Controller(rules, ttl=60.0)}, follow_redirects=True)
    for _ in range(2):
        async with caller.stream("GET", "/a") as stream:
            assert [step.status_code for step in stream.response.history] == [301]
            assert stream.response.history[0].content == b"moved"
            assert await stream.read() == b"there"
    assert server.count("/a") == (1 if stored else 2)
    assert server.count("/b") == 1


async def test_a_304_to_our_validators_answers_a_stream(
    make: Make, server: Server, outcome: Outcome, mode: dict[str, Any]
) -> None:
    def answer(exchange: Exchange) -> None:
        known = exchange.headers.get("If-None-Match") == '"1"'
        headers = {"ETag": '"1"', "Cache-Control": "max-age=60", "Date": "Tue, 01 Jan 2030 00:00:00 GMT"}
        exchange.send(b"" if known else b"body", 304 if known else 200, headers, length=not known)

    server.on("/a", answer)
    now = [0.0]
    caller = make(cache={**mode, "clock": lambda: now[0]})
    await caller.get("/a")
    now[0] = 100.0
    async with caller.stream("GET", "/a") as stream:
        assert await stream.all() == [b"body"]
    assert outcome(stream.response)[:2] == ("revalidated", "not-modified")
    assert stream.response.is_stream_consumed


@pytest.mark.parametrize("sent", [b"longer than announced", b"short"])
async def test_a_next_transport_whose_content_length_is_wrong_stores_nothing(
    make: Make, lib: SimpleNamespace, outcome: Outcome, sync: bool, sent: bytes
) -> None:
    class Chunks(lib.http.SyncByteStream, lib.http.AsyncByteStream):  # type: ignore[misc,name-defined]
        def __iter__(self) -> Any:
            yield sent[:11]
            yield sent[11:]

        async def __aiter__(self) -> Any:
            for chunk in self:
                yield chunk

    def answer(request: Any) -> Any:
        return lib.http.Response(200, headers={"Content-Length": "11"}, stream=Chunks())

    caller = make(next=lib.http.MockTransport(answer))
    async with caller.stream("GET", "/a") as stream:
        assert b"".join(await stream.all()) == sent
    assert outcome(stream.response)[:2] == ("miss", "incomplete")
    response = await caller.get("/a")
    assert (response.content, outcome(response)[:2]) == (sent, ("miss", "incomplete"))
    assert caller.cache.stats.entries == 0


@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")  # httpx leaves its own unfinished, on trio
@pytest.mark.parametrize("read", [0, 1])
async def test_an_early_close_of_a_body_of_known_length_stores_nothing_and_lets_the_next_fetch(
    make: Make, server: Server, outcome: Outcome, mode: dict[str, Any], read: int
) -> None:
    body = Slow(b"first", b"second")
    server.on("/a", body)
    caller = make(cache=mode)
    async with caller.stream("GET", "/a") as stream:
        chunks = stream.chunks()
        for _ in range(read):
            assert await chunks.__anext__() == b"first"
        await chunks.aclose()
    assert outcome(stream.response)[:2] == ("miss", "incomplete")
    assert (caller.cache.stats.entries, len(caller.cache.storage.flights)) == (0, 0)
    body.go_on()
    body.go_on()
    assert (await caller.get("/a")).content == b"firstsecond"
    assert server.count() == 2


async def test_the_same_caller_may_ask_again_within_a_stream(
    make: Make, server: Server, outcome: Outcome, kind: str
) -> None:
    body = Slow(b"first", b"second")
    server.on("/a", body)
    caller = make(kind)
    async with caller.stream("GET", "/a") as stream:
        server.answers("/a", b"inner")
        inner = await caller.get("/a")
        assert (inner.content, outcome(inner)[:2]) == (b"inner", ("miss", "own-flight"))
        body.go_on()
        assert await stream.read() == b"firstsecond"


class Waiting:
    """Tells of each joiner that has begun to wait; the clock of those who wait stands still until the test moves it."""

    def __init__(self, caller: Any) -> None:
        self.storage = caller.cache.storage
        self.now = self.storage.flights.monotonic()
        self.storage.flights.monotonic = lambda: self.now

    def advance(self, seconds: float) -> None:
        """Move the clock, and wake those whose time may have come."""
        self.now += seconds
        for flight in list(self.storage.flights.open.values()):
            for wake in list(flight._wakers):
                flight.forget(wake)
                wake()

    async def for_joiner(self) -> None:
        """Wait until somebody waits for the flight."""
        with anyio.fail_after(LONG):
            while not any(flight._wakers for flight in self.storage.flights.open.values()):
                await anyio.lowlevel.checkpoint()
                await anyio.to_thread.run_sync(threading.Event().wait, 0.001)


async def _call(caller: Any, path: str) -> Any:
    """One more GET, in a thread of its own if the client is the synchronous one."""
    if caller.sync:
        return await anyio.to_thread.run_sync(caller.client.get, path)
    return await caller.get(path)


@pytest.mark.parametrize("how", ["chunk in hand", "nothing read"])
async def test_nobody_waits_for_a_slow_reader(
    make: Make, server: Server, outcome: Outcome, mode: dict[str, Any], kind: str, how: str
) -> None:
    body = Slow(b"first", b"second")
    server.on("/a", body)
    caller = make(kind, cache=mode)
    waiting = Waiting(caller)
    async with caller.stream("GET", "/a") as stream:
        chunks = stream.chunks()
        if how == "chunk in hand":
            assert await chunks.__anext__() == b"first"
        server.answers("/a", b"for the second", 200, FRESH)
        async with beside(lambda: _call(caller, "/a")) as results:
            await waiting.for_joiner()
            waiting.advance(2.0)
        (second,) = results
        assert (second.content, outcome(second)[:2]) == (b"for the second", ("miss", "join-timeout"))
        body.go_on()
        assert b"".join([chunk async for chunk in chunks]).endswith(b"second")
    assert outcome(stream.response)[:2] == ("miss", "overtaken")
    third = await caller.get("/a")
    assert (third.content, outcome(third).status) == (b"for the second", "hit"), "the newer response stays"
    assert server.count() == 2


async def test_an_endless_body_holds_nobody(make: Make, server: Server, outcome: Outcome) -> None:
    ended = threading.Event()

    def endless(exchange: Exchange) -> None:
        exchange.start(200, {"Transfer-Encoding": "chunked"})
        exchange.chunk(b"tick")
        ended.wait(LONG)
        exchange.chunk(b"")

    server.on("/a", endless)
    caller = make()
    waiting = Waiting(caller)
    async with beside(lambda: _call(caller, "/a")) as first:
        while not any(flight.body_until for flight in caller.cache.storage.flights.open.values()):
            await anyio.to_thread.run_sync(threading.Event().wait, 0.001)
        server.answers("/a", b"for the second")
        async with beside(lambda: _call(caller, "/a")) as second:
            await waiting.for_joiner()
            waiting.advance(2.0)
        assert (second[0].content, outcome(second[0]).status) == (b"for the second", "miss")
        ended.set()
    assert first[0].content == b"tick"


async def test_who_comes_after_a_slow_reader_does_not_even_join(make: Make, server: Server, outcome: Outcome) -> None:
    body = Slow(b"first", b"second")
    server.on("/a", body)
    caller = make()
    waiting = Waiting(caller)
    async with caller.stream("GET", "/a"):
        waiting.advance(2.0)
        server.answers("/a", b"for the second")
        async with beside(lambda: _call(caller, "/a")) as second:
            pass
        assert (second[0].content, outcome(second[0]).status) == (b"for the second", "miss")
    body.go_on()


async def test_a_body_larger_than_may_be_stored_lets_the_others_go_while_it_is_read(
    make: Make, server: Server, outcome: Outcome
) -> None:
    server.on("/a", lambda exchange: exchange.send_chunked([b"x" * 60, b"y" * 60]))
    caller = make(cache={"storage": MemoryStorage(max_entry_bytes=100)})
    async with caller.stream("GET", "/a") as stream:
        assert len(b"".join(await stream.all())) == 120
    assert outcome(stream.response)[:2] == ("miss", "too-large")
    response = await caller.get("/a")
    assert (len(response.content), outcome(response)[:2]) == (120, ("miss", "too-large"))
