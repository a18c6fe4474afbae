"""Records that an async transport reads in the thread of its event loop, where nothing has to be waited for."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import anyio.to_thread
import pytest
from shared_clients import TOKEN, Make, status

from pywats_cache import Controller, MemoryStorage, Read, SharedStorage, Write
from pywats_cache.errors import ConfigurationTypeError
from pywats_cache.storage.shared import coherence as shared_coherence
from pywats_cache.storage.sqlite import database, loop_reader
from pywats_cache.storage.sqlite.database import SqliteFile

pytestmark = pytest.mark.anyio
RULES = [Read("/tagged", tags=("t",)), Write("/w", dirties=("t",))]


class World:
    """An async client whose memory has room for one answer, over `storage`; `found` counts what its loop found."""

    def __init__(self, client: Any, storage: SharedStorage, monkeypatch: pytest.MonkeyPatch) -> None:
        self.get, self.storage = client.get, storage
        self.found = self.asked = 0
        self.threads: set[int] = set()
        real, aload = SqliteFile.ask_at_once, storage.aload

        def noted(file: SqliteFile, *question: Any) -> Any:
            rows = real(file, *question)
            self.threads.add(threading.get_ident())
            self.found += bool(rows)
            return rows

        async def loaded(*arguments: Any) -> Any:
            self.asked += 1
            return await aload(*arguments)

        monkeypatch.setattr(SqliteFile, "ask_at_once", noted)
        monkeypatch.setattr(storage, "aload", loaded)

    async def prepare(self) -> None:
        """What a request does four times a second, and the writes before it."""
        await anyio.to_thread.run_sync(self.storage.flush)
        await anyio.to_thread.run_sync(self.storage.prepare_for_loop)

    async def fill(self) -> None:
        """Store two answers, of which memory keeps the second one, and let the loop read the first one."""
        for path in ("/b", "/tagged", "/b"):
            await self.get(path)
        await self.prepare()
        await self.get("/tagged")
        await self.get("/b")
        await self.prepare()
        self.found = self.asked = 0


@pytest.fixture(autouse=True)
def no_look_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are looked at when a test says so, however long it takes."""
    monkeypatch.setattr(shared_coherence, "CHECK", 60.0)
    monkeypatch.setattr(database, "CHECK", 60.0)


@pytest.fixture
def world(lib: SimpleNamespace, origin: Any, store: Make, monkeypatch: pytest.MonkeyPatch) -> Any:
    @asynccontextmanager
    async def make(**options: Any) -> AsyncIterator[World]:
        storage = store(memory=MemoryStorage(max_entries=1), **options)
        transport = lib.AsyncCacheTransport(origin.transport, controller=Controller(RULES), storage=storage)
        async with lib.http.AsyncClient(
            transport=transport, base_url="http://origin", headers={"Authorization": TOKEN}
        ) as client:
            made = World(client, storage, monkeypatch)
            await made.fill()
            yield made

    return make


async def test_what_was_used_lately_is_read_in_the_loop(world: Any, origin: Any) -> None:
    async with world() as it:
        before = origin.count
        for path in ("/tagged", "/b", "/tagged"):
            assert status(await it.get(path)) == "hit"
        assert (it.found, it.asked) == (3, 0)
        assert it.threads == {threading.get_ident()}
        assert origin.count == before


async def test_switched_off_the_file_is_left_to_threads(world: Any) -> None:
    async with world(read_in_loop=False) as it:
        assert status(await it.get("/tagged")) == "hit"
        assert (it.found, it.asked, it.threads) == (0, 1, set())


async def test_what_another_process_dirtied_is_not_served(world: Any, origin: Any, process: Make) -> None:
    async with world() as it:
        before = (await it.get("/tagged")).text
        await it.get("/b")
        await anyio.to_thread.run_sync(process(Controller(RULES)).put, "/w")
        assert (await it.get("/tagged")).text != before


@pytest.mark.parametrize("how", ["not used lately", "not looked at lately", "in use", "locked", "large", "forgotten"])
async def test_what_would_have_to_wait_is_left_to_a_thread(
    world: Any, origin: Any, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    if how == "large":
        origin.reply = {"content": bytes(loop_reader.MAX_BYTES + 1)}
    async with world() as it:
        reader = it.storage._records.in_loop
        if how == "not used lately":
            monkeypatch.setattr(loop_reader, "LATELY", -1.0)
            await it.prepare()
            await it.prepare()
        elif how == "not looked at lately":
            reader._file._asked_until = 0.0
        elif how == "forgotten":
            monkeypatch.setattr(loop_reader, "MAX_KEYS", -1)
            await it.prepare()
            await it.prepare()
        elif how == "locked":
            real = reader._file._connection

            class Locked:
                def execute(self, *_: Any) -> Any:
                    raise sqlite3.OperationalError("database is locked")

                close = real.close

            reader._file._connection = Locked()
        held = threading.Event(), threading.Event()

        def hold() -> None:
            with reader._file.lock:
                held[0].set()
                held[1].wait(10)

        holder = threading.Thread(target=hold)
        if how == "in use":
            holder.start()
            held[0].wait(10)
        try:
            before = origin.count
            assert status(await it.get("/tagged")) == "hit"
        finally:
            held[1].set()
            if how == "in use":
                holder.join()
        assert (it.found, it.asked) == (0, 1)
        assert origin.count == before


async def test_its_connection_waits_for_no_lock(store: Make) -> None:
    file = store()._records.in_loop._file
    await anyio.to_thread.run_sync(file.prepare_to_ask)
    assert file.ask_at_once("PRAGMA busy_timeout") == [(0,)]


async def test_a_file_that_was_replaced_is_not_read_for_longer_than_before(world: Any, tmp_path: Any) -> None:
    async with world() as it:
        for path in tmp_path.glob("c.db*"):
            path.unlink()
        await it.prepare()
        reader = it.storage._records.in_loop
        assert reader._file.is_in_place()
        assert reader._file.ask_at_once("SELECT count(*) FROM records") == [(0,)]


async def test_nothing_is_kept_for_a_loop_that_never_asks(process: Make, store: Make) -> None:
    storage = store()
    await anyio.to_thread.run_sync(process(storage=storage).get, "/a")
    await anyio.to_thread.run_sync(storage.prepare_for_loop)
    reader = storage._records.in_loop
    assert not reader._used
    assert reader._file._connection is None


def test_the_switch_is_checked(store: Make) -> None:
    with pytest.raises(ConfigurationTypeError, match="read_in_loop must be True or False"):
        store(read_in_loop="yes")
