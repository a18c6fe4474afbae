"""Histories recorded from threads and tasks that read and write a server on loopback, checked as a regular register.

Every answer of SimulatedWATS says which revision of its tags it shows, and every write which one it made. All writes
here are of one route, so each adds the same to them, and a revision comes to a number of writes: a read may not show
the data after n writes if the write number n + 1 had completed before it began.
"""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx
import pytest
from engine_mutants import plant

from pywats_cache import AsyncCacheClient, AsyncCacheTransport, CacheClient, CacheTransport, MemoryStorage
from pywats_cache.testing import SimulatedWATS

SOON = 60.0
THREADS, LOOPS, TASKS, OPERATIONS = 8, 2, 4, 100
WRITTEN = "/api/Product"
PATHS = ("/api/Product/PN-1000", "/api/Product/PN-1001", "/api/Product/Query")


def stamp(response: httpx.Response) -> Any:
    shown = response.raise_for_status().json()
    return (shown[0] if isinstance(shown, list) else shown)["simulated"]


def revision(response: httpx.Response) -> int:
    number: int = stamp(response)["revision"]
    return number


def body(number: int) -> dict[str, str]:
    return {"partNumber": "PN-1000", "name": f"name {number}"}


@dataclass(frozen=True)
class Operation:
    """One read or write as its caller saw it: when it began and ended, and after how many writes the data is."""

    kind: str
    path: str
    began: int
    ended: int
    writes: int
    user: str
    status: str = ""
    shown_user: str = ""


@dataclass
class History:
    """What happened, in ticks of one counter."""

    step: dict[tuple[str, str], int]
    """What one write adds to the revision that an answer shows."""
    operations: list[Operation] = field(default_factory=list)
    tick: Iterator[int] = field(default_factory=itertools.count)

    @classmethod
    def of(cls, server: SimulatedWATS) -> History:
        """A history that begins after one write, which shows the steps."""
        headers = {"Authorization": f"Basic {server.token}"}
        with httpx.Client(base_url=server.base_url, headers=headers) as client:
            step = {("write", WRITTEN): revision(client.put(WRITTEN, json=body(0)))}
            step |= {("read", path): revision(client.get(path)) for path in PATHS}
        assert min(step.values()) > 0
        return cls(step)

    def note(self, kind: str, path: str, began: int, response: httpx.Response, user: str) -> None:
        ended = next(self.tick)
        writes, rest = divmod(revision(response), self.step[kind, path])
        assert rest == 0
        status = response.extensions["pywats_cache"].status
        self.operations.append(Operation(kind, path, began, ended, writes, user, status, stamp(response)["user"]))

    def violations(self) -> list[str]:
        writes = [operation for operation in self.operations if operation.kind == "write"]
        found = []
        for read in self.operations:
            if read.shown_user != read.user:
                found.append(f"another user's answer: {read}")
            if read.kind == "read":
                found += [
                    f"{read} is older than {write}"
                    for write in writes
                    if write.writes > read.writes and write.ended < read.began
                ]
                found += [
                    f"{read} is from the future: {write}"
                    for write in writes
                    if write.writes == read.writes and write.began > read.ended
                ]
        return found


def plan(seed: int) -> Iterator[tuple[str, str]]:
    """What one thread or task does: mostly reads."""
    chance = random.Random(seed)
    for _ in range(OPERATIONS):
        if chance.random() < 0.15:
            yield "PUT", WRITTEN
        else:
            yield "GET", chance.choice(PATHS)


def perform(client: CacheClient, history: History, user: str, seed: int) -> None:
    for number, (method, path) in enumerate(plan(seed)):
        began = next(history.tick)
        if method == "GET":
            history.note("read", path, began, client.get(path), user)
        else:
            history.note("write", path, began, client.put(path, json=body(number)), user)


async def aperform(client: AsyncCacheClient, history: History, user: str, seed: int) -> None:
    for number, (method, path) in enumerate(plan(seed)):
        began = next(history.tick)
        if method == "GET":
            history.note("read", path, began, await client.get(path), user)
        else:
            history.note("write", path, began, await client.put(path, json=body(number)), user)


