"""Tasks that fetch one key, on asyncio and trio, and threads with event loops on one storage.

Nothing here sleeps or measures time: tasks and threads meet at events of the origin and of the flight itself.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import httpx
import pytest
from gated_callers import aask, ask
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

from pywats_cache import AsyncCacheTransport, CacheTransport, MemoryStorage

# ── tasks, on asyncio and trio ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.anyio
async def test_many_cold_tasks_make_one_origin_request(joined: threading.Semaphore) -> None:
    origin = Origin(value)
    transport = AsyncCacheTransport(origin)
    responses: list[httpx.Response] = []

    async def call() -> None:
        responses.append(await aask(transport))

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(call)
        await await_joining_tasks(joined, 19)
        origin.gate.set()
    assert origin.requests == 1
    assert statuses(responses) == ["collapsed"] * 19 + ["miss"]


@pytest.mark.anyio
async def test_a_cancelled_task_hands_over(joined: threading.Semaphore) -> None:
    origin = Origin(value)
    transport = AsyncCacheTransport(origin)
    responses: list[httpx.Response] = []
    scope = anyio.CancelScope()

    async def leader() -> None:
        with scope:
            await aask(transport)

    async def call() -> None:
        responses.append(await aask(transport))

    async with anyio.create_task_group() as group:
        group.start_soon(leader)
        while not origin.arrived.acquire(blocking=False):
            await anyio.lowlevel.checkpoint()
        for _ in range(5):
            group.start_soon(call)
        await await_joining_tasks(joined, 5)
        scope.cancel()
        await await_joining_tasks(joined, 4)  # four of them wait again, for the fifth
        origin.gate.set()
    assert statuses(responses) == ["collapsed"] * 4 + ["miss"]
    assert origin.requests == 2
    assert transport.stats.requests == 6
    assert len(transport.storage.flights) == 0


@pytest.mark.anyio
async def test_a_cancelled_joiner_leaves_the_others_and_is_counted(joined: threading.Semaphore) -> None:
    origin = Origin(value)
    transport = AsyncCacheTransport(origin)
    responses: list[httpx.Response] = []
    scope = anyio.CancelScope()

    async def call(own: anyio.CancelScope) -> None:
        with own:
            responses.append(await aask(transport))

    async with anyio.create_task_group() as group:
        group.start_soon(call, anyio.CancelScope())
        while not origin.arrived.acquire(blocking=False):
            await anyio.lowlevel.checkpoint()
        group.start_soon(call, scope)
        group.start_soon(call, anyio.CancelScope())
        await await_joining_tasks(joined, 2)
        scope.cancel()
        origin.gate.set()
    assert statuses(responses) == ["collapsed", "miss"]
    assert origin.requests == 1
    assert transport.stats.requests == 3


@pytest.mark.anyio
async def test_a_task_that_fails_hands_over(joined: threading.Semaphore) -> None:
    origin = Origin(broken, value)
    transport = AsyncCacheTransport(origin)
    outcomes: list[Any] = []

    async def call() -> None:
        try:
            outcomes.append(await aask(transport))
        except httpx.ReadError as error:
            outcomes.append(error)

    async with anyio.create_task_group() as group:
        for _ in range(6):
            group.start_soon(call)
        await await_joining_tasks(joined, 5)
        origin.gate.set()
    answered = [outcome for outcome in outcomes if isinstance(outcome, httpx.Response)]
    assert len(answered) == 5
    assert statuses(answered).count("miss") == 1
    assert origin.requests == 2


@pytest.mark.anyio
async def test_tasks_that_wait_for_an_uncacheable_answer_go_at_once(joined: threading.Semaphore) -> None:
    origin = Origin(uncacheable)
    origin.gates.append(threading.Event())  # for all but the first request
    transport = AsyncCacheTransport(origin)
    responses: list[httpx.Response] = []

    async def call() -> None:
        responses.append(await aask(transport))

    async with anyio.create_task_group() as group:
        for _ in range(6):
            group.start_soon(call)
        await await_joining_tasks(joined, 5)
        origin.gate.set()
        with anyio.fail_after(SOON):
            while origin.requests < 6:
                await anyio.lowlevel.checkpoint()
        assert origin.most_at_once == 5, "those who waited must be at the origin together"
        origin.gates[1].set()
    assert statuses(responses) == ["miss"] * 6


@pytest.mark.anyio
async def test_a_task_waits_no_longer_than_its_own_read_timeout(joined: threading.Semaphore) -> None:
    origin = Origin(value)
    transport = AsyncCacheTransport(origin)
    responses: list[httpx.Response] = []

    async def call(**extensions: Any) -> None:
        responses.append(await aask(transport, **extensions))

    async with anyio.create_task_group() as group:
        group.start_soon(call)
        while not origin.arrived.acquire(blocking=False):
            await anyio.lowlevel.checkpoint()
        group.start_soon(lambda: call(timeout={"read": 0.01}))
        with anyio.fail_after(SOON):
            while not origin.arrived.acquire(blocking=False):
                await anyio.lowlevel.checkpoint()
        origin.gate.set()
    assert statuses(responses) == ["miss", "miss"]
    assert "join-timeout" in [response.extensions["pywats_cache"].reason for response in responses]


@pytest.mark.anyio
async def test_a_stream_left_open_by_a_task_does_not_make_it_wait_for_itself() -> None:
    origin = Origin(streamed, value)
    origin.gate.set()
    transport = AsyncCacheTransport(origin)
    still_open = await transport.handle_async_request(httpx.Request("GET", URL))
    with anyio.fail_after(SOON):
        second = await aask(transport)
    assert second.extensions["pywats_cache"].reason == "own-flight"
    assert await still_open.aread() == b"value"
    assert len(transport.storage.flights) == 0


# ── threads and event loops on one storage ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("backends", [("asyncio", "asyncio"), ("trio", "trio"), ("asyncio", "trio")], ids="-".join)
def test_threads_and_two_event_loops_wait_for_one_flight(
    backends: tuple[str, str], joined: threading.Semaphore
) -> None:
    storage = MemoryStorage()
    origin = Origin(value)
    sync = CacheTransport(origin, storage=storage)
    asyncs = [AsyncCacheTransport(origin, storage=storage) for _ in backends]

    async def tasks(transport: AsyncCacheTransport) -> list[httpx.Response]:
        responses: list[httpx.Response] = []

        async def call() -> None:
            responses.append(await aask(transport))

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(call)
        return responses

    with ThreadPoolExecutor(6) as pool:
        leader = pool.submit(ask, sync)
        assert origin.arrived.acquire(timeout=SOON)
        threads = [pool.submit(ask, sync) for _ in range(3)]
        loops = [
            pool.submit(anyio.run, tasks, transport, backend=backend)
            for transport, backend in zip(asyncs, backends, strict=True)
        ]
        await_joiners(joined, 9)
        origin.gate.set()
        responses = [leader.result(SOON), *(thread.result(SOON) for thread in threads)]
        for loop in loops:
            responses += loop.result(SOON)
    assert origin.requests == 1
    assert statuses(responses) == ["collapsed"] * 9 + ["miss"]
    assert sum(transport.stats.requests for transport in (sync, *asyncs)) == 10


@pytest.mark.anyio
async def test_a_write_through_the_sync_transport_invalidates_for_the_async_one() -> None:
    storage = MemoryStorage()
    origin = Origin(value)
    origin.gate.set()
    sync, other = CacheTransport(origin, storage=storage), AsyncCacheTransport(origin, storage=storage)
    await aask(other)
    assert ask(sync).extensions["pywats_cache"].status == "hit"
    sync.handle_request(httpx.Request("PUT", URL))
    assert (await aask(other)).extensions["pywats_cache"].reason == "dirtied"
    await other.handle_async_request(httpx.Request("PUT", URL))
    assert ask(sync).extensions["pywats_cache"].reason == "dirtied"


def test_a_loop_that_ended_does_not_disturb_the_one_who_lands(joined: threading.Semaphore) -> None:
    storage = MemoryStorage()
    origin = Origin(value)
    sync, other = CacheTransport(origin, storage=storage), AsyncCacheTransport(origin, storage=storage)

    async def give_up() -> None:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(aask, other)
                await await_joining_tasks(joined, 1)
                scope.cancel()

    with ThreadPoolExecutor(1) as pool:
        leader = pool.submit(ask, sync)
        assert origin.arrived.acquire(timeout=SOON)
        for backend in ("asyncio", "trio"):
            anyio.run(give_up, backend=backend)
        origin.gate.set()
        assert leader.result(SOON).content == b"value"
    assert other.stats.misses == 2
