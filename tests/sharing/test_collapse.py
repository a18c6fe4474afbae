"""One cold key, several processes, one request to the origin; whatever becomes of the one that fetches."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from sharing_world import LONG, Registers, Worker, start_valkey

from pywats_cache import AsyncCacheTransport, CacheTransport, Controller, RedisSharedStorage, SharedStorage
from pywats_cache.storage.shared import base as sharing
from pywats_cache.storage.shared.backend import OPEN
from pywats_cache.storage.shared.record_format import FORMAT
from pywats_cache.storage.sqlite import records

OTHERS = 3


class Origin:
    """Holds the first GET until `go`; counts."""

    def __init__(self) -> None:
        self.count = 0
        self.lock = threading.Lock()
        self.asked, self.go = threading.Event(), threading.Event()
        self.headers: dict[str, str] = {}
        self.fails_first = False
        self.together: threading.Barrier | None = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        with self.lock:
            self.count += 1
            number = self.count
        if number == 1:
            self.asked.set()
            assert self.go.wait(LONG)
            if self.fails_first:
                raise httpx.ReadError("gone")
        elif self.together is not None:
            self.together.wait(LONG)
        return httpx.Response(200, text=str(number), headers=self.headers)


@pytest.fixture
def origin() -> Origin:
    return Origin()


@pytest.fixture(params=["sqlite", "sqlite without locks", "valkey"])
def make_storage(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], Any]]:
    made: list[Any] = []
    if request.param == "sqlite without locks":  # as under Windows and macOS
        monkeypatch.setattr(records, "ARE_THERE", False)
    server = None
    if request.param == "valkey":
        server = start_valkey()

    def make() -> Any:
        if server is None:
            made.append(SharedStorage(tmp_path / "c.db"))
        else:
            made.append(RedisSharedStorage(f"redis://127.0.0.1:{server.port}/0", digest_key="k" * 32))
        return made[-1]

    yield make
    for storage in made:
        storage.close()
    if server is not None:
        server.stop()


class Together:
    """A leader that fetches and others that ask meanwhile, each with a storage of its own, as processes have."""

    def __init__(self, origin: Origin, make_storage: Callable[[], Any], controller: Controller) -> None:
        self.origin = origin
        self.answers: list[str] = []
        self.waiting = threading.Semaphore(0)
        self.clients = []
        for _ in range(1 + OTHERS):
            storage = make_storage()
            transport = CacheTransport(httpx.MockTransport(origin), storage=storage, controller=controller)
            self.clients.append(httpx.Client(transport=transport, base_url="http://origin"))
            storage._look = self._noting(storage._look)

    def _noting(self, look: Callable[..., Any]) -> Callable[..., Any]:
        noted = False

        def noting(*arguments: Any) -> Any:
            nonlocal noted
            found, waits = look(*arguments)
            if waits and not noted:
                noted = True
                self.waiting.release()
            return found, waits

        return noting

    def _ask(self, client: httpx.Client) -> None:
        try:
            self.answers.append(client.get("/a").text)
        except httpx.ReadError:
            self.answers.append("failed")

    def run(self, *, all_wait: bool = True) -> list[str]:
        threads = [threading.Thread(target=self._ask, args=(client,)) for client in self.clients]
        threads[0].start()
        assert self.origin.asked.wait(LONG)
        for thread in threads[1:]:
            thread.start()
        if all_wait:
            for _ in range(OTHERS):
                assert self.waiting.acquire(timeout=LONG)
        else:
            for thread in threads[1:]:
                thread.join(LONG)
        self.origin.go.set()
        for thread in threads:
            thread.join(LONG)
        for client in self.clients:
            client.close()
        return sorted(self.answers)


PATIENT = Controller(join_timeout=LONG)


def test_the_others_wait_for_the_one_that_fetches(origin: Origin, make_storage: Callable[[], Any]) -> None:
    assert Together(origin, make_storage, PATIENT).run() == ["1"] * 4
    assert origin.count == 1


def test_mutant_without_the_claim_everyone_fetches(
    origin: Origin, make_storage: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pywats_cache.storage.redis.records import RedisRows
    from pywats_cache.storage.sqlite.records import SqliteRecords

    for kind in (RedisRows, SqliteRecords):
        monkeypatch.setattr(kind, "claim", lambda *_: OPEN)
    Together(origin, make_storage, PATIENT).run(all_wait=False)
    assert origin.count > 1


def test_nobody_waits_longer_than_its_patience(origin: Origin, make_storage: Callable[[], Any]) -> None:
    answers = Together(origin, make_storage, Controller(join_timeout=0.05)).run(all_wait=False)
    assert "1" in answers
    assert origin.count > 1


def test_a_failed_leader_hands_over_to_one_other(origin: Origin, make_storage: Callable[[], Any]) -> None:
    origin.fails_first = True
    assert Together(origin, make_storage, PATIENT).run() == ["2", "2", "2", "failed"]
    assert origin.count == 2


def test_what_cannot_be_stored_is_not_queued_for(origin: Origin, make_storage: Callable[[], Any]) -> None:
    origin.headers = {"Cache-Control": "no-store"}
    origin.together = threading.Barrier(OTHERS)  # they pass only side by side
    assert Together(origin, make_storage, PATIENT).run() == ["1", "2", "3", "4"]


def test_a_slow_leader_is_replaced_and_replaces_nothing(
    origin: Origin, make_storage: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "CLAIM_SECONDS", 0.05)
    together = Together(origin, make_storage, PATIENT)
    assert together.run(all_wait=False) == ["1", "2", "2", "2"]
    late = httpx.Client(
        transport=CacheTransport(httpx.MockTransport(origin), storage=make_storage(), controller=PATIENT),
        base_url="http://origin",
    )
    assert late.get("/a").text == "2"  # the first one was stored last, but it had begun before
    late.close()


def test_a_killed_leader_is_replaced_within_its_claim(
    registers: Registers, sqlite_url: str, start: Callable[..., Worker]
) -> None:
    leader, other = start(sqlite_url, "short-claim"), start(sqlite_url, "short-claim")
    asked, go_on = threading.Event(), threading.Event()

    def hang(method: str, path: str) -> None:
        if not asked.is_set():
            asked.set()
            assert go_on.wait(LONG)

    registers.before = hang
    leader.send("GET", "/a")
    assert asked.wait(LONG)
    leader.kill()
    assert other.ask("GET", "/a")["stored"]
    assert registers.fetches["/a"] == 1
    go_on.set()


def test_a_body_closed_early_is_fetched_by_another_at_once(
    registers: Registers, sqlite_url: str, start: Callable[..., Worker], tmp_path: Path
) -> None:
    leader, other = start(sqlite_url), start(sqlite_url)
    closed, over = threading.Event(), threading.Event()

    def hold(path: str) -> None:
        closed.set()
        assert over.wait(LONG)

    registers.end = hold  # the leader has a part of it only
    answer = leader.ask("GET", "/stream", "closed early")
    assert closed.is_set()
    with closing(SharedStorage(tmp_path / "shared.db")) as storage:
        assert not storage._records.is_claimed(FORMAT + answer["key"])
    over.set()
    assert other.ask("GET", "/stream")["stored"]
    assert leader.ask("GET", "/stream")["status"] == "hit"
    assert registers.fetches["/stream"] == 2


@pytest.fixture(params=["sqlite", "valkey"])
def url(request: pytest.FixtureRequest, sqlite_url: str) -> Iterator[str]:
    if request.param == "sqlite":
        yield sqlite_url
        return
    server = start_valkey()
    yield f"redis://127.0.0.1:{server.port}/0"
    server.stop()


def test_who_waits_in_another_process_leaves_a_reader_who_keeps_his_first_chunk(
    registers: Registers, url: str, start: Callable[..., Worker]
) -> None:
    leader, other = (start(url, "long-claim", "endless-patience") for _ in range(2))
    held, go_on = threading.Event(), threading.Event()

    def hold(path: str) -> None:  # the end of the first body, so that the leader has a chunk and no more
        if not held.is_set():
            held.set()
            assert go_on.wait(LONG)

    registers.end = hold
    leader.send("GET", "/stream", "slowly")
    assert leader.receive() == "in hand"
    other.send("GET", "/stream")
    answers: list[Any] = []
    waiting = threading.Thread(target=lambda: answers.append(other.receive()), daemon=True)
    waiting.start()
    waiting.join(LONG / 2)
    assert [answer["stored"] for answer in answers] == [True]
    assert registers.fetches["/stream"] == 2
    go_on.set()
    leader.send("GET", "go on")
    assert leader.receive()["code"] == 200


class Chunks(httpx.AsyncByteStream):
    """A body of unknown length."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = list(chunks)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self.chunks:
            raise StopAsyncIteration
        return self.chunks.pop(0)


