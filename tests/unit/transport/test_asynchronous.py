"""The asynchronous transport on asyncio and trio: waiting, cancellation, and the next transport."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.abc
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import pytest

from pywats_cache import CacheOutcome, Controller, MemoryStorage, Write
from pywats_cache.coherence.single_flight import Flight

pytestmark = pytest.mark.anyio
LONG = 30
Outcome = Callable[[Any], CacheOutcome]


class Gate:
    """An origin that holds each request until it is opened."""

    def __init__(self, http: Any, answer: Callable[[int, Any], Any] | None = None) -> None:
        self.answer = answer or (lambda count, request: http.Response(200, text=str(count)))
        self.arrived = anyio.Semaphore(0)
        self.opened = anyio.Semaphore(0)
        self.count = 0
        self.transport = http.MockTransport(self)

    async def __call__(self, request: Any) -> Any:
        self.count += 1
        count = self.count
        self.arrived.release()
        with anyio.fail_after(LONG):
            await self.opened.acquire()
        return self.answer(count, request)

    async def wait(self, times: int = 1) -> None:
        with anyio.fail_after(LONG):
            for _ in range(times):
                await self.arrived.acquire()

    def open(self, times: int = 1) -> None:
        for _ in range(times):
            self.opened.release()


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch) -> list[Flight]:
    """Grows each time somebody begins to wait for a flight."""
    waiting: list[Flight] = []
    register = Flight.on_landing

    def on_landing(flight: Flight, wake: Callable[[], object]) -> None:
        register(flight, wake)
        waiting.append(flight)

    monkeypatch.setattr(Flight, "on_landing", on_landing)
    return waiting


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(LONG):
        while not condition():
            await anyio.lowlevel.checkpoint()


@pytest.fixture
async def gate(lib: SimpleNamespace) -> Gate:
    return Gate(lib.http)


@pytest.fixture
async def client(lib: SimpleNamespace, gate: Gate) -> AsyncIterator[Any]:
    transport = lib.AsyncCacheTransport(gate.transport, controller=Controller([Write("/w", settle=0)]))
    async with lib.http.AsyncClient(transport=transport, base_url="http://origin") as client:
        client.cache = transport
        yield client


class Callers:
    """Starts requests as tasks and keeps what they return or raise."""

    def __init__(self, client: Any, group: anyio.abc.TaskGroup) -> None:
        self.client = client
        self.group = group
        self.results: dict[int, Any] = {}
        self.scopes: list[anyio.CancelScope] = []

    def get(self, path: str = "/a", **options: Any) -> int:
        number = len(self.scopes)
        self.scopes.append(anyio.CancelScope())
        self.group.start_soon(self._get, number, path, options)
        return number

    async def _get(self, number: int, path: str, options: Any) -> None:
        with self.scopes[number]:
            try:
                self.results[number] = await self.client.get(path, **options)
            except Exception as error:
                self.results[number] = error


async def test_a_second_get_is_a_hit(client: Any, gate: Gate, outcome: Outcome) -> None:
    gate.open()
    assert outcome(await client.get("/a"))[:2] == ("miss", "unknown")
    response = await client.get("/a")
    assert outcome(response)[:2] == ("hit", "fresh")
    assert response.text == "1"
    assert gate.count == 1


async def test_concurrent_tasks_of_one_key_are_one_request(
    client: Any, gate: Gate, joined: list[Flight], outcome: Outcome
) -> None:
    async with anyio.create_task_group() as group:
        callers = Callers(client, group)
        callers.get()
        await gate.wait()
        for _ in range(9):
            callers.get()
        await until(lambda: len(joined) == 9)
        gate.open()
    assert [response.text for response in callers.results.values()] == ["1"] * 10
    statuses = sorted(outcome(response).status for response in callers.results.values())
    assert statuses == ["collapsed"] * 9 + ["miss"]
    assert all(response.elapsed.total_seconds() > 0 for response in callers.results.values())
    assert gate.count == 1


async def test_a_cancelled_leader_hands_over(client: Any, gate: Gate, joined: list[Flight], outcome: Outcome) -> None:
    async with anyio.create_task_group() as group:
        callers = Callers(client, group)
        leader = callers.get()
        await gate.wait()
        others = [callers.get() for _ in range(3)]
        await until(lambda: len(joined) == 3)
        callers.scopes[leader].cancel()
        await gate.wait()
        gate.open()
    assert leader not in callers.results
    assert [callers.results[number].text for number in others] == ["2"] * 3
    assert gate.count == 2
    assert client.cache.stats.requests == 4


async def test_a_cancelled_joiner_leaves_the_others_alone(client: Any, gate: Gate, joined: list[Flight]) -> None:
    async with anyio.create_task_group() as group:
        callers = Callers(client, group)
        leader = callers.get()
        await gate.wait()
        one, two = callers.get(), callers.get()
        await until(lambda: len(joined) == 2)
        callers.scopes[one].cancel()
        await until(lambda: len(joined[0]._wakers) == 1)
        gate.open()
    assert one not in callers.results
    assert [callers.results[number].text for number in (leader, two)] == ["1", "1"]
    assert client.cache.stats.requests == 3, "a cancelled request counts too"


async def test_a_failed_leader_hands_over(lib: SimpleNamespace, joined: list[Flight], outcome: Outcome) -> None:
    def answer(count: int, request: Any) -> Any:
        if count == 1:
            raise lib.http.ReadError("broken", request=request)
        return lib.http.Response(200, text=str(count))

    gate = Gate(lib.http, answer)
    async with lib.http.AsyncClient(transport=lib.AsyncCacheTransport(gate.transport)) as client:
        async with anyio.create_task_group() as group:
            callers = Callers(client, group)
            leader = callers.get("http://host/a")
            await gate.wait()
            others = [callers.get("http://host/a") for _ in range(3)]
            await until(lambda: len(joined) == 3)
            gate.open()
            await gate.wait()
            gate.open()
        assert isinstance(callers.results[leader], lib.http.ReadError)
        assert [callers.results[number].text for number in others] == ["2"] * 3


async def test_an_uncacheable_answer_lets_all_joiners_go_in_parallel(
    lib: SimpleNamespace, joined: list[Flight]
) -> None:
    gate = Gate(lib.http, lambda count, request: lib.http.Response(200, text=str(count), headers={"Vary": "*"}))
    async with lib.http.AsyncClient(transport=lib.AsyncCacheTransport(gate.transport)) as client:
        async with anyio.create_task_group() as group:
            callers = Callers(client, group)
            callers.get("http://host/a")
            await gate.wait()
            for _ in range(4):
                callers.get("http://host/a")
            await until(lambda: len(joined) == 4)
            gate.open()
            await gate.wait(4)
            gate.open(4)
        assert sorted(response.text for response in callers.results.values()) == ["1", "2", "3", "4", "5"]


async def test_a_joiner_waits_no_longer_than_its_read_timeout(client: Any, gate: Gate, outcome: Outcome) -> None:
    async with anyio.create_task_group() as group:
        callers = Callers(client, group)
        callers.get()
        await gate.wait()
        follower = callers.get(timeout=0.01)
        await gate.wait()
        gate.open(2)
    assert outcome(callers.results[follower])[:2] == ("miss", "join-timeout")


async def test_a_task_in_the_middle_of_its_own_fetch_does_not_wait_for_itself(
    lib: SimpleNamespace, outcome: Outcome
) -> None:
    inner: list[Any] = []

    async def reenter(request: Any) -> Any:
        if not inner:
            inner.append(None)
            inner[0] = await client.get("http://host/a")
        return lib.http.Response(200, text="x")

    async with lib.http.AsyncClient(transport=lib.AsyncCacheTransport(lib.http.MockTransport(reenter))) as client:
        with anyio.fail_after(LONG):
            await client.get("http://host/a")
    assert outcome(inner[0])[:2] == ("miss", "own-flight")


async def test_a_cancelled_write_dirties_and_settles(client: Any, gate: Gate, outcome: Outcome) -> None:
    gate.open()
    await client.get("/a/b")
    async with anyio.create_task_group() as group:

        async def write() -> None:
            await client.put("/a/b")

        group.start_soon(write)
        await gate.wait(2)
        group.cancel_scope.cancel()
    gate.open(2)
    assert outcome(await client.get("/a/b"))[:2] == ("miss", "settling")
    assert (await client.get("/a/b")).text == "4"


async def test_a_cancelled_read_of_a_body_closes_the_response(lib: SimpleNamespace) -> None:
    closed, reading = [], anyio.Event()

    class Endless(lib.http.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"x"
            reading.set()
            await anyio.sleep_forever()

        async def aclose(self) -> None:
            await anyio.lowlevel.checkpoint()
            closed.append(True)

    next_transport = lib.http.MockTransport(
        lambda request: lib.http.Response(200, headers={"Content-Length": "5"}, stream=Endless())
    )
    transport = lib.AsyncCacheTransport(next_transport)
    async with lib.http.AsyncClient(transport=transport) as client, anyio.create_task_group() as group:

        async def get() -> None:
            await client.get("http://host/a")

        group.start_soon(get)
        await reading.wait()
        group.cancel_scope.cancel()
    assert closed
    assert len(transport.storage.flights) == 0


async def test_a_hit_does_not_suspend(client: Any, gate: Gate) -> None:
    gate.open()
    await client.get("/a")
    request = client.build_request("GET", "/a")
    coroutine = client.cache.handle_async_request(request)
    with pytest.raises(StopIteration) as stopped:
        coroutine.send(None)
    assert stopped.value.value.extensions["pywats_cache"].status == "hit"


async def test_invalidate_and_clear_are_awaited(client: Any, gate: Gate) -> None:
    gate.open(4)
    await client.get("/a")
    await client.cache.invalidate("/a")
    assert (await client.get("/a")).text == "2"
    await client.cache.clear()
    assert client.cache.stats.entries == 0
    assert (await client.get("/a")).text == "3"
    with pytest.raises(ValueError, match="path"):
        await client.cache.invalidate("a")
    with pytest.raises(TypeError, match="path"):
        await client.cache.invalidate()


async def test_a_sync_and_an_async_client_of_one_storage_are_coherent(lib: SimpleNamespace) -> None:
    count = [0]

    def answer(request: Any) -> Any:
        count[0] += 1
        return lib.http.Response(200, text=str(count[0]))

    storage = MemoryStorage()
    mock = lib.http.MockTransport(answer)
    with lib.http.Client(transport=lib.CacheTransport(mock, storage=storage)) as sync:
        async with lib.http.AsyncClient(transport=lib.AsyncCacheTransport(mock, storage=storage)) as client:
            assert (await client.get("http://host/a")).text == "1"
            assert sync.get("http://host/a").text == "1"
            sync.put("http://host/a")
            assert (await client.get("http://host/a")).text == "3"
            await client.delete("http://host/a")
            assert sync.get("http://host/a").text == "5"


async def test_threads_and_tasks_wait_for_one_flight(lib: SimpleNamespace, joined: list[Flight]) -> None:
    storage = MemoryStorage()
    gate = Gate(lib.http)
    sync = lib.http.Client(transport=lib.CacheTransport(lib.http.MockTransport(lambda r: 1 / 0), storage=storage))
    client = lib.http.AsyncClient(transport=lib.AsyncCacheTransport(gate.transport, storage=storage))
    texts: list[str] = []

    async def in_thread() -> None:
        texts.append((await anyio.to_thread.run_sync(sync.get, "http://host/a")).text)

    async def in_task() -> None:
        texts.append((await client.get("http://host/a")).text)

    with sync:
        async with client, anyio.create_task_group() as group:
            group.start_soon(in_task)
            await gate.wait()
            group.start_soon(in_task)
            group.start_soon(in_thread)
            await until(lambda: len(joined) == 2)
            gate.open()
    assert texts == ["1"] * 3


async def test_each_joiner_is_woken_in_its_own_event_loop(
    lib: SimpleNamespace, joined: list[Flight], anyio_backend_name: str
) -> None:
    storage = MemoryStorage()
    gate = Gate(lib.http)
    never = lib.http.MockTransport(lambda request: 1 / 0)

    async def elsewhere() -> str:
        async with lib.http.AsyncClient(transport=lib.AsyncCacheTransport(never, storage=storage)) as client:
            with anyio.fail_after(LONG):
                return (await client.get("http://host/a")).text

    texts: list[str] = []

    def other_loop(backend: str) -> None:
        texts.append(anyio.run(elsewhere, backend=backend))

    async with lib.http.AsyncClient(transport=lib.AsyncCacheTransport(gate.transport, storage=storage)) as client:
        async with anyio.create_task_group() as group:
            callers = Callers(client, group)
            callers.get("http://host/a")
            await gate.wait()
            threads = [threading.Thread(target=other_loop, args=(backend,)) for backend in ("asyncio", "trio")]
            for thread in threads:
                thread.start()
            await until(lambda: len(joined) == 2)
            gate.open()
        await anyio.to_thread.run_sync(lambda: [thread.join(LONG) for thread in threads])
    assert texts == ["1", "1"]
    assert gate.count == 1


async def test_a_joiner_whose_loop_has_ended_does_not_disturb_the_landing(
    lib: SimpleNamespace, joined: list[Flight]
) -> None:
    storage = MemoryStorage()
    gate = Gate(lib.http)

    async def leave() -> None:
        never = lib.AsyncCacheTransport(lib.http.MockTransport(lambda request: 1 / 0), storage=storage)
        async with lib.http.AsyncClient(transport=never) as client, anyio.create_task_group() as group:
            Callers(client, group).get("http://host/a")
            await until(lambda: len(joined) == 1)
            group.cancel_scope.cancel()

    transport = lib.AsyncCacheTransport(gate.transport, storage=storage)
    async with lib.http.AsyncClient(transport=transport) as client, anyio.create_task_group() as group:
        callers = Callers(client, group)
        leader = callers.get("http://host/a")
        await gate.wait()
        thread = threading.Thread(target=lambda: anyio.run(leave))
        thread.start()
        await anyio.to_thread.run_sync(thread.join)
        assert len(joined) == 1
        gate.open()
    assert callers.results[leader].text == "1"


async def test_closing_the_transport_closes_the_next(lib: SimpleNamespace) -> None:
    calls = []

    class Next(lib.http.AsyncBaseTransport):
        async def handle_async_request(self, request: Any) -> Any:
            raise NotImplementedError

        async def __aenter__(self) -> Any:
            calls.append("enter")
            return self

        async def __aexit__(self, *error: object) -> None:
            calls.append("exit")

        async def aclose(self) -> None:
            calls.append("close")

    await lib.AsyncCacheTransport(Next()).aclose()
    assert calls == ["close"]
    async with lib.http.AsyncClient(transport=lib.AsyncCacheTransport(Next())):
        assert calls == ["close", "enter"]
    assert calls == ["close", "enter", "exit"]
