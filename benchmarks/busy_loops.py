"""A hit in the SQLite file from an event loop beside busy threads: the longest time for which it keeps the loop.

Who reads in the loop gives the interpreter's lock away at each statement, and waits until the busy threads give it
back: each of them may keep it for `sys.getswitchinterval()`. Who asks a thread waits for the lock just as often, and
for one thread more. So all of it should grow with that interval, which is measured for two of them.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import tempfile
import threading
import time
from asyncio import events
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import anyio.to_thread
import httpx

import pywats_cache as ours

from .harness import Options, Row, check, figure, span
from .transports import KB, Payload

THREADS = 3
INTERVALS = (0.005, 0.001)
"""Seconds; the first is Python's own."""
URL = "https://origin.example/api/Product/PN-00001"
IN_LOOP, IN_THREAD, HOP = "read in the loop", "read by a thread", "a bare thread hop"


def run(options: Options) -> list[Row]:
    with tempfile.TemporaryDirectory() as directory, _timed_callbacks() as callbacks:
        return [
            _row(interval, asyncio.run(_measured(directory, callbacks, interval, options.pick(30, 300))))
            for interval in INTERVALS
        ]


@contextmanager
def _timed_callbacks() -> Iterator[list[float]]:
    """How long each callback of an event loop takes: for so long, nothing else runs there."""
    run, found = events.Handle._run, list[float]()

    def timed(handle: events.Handle) -> None:
        start = time.perf_counter()
        run(handle)
        found.append(time.perf_counter() - start)

    events.Handle._run = timed  # type: ignore[method-assign]
    try:
        yield found
    finally:
        events.Handle._run = run  # type: ignore[method-assign]


@contextmanager
def _busy_threads(interval: float) -> Iterator[None]:
    usual, is_over = sys.getswitchinterval(), threading.Event()

    def work() -> None:
        while not is_over.is_set():
            sum(range(1000))

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    sys.setswitchinterval(interval)
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
        sys.setswitchinterval(usual)


async def _measured(
    directory: str, callbacks: list[float], interval: float, times: int
) -> dict[str, tuple[float, list[float]]]:
    """The longest callback, and how long each call took, by how it was asked."""
    stores = {
        name: ours.SharedStorage(
            Path(directory, f"{name} {interval}.db"), memory=ours.MemoryStorage(max_entries=1), read_in_loop=read
        )
        for name, read in ((IN_LOOP, True), (IN_THREAD, False))
    }
    asks: dict[str, Callable[[], Awaitable[Any]]] = {name: await _hits(storage) for name, storage in stores.items()}
    asks[HOP] = lambda: anyio.to_thread.run_sync(int)
    found = {}
    with _busy_threads(interval):
        for name, ask in asks.items():
            await asyncio.sleep(0)
            callbacks.clear()
            took = []
            for _ in range(times):
                start = time.perf_counter()
                await ask()
                took.append(time.perf_counter() - start)
                await asyncio.sleep(0)  # a callback of its own for each
            found[name] = max(callbacks), took
    for storage in stores.values():
        storage.close()
    return found


async def _hits(storage: ours.SharedStorage) -> Callable[[], Awaitable[None]]:
    transport = ours.AsyncCacheTransport(Payload(KB).origin(), storage=storage)
    turns = itertools.cycle([httpx.Request("GET", f"{URL}/{n}") for n in range(2)])

    async def ask() -> str:
        response = await transport.handle_async_request(next(turns))
        await response.aread()
        return str(response.extensions["pywats_cache"].status)

    async def hit() -> None:
        check(await ask() == "hit", "no hit in the store")

    for _ in range(4):
        await ask()
        storage.flush()
    return hit


def _row(interval: float, found: dict[str, tuple[float, list[float]]]) -> Row:
    def said(name: str) -> str:
        block, took = found[name]
        return f"{name}: block {span(block)}, a call {span(median(took))}, at most {span(max(took))}"

    return Row(
        f"hit in the SQLite file beside {THREADS} busy threads, switch interval {span(interval)}",
        said(IN_LOOP),
        f"{said(IN_THREAD)}; {said(HOP)}",
        detail={
            "figure": figure([block for block, _ in found.values()][:1], ""),
            "found": {name: {"block": block, "median": median(took)} for name, (block, took) in found.items()},
        },
    )
