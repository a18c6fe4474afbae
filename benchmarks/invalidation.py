"""A write that dirties everything, with 100 000 entries stored, against the same PUT without a cache.

The goal is that of a PUT to a server. One that goes nowhere shows what the cache adds, and is reported without a goal.
"""

from __future__ import annotations

from typing import Any

import httpx

import pywats_cache as ours

from . import peers
from .eviction import PAYLOAD, entries, finish, large, store
from .harness import Case, Goal, Options, Row, check, compare, cpu, interleave, loop_of, number, perf, span
from .hits import status_of
from .recording import Measured
from .server import Server

GOAL = Goal("<=", 1.1)
RULES: list[ours.Read | ours.Write | ours.Bypass] = [
    ours.Read("/**", tags=("all",)),
    ours.Write("/**", dirties=("all",)),
]


def run(options: Options) -> list[Row]:
    with Server() as server:
        # One storage serves all; its answers are of the server's origin, whatever the next transport is.
        storage = _fill(store(large(options)), large(options), server.url)
        rows = [_in_process(options, storage, server.url), _over_http(options, storage, server.url)]
        rows.append(_by_call(options, storage, server.url))
    if peers.has("pywats"):
        rows.append(_sdk(options))
    return rows


def _fill(storage: ours.MemoryStorage, size: int, base: str) -> ours.MemoryStorage:
    """Store so many answers, all tagged `all`."""
    transport = _cached(PAYLOAD.origin(), storage)
    for i in range(size):
        transport.handle_request(httpx.Request("GET", f"{base}/items/{i}")).read()
    check(len(storage) == size, "not everything was stored")
    return storage


def _cached(next_transport: httpx.BaseTransport, storage: ours.MemoryStorage) -> ours.CacheTransport:
    return ours.CacheTransport(next_transport, controller=ours.Controller(rules=RULES), storage=storage)


def _check_dirtied(client: httpx.Client, transport: ours.CacheTransport, base: str) -> None:
    """See that answers are hits before a write and none after it, and that the table is still full."""
    first, last = f"{base}/items/17", f"{base}/items/{_size(transport) - 1}"
    client.get(first), client.get(last)
    check(status_of(client.get(first)) == "hit" and status_of(client.get(last)) == "hit", "nothing was cached")
    client.put(f"{base}/other", content=b"{}")
    check(status_of(client.get(first)) == "miss" and status_of(client.get(last)) == "miss", "the write dirtied nothing")
    check(transport.stats.entries == _size(transport), "the storage was emptied")


def _size(transport: ours.CacheTransport) -> int:
    assert isinstance(transport.storage, ours.MemoryStorage)
    return transport.storage.max_entries


def _puts(
    options: Options, name: str, url: str, client: httpx.Client, transport: ours.CacheTransport, bare: httpx.Client
) -> Row:
    _check_dirtied(client, transport, url.removesuffix("/other"))
    clock = cpu if name == "no network" else perf
    cases: dict[str, Case] = {
        "ours": loop_of(lambda: client.put(url, content=b"{}"), clock),
        "bare PUT": loop_of(lambda: bare.put(url, content=b"{}"), clock),
    }
    title = f"PUT that dirties {entries(large(options))}, {name}"
    samples = interleave(options, title, cases, rounds=options.pick(15, 151), round_seconds=0.012)
    goal = None if name == "no network" else GOAL
    return compare(title, samples, "ours", "bare PUT", goal)


def _in_process(options: Options, storage: ours.MemoryStorage, base: str) -> Row:
    transport = _cached(PAYLOAD.origin(), storage)
    client, bare = httpx.Client(transport=transport), httpx.Client(transport=PAYLOAD.origin())
    return _puts(options, "no network", f"{base}/other", client, transport, bare)


def _over_http(options: Options, storage: ours.MemoryStorage, base: str) -> Row:
    transport = _cached(httpx.HTTPTransport(), storage)
    with httpx.Client(transport=transport) as client, httpx.Client() as bare:
        return _puts(options, "HTTP on loopback", f"{base}/other", client, transport, bare)


def _by_call(options: Options, storage: ours.MemoryStorage, base: str) -> Row:
    """Compare `invalidate(tags=…)` on a full storage with the same on one that holds a single answer."""
    full = _cached(PAYLOAD.origin(), storage)
    single = _cached(PAYLOAD.origin(), _fill(store(1), 1, base))
    cases: dict[str, Case] = {
        entries(large(options)): loop_of(lambda: full.invalidate(tags=("all",))),
        "1 entry": loop_of(lambda: single.invalidate(tags=("all",))),
    }
    title = '`invalidate(tags=("all",))`'
    samples = interleave(options, title, cases, rounds=options.pick(21, 201))
    return compare(title, samples, entries(large(options)), "1 entry", GOAL)


def _sdk(options: Options) -> Row:
    size = large(options)
    client: Any = peers.sdk_http_client("http://origin.example", max_size=size)
    seconds = []
    for _ in range(options.share(options.pick(1, 3))):
        for i in range(size):
            finish(client.cache.put(f"GET:/api/Product/{i}", PAYLOAD))
        start = perf()
        finish(client.invalidate_cache("/api/Product"))
        seconds.append(perf() - start)
        check(client.cache.size == 0, "the SDK dropped nothing")
    title = f"what a write adds with {entries(size)}, the SDK's cache"
    best = options.recording.add(title, {"SDK": Measured(seconds)}).best("SDK")
    detail = {"comparison": title, "per_entry": number(best / size * 1e9) + " ns"}
    return Row(title, "", f"SDK: {span(best)}", detail=detail)
