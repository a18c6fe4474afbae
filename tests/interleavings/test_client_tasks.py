"""Tasks that `get` one URL of a client, on asyncio and trio, and threads with event loops on one storage.

Nothing here sleeps or measures time: tasks and threads meet at events of the origin and of the flight itself.
"""

from __future__ import annotations

import datetime
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import httpx
import pytest
from gated_callers import BRIEF, SWR, amade, counted, made
from gated_origin import (
    SOON,
    URL,
    Origin,
    await_joiners,
    await_joining_tasks,
    broken,
    statuses,
    streamed,
    uncacheable,
    value,
)

from pywats_cache import AsyncCacheClient, MemoryStorage
from pywats_cache.testing import FakeClock

# ── tasks, on asyncio and trio ────────────────────────────────────────────────────────────────────────────────────────


class Tasks:
    """Tasks that get the URL: the first one is at the origin, the others wait for it."""

    def __init__(self, client: AsyncCacheClient) -> None:
        self.client = client
        self.scopes: list[anyio.CancelScope] = []
        self.outcomes: list[Any] = []

    async def get(self, scope: anyio.CancelScope) -> None:
        with scope:
            try:
                self.outcomes.append(await self.client.get(URL))
            except httpx.ReadError as error:
                self.outcomes.append(error)

    async def start(self, group: Any, origin: Origin, joined: threading.Semaphore, count: int) -> None:
        for _ in range(count + 1):
            self.scopes.append(anyio.CancelScope())
            group.start_soon(self.get, self.scopes[-1])
            if len(self.scopes) == 1:
                await arrival(origin)
        await await_joining_tasks(joined, count)

    @property
    def statuses(self) -> list[str]:
        return statuses([outcome for outcome in self.outcomes if isinstance(outcome, httpx.Response)])


async def arrival(origin: Origin) -> None:
    with anyio.fail_after(SOON):
        while not origin.arrived.acquire(blocking=False):
            await anyio.lowlevel.checkpoint()


@pytest.mark.anyio
async def test_many_cold_tasks_make_one_origin_request_and_httpx_builds_one(joined: threading.Semaphore) -> None:
    origin = Origin(value)
    tasks = Tasks(amade(origin))
    async with anyio.create_task_group() as group:
        await tasks.start(group, origin, joined, 19)
        origin.gate.set()
    assert tasks.statuses == ["collapsed"] * 19 + ["miss"]
    assert all(response.elapsed > datetime.timedelta(0) for response in tasks.outcomes)
    assert origin.requests == 1
    assert counted(tasks.client) == (20, 19)


@pytest.mark.anyio
async def test_a_task_that_fails_hands_over_to_one_of_those_who_wait(joined: threading.Semaphore) -> None:
    origin = Origin(broken, value)
    tasks = Tasks(amade(origin))
    async with anyio.create_task_group() as group:
        await tasks.start(group, origin, joined, 5)
        origin.gate.set()
    assert len(tasks.statuses) == 5
    assert origin.requests == 2
    assert tasks.client.cache.stats.requests == 6


@pytest.mark.anyio
async def test_a_cancelled_leader_hands_over_to_one_of_those_who_wait(joined: threading.Semaphore) -> None:
    origin = Origin(value)
    tasks = Tasks(amade(origin))
    async with anyio.create_task_group() as group:
        await tasks.start(group, origin, joined, 4)
        tasks.scopes[0].cancel()
        await arrival(origin)
        origin.gate.set()
    assert len(tasks.statuses) == 4
    assert origin.requests == 2
    assert tasks.client.cache.stats.requests == 5
    assert len(tasks.client.cache.storage.flights) == 0


@pytest.mark.anyio
async def test_a_cancelled_waiter_leaves_the_others_and_is_counted_and_told_once(joined: threading.Semaphore) -> None:
    origin = Origin(value)
    tasks = Tasks(amade(origin))
    async with anyio.create_task_group() as group:
        await tasks.start(group, origin, joined, 3)
        tasks.scopes[2].cancel()
        origin.gate.set()
    assert tasks.statuses == ["collapsed"] * 2 + ["miss"]
    assert origin.requests == 1
    assert counted(tasks.client) == (4, 3)
    assert tasks.client.cache.stats.misses == 2
    told = [event.status for event in tasks.client.cache._engine.journal.recent]
    assert sorted(told) == ["collapsed", "collapsed", "error", "miss"]


