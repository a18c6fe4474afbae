"""The same on httpx2."""

from __future__ import annotations

import httpx
import httpx2
from typing_extensions import assert_type

from pywats_cache import Controller, MemoryStorage
from pywats_cache.httpx2 import AsyncCacheClient, AsyncCacheTransport, CacheClient, CacheTransport


def sync() -> None:
    with CacheClient(controller=Controller(), storage=MemoryStorage(), base_url="https://wats.example") as client:
        assert_type(client.get("/a", params={"b": 1}), httpx2.Response)
        assert_type(client.cache, CacheTransport)
    plain = httpx2.Client(transport=CacheTransport(httpx2.HTTPTransport()))
    plain.close()


async def asynchronous() -> None:
    async with AsyncCacheClient(timeout=5.0) as client:
        assert_type(await client.get("/a"), httpx2.Response)
        assert_type(client.cache, AsyncCacheTransport)


def mistakes() -> None:
    CacheClient(transport=httpx.HTTPTransport())  # type: ignore[arg-type]
    CacheClient(ttl=60)  # type: ignore[call-arg]
    httpx.Client(transport=CacheTransport())  # type: ignore[arg-type]
