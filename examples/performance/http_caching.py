"""Six situations with an HTTP cache, and what to do in each. A clock that the example moves stands in for waiting."""

from __future__ import annotations

import random
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from pywats_cache import Bypass, CacheClient, Controller, MemoryStorage, Read, Write
from pywats_cache.diagnostics.simulate import Setting, read_trace, simulate
from pywats_cache.testing import FakeClock, SimulatedWATS

CONTROLLER = Controller(
    rules=[
        Read("/api/App/Processes", ttl=1800.0, tags=("process",)),
        Read("/api/App/DynamicYield", ttl=60.0, tags=("report",), methods=("POST",)),  # a query in the body
        Read("/api/Product/{part_number}", tags=("product",)),
        Read("/api/Product/Groups", tags=("product-group",)),
        Write("/api/Product", dirties=("product",)),
        Bypass("/api/Production/**"),  # wanted live
    ],
    ttl=300.0,
)
PRODUCT = "/api/Product/PN-1000"
Make = Callable[..., CacheClient]


def show(what: str, response: httpx.Response) -> None:
    outcome = response.extensions["pywats_cache"]
    print(f"  {what:<46} {outcome.status:<9} {outcome.reason}")


def basics(make: Make, server: SimulatedWATS) -> None:
    print("1. Basics: the first request fetches, the next ones are answered from memory")
    with make() as client:
        show(f"GET {PRODUCT}", client.get(PRODUCT))
        show(f"GET {PRODUCT}", client.get(PRODUCT))
        show("the same with a query: another answer", client.get(PRODUCT, params={"detail": "1"}))
        show("the same query again", client.get(PRODUCT, params={"detail": "1"}))
        show("a route that a rule leaves alone", client.get("/api/Production/isConnected"))
        other = {"Authorization": f"Basic {server.token_for('operator')}"}
        show("another user: never the first one's answer", client.get(PRODUCT, headers=other))


def ttl_per_route(make: Make) -> None:
    print("\n2. TTL per route: the faster the data changes, the shorter")
    clock = FakeClock()
    reads: dict[str, Callable[[CacheClient], httpx.Response]] = {
        "statistics, 60 s": lambda client: client.post("/api/App/DynamicYield", json={"partNumber": "PN-1000"}),
        "a product, 300 s": lambda client: client.get(PRODUCT),
        "processes, 1800 s": lambda client: client.get("/api/App/Processes"),
    }
    with make(clock=clock) as client:
        for read in reads.values():
            read(client)
        print(f"  {'':<20}" + "".join(f"{'after ' + str(at) + ' s':>16}" for at in (59, 61, 301, 1801)))
        rows: dict[str, list[str]] = {name: [] for name in reads}
        began = clock()
        for at in (59, 61, 301, 1801):
            clock.advance(began + at - clock())
            for name, read in reads.items():
                outcome = read(client).extensions["pywats_cache"]
                rows[name].append(f"{outcome.status} ({outcome.reason})")
        for name, row in rows.items():
            print(f"  {name:<20}" + "".join(f"{cell:>16}" for cell in row))


def invalidation(make: Make) -> None:
    print("\n3. Invalidation: by a write, by path, by tag")
    with make() as client:
        product = client.get(PRODUCT).json()
        client.get("/api/Product/Groups")
        show("PUT /api/Product", client.put("/api/Product", json={**product, "name": "renamed"}))
        renamed = client.get(PRODUCT)
        show(f"the product, now {renamed.json()['name']!r}", renamed)
        show("groups lie below the path, so they went too", client.get("/api/Product/Groups"))
        client.cache.invalidate(tags=("product",))
        show("after invalidate(tags=('product',))", client.get(PRODUCT))
        show("groups have another tag", client.get("/api/Product/Groups"))
        client.cache.invalidate("/api/Product")
        show("after invalidate('/api/Product'): groups", client.get("/api/Product/Groups"))


def concurrent_use(make: Make, server: SimulatedWATS) -> None:
    print("\n4. Concurrent use: one client, 24 threads, 4 cold keys")
    outcomes: Counter[str] = Counter()
    counting, ready = threading.Lock(), threading.Barrier(24)
    with make() as client:
        server.reset_log()

        def call(number: int) -> None:
            ready.wait()
            response = client.get(f"/api/Product/PN-100{number % 4}")
            with counting:
                outcomes[response.extensions["pywats_cache"].status] += 1

        threads = [threading.Thread(target=call, args=(number,)) for number in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    print("  " + ", ".join(f"{count} {status}" for status, count in sorted(outcomes.items())))
    print(f"  the server saw {server.request_count} requests: one for each key, whoever asked")
    assert server.request_count == 4


def statistics(make: Make) -> None:
    print("\n5. Statistics: what they say, and what doctor() makes of them")
    with make() as client:
        for number in range(30):
            client.get(PRODUCT)
            # A time stamp in the query makes every question a new one.
            client.get("/api/Product/PN-1001", params={"now": str(number)})
        stats = client.cache.stats
        print(f"  {stats.requests} requests: {stats.hits} hits, {stats.misses} misses, hit rate {stats.hit_rate:.0%}")
        print(f"  {stats.entries} entries of {stats.size_bytes / 1024:.0f} KB, {stats.evictions} evictions")
        for finding in client.cache.doctor():
            print(f"  doctor(): {finding}")


def choosing_settings(make: Make) -> None:
    print("\n6. Choosing settings: record what is asked, then try sizes on the recording")
    chance = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder, "trace.jsonl")
        with make(record=trace) as client:
            for _ in range(1500):
                # A few products are asked for often, most of them rarely.
                client.get(f"/api/Product/PN-{1000 + min(199, int(chance.expovariate(1 / 30)))}")
            real = client.cache.stats
        # Closing the client has written the rest of the trace.
        outcomes = list(simulate(read_trace(trace), [Setting(n) for n in (10, 25, 50, 100, 200, 1000)]))
    print(f"  {'max_entries':>13} {'hit rate':>9} {'evictions':>10} {'peak size':>13} {'seconds saved':>14}")
    best = max(outcome.hit_rate for outcome in outcomes)
    enough = next(outcome for outcome in outcomes if outcome.hit_rate >= best - 0.01)
    for outcome in outcomes:
        mark = "   <- enough: within 1 % of the best" if outcome is enough else ""
        print(
            f"  {outcome.setting.max_entries:>13} {outcome.hit_rate:>9.1%} {outcome.evictions:>10}"
            f" {outcome.peak_bytes / 1024:>10.0f} KB {outcome.saved_seconds:>14.2f}{mark}"
        )
    print(f"  The recorded run itself, with 1000 entries: {real.hit_rate:.1%}. Record a day of yours to try TTLs too:")
    print("  pywats-cache simulate trace.jsonl --entries 100,1000 --ttl recorded,60,600")


def main() -> None:
    """Go through the situations, each with a cache of its own."""
    with SimulatedWATS(products=200, latency=0.001, users=("demo", "operator")) as server:
        headers = {"Authorization": f"Basic {server.token}"}

        def make(**settings: Any) -> CacheClient:
            storage = MemoryStorage(max_entries=1000)
            settings = {"controller": CONTROLLER, "storage": storage, **settings}
            return CacheClient(base_url=server.base_url, headers=headers, **settings)

        basics(make, server)
        ttl_per_route(make)
        invalidation(make)
        concurrent_use(make, server)
        statistics(make)
        choosing_settings(make)


if __name__ == "__main__":
    main()
