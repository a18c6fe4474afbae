"""Who calls a gated origin: requests through a transport, and clients whose calls may wait before httpx does."""

from __future__ import annotations

from typing import Any

import httpx
from gated_origin import URL, Origin

from pywats_cache import AsyncCacheClient, AsyncCacheTransport, CacheClient, CacheTransport, Controller


def ask(transport: CacheTransport, **extensions: Any) -> httpx.Response:
    response = transport.handle_request(httpx.Request("GET", URL, extensions=extensions))
    response.read()
    return response


async def aask(transport: AsyncCacheTransport, **extensions: Any) -> httpx.Response:
    response = await transport.handle_async_request(httpx.Request("GET", URL, extensions=extensions))
    await response.aread()
    return response


def made(origin: Origin, **options: Any) -> CacheClient:
    """A client that knows already what the call comes to, so that each of its calls may wait before httpx does."""
    client = CacheClient(transport=origin, **options)
    assert client.lookup("GET", URL) is None
    return client


def amade(origin: Origin, **options: Any) -> AsyncCacheClient:
    """The same for tasks."""
    client = AsyncCacheClient(transport=origin, **options)
    assert client.lookup("GET", URL) is None
    return client


def counted(client: CacheClient | AsyncCacheClient) -> tuple[int, int]:
    """All requests, and those of them that were over before httpx built one."""
    stats = client.cache.stats
    return stats.requests, stats.lookups


BRIEF = [{"timeout": httpx.Timeout(5.0, read=0.01)}, {"controller": Controller(join_timeout=0.01)}]


SWR = Controller(ttl=10.0, stale_while_revalidate=60.0)
