"""SharedStorage under async transports, whose event loops it never blocks."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from shared_clients import POSTED, RFC, TOKEN, Make, status

from pywats_cache import Controller, Read, Write
from pywats_cache.storage.shared import base as sharing
from pywats_cache.storage.shared.record_format import FORMAT
from pywats_cache.storage.sqlite import lock_claims
from pywats_cache.testing import FakeClock


@pytest.mark.anyio
async def test_sync_and_async_transports_share_one_store(
    lib: SimpleNamespace, origin: Any, store: Make, process: Make
) -> None:
    storage = store()
    sync = process(storage=storage)
    elsewhere = process()
    async with lib.http.AsyncClient(
        transport=lib.AsyncCacheTransport(origin.transport, storage=storage),
        base_url="http://origin",
        headers={"Authorization": TOKEN},
    ) as client:
        assert (await client.get("/a")).text == "1"
        assert sync.get("/a").text == elsewhere.get("/a").text == "1"
        await client.put("/a")
        assert sync.get("/a").text == "3"
        elsewhere.put("/a")
        assert (await client.get("/a")).text == "5"
        await client._transport.invalidate("/a")
        assert elsewhere.get("/a").text == "6"
        await client._transport.clear()
        assert (await client.get("/a")).text == "7"


@pytest.mark.anyio
async def test_no_database_is_used_in_the_thread_of_the_event_loop(
    lib: SimpleNamespace, origin: Any, store: Make, process: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    from pywats_cache.storage.sqlite.database import SqliteFile

    loop = threading.get_ident()
    used: set[int] = set()
    real = SqliteFile._transaction
    elsewhere = process()

    def noted(self: SqliteFile, begin: str, work: Any) -> Any:
        used.add(threading.get_ident())
        return real(self, begin, work)

    controller = Controller([Read("/tagged", tags=("t",)), Write("/w", dirties=("t",))], drop_on=(401, 403))
    async with lib.AsyncCacheClient(
        transport=origin.transport, storage=store(), controller=controller, base_url="http://origin"
    ) as client:
        monkeypatch.setattr(SqliteFile, "_transaction", noted)
        await client.get("/a")
        await client.get("/a")
        await client.put("/a")
        await anyio.to_thread.run_sync(elsewhere.put, "/a")
        await client.get("/a")
        await anyio.to_thread.run_sync(elsewhere.put, "/a")
        await client.get("/a")
        await client.cache.invalidate("/a")
        origin.reply = {"status_code": 401}
        await client.get("/b")
        await client.put("/b")
        await client.cache.clear()
        used_by_loop = loop in used
    assert used
    assert not used_by_loop


class EveryMoment:
    """Lets another process dirty something just before each look at the epoch that `loop` takes, as if by chance."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, bump: Callable[[], object]) -> None:
        import threading

        from pywats_cache.storage.shared.coherence import SharedCoherence
        from pywats_cache.storage.sqlite.database import SqliteFile

        self.armed = False
        self.looks = 0
        self.transactions: list[int] = []
        loop, epoch, transaction = threading.get_ident(), SharedCoherence.epoch, SqliteFile._transaction

        def looked_at(coherence: SharedCoherence) -> int:
            if self.armed and threading.get_ident() == loop:
                self.looks += 1
                thread = threading.Thread(target=bump)
                thread.start()
                thread.join()
            return epoch.fget(coherence)  # type: ignore[attr-defined,no-any-return]

        def noted(file: SqliteFile, begin: str, work: Any) -> Any:
            if self.armed:
                self.transactions.append(threading.get_ident() == loop)
            return transaction(file, begin, work)

        monkeypatch.setattr(SharedCoherence, "epoch", property(looked_at, epoch.fset))  # type: ignore[attr-defined]
        monkeypatch.setattr(SqliteFile, "_transaction", noted)

    @property
    def blocked(self) -> bool:
        return any(self.transactions)


