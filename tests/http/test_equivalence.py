"""With the cache off or bypassed, and at each miss, a client behaves as the bare one does."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import pytest
from loopback import Exchange, Server

from pywats_cache import Bypass, Controller, MemoryStorage

pytestmark = pytest.mark.anyio
Make = Callable[..., Any]


def echo(exchange: Exchange) -> None:
    seen = exchange.seen
    names = {name: value for name, value in seen.headers.items() if name not in ("host", "connection")}
    exchange.send(repr((seen.method, seen.target, names, seen.body)).encode(), headers={"X-Echo": "1"})


def status(code: int, **headers: str) -> Callable[[Exchange], None]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda exchange: exchange.send(b"" if code in (204, 304) else b"body", code, named, length=code != 204)


def cut_off(exchange: Exchange) -> None:
    exchange.start(200, {"Content-Length": "10"})
    exchange.raw(b"x")
    exchange.hang_up()


def informed(exchange: Exchange) -> None:
    exchange.raw(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
    exchange.send(b"final")


def http_10(exchange: Exchange) -> None:
    exchange.raw(b"HTTP/1.0 200 Fine\r\nX-Old: 1\r\n\r\nuntil close")
    exchange.hang_up()


def latin(exchange: Exchange) -> None:
    exchange.raw(b"HTTP/1.1 200 \xdcber\r\nX-Latin: \xe4\r\nContent-Length: 1\r\n\r\n\xe4")


SITUATIONS: dict[str, tuple[Callable[[Exchange], object], str, dict[str, Any]]] = {
    "get": (echo, "GET", {}),
    "query": (echo, "GET", {"params": {"b": "2", "a": ["1", "x y"], "empty": "", "none": None}}),
    "headers": (echo, "GET", {"headers": [("X-Two", "1"), ("X-Two", "2"), ("User-Agent", "mine")]}),
    "cookies": (echo, "GET", {"headers": {"Cookie": "a=b"}}),
    "auth": (echo, "GET", {"auth": ("user", "pw")}),
    "get with a body": (echo, "GET", {"content": b"body"}),
    "post json": (echo, "POST", {"json": {"a": [1, None, "ä"]}}),
    "post form": (echo, "POST", {"data": {"a": "1", "b": ["2", "3"]}}),
    "post nothing": (echo, "POST", {}),
    "put": (echo, "PUT", {"content": "text"}),
    "patch": (echo, "PATCH", {"content": b"\x00\xff"}),
    "delete": (echo, "DELETE", {}),
    "options": (echo, "OPTIONS", {}),
    "head": (status(200, ETag='"1"'), "HEAD", {}),
    "own method": (echo, "PURGE", {}),
    "range": (status(206, Content_Range="bytes 0-3/10"), "GET", {"headers": {"Range": "bytes=0-3"}}),
    "conditional": (status(304, ETag='"1"'), "GET", {"headers": {"If-None-Match": '"1"'}}),
    "no content": (status(204), "GET", {}),
    "created": (status(201, Location="/new"), "POST", {}),
    "not found": (status(404), "GET", {}),
    "gone for a write": (status(410), "PUT", {}),
    "server error": (status(500), "GET", {}),
    "unavailable": (status(503, Retry_After="1"), "POST", {}),
    "unknown status": (status(299), "GET", {}),
    "redirect": (status(302, Location="/elsewhere"), "GET", {}),
    "redirect followed": (status(302, Location="/elsewhere"), "GET", {"follow_redirects": True}),
    "set-cookie": (status(200, Set_Cookie="a=b; Path=/"), "GET", {}),
    "gzip": (lambda e: e.send(gzip.compress(b"body"), headers={"Content-Encoding": "gzip"}), "GET", {}),
    "chunked": (lambda e: e.send_chunked([b"one", b"two"]), "GET", {}),
    "early hints": (informed, "GET", {}),
    "until close": (http_10, "GET", {}),
    "latin-1": (latin, "GET", {}),
    "cut off": (cut_off, "GET", {}),
    "cut off write": (cut_off, "POST", {}),
    "no answer": (lambda e: e.hang_up(), "GET", {}),
    "no answer to a write": (lambda e: e.hang_up(), "DELETE", {}),
    "not http": (lambda e: (e.raw(b"\x00\x01\x02\r\n\r\n"), e.hang_up()), "GET", {}),
}
OFF: dict[str, dict[str, Any]] = {
    "bypass-directive": {"extensions": {"pywats_cache": {"bypass": True}}},
    "bypass-rule": {"controller": Controller([Bypass("/**", methods=("GET", "HEAD", "OPTIONS", "POST", "PUT"))])},
    "ttl-0": {"controller": Controller(ttl=0)},
    "unmatched-bypass": {"controller": Controller(unmatched="bypass")},
    "first-fetch": {},
    "nothing-fits": {"storage": MemoryStorage(max_entry_bytes=1)},
}


async def behaviour(caller: Any, method: str, options: dict[str, Any]) -> Any:
    """All that a caller can tell of one request."""
    try:
        response = await caller.request(method, "/a", **options)
    except Exception as error:
        return type(error), str(error), str(error.request.url), error.request.method
    return {
        "status": (response.status_code, response.reason_phrase, response.http_version),
        "headers": response.headers.raw,
        "body": (response.content, response.text, response.encoding, response.num_bytes_downloaded),
        "state": (response.is_closed, response.is_stream_consumed, response.elapsed.total_seconds() >= 0),
        "request": (response.request.method, str(response.url), response.request.headers.raw),
        "history": [(step.status_code, str(step.url), step.content) for step in response.history],
        "next": response.next_request and str(response.next_request.url),
        "cookies": dict(response.cookies),
        "jar": dict(caller.client.cookies),
        "extensions": set(response.extensions) - {"pywats_cache"},
    }


@pytest.mark.parametrize("off", sorted(OFF))
async def test_a_client_behaves_as_the_bare_one(make: Make, server: Server, off: str) -> None:
    parts = dict(OFF[off])
    extensions = parts.pop("extensions", {})
    server.answers("/elsewhere", b"elsewhere")
    for name, (answer, method, options) in SITUATIONS.items():
        server.on("/a", answer)
        server.log.clear()
        expected = await behaviour(make("bare"), method, options)
        wire = [seen.__dict__ | {"connection": 0} for seen in server.log]
        for kind in ("client", "mounted"):
            server.log.clear()
            caller = make(kind, cache=dict(parts))
            got = await behaviour(
                caller, method, {**options, "extensions": dict(extensions)} if extensions else options
            )
            assert got == expected, f"{name} ({kind})"
            assert [seen.__dict__ | {"connection": 0} for seen in server.log] == wire, f"{name} ({kind}) on the wire"


async def test_a_stream_is_that_of_the_bare_client(make: Make, server: Server) -> None:
    server.answers("/elsewhere", b"elsewhere")
    for name, (answer, method, options) in SITUATIONS.items():
        server.on("/a", answer)
        if isinstance(expected := await behaviour(make("bare"), method, options), tuple):
            continue
        async with make().stream(method, "/a", **options) as stream:
            assert await stream.read() == expected["body"][0], name
            assert stream.response.headers.raw == expected["headers"], name
            assert stream.response.status_code == expected["status"][0], name
