"""Sync and async clients: `httpx.Client` and `httpx.AsyncClient` with a cache."""

from __future__ import annotations

import httpx
from typing_extensions import assert_type

from pywats_cache import (
    REASONS,
    AsyncCacheClient,
    AsyncCacheTransport,
    CacheClient,
    CacheOutcome,
    CacheStats,
    CacheTransport,
    Controller,
    Explanation,
    Finding,
    MemoryStorage,
    Warmed,
)


def sync() -> None:
    with CacheClient(
        controller=Controller(ttl=60.0),
        storage=MemoryStorage(max_entries=100),
        record="trace.jsonl",
        log_hits=True,
        base_url="https://wats.example",
        headers={"Accept": "application/json"},
        params={"page": 1},
        cookies={"a": "b"},
        auth=("user", "password"),
        verify=False,
        cert=None,
        trust_env=False,
        http1=True,
        http2=False,
        proxy=None,
        mounts={"http://": httpx.HTTPTransport()},
        timeout=httpx.Timeout(5.0),
        follow_redirects=True,
        limits=httpx.Limits(max_connections=4),
        max_redirects=3,
        event_hooks={"response": [print]},
        transport=httpx.HTTPTransport(retries=1),
        default_encoding="utf-8",
    ) as client:
        assert_type(client, CacheClient)
        response = client.get("/api/Product/A", params={"detail": "full"}, timeout=3.0)
        assert_type(response, httpx.Response)
        assert_type(client.post("/api/Product", json={}), httpx.Response)
        assert_type(client.cache, CacheTransport)
        assert_type(client.cache.stats, CacheStats)
        assert_type(client.cache.explain(client.build_request("GET", "/a")), Explanation)
        assert_type(client.cache.doctor(), list[Finding])
        assert_type(client.warm(["/a", client.build_request("GET", "/b")], concurrency=2), Warmed)
        client.cache.invalidate("/api/Product", tags=("product",), soft=True)
        client.cache.clear()
        stored = client.lookup("GET", "/a")
        if stored is not None:
            assert_type(stored.status, int)
            assert_type(stored.content, bytes)
    plain: httpx.Client = client
    plain.close()


async def asynchronous() -> None:
    async with AsyncCacheClient(base_url="https://wats.example", transport=httpx.AsyncHTTPTransport()) as client:
        assert_type(client, AsyncCacheClient)
        assert_type(await client.get("/a", headers={"A": "b"}), httpx.Response)
        assert_type(client.cache, AsyncCacheTransport)
        assert_type(client.cache.stats, CacheStats)
        assert_type(client.cache.explain(client.build_request("GET", "/a")), Explanation)
        assert_type(await client.cache.aexplain(client.build_request("GET", "/a")), Explanation)
        assert_type(await client.warm(["/a"]), Warmed)
        await client.cache.invalidate(tags=("product",))
        await client.cache.clear()
    plain: httpx.AsyncClient = client
    await plain.aclose()


def outcome(response: httpx.Response) -> str:
    result: CacheOutcome = response.extensions["pywats_cache"]
    as_text: str = result.reason
    assert_type(REASONS[result.reason], str)
    assert_type(result.ttl, float | None)
    assert_type(result.stored, bool)
    if result.status == "hits":  # type: ignore[comparison-overlap]
        return "no such status"
    match result.reason:
        case "dirtied" | "softened":
            return "a write came in between"
        case "expired":
            return f"past its TTL of {result.ttl} s"
        case _:
            pass
    if result.reason == "dirtyed":  # type: ignore[comparison-overlap]
        return "no such reason"
    return as_text


def mistakes(client: CacheClient, other: AsyncCacheClient) -> None:
    CacheClient(ttl=60)  # type: ignore[call-arg]
    CacheOutcome("miss", "unknwon")  # type: ignore[arg-type]
    CacheClient(base_url=5)  # type: ignore[arg-type]
    CacheClient(controller={"ttl": 60})  # type: ignore[arg-type]
    CacheClient(transport=httpx.AsyncHTTPTransport())  # type: ignore[arg-type]
    AsyncCacheClient(transport=httpx.HTTPTransport())  # type: ignore[arg-type]
    client.get("/a", parms={})  # type: ignore[call-arg]
    client.cache.invalidate(5)  # type: ignore[arg-type]
    client.cache.stats.hits = 1  # type: ignore[misc]
    client.cache.stats.hit_ratio  # type: ignore[attr-defined]
    other.get("/a").status_code  # type: ignore[attr-defined]


def blocks(client: CacheClient, asynchronous: AsyncCacheClient, response: httpx.Response) -> None:
    with client.cache.options(
        refresh=True, ttl=5, tags=("a",), stale_while_revalidate=3, stale_if_error=None
    ) as nothing:
        assert_type(nothing, None)
    with asynchronous.cache.options(bypass=True, only_if_cached=False), asynchronous.cache.outcomes() as seen:
        assert_type(seen, list[CacheOutcome])
    assert_type(CacheOutcome.of(response), CacheOutcome | None)
    client.cache.options(key="a")  # type: ignore[call-arg]
    client.cache.options(refesh=True)  # type: ignore[call-arg]
