"""A server on loopback, and clients of both libraries, sync and async."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import httpx
import httpx2
import pytest
from loopback import Server

import pywats_cache.httpx
import pywats_cache.httpx2
from pywats_cache import CacheOutcome

LIBRARIES = {"httpx": (httpx, pywats_cache.httpx), "httpx2": (httpx2, pywats_cache.httpx2)}


@pytest.fixture(params=sorted(LIBRARIES))
def lib(request: pytest.FixtureRequest) -> SimpleNamespace:
    """`lib.http` is httpx or its fork httpx2; beside it our classes for that library."""
    http, ours = LIBRARIES[request.param]
    return SimpleNamespace(http=http, name=request.param, **{name: getattr(ours, name) for name in ours.__all__})


@pytest.fixture
def server() -> Iterator[Server]:
    """The server that all clients talk to."""
    server = Server()
    yield server
    server.close()


class Stream:
    """A streamed response, read in the same words whether it is sync or async."""

    def __init__(self, response: Any, sync: bool) -> None:
        self.response = response
        self.sync = sync

    async def chunks(self, how: str = "bytes") -> AsyncIterator[Any]:
        """What `iter_bytes`, `iter_raw`, `iter_text` or `iter_lines` gives."""
        if self.sync:
            for chunk in getattr(self.response, f"iter_{how}")():
                yield chunk
        else:
            iterator = getattr(self.response, f"aiter_{how}")()
            try:
                async for chunk in iterator:
                    yield chunk
            finally:
                await iterator.aclose()

    async def all(self, how: str = "bytes") -> Any:
        return [chunk async for chunk in self.chunks(how)]

    async def read(self) -> bytes:
        return self.response.read() if self.sync else await self.response.aread()


class Caller:
    """A client, sync or async, called in the same words."""

    def __init__(self, client: Any, sync: bool) -> None:
        self.client = client
        self.sync = sync

    async def request(self, method: str, url: str, **options: Any) -> Any:
        response = self.client.request(method, url, **options)
        return response if self.sync else await response

    async def get(self, url: str, **options: Any) -> Any:
        response = self.client.get(url, **options)
        return response if self.sync else await response

    async def send(self, request: Any, **options: Any) -> Any:
        response = self.client.send(request, **options)
        return response if self.sync else await response

    @asynccontextmanager
    async def stream(self, method: str, url: str, **options: Any) -> AsyncIterator[Stream]:
        if self.sync:
            with self.client.stream(method, url, **options) as response:
                yield Stream(response, True)
        else:
            async with self.client.stream(method, url, **options) as response:
                yield Stream(response, False)

    @property
    def cache(self) -> Any:
        return self.client._transport

    async def invalidate(self, *arguments: Any, **options: Any) -> None:
        done = self.cache.invalidate(*arguments, **options)
        if not self.sync:
            await done


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Drop what says nothing new: the synchronous client beside the second event loop."""

    def is_new(item: pytest.Item) -> bool:
        params = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        return (params.get("sync"), params.get("anyio_backend")) != ("sync", "trio")

    items[:] = [item for item in items if is_new(item)]


@pytest.fixture(params=["sync", "async"])
def sync(request: pytest.FixtureRequest) -> bool:
    """Whether the client is the synchronous one."""
    return request.param == "sync"


@pytest.fixture
async def make(lib: SimpleNamespace, server: Server, sync: bool) -> AsyncIterator[Callable[..., Caller]]:
    """Makes callers: `make()` a CacheClient, `make("mounted")` a client over a CacheTransport, `make("bare")` neither.

    `next=` is the next transport; `cache=` the arguments of the cache.
    """
    clients: list[Any] = []

    def make(kind: str = "client", *, next: Any = None, cache: Any = None, **options: Any) -> Caller:
        options = {"base_url": server.url, "verify": False, "trust_env": False, **options}
        http = lib.http
        if kind == "client":
            cls = lib.CacheClient if sync else lib.AsyncCacheClient
            options.update(cache or {}, transport=next)
        else:
            cls = http.Client if sync else http.AsyncClient
            plain = http.HTTPTransport if sync else http.AsyncHTTPTransport
            transport = next
            if kind == "mounted":
                if transport is None:
                    own = {name: options[name] for name in ("limits", "http2") if name in options}
                    transport = plain(verify=False, **own)
                transport = (lib.CacheTransport if sync else lib.AsyncCacheTransport)(transport, **(cache or {}))
            options["transport"] = transport
        clients.append(cls(**options))
        return Caller(clients[-1], sync)

    yield make
    for client in clients:
        if sync:
            client.close()
        else:
            await client.aclose()


@pytest.fixture
def outcome() -> Callable[[Any], CacheOutcome]:
    """The CacheOutcome of a response."""
    return lambda response: response.extensions["pywats_cache"]