@pytest.mark.anyio
@pytest.mark.parametrize("mutant", [False, True])
async def test_a_bump_at_any_moment_of_a_request_does_not_block_the_event_loop(
    lib: SimpleNamespace, origin: Any, store: Make, monkeypatch: pytest.MonkeyPatch, mutant: bool
) -> None:
    from pywats_cache.storage.shared.coherence import SharedCoherence

    elsewhere = store().memory.coherence
    clock = FakeClock()
    controller = Controller(ttl=60.0, stale_if_error=600.0)
    moment = EveryMoment(monkeypatch, lambda: elsewhere.bump(("another",)))
    if mutant:
        monkeypatch.setattr(SharedCoherence, "without_io", lambda coherence, step, *arguments: step(*arguments))

    async def unknown_length() -> Any:
        yield b"1"

    def reply(request: Any) -> Any:
        if request.url.path == "/etag" and "If-None-Match" in request.headers:
            return origin.http.Response(304, headers={"ETag": '"1"'})
        if request.url.path == "/down" and origin.count > 1:
            raise origin.http.ConnectError("down")
        if request.url.path == "/stream":
            return origin.http.Response(200, content=unknown_length())
        return origin.http.Response(200, text="1", headers={"ETag": '"1"'} if request.url.path == "/etag" else {})

    origin.reply = reply
    async with lib.AsyncCacheClient(
        transport=origin.transport, storage=store(), controller=controller, base_url="http://origin", clock=clock
    ) as client:
        moment.armed = True
        for path in ("/down", "/a", "/stream", "/etag"):
            statuses = [status(await client.get(path)) for _ in range(4)]
            assert statuses == ["miss", "hit", "hit", "hit"]  # nor does it cost a hit
            clock.advance(61.0)
            statuses.append(status(await client.get(path)))
            assert statuses[-1] == {"/etag": "revalidated", "/down": "stale"}.get(path, "miss")
        assert status(await client.options("/a")) == "bypass"
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(client.get, "/together")
        moment.armed = False
    assert moment.looks > 20
    assert moment.blocked is mutant


@pytest.mark.anyio
@pytest.mark.parametrize("mutant", [False, True])
async def test_a_bump_at_any_moment_of_a_lookup_that_no_hit_answers_does_not_block_the_event_loop(
    lib: SimpleNamespace, origin: Any, store: Make, monkeypatch: pytest.MonkeyPatch, mutant: bool
) -> None:
    from pywats_cache.coherence.single_flight import Flight
    from pywats_cache.storage.shared.coherence import SharedCoherence

    monkeypatch.setattr("pywats_cache.storage.shared.coherence.CHECK", 3600.0)  # however slow this machine is
    elsewhere, storage = store().memory.coherence, store()
    clock = FakeClock()
    controller = Controller(ttl=60.0, stale_while_revalidate=600.0)
    moment = EveryMoment(monkeypatch, lambda: elsewhere.bump(("another",)))
    if mutant:
        monkeypatch.setattr(SharedCoherence, "without_io", lambda coherence, step, *arguments: step(*arguments))
    arrived, waiting = anyio.Event(), anyio.Semaphore(0)
    on_landing = Flight.on_landing
    monkeypatch.setattr(Flight, "on_landing", lambda flight, wake: (on_landing(flight, wake), waiting.release()))

    async def reply(request: Any) -> Any:
        arrived.set()
        if origin.count == 1:
            await waiting.acquire()
        return origin.http.Response(200, text="1")

    origin.reply = reply
    got: list[str] = []

    async def get(path: str) -> None:
        moment.armed = False
        await anyio.to_thread.run_sync(storage.memory.coherence.refresh)
        moment.armed = True
        got.append(status(await client.get(path)))

    async with lib.AsyncCacheClient(
        transport=origin.transport, storage=storage, controller=controller, base_url="http://origin", clock=clock
    ) as client:
        client.lookup("GET", "/a")
        async with anyio.create_task_group() as group:
            group.start_soon(get, "/a")
            await arrived.wait()
            group.start_soon(get, "/a")
        clock.advance(61.0)
        await get("/a")
        moment.armed = False
        assert sorted(got) == ["collapsed", "miss", "stale"]
        assert mutant or client.cache.stats.lookups == 2
    assert moment.looks > 3
    assert moment.blocked is mutant


