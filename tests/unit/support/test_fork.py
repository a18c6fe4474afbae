"""After os.fork(): the child has an empty memory, new locks, no flights and a working transport."""

from __future__ import annotations

import os
import signal
import socket
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.to_thread
import pytest

from pywats_cache import MemoryStorage
from pywats_cache.coherence.single_flight import Flight
from pywats_cache.storage.sqlite.records import SqliteRecords

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
LONG = 30


def in_child(work: Callable[[], object]) -> None:
    """Run `work` in a forked child; fail if it raises or does not end."""
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: a fork beside other threads
        child = os.fork()
    if child == 0:
        signal.alarm(LONG)  # a deadlock ends by this signal
        try:
            work()
        except BaseException:
            os.write(write, traceback.format_exc()[-4000:].encode())
            os._exit(1)
        os._exit(0)
    os.close(write)
    _, status = os.waitpid(child, 0)
    with open(read, "rb") as pipe:
        problem = pipe.read().decode()
    assert os.waitstatus_to_exitcode(status) == 0, problem or f"the child ended with {status}"


@pytest.fixture
def server() -> Iterator[str]:
    """The address of a server that answers each connection once, with the number of the connection."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        count = 0
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            count += 1
            threading.Thread(target=answer, args=(connection, count), daemon=True).start()

    def answer(connection: socket.socket, count: int) -> None:
        with connection:
            while connection.recv(65536):
                body = str(count).encode()
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(LONG)


def test_the_child_starts_empty_and_the_parent_keeps_what_it_has(cached: Callable[..., Any]) -> None:
    client = cached()
    client.get("/a")
    client.put("/b")

    def work() -> None:
        storage = client.cache.storage
        assert len(storage) == storage.size_bytes == 0
        assert client.get("/a").text == "3"
        assert client.get("/a").extensions["pywats_cache"].status == "hit"
        client.put("/a")
        assert client.get("/a").text == "5"

    in_child(work)
    assert client.get("/a").extensions["pywats_cache"].status == "hit"
    assert client.cache.stats.entries == 1


def test_locks_held_at_the_fork_do_not_deadlock_the_child(cached: Callable[..., Any]) -> None:
    client = cached()
    client.get("/a")
    storage = client.cache.storage
    held, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with storage.lock, storage.coherence._lock:
            held.set()
            leave.wait(LONG)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(LONG)

    def work() -> None:
        assert client.get("/a").text == "2"
        client.put("/a")
        client.cache.invalidate("/a")
        client.cache.clear()
        assert client.get("/a").text == "4"
        assert client.cache.stats.entries == 1

    try:
        in_child(work)
    finally:
        leave.set()
        thread.join(LONG)


def test_a_store_that_a_thread_uses_at_the_fork_does_not_deadlock_the_child(tmp_path: Path) -> None:
    records = SqliteRecords(tmp_path / "r.db", max_entries=5, max_bytes=9999, on_aside=pytest.fail)
    noting, leave = threading.Event(), threading.Event()

    class Found(list[Any]):
        """What a thread found, and is noting to be used when the fork comes."""

        def __iter__(self) -> Iterator[Any]:
            if threading.current_thread() is thread:
                noting.set()
                leave.wait(LONG)
            return super().__iter__()

    records._file.read = lambda work: Found([("v", b"")])  # type: ignore[method-assign,return-value]
    thread = threading.Thread(target=records.get, args=("k",))
    thread.start()
    assert noting.wait(LONG)

    try:
        in_child(lambda: records.get("k"))
    finally:
        leave.set()
        thread.join(LONG)


def test_the_child_waits_for_no_flight_of_the_parent(cached: Callable[..., Any]) -> None:
    client = cached()
    client.get("/a")
    key = client.get("/a").extensions["pywats_cache"].key
    client.cache.clear()
    flight = Flight(key, (), client.cache.storage.coherence.epoch, 1000.0, (0, None), shared=True, storable=True)
    client.cache.storage.flights.add(flight)

    def work() -> None:
        assert len(client.cache.storage.flights) == 0
        assert client.get("/a").text == "2"

    in_child(work)
    assert len(client.cache.storage.flights) == 1


def test_a_transport_that_we_built_is_built_anew(lib: SimpleNamespace, server: str) -> None:
    clients = [lib.http.Client(transport=lib.CacheTransport()), lib.CacheClient()]
    for client in clients:
        assert client.get(f"{server}/a").status_code == 200
    before = [client._transport.next_transport for client in clients]

    def work() -> None:
        for client, old in zip(clients, before, strict=True):
            assert client._transport.next_transport is not old
            assert type(client._transport.next_transport) is type(old)
            # The pool of the parent has an open connection; over it the answer would be 1 or 2.
            assert int(client.get(f"{server}/a").text) > len(clients)

    in_child(work)
    for client, old in zip(clients, before, strict=True):
        assert client._transport.next_transport is old
        client.close()


def test_the_arguments_of_the_client_hold_in_the_child(lib: SimpleNamespace) -> None:
    client = lib.CacheClient(verify=False, limits=lib.http.Limits(max_connections=3))

    def work() -> None:
        pool = client.cache.next_transport._pool
        assert pool._max_connections == 3
        assert pool._ssl_context.verify_mode == 0

    in_child(work)
    client.close()


def test_the_route_of_a_proxy_is_built_anew(lib: SimpleNamespace) -> None:
    client = lib.CacheClient(proxy="http://127.0.0.1:9")
    (mounted,) = client._mounts.values()
    old = mounted.next_transport

    def work() -> None:
        assert mounted.next_transport is not old
        assert type(mounted.next_transport._pool) is type(old._pool)

    in_child(work)
    client.close()


def test_a_transport_that_was_handed_in_is_its_owners(lib: SimpleNamespace) -> None:
    own = lib.http.HTTPTransport()
    transport = lib.CacheTransport(own)
    client = lib.CacheClient(transport=own)

    def work() -> None:
        assert transport.next_transport is own
        assert client.cache.next_transport is own

    in_child(work)
    client.close()


def test_a_storage_that_is_gone_is_no_concern_of_the_child() -> None:
    storage = MemoryStorage()
    del storage
    in_child(lambda: None)


@pytest.mark.anyio
async def test_the_async_transport_works_in_the_child(lib: SimpleNamespace, server: str) -> None:
    async def ask() -> tuple[str, str]:
        async with lib.AsyncCacheClient(storage=storage) as client:
            first = await client.get(f"{server}/a")
            second = await client.get(f"{server}/a")
            return first.text, second.extensions["pywats_cache"].status

    storage = MemoryStorage()
    assert await ask() == ("1", "hit")

    def work() -> None:
        assert len(storage) == 0
        assert anyio.run(ask)[1] == "hit"

    await anyio.to_thread.run_sync(in_child, work)
    assert len(storage) == 1
