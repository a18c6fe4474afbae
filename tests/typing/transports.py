"""The transports mounted on plain clients, and every kind of storage."""

from __future__ import annotations

from pathlib import Path

import hishel
import httpx
from typing_extensions import assert_type

import pywats_cache
from pywats_cache import (
    AsyncCacheTransport,
    CacheStats,
    CacheTransport,
    Controller,
    MemoryStorage,
    RedisSharedStorage,
    SharedStorage,
    TieredStorage,
)


def mounted() -> None:
    cache = CacheTransport(httpx.HTTPTransport(), controller=Controller(), storage=MemoryStorage(), log_hits=False)
    client = httpx.Client(transport=cache, mounts={"https://": CacheTransport()})
    assert_type(cache.handle_request(httpx.Request("GET", "https://wats.example/a")), httpx.Response)
    assert_type(cache.stats, CacheStats)
    assert_type(cache.controller, Controller)
    client.close()


async def mounted_async() -> None:
    cache = AsyncCacheTransport(httpx.AsyncHTTPTransport())
    client = httpx.AsyncClient(transport=cache)
    assert_type(await cache.handle_async_request(httpx.Request("GET", "https://wats.example/a")), httpx.Response)
    await client.aclose()


def storages() -> list[CacheTransport]:
    memory = MemoryStorage(max_entries=1000, max_bytes=64 << 20, max_entry_bytes=8 << 20)
    return [
        CacheTransport(storage=memory),
        CacheTransport(storage="memory://?max_entries=10"),
        CacheTransport(storage="sqlite:///cache.db"),
        CacheTransport(storage="redis://127.0.0.1:6379/0"),
        CacheTransport(storage=hishel.SqliteStorage()),
        CacheTransport(storage=TieredStorage(memory, hishel.SqliteStorage())),
        CacheTransport(storage=SharedStorage(Path("cache.db"), memory=memory, max_entries=10)),
        CacheTransport(storage=RedisSharedStorage("redis://127.0.0.1", max_lag=0.5, on_unreachable="fail")),
        CacheTransport(clock=lambda: 0.0),
    ]


def storages_async() -> list[AsyncCacheTransport]:
    memory = MemoryStorage()
    view: hishel.AsyncBaseStorage = memory.as_async()
    assert view is not None
    plain: hishel.BaseStorage = memory
    assert plain is not None
    return [
        AsyncCacheTransport(storage=memory),
        AsyncCacheTransport(storage=TieredStorage(memory, hishel.AsyncSqliteStorage())),
        AsyncCacheTransport(storage=SharedStorage("cache.db")),
    ]


def mistakes() -> None:
    pywats_cache.CacheTransprot  # type: ignore[attr-defined]
    MemoryStorage(max_entries="1000")  # type: ignore[arg-type]
    TieredStorage(MemoryStorage())  # type: ignore[call-arg]
    TieredStorage(hishel.SqliteStorage(), MemoryStorage())  # type: ignore[arg-type]
    CacheTransport(storage=Path("cache.db"))  # type: ignore[arg-type]
    RedisSharedStorage("redis://127.0.0.1", on_unreachable="ignore")  # type: ignore[arg-type]
    CacheTransport().handle_request("https://wats.example/a")  # type: ignore[arg-type]
    httpx.Client(transport=AsyncCacheTransport())  # type: ignore[arg-type]