class SyncChunks(httpx.SyncByteStream):
    """A body in these chunks, or one that ends with an error."""

    def __init__(self, *chunks: bytes | Exception) -> None:
        self.chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.chunks:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["closed early", "too large"])
async def test_an_async_body_that_is_not_stored_holds_nobody_up(make_storage: Callable[[], Any], how: str) -> None:
    storage = make_storage()
    storage.memory.max_entry_bytes = 5
    storage.lend = lambda *_: None  # it ends by the real clock
    first = b"123" if how == "closed early" else b"123456"
    transport = AsyncCacheTransport(
        httpx.MockTransport(lambda request: httpx.Response(200, stream=Chunks(first, b"rest"))),
        storage=storage,
        controller=PATIENT,
    )
    response = await transport.handle_async_request(httpx.Request("GET", "http://origin/a"))
    chunks = response.stream.__aiter__()
    await chunks.__anext__()
    key = response.extensions["pywats_cache"].key
    if how == "closed early":
        assert storage._rows.claim(FORMAT + key, 1.0) is None
        await chunks.aclose()
        await response.aclose()
    getattr(storage, "flush", int)()
    claim = storage._rows.claim(FORMAT + key, 1.0)
    await chunks.aclose()
    await transport.aclose()
    assert claim == OPEN if how == "too large" else claim not in (OPEN, None)


