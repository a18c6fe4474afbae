"""An insert that evicts, with 100 000 entries against 1 000: the cost must not grow with what the cache holds.

A quick run takes 10 000 instead.
"""

from __future__ import annotations

import itertools
from collections.abc import Coroutine, Iterator
from typing import Any

import hishel
import httpx

import pywats_cache as ours

from . import peers
from .harness import Case, Goal, Options, Row, check, compare, cpu, interleave
from .recording import Samples
from .transports import Payload

SMALL = 1_000
GOAL = Goal("<=", 1.1)
UNBOUNDED = 1 << 34
PAYLOAD = Payload(256)


def large(options: Options) -> int:
    """Return how many entries a full cache has."""
    return options.pick(10_000, 100_000)


def entries(size: int) -> str:
    """Name a case: `100 000 entries`."""
    return f"{size:,} entries".replace(",", " ")


def run(options: Options) -> list[Row]:
    rows = [_row(options, _through_transport(options)), _row(options, _through_storage(options))]
    if peers.has("pywats"):
        samples = _sdk(options)
        row = compare(samples.title, samples, entries(large(options)), entries(SMALL))
        row.ours, row.other = "", f"{entries(large(options))}: {row.ours}; {row.other}"
        row.detail["bars"]["mine"] = []
        del row.detail["figure"]  # it is not ours
        rows.append(row)
    return rows


def _row(options: Options, samples: Samples) -> Row:
    return compare(samples.title, samples, entries(large(options)), entries(SMALL), GOAL)


def store(max_entries: int) -> ours.MemoryStorage:
    """Return a storage that only the number of entries bounds."""
    return ours.MemoryStorage(max_entries=max_entries, max_bytes=UNBOUNDED)


def _through_transport(options: Options) -> Samples:
    cases: dict[str, Case] = {}
    storages = {}
    for size in (SMALL, large(options)):
        name = entries(size)
        storages[name] = storage = store(size)
        transport = ours.CacheTransport(PAYLOAD.origin(), storage=storage)
        cases[name] = _misses(transport, size)
        check(transport.stats.entries == size, "the cache is not full")
    title = "insert with eviction, a miss of the transport"
    samples = interleave(options, title, cases, rounds=options.pick(15, 121))
    check(len(storages[entries(large(options))]) == large(options), "the cache did not stay full")
    return samples


def _misses(transport: httpx.BaseTransport, fill: int) -> Case:
    """Every call asks for a URL that was never seen before; the first `fill` of them are made at once."""
    numbers = itertools.count()

    def run(n: int) -> float:
        requests = [httpx.Request("GET", f"https://origin.example/items/{next(numbers)}") for _ in range(n)]
        start = cpu()
        for request in requests:
            transport.handle_request(request).read()
        return cpu() - start

    for _ in range(0, fill, 1000):
        run(1000)
    return Case(run, cpu)


def _through_storage(options: Options) -> Samples:
    cases: dict[str, Case] = {}
    for size in (SMALL, large(options)):
        name = entries(size)
        storage = store(size)
        cases[name] = _inserts(storage, size)
        check(len(storage) == size, "the storage is not full")
    title = "insert with eviction, `MemoryStorage.create_entry`"
    return interleave(options, title, cases, rounds=options.pick(15, 121))


def _inserts(storage: hishel.BaseStorage, fill: int) -> Case:
    numbers = itertools.count()
    headers = hishel.Headers(dict(PAYLOAD.headers))

    def run(n: int) -> float:
        pairs = []
        for _ in range(n):
            key = f"key-{next(numbers)}"
            request = hishel.Request("GET", f"https://origin.example/{key}")
            pairs.append((key, request, hishel.Response(200, headers, iter((PAYLOAD.raw,)))))
        start = cpu()
        for key, request, response in pairs:
            for _ in storage.create_entry(request, response, key).response.stream:  # type: ignore[union-attr]
                pass
        return cpu() - start

    for _ in range(0, fill, 1000):
        run(1000)
    return Case(run, cpu)


def _sdk(options: Options) -> Samples:
    from pywats.core.cache import AsyncTTLCache

    cases: dict[str, Case] = {}
    for size in (SMALL, large(options)):
        name = entries(size)
        cache: Any = AsyncTTLCache(default_ttl=300.0, max_size=size)
        numbers = itertools.count()
        for _ in range(size):
            finish(cache.put(f"key-{next(numbers)}", PAYLOAD))
        cases[name] = _puts(cache, numbers)
    return interleave(options, "insert with eviction, the SDK's cache", cases, rounds=7, round_seconds=0.03)


def _puts(cache: Any, numbers: Iterator[int]) -> Case:
    def run(n: int) -> float:
        start = cpu()
        for _ in range(n):
            finish(cache.put(f"key-{next(numbers)}", PAYLOAD))
        return cpu() - start

    return Case(run, cpu)


def finish(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never suspends, without an event loop."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    raise AssertionError("the coroutine suspended")
