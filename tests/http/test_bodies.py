"""Bodies over real sockets: a hit equals the miss, and nothing partial is stored."""

from __future__ import annotations

import gc
import gzip
import importlib.util
import zlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from loopback import Exchange, Server

from pywats_cache import CacheOutcome, MemoryStorage

pytestmark = pytest.mark.anyio
Make = Callable[..., Any]
Outcome = Callable[[Any], CacheOutcome]

TEXT = "\n".join(f'{{"line": {n}, "word": "Größe"}}' for n in range(200))
PLAIN = f"[{TEXT.replace(chr(10), ',')}]".encode()


def deflated(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


ENCODINGS: dict[str, tuple[str | None, Callable[[bytes], bytes]]] = {
    "identity": (None, lambda data: data),
    "gzip": ("gzip", gzip.compress),
    "deflate-raw": ("deflate", deflated),
    "deflate-zlib": ("deflate", zlib.compress),
    "gzip-twice": ("gzip, gzip", lambda data: gzip.compress(gzip.compress(data))),
    "x-unknown": ("x-unknown", lambda data: data[::-1]),
}
if importlib.util.find_spec("brotli"):
    import brotli

    ENCODINGS["br"] = ("br", brotli.compress)


@pytest.fixture(params=sorted(ENCODINGS))
def encoded(request: pytest.FixtureRequest) -> tuple[str | None, bytes]:
    """A Content-Encoding and the body so encoded."""
    name, encode = ENCODINGS[request.param]
    return name, encode(PLAIN)


@pytest.mark.parametrize("known_length", [True, False], ids=["known-length", "chunked"])
async def test_a_hit_equals_the_miss(
    make: Make, server: Server, outcome: Outcome, encoded: tuple[str | None, bytes], known_length: bool
) -> None:
    name, raw = encoded
    headers = {"Content-Type": "application/json", "X-One": "1"}
    if name:
        headers["Content-Encoding"] = name

    def answer(exchange: Exchange) -> None:
        if known_length:
            exchange.send(raw, headers=headers)
        else:
            exchange.send_chunked([raw[:100], raw[100:101], raw[101:]], headers)

    server.on("/a", answer)
    bare = make("bare")
    seen: dict[str, list[Any]] = {}
    for caller in (bare, caching := make(), caching):
        for how in ("bytes", "raw", "text", "lines"):
            async with caller.stream("GET", "/a") as stream:
                chunks = await stream.all(how)
            empty: Any = b"" if how in ("bytes", "raw") else ""
            seen.setdefault(how, []).append(chunks if how == "lines" else empty.join(chunks))
            seen.setdefault("downloaded", []).append(stream.response.num_bytes_downloaded)
        response = await caller.get("/a")
        seen.setdefault("content", []).append(response.content)
        seen.setdefault("again", []).append(response.read() if caller.sync else await response.aread())
        seen.setdefault("headers", []).append(response.headers.raw)
        seen.setdefault("encoding", []).append((response.encoding, response.http_version, response.reason_phrase))
        if name != "x-unknown":
            seen.setdefault("json", []).append(response.json())
    assert server.count("/a") == 5 + 1, "five of the bare client, one of the caching"
    for what, values in seen.items():
        assert all(value == values[0] for value in values), what
    assert seen["raw"][0] == raw
    assert seen["content"][0] == (raw if name == "x-unknown" else PLAIN)


async def test_a_hit_is_not_decoded_again(make: Make, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.answers("/a", gzip.compress(PLAIN), headers={"Content-Encoding": "gzip"})
    caller = make()
    await caller.get("/a")

    def never(*args: Any, **options: Any) -> Any:
        raise AssertionError("a hit was decoded")

    monkeypatch.setattr(zlib, "decompressobj", never)
    assert (await caller.get("/a")).content == PLAIN


async def test_a_head_of_a_stored_get_has_its_headers_and_no_body(make: Make, server: Server, outcome: Outcome) -> None:
    server.answers("/a", PLAIN, headers={"X-One": "1"})
    bare = await make("bare").request("HEAD", "/a")
    caller = make()
    await caller.get("/a")
    head = await caller.request("HEAD", "/a")
    assert outcome(head).status == "hit"
    assert head.headers.raw == bare.headers.raw
    assert head.content == bare.content == b""
    assert head.headers["content-length"] == str(len(PLAIN))
    assert [seen.method for seen in server.log] == ["HEAD", "GET"]


async def test_a_head_over_the_wire_answers_no_later_get(make: Make, server: Server) -> None:
    server.answers("/a", PLAIN)
    caller = make()
    assert (await caller.request("HEAD", "/a")).content == b""
    assert (await caller.get("/a")).content == PLAIN
    assert (await caller.get("/a")).content == PLAIN
    assert [seen.method for seen in server.log] == ["HEAD", "GET"]


async def test_an_empty_body_is_stored(make: Make, server: Server, outcome: Outcome) -> None:
    server.answers("/a", b"")
    caller = make()
    assert [(await caller.get("/a")).content for _ in range(2)] == [b"", b""]
    assert server.count() == 1


@pytest.mark.parametrize("known_length", [True, False], ids=["known-length", "chunked"])
async def test_a_large_body_passes_through_unstored(
    make: Make, server: Server, outcome: Outcome, known_length: bool
) -> None:
    large = bytes(range(256)) * 1024

    def answer(exchange: Exchange) -> None:
        if known_length:
            exchange.send(large)
        else:
            exchange.send_chunked([large[n : n + 4096] for n in range(0, len(large), 4096)])

    server.on("/a", answer)
    caller = make(cache={"storage": MemoryStorage(max_entry_bytes=len(large) - 1)})
    for count in (1, 2):
        async with caller.stream("GET", "/a") as stream:
            assert b"".join(await stream.all("raw")) == large
        assert not outcome(stream.response).stored
        assert (await caller.get("/a")).content == large
        assert server.count() == 2 * count
    assert caller.cache.stats.entries == 0


BROKEN: dict[str, Callable[[Exchange], None]] = {}


def broken(answer: Callable[[Exchange], None]) -> Callable[[Exchange], None]:
    BROKEN[answer.__name__] = answer
    return answer


@broken
def short_of_its_length(exchange: Exchange) -> None:
    exchange.start(200, {"Content-Length": "100"})
    exchange.raw(b"part")
    exchange.hang_up()


@broken
def chunks_without_end(exchange: Exchange) -> None:
    exchange.start(200, {"Transfer-Encoding": "chunked"})
    exchange.chunk(b"part")
    exchange.hang_up()


@broken
def a_chunk_cut_off(exchange: Exchange) -> None:
    exchange.start(200, {"Transfer-Encoding": "chunked"})
    exchange.raw(b"ff\r\npart")
    exchange.hang_up()


@broken
def a_reset_in_the_middle(exchange: Exchange) -> None:
    exchange.start(200, {"Content-Length": "100"})
    exchange.raw(b"part")
    exchange.reset()


@broken
def no_answer_at_all(exchange: Exchange) -> None:
    exchange.hang_up()


@broken
def no_gzip(exchange: Exchange) -> None:
    exchange.send(b"this is no gzip", headers={"Content-Encoding": "gzip"})


@broken
def no_gzip_chunked(exchange: Exchange) -> None:
    exchange.send_chunked([b"this is ", b"no gzip"], {"Content-Encoding": "gzip"})


@broken
def nonsense(exchange: Exchange) -> None:
    exchange.raw(b"nonsense\r\n\r\n")
    exchange.hang_up()


@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")  # httpx leaves its own unfinished, on trio
@pytest.mark.parametrize("name", sorted(BROKEN))
async def test_a_broken_answer_raises_as_without_the_cache_and_is_not_stored(
    make: Make, server: Server, lib: SimpleNamespace, name: str
) -> None:
    server.on("/a", BROKEN[name])
    errors = []
    for caller in (make("bare"), make("mounted"), caching := make(), caching):
        with pytest.raises(lib.http.HTTPError) as caught:
            await caller.get("/a")
        errors.append((type(caught.value), str(caught.value.request.url)))
    assert len(set(errors)) == 1, errors
    assert server.count("/a") == 4
    assert caching.cache.stats.entries == 0
    server.answers("/a", b"whole")
    assert [(await caching.get("/a")).content for _ in range(2)] == [b"whole", b"whole"]
    del caught
    gc.collect()


async def test_a_broken_stream_raises_to_who_reads_it(make: Make, server: Server, lib: SimpleNamespace) -> None:
    server.on("/a", chunks_without_end)
    caller = make()
    got: list[bytes] = []

    async def read() -> None:
        async with caller.stream("GET", "/a") as stream:
            async for chunk in stream.chunks():
                got.append(chunk)

    with pytest.raises(lib.http.RemoteProtocolError):
        await read()
    assert got == [b"part"]
    assert caller.cache.stats.entries == 0


async def test_a_gzip_bomb_is_not_unpacked_in_the_transport(make: Make, server: Server, outcome: Outcome) -> None:
    bomb = gzip.compress(bytes(32 << 20))
    server.answers("/a", bomb, headers={"Content-Encoding": "gzip"})
    caller = make(cache={"storage": MemoryStorage(max_entry_bytes=1 << 20)})
    async with caller.stream("GET", "/a") as stream:
        assert b"".join(await stream.all("raw")) == bomb
    assert not outcome(stream.response).stored
    assert caller.cache.stats.entries == 0


async def test_a_next_transport_may_hand_over_a_read_body(
    make: Make, server: Server, lib: SimpleNamespace, sync: bool, outcome: Outcome
) -> None:
    server.answers("/a", gzip.compress(PLAIN), headers={"Content-Encoding": "gzip", "X-One": "1"})

    class Reading(lib.http.HTTPTransport):
        def handle_request(self, request: Any) -> Any:
            response = super().handle_request(request)
            response.read()
            return response

    class AsyncReading(lib.http.AsyncHTTPTransport):
        async def handle_async_request(self, request: Any) -> Any:
            response = await super().handle_async_request(request)
            await response.aread()
            return response

    caller = make(next=(Reading if sync else AsyncReading)(verify=False))
    got = [await caller.get("/a") for _ in range(2)]
    assert [outcome(response).status for response in got] == ["miss", "hit"]
    assert [response.content for response in got] == [PLAIN, PLAIN]
    assert got[0].headers.raw == got[1].headers.raw
    async with caller.stream("GET", "/a") as stream:
        assert b"".join(await stream.all("bytes")) == PLAIN
    assert server.count() == 1