def test_a_reader_who_takes_his_time_holds_no_other_process_up(make_storage: Callable[[], Any]) -> None:
    storage, now = make_storage(), [0.0]
    storage.memory.flights.monotonic = lambda: now[0]
    storage.lend = lambda *_: None  # it ends by the real clock
    origin = httpx.MockTransport(lambda request: httpx.Response(200, stream=SyncChunks(b"1", b"2", b"3")))
    transport = CacheTransport(origin, storage=storage, controller=PATIENT)
    response = transport.handle_request(httpx.Request("GET", "http://origin/a"))
    key = response.extensions["pywats_cache"].key
    chunks = response.iter_bytes()
    next(chunks)
    assert storage._rows.claim(FORMAT + key, 1.0) is None
    now[0] += 0.04
    next(chunks)
    assert storage._rows.claim(FORMAT + key, 1.0) is None
    now[0] += 0.04
    next(chunks)
    getattr(storage, "flush", int)()
    assert storage._rows.claim(FORMAT + key, 1.0) is not None
    assert list(chunks) == []
    assert response.extensions["pywats_cache"].stored


def test_who_leaves_a_slow_reader_does_not_wait_for_his_claim(make_storage: Callable[[], Any]) -> None:
    storage, now = make_storage(), [0.0]
    storage.memory.flights.monotonic = lambda: now[0]
    bodies = [SyncChunks(b"1", b"2"), SyncChunks(b"other")]
    origin = httpx.MockTransport(lambda request: httpx.Response(200, stream=bodies.pop(0)))
    transport = CacheTransport(origin, storage=storage, controller=PATIENT)
    request = httpx.Request("GET", "http://origin/a")
    slow = transport.handle_request(request)
    chunks = slow.iter_bytes()
    next(chunks)
    engine = transport._engine
    engine._owner = lambda: (0, None)  # another thread
    join = engine.begin(request)
    now[0] += 0.06
    fetch = engine.rejoin(join)
    assert (fetch.reason, fetch.flight.shared) == ("join-timeout", True)
    assert engine.may_load(fetch)
    assert fetch.patience == 0.0
    assert transport._fetch(fetch).read() == b"other"
    assert b"".join(chunks) == b"2"
    assert slow.extensions["pywats_cache"].reason == "overtaken"