@pytest.mark.anyio
async def test_tasks_that_wait_for_an_uncacheable_answer_go_at_once(joined: threading.Semaphore) -> None:
    origin = Origin(uncacheable)
    origin.gates.append(threading.Event())  # for all but the first request
    tasks = Tasks(amade(origin))
    async with anyio.create_task_group() as group:
        await tasks.start(group, origin, joined, 5)
        origin.gate.set()
        for _ in range(5):
            await arrival(origin)
        assert origin.most_at_once == 5, "those who waited must be at the origin together"
        origin.gates[1].set()
    assert tasks.statuses == ["miss"] * 6
    assert counted(tasks.client) == (6, 0)


@pytest.mark.anyio
@pytest.mark.parametrize("options", BRIEF, ids=["read timeout", "join_timeout"])
async def test_a_task_waits_once_and_no_longer_than_it_may(
    options: dict[str, Any], joined: threading.Semaphore, deadlines: set[float]
) -> None:
    origin = Origin(value)
    tasks = Tasks(amade(origin, **options))
    async with anyio.create_task_group() as group:
        await tasks.start(group, origin, joined, 1)
        await arrival(origin)  # the waiter goes itself
        origin.gate.set()
    assert tasks.statuses == ["miss", "miss"]
    assert "join-timeout" in [response.extensions["pywats_cache"].reason for response in tasks.outcomes]
    assert len(deadlines) == 1, "the wait before the request and that after it have one end"
    assert counted(tasks.client) == (2, 0)


@pytest.mark.anyio
async def test_a_hook_that_comes_to_a_client_while_a_task_waits_is_called(joined: threading.Semaphore) -> None:
    origin = Origin(value)
    tasks = Tasks(amade(origin))
    seen: list[httpx.Response] = []

    async def hooked(response: httpx.Response) -> None:
        seen.append(response)

    async with anyio.create_task_group() as group:
        await tasks.start(group, origin, joined, 1)
        tasks.client.event_hooks = {"response": [hooked]}
        origin.gate.set()
    assert tasks.statuses == ["hit", "miss"]
    assert len(seen) == 2
    assert counted(tasks.client) == (2, 0)


@pytest.mark.anyio
async def test_a_task_does_not_wait_for_what_it_is_streaming_itself() -> None:
    origin = Origin(streamed, value)
    origin.gate.set()
    client = amade(origin)
    async with client.stream("GET", URL) as still_open:
        with anyio.fail_after(SOON):
            second = await client.get(URL)
        assert second.extensions["pywats_cache"].reason == "own-flight"
        assert await still_open.aread() == b"value"


@pytest.mark.anyio
async def test_tasks_that_meet_an_expired_answer_start_one_refresh() -> None:
    clock, origin = FakeClock(), Origin(value)
    tasks = Tasks(amade(origin, clock=clock, controller=SWR))
    origin.gate.set()
    await tasks.client.get(URL)
    await arrival(origin)
    origin.gate.clear()
    clock.advance(11.0)
    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(tasks.get, anyio.CancelScope())
    assert tasks.statuses == ["stale"] * 8
    assert counted(tasks.client) == (9, 8)
    await arrival(origin)  # the refresh
    origin.gate.set()
    assert origin.requests == 2
    await tasks.client.aclose()


# ── threads and event loops on one storage ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("backends", [("asyncio", "asyncio"), ("trio", "trio"), ("asyncio", "trio")], ids="-".join)
def test_threads_and_two_event_loops_wait_for_one_flight(
    backends: tuple[str, str], joined: threading.Semaphore
) -> None:
    storage, origin = MemoryStorage(), Origin(value)
    client = made(origin, storage=storage)
    clients = [amade(origin, storage=storage) for _ in backends]

    async def get_all(client: AsyncCacheClient) -> list[Any]:
        tasks = Tasks(client)
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(tasks.get, anyio.CancelScope())
        return tasks.outcomes

    with ThreadPoolExecutor(6) as pool:
        calls = [pool.submit(client.get, URL)]
        assert origin.arrived.acquire(timeout=SOON)
        calls += [pool.submit(client.get, URL) for _ in range(3)]
        loops = [
            pool.submit(anyio.run, get_all, other, backend=backend)
            for other, backend in zip(clients, backends, strict=True)
        ]
        await_joiners(joined, 9)
        origin.gate.set()
        responses = [call.result(SOON) for call in calls]
        for loop in loops:
            responses += loop.result(SOON)
    assert origin.requests == 1
    assert statuses(responses) == ["collapsed"] * 9 + ["miss"]
    assert [counted(each) for each in (client, *clients)] == [(4, 3), (3, 3), (3, 3)]
