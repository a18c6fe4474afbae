"""Whatever a caller can tell of a call is the same with the cache as without: at the miss, and at each hit."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from types import ModuleType
from typing import Any

import httpx
import httpx2
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from seen_calls import aseen, seen

import pywats_cache
import pywats_cache.httpx2
from pywats_cache import Controller, Read

LIBRARIES = pytest.mark.parametrize(
    ("lib", "cache"), [(httpx, pywats_cache), (httpx2, pywats_cache.httpx2)], ids=["httpx", "httpx2"]
)
ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": partial(gzip.compress, mtime=0),
    "deflate": zlib.compress,
    "x-own": bytes,
}
FIELDS = st.sampled_from(
    [
        ("X-A", b"1"),
        ("x-a", b"2"),
        ("X-Latin", b"\xe4\xff"),
        ("X-Utf", "ä".encode()),
        ("Link", b"</a>; rel=next"),
        ("Content-Type", b"text/plain; charset=latin-1"),
        ("Content-Type", b"text/plain; charset=nonsense"),
        ("Content-Type", b"application/json"),
        ("Cache-Control", b"no-store"),
        ("Set-Cookie", b"a=b; Path=/"),
        ("Vary", b"X-V"),
        ("Vary", b"*"),
        ("Location", b"/target"),
    ]
)
ANSWER = st.fixed_dictionaries(
    {
        "status": st.sampled_from([200] * 8 + [203, 206, 301, 302, 307, 404, 500, 299]),
        "fields": st.lists(FIELDS, max_size=2),
        "body": st.sampled_from([b"", b"null", b"one\ntwo\r\nthree", "äöü€".encode(), b"\xe4\xf6", b"\x00\xff" * 200]),
        "encoding": st.sampled_from([None, None, *ENCODERS]),
        "length": st.sampled_from(["true"] * 4 + ["none", "none", "short", "twice"]),
        "size": st.sampled_from([7, 1000]),
        "extensions": st.sampled_from([{}, {"http_version": b"HTTP/2"}, {"reason_phrase": b"Fine \xe4"}]),
        "breaks": st.sampled_from([False] * 7 + [True]),
    }
)
OPTIONS: dict[str, Any] = {
    "params": st.sampled_from([None, {}, {"q": 1}, {"q": True}, [("q", "2")]]),
    "headers": st.sampled_from([{}, {"X-V": "1"}, {"X-V": "2"}, {"api_key": "k"}, {"Authorization": "u"}]),
    "timeout": st.sampled_from([None, 3]),
    "follow_redirects": st.booleans(),
    "auth": st.just(("u", "p")),
}
CALL = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["GET"] * 9 + ["HEAD", "OPTIONS", "POST"]),
        "url": st.sampled_from(["/p", "/p?a=1", "/p#f", "/p%7e", "/ä", "http://u:pw@o/p", "http://[::1]:8000/p"]),
        "reading": st.sampled_from(["whole"] * 4 + ["bytes", "raw", "text", "lines", "read", "nothing"]),
    },
    optional=OPTIONS,
)
CALLS = st.builds(lambda call, change: [call, {**call, **change}], CALL, st.fixed_dictionaries({}, optional=OPTIONS))
"""A call, and one that differs in an option or two, or in none."""
CLIENT = st.sampled_from(
    [
        {},
        {"params": {"z": "1"}},
        {"headers": {"X-V": "c"}},
        {"follow_redirects": True},
        {"cookies": {"j": "1"}},
        {"default_encoding": "latin-1"},
        {"timeout": None},
    ]
)
CONTROLLER = st.sampled_from([Controller(), Controller([Read("/**", statuses=(200, 203, 301, 302, 307, 404))])])


def server(lib: Any, answer: dict[str, Any]) -> Any:
    """A next transport, sync and async, that says what it was asked for, and whose bodies are not read yet."""

    class Chunks(lib.SyncByteStream, lib.AsyncByteStream):  # type: ignore[misc,name-defined]
        def __init__(self, body: bytes) -> None:
            self.body = body

        def __iter__(self) -> Iterator[bytes]:
            for start in range(0, len(self.body), answer["size"]):
                yield self.body[start : start + answer["size"]]
            if answer["breaks"]:
                raise lib.ReadError("broken off")

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for chunk in self:
                yield chunk

    class Server(lib.BaseTransport, lib.AsyncBaseTransport):  # type: ignore[misc,name-defined]
        def handle_request(self, request: Any) -> Any:
            seen = [request.method.encode(), request.url.netloc, request.url.raw_path]
            varies = [b"X-V"] * (("Vary", b"X-V") in answer["fields"])
            for name in (b"Authorization", b"Cookie", b"api_key", *varies):
                seen.append(request.headers.get(name.decode(), "").encode())
            body = b"" if request.method == "HEAD" else b" ".join(seen) + b"\n" + answer["body"]
            fields = list(answer["fields"])
            if answer["encoding"]:
                body = ENCODERS[answer["encoding"]](body)
                fields.append(("Content-Encoding", answer["encoding"].encode()))
            length = str(len(body) // 2 if answer["length"] == "short" else len(body)).encode()
            fields += [("Content-Length", length)] * {"none": 0, "twice": 2}.get(answer["length"], 1)
            status = 200 if request.url.path == "/target" else answer["status"]
            return lib.Response(status, headers=fields, stream=Chunks(body), extensions=answer["extensions"])

        async def handle_async_request(self, request: Any) -> Any:
            return self.handle_request(request)

    return Server()


def clients_of(
    lib: Any, cache: Any, kind: str, answer: Any, options: dict[str, Any], controller: Any
) -> tuple[Any, Any, Any]:
    """A bare client, one over a mounted transport, and ours; `kind` is "" or "Async"."""
    options = {"base_url": "http://o", **options}
    plain = getattr(lib, f"{kind}Client")
    mounted = getattr(cache, f"{kind}CacheTransport")(server(lib, answer), controller=controller)
    ours = getattr(cache, f"{kind}CacheClient")
    return (
        plain(transport=server(lib, answer), **options),
        plain(transport=mounted, **options),
        ours(transport=server(lib, answer), controller=controller, **options),
    )


def note_the_hits_of(clients: tuple[Any, Any, Any]) -> None:
    _, mounted, ours = clients
    event(f"hits: {mounted._transport.stats.hits > 0}, lookups: {ours.cache.stats.lookups > 0}")


def repeated(calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [call for call in calls for _ in range(3)] + calls


@LIBRARIES
@settings(max_examples=200)
@given(answer=ANSWER, options=CLIENT, calls=CALLS, controller=CONTROLLER)
def test_a_client_sees_what_it_would_without_the_cache(
    lib: ModuleType, cache: Any, answer: Any, options: dict[str, Any], calls: list[dict[str, Any]], controller: Any
) -> None:
    clients = clients_of(lib, cache, "", answer, options, controller)
    for call in repeated(calls):
        bare, *others = [seen(client, **call) for client in clients]
        for other in others:
            assert other == bare
    note_the_hits_of(clients)


@LIBRARIES
@settings(max_examples=100)
@given(answer=ANSWER, options=CLIENT, calls=CALLS, controller=CONTROLLER)
def test_an_async_client_sees_what_it_would_without_the_cache(
    lib: ModuleType, cache: Any, answer: Any, options: dict[str, Any], calls: list[dict[str, Any]], controller: Any
) -> None:
    clients = clients_of(lib, cache, "Async", answer, options, controller)

    async def compare() -> None:
        for call in repeated(calls):
            bare, *others = [await aseen(client, **call) for client in clients]
            for other in others:
                assert other == bare

    asyncio.run(compare())
    note_the_hits_of(clients)