@pytest.mark.parametrize("ending", ["more than announced", "an error"])
def test_what_follows_on_the_announced_length_takes_back_what_all_processes_share(
    make_storage: Callable[[], Any], ending: str
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        body = SyncChunks(b"12", b"34" if ending == "more than announced" else httpx.ReadError("broken"))
        return httpx.Response(200, headers={"Content-Length": "2"}, stream=body)

    response = CacheTransport(httpx.MockTransport(answer), storage=make_storage()).handle_request(
        httpx.Request("GET", "http://origin/a")
    )
    chunks = response.iter_bytes()
    assert next(chunks) == b"12"
    try:
        assert list(chunks) == [b"34"]
    except httpx.ReadError:
        assert ending == "an error"
    assert response.extensions["pywats_cache"][:2] == ("miss", "incomplete")
    other = CacheTransport(httpx.MockTransport(lambda request: httpx.Response(200, text="new")), storage=make_storage())
    assert other.handle_request(httpx.Request("GET", "http://origin/a")).read() == b"new"


@pytest.mark.anyio
async def test_tasks_wait_without_a_thread(
    origin: Origin, make_storage: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    fetching = anyio.Event()
    waiting = anyio.Event()
    count = 0

    async def serve(request: httpx.Request) -> httpx.Response:
        nonlocal count
        count += 1
        fetching.set()
        await waiting.wait()
        return httpx.Response(200, text=str(count))

    def client_of(storage: Any) -> httpx.AsyncClient:
        transport = AsyncCacheTransport(httpx.MockTransport(serve), storage=storage, controller=PATIENT)
        return httpx.AsyncClient(transport=transport, base_url="http://origin")

    real = anyio.sleep

    async def noted(seconds: float) -> None:
        waiting.set()
        await real(seconds)

    monkeypatch.setattr(sharing.anyio, "sleep", noted)
    answers: list[str] = []

    async def ask(client: httpx.AsyncClient) -> None:
        answers.append((await client.get("/a")).text)

    async with (
        client_of(make_storage()) as one,
        client_of(make_storage()) as other,
        anyio.create_task_group() as group,
    ):
        group.start_soon(ask, one)
        await fetching.wait()
        group.start_soon(ask, other)
    assert answers == ["1", "1"]


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_how_long_others_wait_is_short_in_the_hands_of_the_reader_and_long_for_the_server(
    make_storage: Callable[[], Any], kind: str
) -> None:
    storage, now = make_storage(), [0.0]
    storage.memory.flights.monotonic = lambda: now[0]
    leases: list[float] = []
    storage.lend = lambda fetch, seconds: leases.append(round(seconds, 3))

    class Transport(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, stream=SyncChunks(b"1", b"2", b"3", b"4", b"5"))

    class AsyncTransport(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, stream=Chunks(b"1", b"2", b"3", b"4", b"5"))

    request = httpx.Request("GET", "http://origin/a")
    if kind == "sync":
        chunks: Any = iter(CacheTransport(Transport(), storage=storage).handle_request(request).stream)
    else:
        response = await AsyncCacheTransport(AsyncTransport(), storage=storage).handle_async_request(request)
        chunks = response.stream.__aiter__()

    async def ask_again(after: float) -> list[float]:
        now[0] += after
        del leases[:]
        if kind == "sync":
            next(chunks)
        else:
            await chunks.__anext__()
        return leases[:]

    assert await ask_again(0.5) == [0.05]
    assert await ask_again(0.03) == [0.47, 0.02]  # its body may take 1 s in all
    assert await ask_again(0.01) == []  # prolonged a moment ago
    assert await ask_again(0.005) == []
    assert await ask_again(0.1) == []  # the reader has had them for too long
    if kind == "sync":
        chunks.close()
    else:
        await chunks.aclose()
