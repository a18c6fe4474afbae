"""What async transports do besides requests asks no shared store in the thread of the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio.from_thread
import anyio.to_thread
import httpx
import pytest
import redis
from sharing_world import start_valkey

from pywats_cache import AsyncCacheClient, CacheClient, RedisSharedStorage, SharedStorage
from pywats_cache.coherence.single_flight import Landing
from pywats_cache.storage.redis.feed import Feed
from pywats_cache.storage.redis.storage import KEY_VARIABLE
from pywats_cache.storage.shared import coherence as shared_coherence
from pywats_cache.storage.sqlite.database import SqliteFile
from pywats_cache.testing import FakeClock
from pywats_cache.web.subject import Subject

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["sqlite", "valkey"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/shared.db"
        return
    monkeypatch.setenv(KEY_VARIABLE, "k" * 32)
    server = start_valkey()
    yield f"redis://127.0.0.1:{server.port}/0?max_lag=60"
    server.stop()


@pytest.fixture
def elsewhere(url: str) -> Iterator[CacheClient]:
    """A client with a storage of its own, as another process has."""
    with CacheClient(storage=url, transport=httpx.MockTransport(answer), base_url="http://origin") as client:
        yield client


def answer(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, text=request.method)


class Asked:
    """The threads in which a store was asked, written to or closed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.threads: set[int] = set()
        for kind, name in (
            (SqliteFile, "_transaction"),
            (SqliteFile, "close"),
            (redis.Redis, "execute_command"),
            (Feed, "stop"),
        ):
            monkeypatch.setattr(kind, name, self._noting(getattr(kind, name)))

    def _noting(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*args: Any, **options: Any) -> Any:
            self.threads.add(threading.get_ident())
            return real(*args, **options)

        return noted

    @property
    def here(self) -> bool:
        return threading.get_ident() in self.threads

    @property
    def in_a_worker(self) -> bool:
        return bool(self.threads - {threading.get_ident()})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    return Asked(monkeypatch)


def client_of(url: str) -> AsyncCacheClient:
    return AsyncCacheClient(storage=url, transport=httpx.MockTransport(answer), base_url="http://origin")


async def test_explain_goes_by_memory_and_aexplain_asks(url: str, elsewhere: CacheClient, asked: Asked) -> None:
    async with client_of(url) as client:
        request = client.build_request("GET", "/a")
        await anyio.to_thread.run_sync(elsewhere.get, "/a")
        asked.threads.clear()
        found = client.cache.explain(request)
        assert (found.status, found.reason, found.settling) == ("miss", "unknown", False)
        assert found.memory_only
        assert "not asked" in str(found)
        assert not asked.threads

        found = await client.cache.aexplain(request)
        assert (found.status, found.reason, found.memory_only) == ("hit", "fresh", False)
        assert "not asked" not in str(found)
        assert asked.in_a_worker
        assert not asked.here


async def test_what_memory_is_sure_of_is_the_whole_answer(
    url: str, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_coherence, "CHECK", 60.0)  # sure for so long
    monkeypatch.setattr(Feed, "start", lambda feed: None)  # whose beginning makes it unsure once more
    async with client_of(url) as client:
        await client.get("/a")
        found = client.cache.explain(client.build_request("GET", "/a"))
        assert (found.status, found.reason, found.memory_only) == ("hit", "fresh", False)
        found = client.cache.explain(client.build_request("PUT", "/a"))
        assert (found.status, found.reason, found.memory_only) == ("bypass", "write", False)
        assert not asked.here


async def test_what_another_process_dirtied_meanwhile_is_left_open(
    url: str, elsewhere: CacheClient, asked: Asked
) -> None:
    async with client_of(url) as client:
        request = client.build_request("GET", "/a")
        await client.get("/a")
        await anyio.to_thread.run_sync(elsewhere.put, "/a")
        client.cache.storage.memory.coherence.doubt()  # as when the news has come that there is news
        assert client.cache.explain(request).memory_only
        assert not asked.here
        found = await client.cache.aexplain(request)
        assert (found.status, found.reason, found.memory_only) == ("miss", "dirtied", False)
        assert not asked.here


async def test_an_answer_that_expired_here_is_looked_for_in_the_store(url: str, elsewhere: CacheClient) -> None:
    async with client_of(url) as client:
        await client.get("/a")
        entry = next(iter(client.cache.storage.memory.table.items.values()))
        entry.began -= 1000.0
        await anyio.to_thread.run_sync(lambda: elsewhere.get("/a", extensions={"pywats_cache": {"refresh": True}}))
        request = client.build_request("GET", "/a")
        found = client.cache.explain(request)
        assert (found.status, found.reason, found.memory_only) == ("miss", "expired", True)
        found = await client.cache.aexplain(request)
        assert (found.status, found.reason, found.memory_only) == ("hit", "fresh", False)
        assert (await client.get("/a")).extensions["pywats_cache"].status == "hit"


