"""Several processes over one SQLite file: what four store, how long one waits for another's fetch, and a clear."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

import pywats_cache as ours
from pywats_cache.storage.shared.backend import Row as Record

from .harness import Goal, Options, Row, bars, check, figure, span
from .transports import KB, Payload

NO_ERRORS = Goal("<=", 0.0, "errors")
JOINED = Goal("<=", 2.0, "ms")
CLEARED = Goal("<=", 10.0, "ms")
PROCESSES = 4
URL = "http://origin.example/a"
LEADER_SECONDS = 0.02
"""How long the origin takes, in which the other process begins to wait."""
_STORE = """
import json, logging, sys, time
import httpx
from pywats_cache import CacheTransport, SharedStorage
logging.disable()
path, name, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
storage = SharedStorage(path)
origin = httpx.MockTransport(lambda request: httpx.Response(200, content=b"x" * 1024))
transport = CacheTransport(origin, storage=storage)
def miss(number):
    transport.handle_request(httpx.Request("GET", f"http://origin.example/{name}/{number}")).read()
miss("first")
print("ready", flush=True)
sys.stdin.readline()
start, number = time.perf_counter(), 0
while time.perf_counter() - start < seconds:
    miss(number)
    number += 1
storage.close()
print(json.dumps([number + 1, number / (time.perf_counter() - start), transport.stats.storage_errors]), flush=True)
"""
_JOIN = """
import sys, time
import httpx
from pywats_cache import CacheTransport, SharedStorage
transport = CacheTransport(httpx.MockTransport(lambda request: httpx.Response(500)), storage=SharedStorage(sys.argv[1]))
print("ready", flush=True)
for line in sys.stdin:
    response = transport.handle_request(httpx.Request("GET", line.strip()))
    response.read()
    print(response.status_code, time.clock_gettime(time.CLOCK_MONOTONIC), flush=True)
"""
_WORK = """
import json, select, sys, time
import httpx
from pywats_cache import CacheTransport, SharedStorage
storage = SharedStorage(sys.argv[1], max_entries=int(sys.argv[2]))
origin = httpx.MockTransport(lambda request: httpx.Response(200, content=b"x" * 1024))
transport, number, longest = CacheTransport(origin, storage=storage), 0, {}
def waits(name, step):
    start = time.perf_counter()
    step()
    longest[name] = max(longest.get(name, 0.0), time.perf_counter() - start)
def ask(method, url):
    transport.handle_request(httpx.Request(method, url)).read()
ask("PUT", "http://elsewhere.example/a")
print("ready", flush=True)
while True:
    number += 1
    url = f"http://elsewhere.example/{number}"
    waits("a miss", lambda: ask("GET", url))
    waits("until it is in the file", storage.flush)
    waits("a PUT", lambda: ask("PUT", "http://elsewhere.example/a"))
    if select.select([sys.stdin], [], [], 0.002)[0]:
        if not sys.stdin.readline():
            break
        print(json.dumps([longest, transport.stats.storage_errors]), flush=True)
        longest = {}
storage.close()
"""


def run(options: Options) -> list[Row]:
    """Measure both. Clocks of two processes are compared, which Linux and macOS allow."""
    if sys.platform == "win32":
        return []
    with tempfile.TemporaryDirectory() as directory:
        return [
            _stores(Path(directory, "stores.db"), options.pick(1, 3)),
            _joins(Path(directory, "joins.db"), options.pick(20, 200)),
            *_clear(options, Path(directory, "clear.db"), options.pick(20_000, 300_000)),
        ]


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", code, *map(str, arguments)]
    child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    said(child)
    return child


def said(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline()


def tell(child: subprocess.Popen[str], line: str) -> None:
    assert child.stdin is not None
    child.stdin.write(f"{line}\n")
    child.stdin.flush()


def _stores(path: Path, seconds: int) -> Row:
    children = [start(_STORE, path, number, seconds) for number in range(PROCESSES)]
    for child in children:
        tell(child, "go")
    found: list[list[Any]] = [json.loads(said(child)) for child in children]
    for child in children:
        child.communicate()
    stored, rate, errors = (sum(column) for column in zip(*found, strict=True))
    storage = ours.SharedStorage(path)
    there = storage._records.totals()[0]
    storage.close()
    title = "responses stored by 4 processes in one SQLite file"
    return Row(
        title,
        f"{rate:,.0f}/s, {errors} errors; {there / stored:.0%} are in the file",
        goal=str(NO_ERRORS),
        met=NO_ERRORS.met(errors) and there == stored,
        detail={"figure": figure([rate], ""), "errors": errors, "stored": stored, "there": there},
    )


def _joins(path: Path, times: int) -> Row:
    joiner = start(_JOIN, path)

    def origin(request: httpx.Request) -> httpx.Response:
        tell(joiner, str(request.url))
        time.sleep(LEADER_SECONDS)
        return httpx.Response(200, content=b"x" * KB)

    storage = ours.SharedStorage(path)
    leader = ours.CacheTransport(httpx.MockTransport(origin), storage=storage)
    took = []
    for number in range(times):
        leader.handle_request(httpx.Request("GET", f"{URL}/{number}")).read()
        end = time.clock_gettime(time.CLOCK_MONOTONIC)
        status, at = said(joiner).split()
        check(status == "200", "the other process fetched for itself")
        took.append(float(at) - end)
    joiner.communicate()
    storage.close()
    title = "answer of a process that waited for another one's fetch, after that one's"
    whole = figure(took, "the goal")
    return Row(
        title,
        f"median {span(whole['value'])}",
        goal=str(JOINED),
        met=JOINED.met(whole["value"] * 1e3),
        detail={"figure": whole, "bars": bars(title, {"ours": whole["value"]}, ["ours"])},
    )


def _clear(options: Options, path: Path, records: int) -> list[Row]:
    """What the caller of a clear of so many records waits, and another process until the last record is gone."""
    storage = _filled(path, records)
    os.sync()  # or each durable write of the next seconds waits for that
    child = start(_WORK, path, records * 2)
    time.sleep(options.pick(1, 5))
    tell(child, "what was it?")
    before, _ = json.loads(said(child))
    began = time.perf_counter()
    storage.clear()
    took = time.perf_counter() - began
    while storage._behind._queue.rest is not None:
        time.sleep(0.01)
    rest = time.perf_counter() - began
    tell(child, "what was it?")
    longest, errors = json.loads(said(child))
    child.communicate()
    check(storage._records.totals()[0] < records / 2, "the records are still there")
    check(not errors, "the other process failed")
    storage.close()
    title = "clear of a full SQLite file, what its caller waits"
    waited = ", ".join(f"{name}: {span(seconds)}" for name, seconds in longest.items())
    usual = ", ".join(f"{name}: {span(seconds)}" for name, seconds in before.items())
    return [
        Row(
            title,
            f"{span(took)}; {records:,} records are gone after {span(rest)}",
            goal=str(CLEARED),
            met=CLEARED.met(took * 1e3),
            detail={"figure": figure([took], ""), "records": records, "rest": rest},
        ),
        Row(
            "the longest waits of another process meanwhile",
            waited,
            f"before the clear: {usual}",
            detail={"longest": longest, "before": before},
        ),
    ]


def _filled(path: Path, records: int) -> ours.SharedStorage:
    storage = ours.SharedStorage(path, max_entries=records * 2)
    storage.memory.coherence.bump(())
    now = time.time()
    for first in range(0, records, 1000):
        names = [f"{number:022d}" for number in range(first, min(first + 1000, records))]
        storage._records.put_all([Record(name, name, Payload(KB).raw, 1, now, now + 1e6) for name in names], now)
    return storage
