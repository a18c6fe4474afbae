"""CacheClient and AsyncCacheClient: httpx clients with the transports mounted."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from pywats_cache import CacheOutcome, CachingError, ConfigurationTypeError, Controller, MemoryStorage
from pywats_cache.testing import FakeClock

Outcome = Callable[[Any], CacheOutcome]


def test_they_are_clients_of_their_library(lib: SimpleNamespace) -> None:
    assert issubclass(lib.CacheClient, lib.http.Client)
    assert issubclass(lib.AsyncCacheClient, lib.http.AsyncClient)


def test_a_client_caches_and_shows_its_cache(lib: SimpleNamespace, origin: Any, outcome: Outcome) -> None:
    controller, storage, clock = Controller(ttl=60), MemoryStorage(), FakeClock()
    with lib.CacheClient(
        transport=origin.transport, controller=controller, storage=storage, clock=clock, base_url="http://origin"
    ) as client:
        assert outcome(client.get("/a"))[:2] == ("miss", "unknown")
        assert outcome(client.get("/a"))[:2] == ("hit", "fresh")
        assert client.cache.controller is controller
        assert client.cache.storage is storage
        assert client.cache.stats.requests == 2
        clock.advance(60)
        assert client.get("/a").text == "2"
        client.cache.invalidate("/a")
        assert client.get("/a").text == "3"
        client.cache.clear()
        assert client.get("/a").text == "4"


@pytest.mark.anyio
async def test_an_async_client_caches_and_shows_its_cache(lib: SimpleNamespace, origin: Any, outcome: Outcome) -> None:
    async with lib.AsyncCacheClient(transport=origin.transport, base_url="http://origin") as client:
        assert outcome(await client.get("/a"))[:2] == ("miss", "unknown")
        assert outcome(await client.get("/a"))[:2] == ("hit", "fresh")
        await client.cache.invalidate("/a")
        assert (await client.get("/a")).text == "2"
        await client.cache.clear()
        assert (await client.get("/a")).text == "3"
        assert client.cache.stats.requests == 4


def test_a_cache_transport_is_used_as_it_is(lib: SimpleNamespace, origin: Any) -> None:
    transport = lib.CacheTransport(origin.transport, controller=Controller(ttl=5))
    with lib.CacheClient(transport=transport) as client:
        assert client.cache is transport
    assert lib.AsyncCacheClient(transport=(other := lib.AsyncCacheTransport())).cache is other


@pytest.mark.parametrize("part", ["controller", "storage", "clock"])
def test_parts_beside_a_cache_transport_are_refused(lib: SimpleNamespace, part: str) -> None:
    value = {"controller": Controller(), "storage": MemoryStorage(), "clock": FakeClock()}[part]
    for make, transport in (
        (lib.CacheClient, lib.CacheTransport()),
        (lib.AsyncCacheClient, lib.AsyncCacheTransport()),
    ):
        with pytest.raises(TypeError, match=f"{part} must not be given") as caught:
            make(transport=transport, **{part: value})
        assert isinstance(caught.value, CachingError)


def test_a_cache_transport_of_another_kind_is_refused(lib: SimpleNamespace) -> None:
    import pywats_cache.httpx
    import pywats_cache.httpx2

    other = pywats_cache.httpx2 if lib.name == "httpx" else pywats_cache.httpx
    for transport in (lib.AsyncCacheTransport(), other.CacheTransport()):
        with pytest.raises(TypeError, match="transport"):
            lib.CacheClient(transport=transport)
    for transport in (lib.CacheTransport(), other.AsyncCacheTransport()):
        with pytest.raises(TypeError, match="transport"):
            lib.AsyncCacheClient(transport=transport)


@pytest.mark.parametrize(
    "options", [{"controller": 5}, {"storage": 5}, {"clock": 5}, {"transport": object()}, {"no_such": 1}]
)
def test_a_bad_argument_is_refused_by_name(lib: SimpleNamespace, options: Any) -> None:
    for make in (lib.CacheClient, lib.AsyncCacheClient):
        with pytest.raises(TypeError, match=next(iter(options))):
            make(**options)


def test_a_setting_of_the_policy_says_where_it_belongs(lib: SimpleNamespace) -> None:
    with pytest.raises(ConfigurationTypeError, match=r"ttl must be given to the controller: .*Controller\(ttl=60\)"):
        lib.CacheClient(ttl=60)


def test_arguments_of_the_library_reach_its_client(lib: SimpleNamespace) -> None:
    with lib.CacheClient(
        verify=False,
        http2=True,
        timeout=7,
        headers={"X-All": "1"},
        params={"all": "1"},
        limits=lib.http.Limits(max_connections=3),
        follow_redirects=True,
        default_encoding="latin-1",
        trust_env=False,
    ) as client:
        pool = client.cache.next_transport._pool
        assert (pool._http2, pool._max_connections) == (True, 3)
        assert pool._ssl_context.verify_mode == 0
        assert client.timeout == lib.http.Timeout(7)
        request = client.build_request("GET", "http://host/a")
        assert (request.headers["x-all"], request.url.params["all"]) == ("1", "1")
        assert client.follow_redirects


@pytest.mark.anyio
async def test_arguments_of_the_library_reach_its_async_client(lib: SimpleNamespace) -> None:
    async with lib.AsyncCacheClient(verify=False, http2=True, limits=lib.http.Limits(max_connections=3)) as client:
        pool = client.cache.next_transport._pool
        assert (pool._http2, pool._max_connections) == (True, 3)


def test_proxies_and_mounts_share_the_engine(lib: SimpleNamespace, origin: Any) -> None:
    with lib.CacheClient(
        transport=origin.transport, mounts={"http://special": origin.transport, "http://none": None}
    ) as client:
        assert client.get("http://special/a").text == "1"
        assert client.get("http://special/a").text == "1"
        client.get("http://plain/a")
        assert client.get("http://plain/a").text == "2"
        stats = client.cache.stats
        assert (stats.requests, stats.hits, stats.entries) == (4, 2, 2)
        client.cache.invalidate("/a")
        assert client.get("http://special/a").text == "3"
    with lib.CacheClient(proxy="http://127.0.0.1:9") as client:
        (mounted,) = client._mounts.values()
        assert isinstance(mounted, lib.CacheTransport)
        assert mounted.storage is client.cache.storage
        assert "Proxy" in type(mounted.next_transport._pool).__name__


def test_a_mounted_cache_transport_keeps_its_own_engine(lib: SimpleNamespace, origin: Any) -> None:
    own = lib.CacheTransport(origin.transport)
    with lib.CacheClient(transport=origin.transport, mounts={"http://special": own}) as client:
        client.get("http://special/a")
        client.get("http://special/a")
        assert client.cache.stats.requests == 0
        assert (own.stats.misses, own.stats.hits) == (1, 1)


def test_all_verbs_work(lib: SimpleNamespace, origin: Any, outcome: Outcome) -> None:
    with lib.CacheClient(transport=origin.transport, base_url="http://origin") as client:
        statuses = {
            name: outcome(getattr(client, name)("/a")).status
            for name in ("get", "head", "options", "post", "put", "patch", "delete")
        }
    assert statuses == {
        "get": "miss",
        "head": "hit",
        "options": "bypass",
        "post": "bypass",
        "put": "bypass",
        "patch": "bypass",
        "delete": "bypass",
    }
