"""Three classic scenarios over HTTP: 100 reads of 10 keys, the same by 10 workers, and 80 % reads with 20 % writes.

`python examples/performance/benchmarks.py [plot.svg]` prints a table and draws a plot. The limit is not computed but
measured: a client without a cache that sends only what no cache could save. For figures to compare with, and other
caches beside this one, run `python -m benchmarks`; this is the shortest program that measures the same thing.
"""

from __future__ import annotations

import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from pywats_cache import CacheClient, Controller
from pywats_cache.testing import SimulatedWATS

LATENCY = 0.01  # seconds until the server answers
KEYS, CALLS, WORKERS = 10, 100, 10
Operation = tuple[str, int]  # ("GET" or "PUT", number of the key)


def mix(length: int) -> list[Operation]:
    """80 % reads and 20 % writes over all keys in random order, the same ones in each run."""
    dice = random.Random(1)
    methods = ["PUT"] * (length // 5) + ["GET"] * (length - length // 5)
    dice.shuffle(methods)
    return [(method, dice.randrange(KEYS)) for method in methods]


READS: list[Operation] = [("GET", number % KEYS) for number in range(CALLS)]
SCENARIOS: dict[str, tuple[Sequence[Operation], int]] = {
    "100 reads of 10 keys": (READS, 1),
    "the same by 10 workers": (READS, WORKERS),
    "80 % reads, 20 % writes": (mix(CALLS), 1),
}


def unavoidable(operations: Sequence[Operation]) -> list[Operation]:
    """What must reach the server: each write, and the first read of a key at the start and after each write to it."""
    known: set[int] = set()
    needed = []
    for method, key in operations:
        if method == "PUT" or key not in known:
            needed.append((method, key))
        (known.discard if method == "PUT" else known.add)(key)
    return needed


@dataclass(frozen=True)
class Run:
    """How one client did in one scenario. `stale`: reads that were older than a write that had returned."""

    name: str
    seconds: float
    requests: int
    stale: int
    hit_rate: float | None


def play(name: str, client: httpx.Client, server: SimulatedWATS, work: Sequence[Operation], workers: int) -> Run:
    """Play the operations and check every answer."""
    packages = client.get("/api/Software/Packages").json()[-KEYS:]
    keys = [package["packageId"] for package in packages]
    written = {package["packageId"]: package["priority"] for package in packages}
    stale = 0

    def do(method: str, key: str) -> None:
        nonlocal stale
        path = f"/api/Software/Package/{key}"
        if method == "PUT":
            following = written[key] + 1
            client.put(path, json={"packageId": key, "priority": following}).raise_for_status()
            written[key] = following
        else:
            stale += client.get(path).raise_for_status().json()["priority"] < written[key]

    operations = iter([(method, keys[number]) for method, number in work])

    def take() -> None:
        for operation in operations:
            do(*operation)

    server.reset_log()
    threads = [threading.Thread(target=take) for _ in range(workers)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    reads = sum(method == "GET" for method, _ in work)
    rate = 1 - server.count("GET") / reads if isinstance(client, CacheClient) else None
    return Run(name, seconds, server.request_count, stale, rate)


def measure(server: SimulatedWATS) -> dict[str, list[Run]]:
    """Each scenario without a cache, with it, and at its limit."""
    headers = {"Authorization": f"Basic {server.token}"}
    limits = httpx.Limits(max_keepalive_connections=WORKERS)

    def bare() -> httpx.Client:
        return httpx.Client(base_url=server.base_url, headers=headers, limits=limits)

    def cached() -> httpx.Client:
        # No rules: every GET is kept, and a PUT dirties its own path and the collection above it.
        controller = Controller(ttl=300.0)
        return CacheClient(base_url=server.base_url, headers=headers, limits=limits, controller=controller)

    results: dict[str, list[Run]] = {}
    for scenario, (operations, workers) in SCENARIOS.items():
        plans: list[tuple[str, Callable[[], httpx.Client], Sequence[Operation]]] = [
            ("no cache", bare, operations),
            ("pywats-cache", cached, operations),
            ("limit", bare, unavoidable(operations)),
        ]
        for name, make, work in plans:
            with make() as client:
                results.setdefault(scenario, []).append(play(name, client, server, work, workers))
    return results


def table(results: dict[str, list[Run]]) -> None:
    """Print the results."""
    print(f"{'':<26}{'':<14}{'seconds':>8}{'requests':>10}{'hit rate':>10}{'stale reads':>13}{'of the limit':>14}")
    for scenario, runs in results.items():
        limit = runs[-1].seconds
        for number, run in enumerate(runs):
            rate = "-" if run.hit_rate is None else f"{run.hit_rate:.0%}"
            share = f"{limit / run.seconds:.0%}"
            shown = scenario if number == 0 else ""
            print(f"{shown:<26}{run.name:<14}{run.seconds:>8.3f}{run.requests:>10}{rate:>10}{run.stale:>13}{share:>14}")


def plot(results: dict[str, list[Run]]) -> str:
    """Horizontal bars as SVG, one group for each scenario; shorter is better."""
    colours = {"no cache": "#9aa4af", "pywats-cache": "#1f6feb", "limit": "#d0d7de"}
    longest = max(run.seconds for runs in results.values() for run in runs)
    shapes, top = [], 16
    for scenario, runs in results.items():
        shapes.append(f'<text x="16" y="{top + 14}" font-weight="bold">{scenario}</text>')
        top += 22
        for run in runs:
            width = max(1.0, 440 * run.seconds / longest)
            text = f"{run.seconds:.3f} s, {run.requests} requests"
            shapes.append(f'<text x="120" y="{top + 13}" text-anchor="end">{run.name}</text>')
            shapes.append(
                f'<rect x="130" y="{top + 2}" width="{width:.1f}" height="14" fill="{colours[run.name]}"/>'
                f'<text x="{136 + width:.1f}" y="{top + 13}">{text}</text>'
            )
            top += 20
        top += 10
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{top}" font-family="sans-serif" font-size="12">'
    )
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *shapes, "</svg>\n"])


def main() -> None:
    """Measure, print, draw."""
    with SimulatedWATS() as server:
        with httpx.Client(base_url=server.base_url, headers={"Authorization": f"Basic {server.token}"}) as client:
            for number in range(KEYS):
                client.post("/api/Software/Package", json={"name": f"package {number}"}).raise_for_status()
        server.latency = LATENCY
        results = measure(server)
    print(f"A server that answers after {LATENCY * 1000:.0f} ms.\n")
    table(results)
    cached = results["80 % reads, 20 % writes"][1]
    assert cached.stale == 0
    print("\nA read after a write must reach the server, so no correct cache can have a higher hit rate in the mix.")
    where = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp(), "benchmarks.svg")
    where.write_text(plot(results), encoding="utf-8")
    print(f"Plot: {where}")


if __name__ == "__main__":
    main()
