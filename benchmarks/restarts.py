"""A process is started anew while the server is away: how long its first stale answer takes, with opening the store.

Each is a process of its own, over a file that another one left. Only what follows the imports is timed: a program
imports httpx whether it caches or not, and `import_time` says what ours adds.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import httpx

import pywats_cache as ours

from .harness import Goal, Options, Row, bars, check, figure, span
from .transports import KB

GOAL = Goal("<=", 5.0, "ms (least)")
URL = "http://origin.example/a"
ENTRIES = 300
"""Answers in the file besides the one that is asked for."""
_CHILD = """
import sys, time
import httpx
from pywats_cache import CacheTransport, Controller, SharedStorage

def away(request):
    raise httpx.ConnectError("away", request=request)

controller, network = Controller(ttl=0.001, offline="auto"), httpx.MockTransport(away)
start = time.perf_counter()
transport = CacheTransport(network, controller=controller, storage=SharedStorage(sys.argv[1]))
with httpx.Client(transport=transport) as client:
    opened = time.perf_counter()
    response = client.get(sys.argv[2])
    end = time.perf_counter()
outcome = response.extensions["pywats_cache"]
print(outcome.status, outcome.reason, end - start, opened - start)
"""


def run(options: Options) -> list[Row]:
    """Measure new processes one after the other."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "cache.db")
        _fill(path)
        found = [_first(path) for _ in range(options.pick(5, 25))]
    whole = figure([seconds for seconds, _ in found], "the goal")
    opening = sorted(opened for _, opened in found)[len(found) // 2]
    least = min(seconds for seconds, _ in found)
    title = "server away, first answer of a new process"
    return [
        Row(
            title,
            f"median {span(whole['value'])}, of which {span(opening)} to open the store; least {span(least)}",
            goal=str(GOAL),
            met=GOAL.met(least * 1e3),
            detail={"figure": whole, "least": least, "bars": bars(title, {"ours": whole["value"]}, ["ours"])},
        )
    ]


def _fill(path: Path) -> None:
    """Leave a file as a process does that has read before the server went away."""
    origin = httpx.MockTransport(lambda request: httpx.Response(200, content=b"x" * KB))
    storage = ours.SharedStorage(path)
    transport = ours.CacheTransport(origin, controller=ours.Controller(ttl=0.001, offline="auto"), storage=storage)
    with httpx.Client(transport=transport) as client:
        for number in range(ENTRIES):
            client.get(f"{URL}/{number}")
        client.get(URL)
    storage.close()


def _first(path: Path) -> tuple[float, float]:
    child = [sys.executable, "-c", _CHILD, str(path), URL]
    said = subprocess.run(child, capture_output=True, text=True, check=True, timeout=60).stdout.split()
    check(said[:2] == ["stale", "offline"], f"the first answer is {said[:2]}")
    return float(said[2]), float(said[3])