async def test_figures_and_findings_ask_nothing(url: str, elsewhere: CacheClient, asked: Asked) -> None:
    async with client_of(url) as client:
        for path in [f"/{n}" for n in range(25)]:
            await client.get(path)
        await anyio.to_thread.run_sync(elsewhere.put, "/1")
        client.cache.storage.memory.coherence.doubt()
        asked.threads.clear()
        assert client.cache.stats.misses == 25
        assert client.cache.doctor() == []
        assert client.cache.controller.ttl == 300.0
        assert isinstance(client.cache.storage, (SharedStorage, RedisSharedStorage))
        assert "AsyncCacheTransport" in repr(client.cache)
        subject = Subject(client)
        assert subject.figures() is not None
        assert subject.findings() == []
        assert len(subject.entries()) == 25
        assert len(subject.events()) == 25
        assert not asked.threads


@pytest.mark.parametrize("how", ["with", "aclose"])
async def test_closing_does_not_wait_in_the_event_loop(url: str, asked: Asked, how: str) -> None:
    client = client_of(url)
    if how == "with":
        async with client:
            await client.get("/a")
            asked.threads.clear()
    else:
        await client.get("/a")
        asked.threads.clear()
        await client.aclose()
    assert asked.in_a_worker
    assert not asked.here


async def test_the_page_asks_in_a_worker_thread_whatever_the_client_is(
    url: str, elsewhere: CacheClient, asked: Asked
) -> None:
    await anyio.to_thread.run_sync(elsewhere.get, "/a")
    with CacheClient(storage=url, transport=httpx.MockTransport(answer), base_url="http://origin") as sync:
        async with client_of(url) as client:
            for one in (sync, client):
                asked.threads.clear()
                found = await Subject(one).explain("get", "/a")
                assert (found.status, found.reason) == ("hit", "fresh")
                assert asked.in_a_worker
                assert not asked.here


async def test_a_clock_that_was_set_back_is_told_to_the_others_by_a_worker_thread(
    url: str, elsewhere: CacheClient, asked: Asked
) -> None:
    clock = FakeClock()
    transport = httpx.MockTransport(answer)
    async with AsyncCacheClient(storage=url, clock=clock, transport=transport, base_url="http://origin") as client:
        await anyio.to_thread.run_sync(elsewhere.get, "/b")
        await client.get("/a")
        asked.threads.clear()
        clock.advance(-100.0)
        first, _, third = [(await client.get("/a")).extensions["pywats_cache"].status for _ in range(3)]
        assert not asked.here
        assert asked.in_a_worker
        assert (first, third) == ("miss", "hit")
        again = await anyio.to_thread.run_sync(elsewhere.get, "/b")
        assert again.extensions["pywats_cache"].reason == "dirtied"


class Held:
    """In the place of the coherence's question to the store: waits in its worker thread until the test lets it go."""

    def __init__(self, coherence: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked, self.go = anyio.Event(), threading.Event()
        self._real = coherence.refresh
        monkeypatch.setattr(type(coherence), "refresh", lambda _: self._refresh())

    def _refresh(self) -> int:
        if threading.current_thread() is not threading.main_thread():
            anyio.from_thread.run_sync(self.asked.set)
            assert self.go.wait(30)
        epoch: int = self._real()
        return epoch


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_a_task_that_is_cancelled_while_the_store_is_asked_counts(
    url: str, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    async with client_of(url) as client:
        await client.get("/a")
        client.cache.storage.memory.coherence.doubt()
        held = Held(client.cache.storage.memory.coherence, monkeypatch)
        task = asyncio.get_running_loop().create_task(client.request(method, "/a"))
        await held.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        held.go.set()
        stats = client.cache.stats
        assert stats.requests == 2
        assert (stats.misses, stats.bypassed) == ((2, 0) if method == "GET" else (1, 1))


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("lookup", [True, False])
async def test_a_joiner_that_is_cancelled_while_the_store_is_asked_counts(
    url: str, monkeypatch: pytest.MonkeyPatch, lookup: bool
) -> None:
    asked, go = anyio.Event(), anyio.Event()

    async def serve(request: httpx.Request) -> httpx.Response:
        asked.set()
        await go.wait()
        return httpx.Response(200, text="1")

    loop = asyncio.get_running_loop()
    async with AsyncCacheClient(storage=url, transport=httpx.MockTransport(serve), base_url="http://origin") as client:
        coherence = client.cache.storage.memory.coherence
        leader = loop.create_task(client.request("GET", "/a"))
        await asked.wait()
        waiting = anyio.Event()
        wait = client.cache._wait

        async def noted(join: Any) -> Any:
            waiting.set()
            return await wait(join)

        client.cache._wait = noted
        joiner = loop.create_task(client.get("/a") if lookup else client.request("GET", "/a"))
        await waiting.wait()
        (flight,) = client.cache._engine.storage.flights.open.values()
        coherence.doubt()
        held = Held(coherence, monkeypatch)
        flight.land(Landing.FAILED)
        await held.asked.wait()
        joiner.cancel()
        with pytest.raises(asyncio.CancelledError):
            await joiner
        held.go.set()
        go.set()
        await leader
        assert client.cache.stats.requests == 2
