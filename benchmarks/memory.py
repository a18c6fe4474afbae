"""Bytes that one stored answer of 1 KB takes, all told, each subject in a process of its own.

The child is run twice: under tracemalloc (what Python allocated), and without it for the growth of the process.
Before it measures, it stores so many answers that memos of bounded size are full; these are emptied then, so what is
measured is a whole number of fillings.
"""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import httpx

from . import peers
from .harness import Goal, Options, Row, bars, check, figure, number, perf
from .recording import Measured
from .transports import KB, HandMade

GOAL = Goal("<=", 1.8, "KB")
MEMO = 4096


def run(options: Options) -> list[Row]:
    entries = MEMO * options.pick(1, 2)
    names = ["ours", "dict"]
    if peers.has("pywats") and not options.quick:  # it takes half a minute
        names.append("SDK")
    traced = {name: _child(name, "traced", entries) for name in names}
    mine, counted = traced["ours"]["bytes"], traced["ours"]["counted"]
    title = "memory of an entry of 1 KB (tracemalloc)"
    _record(options, title, traced)
    rows = [
        Row(
            title,
            _kilobytes(mine),
            _others(traced),
            f"{number(mine / traced['dict']['bytes'])}x the dict",
            str(GOAL),
            GOAL.met(mine / KB),
            {
                "entries": entries,
                "found": traced,
                "figure": figure([mine], "dict", exact=True),
                "bars": bars("an entry of 1 KB", {name: of["bytes"] for name, of in traced.items()}, ["ours"], "B"),
            },
        ),
        Row(
            "`size_bytes` (what `max_bytes` bounds) against the bytes taken",
            f"{_kilobytes(counted)} counted",
            f"{_kilobytes(mine)} taken",
            f"{number(counted / mine)}x",
            detail={"counted": counted, "taken": mine},
        ),
    ]
    if not options.quick:
        resident = {name: _child(name, "resident", entries) for name in names}
        title = "memory of an entry of 1 KB (growth of the process)"
        _record(options, title, resident)
        rows.append(Row(title, _kilobytes(resident["ours"]["bytes"]), _others(resident), detail=resident))
    return rows


def _record(options: Options, title: str, found: dict[str, dict[str, float]]) -> None:
    measured = {name: Measured([of["bytes"]], unit="byte", duration=of["seconds"]) for name, of in found.items()}
    options.recording.add(title, measured)


def _kilobytes(size: float) -> str:
    return f"{number(size / KB)} KB"


def _others(found: dict[str, dict[str, float]]) -> str:
    return "; ".join(f"{name}: {_kilobytes(of['bytes'])}" for name, of in found.items() if name != "ours")


def _child(name: str, way: str, entries: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.memory", name, way, str(entries)]
    start = perf()
    found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return {**found, "seconds": perf() - start}


class Catalogue(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Answers each URL with a JSON object of its own, 1 KB."""

    def _answer(self, request: httpx.Request) -> httpx.Response:
        name = request.url.path.rsplit("/", 1)[1]
        body = b'{"partNumber": "%s", "description": "' % name.encode()
        body = body.ljust(KB - 2, b"x") + b'"}'
        check(len(body) == KB, "a body is not 1 KB")
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Content-Length": str(len(body)),
            "Date": "Mon, 01 Jan 2024 00:00:00 GMT",
            "Server": "origin",
            "Cache-Control": "no-cache",
        }
        return httpx.Response(200, headers=headers, stream=httpx.ByteStream(body))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._answer(request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self._answer(request)


def _ours(entries: int) -> tuple[Callable[[int], Any], Callable[[], int]]:
    import pywats_cache

    storage = pywats_cache.MemoryStorage(max_entries=entries + MEMO, max_bytes=1 << 34)
    transport = pywats_cache.CacheTransport(Catalogue(), storage=storage)
    return lambda i: _send(transport, i), lambda: storage.size_bytes


def _send(transport: httpx.BaseTransport, i: int) -> None:
    """Ask a transport alone: what a client does besides is not kept, and slow under tracemalloc."""
    transport.handle_request(httpx.Request("GET", f"https://origin.example/api/Product/{i}")).read()


def _dict(entries: int) -> tuple[Callable[[int], Any], Callable[[], int]]:
    transport = HandMade(Catalogue())
    return lambda i: _send(transport, i), lambda: 0


def _sdk(entries: int) -> tuple[Callable[[int], Any], Callable[[], int]]:
    loop = asyncio.new_event_loop()
    client = peers.sdk_http_client("https://origin.example", max_size=entries + MEMO)
    client._client = httpx.AsyncClient(transport=Catalogue(), base_url="https://origin.example")
    return lambda i: loop.run_until_complete(client.get(f"/api/Product/{i}")), lambda: 0


def _resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def _traced() -> int:
    return tracemalloc.get_traced_memory()[0]


def _subject(name: str, way: str, entries: int) -> dict[str, float]:
    get, counted = {"ours": _ours, "dict": _dict, "SDK": _sdk}[name](entries)
    if way == "traced":
        tracemalloc.start()
    for i in range(MEMO):
        get(1_000_000 + i)
    gc.collect()
    measure: Callable[[], int] = _traced if way == "traced" else _resident
    before, counted_before = measure(), counted()
    for i in range(entries):
        get(i)
    gc.collect()
    return {"bytes": (measure() - before) / entries, "counted": (counted() - counted_before) / entries}


if __name__ == "__main__":
    print(json.dumps(_subject(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
