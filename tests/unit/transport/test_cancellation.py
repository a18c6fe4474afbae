"""Calls and clients that are cancelled or interrupted give back what they hold: connections, responses, flights."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.to_thread
import pytest

pytestmark = pytest.mark.anyio


async def cancelled_once(begun: threading.Event, call: Coroutine[Any, Any, Any]) -> None:
    """Cancel `call` by its task, which no shield keeps out, once `begun` is set."""
    task = asyncio.ensure_future(call)
    assert await anyio.to_thread.run_sync(begun.wait, 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("way", ["left", "closed"])
@pytest.mark.parametrize("mounted", [True, False])
async def test_a_client_that_is_cancelled_closes_its_next_transport(
    lib: SimpleNamespace, tmp_path: Path, way: str, mounted: bool
) -> None:
    closed = []

    class Next(lib.http.AsyncBaseTransport):
        async def handle_async_request(self, request: Any) -> Any:
            return lib.http.Response(200)

        async def aclose(self) -> None:
            closed.append(True)

    if mounted:
        client = lib.http.AsyncClient(transport=lib.AsyncCacheTransport(Next()))
    else:
        client = lib.AsyncCacheClient(transport=Next(), storage=f"sqlite:///{tmp_path / 'cache.db'}")
    with anyio.CancelScope() as scope:
        if way == "closed":
            scope.cancel()
            await client.aclose()
        else:
            async with client:
                await client.get("http://origin/a")
                scope.cancel()
                await anyio.sleep_forever()
    assert closed


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_write_that_is_cancelled_while_others_are_told_of_it_closes_the_response(
    lib: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed, telling, told = [], threading.Event(), threading.Event()

    class Body(lib.http.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"x"

        async def aclose(self) -> None:
            closed.append(True)

    next_transport = lib.http.MockTransport(lambda request: lib.http.Response(200, stream=Body()))
    transport = lib.AsyncCacheTransport(next_transport, storage=f"sqlite:///{tmp_path / 'cache.db'}")
    forwarded = transport._engine.forwarded

    def slow(*arguments: Any) -> Any:
        telling.set()
        assert told.wait(30)
        return forwarded(*arguments)

    monkeypatch.setattr(transport._engine, "forwarded", slow)
    async with lib.http.AsyncClient(transport=transport) as client:
        await cancelled_once(telling, client.put("http://host/a"))
        told.set()
    assert closed


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_failed_fetch_that_is_cancelled_while_it_asks_what_others_did_lands_its_flight(
    lib: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking, answered = threading.Event(), threading.Event()

    def refuse(request: Any) -> Any:
        monkeypatch.setattr(type(coherence), "is_current", lambda self: False)
        monkeypatch.setattr(type(coherence), "refresh", slow)
        raise lib.http.ConnectError("refused")

    def slow(self: Any) -> int:
        asking.set()
        assert answered.wait(30)
        return 0

    transport = lib.AsyncCacheTransport(lib.http.MockTransport(refuse), storage=f"sqlite:///{tmp_path / 'cache.db'}")
    coherence = transport._engine.storage.coherence
    client = lib.http.AsyncClient(transport=transport)
    await cancelled_once(asking, client.get("http://host/a"))
    answered.set()
    assert len(transport._engine.storage.flights) == 0
    monkeypatch.undo()
    await client.aclose()


# ── the same by a KeyboardInterrupt ───────────────────────────────────────────────────────────────────────────────────


def interrupted(*_: Any) -> Any:
    raise KeyboardInterrupt


@pytest.mark.parametrize("way", ["left", "closed"])
def test_a_client_that_is_interrupted_closes_its_next_transport(
    lib: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    closed = []

    class Next(lib.http.BaseTransport):
        def close(self) -> None:
            closed.append(True)

    transport = lib.CacheTransport(Next())
    monkeypatch.setattr(transport, "_close_files", interrupted)
    client = lib.http.Client(transport=transport)
    with pytest.raises(KeyboardInterrupt):
        client.__enter__().__exit__() if way == "left" else client.close()
    assert closed


def test_a_write_that_is_interrupted_while_others_are_told_of_it_closes_the_response(
    lib: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = []

    class Body(lib.http.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield b"x"

        def close(self) -> None:
            closed.append(True)

    transport = lib.CacheTransport(lib.http.MockTransport(lambda request: lib.http.Response(200, stream=Body())))
    monkeypatch.setattr(transport._engine, "forwarded", interrupted)
    with lib.http.Client(transport=transport) as client:
        with pytest.raises(KeyboardInterrupt):
            client.put("http://host/a")
        assert closed


def test_a_failed_fetch_that_is_interrupted_while_it_asks_what_others_did_lands_its_flight(
    lib: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(request: Any) -> Any:
        monkeypatch.setattr(type(coherence), "is_current", lambda self: False)
        monkeypatch.setattr(type(coherence), "refresh", interrupted)
        raise lib.http.ConnectError("refused")

    transport = lib.CacheTransport(lib.http.MockTransport(refuse), storage=f"sqlite:///{tmp_path / 'cache.db'}")
    coherence = transport._engine.storage.coherence
    with lib.http.Client(transport=transport) as client:
        with pytest.raises(KeyboardInterrupt):
            client.get("http://host/a")
        assert len(transport._engine.storage.flights) == 0
        monkeypatch.undo()