def test_a_history_of_threads_and_tasks_is_regular() -> None:
    storage = MemoryStorage()
    stats = []
    with SimulatedWATS(users=("ann", "bob")) as server:
        history = History.of(server)
        server.reset_log()

        def options(user: str) -> dict[str, object]:
            return {"base_url": server.base_url, "headers": {"Authorization": f"Basic {server.token_for(user)}"}}

        together = threading.Barrier(THREADS + LOOPS, timeout=SOON)

        def thread(number: int) -> None:
            user = server.users[number % 2]
            with CacheClient(transport=CacheTransport(storage=storage), **options(user)) as client:
                together.wait()
                perform(client, history, user, seed=number)
                stats.append(client.cache.stats)

        async def loop(number: int) -> None:
            user = server.users[number % 2]
            async with AsyncCacheClient(transport=AsyncCacheTransport(storage=storage), **options(user)) as client:
                together.wait()
                async with anyio.create_task_group() as group:
                    for task in range(TASKS):
                        group.start_soon(aperform, client, history, user, 1000 * number + task)
                stats.append(client.cache.stats)

        with ThreadPoolExecutor(THREADS + LOOPS) as pool:
            calls = [pool.submit(thread, number) for number in range(THREADS)]
            backends = ("asyncio", "trio")
            calls += [pool.submit(lambda n=n: anyio.run(loop, n, backend=backends[n % 2])) for n in range(LOOPS)]
            for call in calls:
                call.result(SOON)
        arrived = server.count()

    assert history.violations() == []
    asked = (THREADS + LOOPS * TASKS) * OPERATIONS
    assert len(history.operations) == asked
    assert sum(snapshot.requests for snapshot in stats) == asked
    assert arrived < asked, "the cache must have answered something, or nothing was tested"
    looked_up, hits = (sum(getattr(snapshot, name) for snapshot in stats) for name in ("lookups", "hits"))
    assert looked_up > hits, "some must have waited for another's fetch before they built a request"
    assert {"hit", "miss", "collapsed", "bypass"} <= {operation.status for operation in history.operations}
    assert len(storage.flights) == 0


def overtaken_read(server: SimulatedWATS) -> History:
    """A read is held behind the server's data while a write completes; then somebody reads again."""
    history = History.of(server)
    user = server.users[0]
    headers = {"Authorization": f"Basic {server.token_for(user)}"}
    with (
        CacheClient(base_url=server.base_url, headers=headers) as client,
        ThreadPoolExecutor(1) as pool,
        server.hold("GET", PATHS[0], before=False) as gate,
    ):

        def read() -> None:
            began = next(history.tick)
            history.note("read", PATHS[0], began, client.get(PATHS[0]), user)

        held = pool.submit(read)
        assert gate.arrived.wait(SOON)
        began = next(history.tick)
        history.note("write", WRITTEN, began, client.put(WRITTEN, json=body(1)), user)
        gate.release()
        held.result(SOON)
        read()
    return history


def test_a_read_overtaken_by_a_write_is_not_kept() -> None:
    with SimulatedWATS() as server:
        history = overtaken_read(server)
    assert history.violations() == []
    assert [operation.status for operation in history.operations] == ["bypass", "miss", "miss"]


@pytest.mark.parametrize(
    "mutant",
    [
        "the fence is off: an entry is dated with the epoch at its finish",
        "a finish does not look whether a write came in between",
    ],
)
def test_the_check_of_histories_finds_a_missing_fence(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, mutant)
    with SimulatedWATS() as server:
        history = overtaken_read(server)
    assert history.violations() != []


def test_the_check_of_histories_finds_a_missing_partition(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, "the key leaves out the partition")
    storage = MemoryStorage()
    with SimulatedWATS() as server:
        history = History.of(server)
        for user in server.users[:2]:
            headers = {"Authorization": f"Basic {server.token_for(user)}"}
            transport = CacheTransport(storage=storage)
            with CacheClient(transport=transport, base_url=server.base_url, headers=headers) as client:
                began = next(history.tick)
                history.note("read", PATHS[0], began, client.get(PATHS[0]), user)
    assert history.violations() != []