@pytest.mark.anyio
async def test_no_answer_to_another_method_blocks_the_event_loop_in_rfc_mode(
    lib: SimpleNamespace, origin: Any, store: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = store().memory.coherence
    moment = EveryMoment(monkeypatch, lambda: elsewhere.bump(("another",)))
    origin.reply = lambda request: origin.http.Response(
        200, text=request.method, headers={**POSTED, "etag": '"1"' if request.method == "GET" else '"2"'}
    )
    async with lib.AsyncCacheClient(
        transport=origin.transport, storage=store(), controller=RFC, base_url="http://origin"
    ) as client:
        moment.armed = True
        await client.get("/b")
        await client.head("/b", headers={"Cache-Control": "no-cache"})  # which tells that there is a newer one
        await client.post("/a")
        assert (await client.get("/b")).text == "GET"
        moment.armed = False
        assert (await client.get("/a")).text == "POST"
        assert origin.count == 4
    assert moment.looks > 5
    assert not moment.blocked


@pytest.mark.anyio
async def test_a_cancelled_write_is_finished_for_the_others(
    lib: SimpleNamespace, origin: Any, store: Make, process: Make
) -> None:
    elsewhere = process()
    elsewhere.get("/a")
    reached = anyio.Event()

    class Hangs(lib.http.AsyncBaseTransport):  # type: ignore[name-defined,misc]
        async def handle_async_request(self, request: Any) -> Any:
            reached.set()
            await anyio.sleep_forever()

    async with (
        lib.http.AsyncClient(
            transport=lib.AsyncCacheTransport(Hangs(), storage=store()), base_url="http://origin", timeout=5.0
        ) as client,
        anyio.create_task_group() as group,
    ):
        group.start_soon(client.put, "/a")
        await reached.wait()
        group.cancel_scope.cancel()
    again = await anyio.to_thread.run_sync(elsewhere.get, "/a")
    assert again.text == "2"
    assert again.extensions["pywats_cache"].reason == "settling"
    windows = elsewhere.cache.storage.memory.coherence._windows
    assert max(windows.values()) - time.monotonic() <= 5.0  # the window of its unknown outcome, not the lease


@pytest.mark.parametrize("when", ["before the claim", "after it"])
def test_a_claim_made_for_a_task_that_was_cancelled_is_given_back(
    store: Make, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """`task.cancel()` ends the waiting for a thread, not the thread."""
    monkeypatch.setattr(sharing, "CLAIM_SECONDS", 1000.0)  # else it ends by itself
    monkeypatch.setattr(lock_claims, "UNKNOWN_SECONDS", 1000.0)
    storage, other = store(), store()
    reached, may_go_on = threading.Event(), threading.Event()
    claim = storage._records.claim

    def claimed(key: str, seconds: float) -> str | None:
        if when == "after it":
            token = claim(key, seconds)
        reached.set()
        may_go_on.wait(30.0)
        return token if when == "after it" else claim(key, seconds)

    storage._records.claim = claimed  # type: ignore[method-assign]
    fetch: Any = SimpleNamespace(
        key="k", is_shared=True, was_sought=False, claim=None, stored=None, patience=1.0, is_uncacheable=False
    )
    fetch.is_spared_by = lambda entry, now: False

    async def cancelled() -> None:
        task = asyncio.ensure_future(storage.aload(fetch, lambda *_: b"", 0.0))
        await asyncio.to_thread(reached.wait, 30.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await storage.asave(fetch, 0.0)  # as the transport does
        may_go_on.set()
        until = time.monotonic() + 10.0
        while other._records.is_claimed(FORMAT + "k") and time.monotonic() < until:
            await asyncio.sleep(0.001)
        assert not other._records.is_claimed(FORMAT + "k")

    asyncio.run(cancelled())
