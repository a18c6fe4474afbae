"""Caching in eight steps: from a script that asks the server each time to one that need not, and is still right.

Run it with `python examples/getting_started/05_caching_performance.py`: it starts its own WATS server, on 127.0.0.1.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pywats  # the vendor's SDK

import pywats_cache  # the same clients, with the cache
from pywats_cache.testing import SimulatedWATS
from pywats_cache.wats import wats_controller

PART_NUMBER = "PN-1000"
LATENCY = 0.03  # seconds until the simulated server answers
CALLERS = 50


def step(number: int, title: str) -> None:
    """Print a heading."""
    print(f"\nStep {number}. {title}")


def timed(call: Callable[[], Any]) -> str:
    """How long a call takes, in milliseconds."""
    started = time.perf_counter()
    call()
    return f"{(time.perf_counter() - started) * 1000:7.2f} ms"


def wire(server: SimulatedWATS, call: Callable[[], Any]) -> int:
    """How many requests reach the server during a call."""
    before = server.request_count
    call()
    return server.request_count - before


def requests(number: int) -> str:
    return f"{number} request{'' if number == 1 else 's'}"


def without_a_cache(server: SimulatedWATS) -> None:
    step(1, "Without a cache every call waits for the server")
    with pywats.pyWATS(base_url=server.base_url, token=server.token, enable_cache=False) as api:
        api.analytics.get_version()  # opens the connection, which is not what is timed here
        server.reset_log()
        for name in ("first", "second", "third"):
            print(f"  {name + ' call':<14} {timed(lambda: api.product.get_product(PART_NUMBER))}")
    print(f"  3 calls, {requests(server.request_count)}")


def change_the_import(server: SimulatedWATS) -> pywats_cache.pyWATS:
    step(2, "Change one line: from pywats_cache import pyWATS")
    api = pywats_cache.pyWATS(base_url=server.base_url, token=server.token)
    api.analytics.get_version()  # never cached; opens the connection
    server.reset_log()
    for name in ("first", "second", "third"):
        print(f"  {name + ' call':<14} {timed(lambda: api.product.get_product(PART_NUMBER))}")
    print(f"  3 calls, {requests(server.request_count)}: the first fetched, the others were hits")
    assert server.request_count == 1
    return api


def look_at_the_statistics(api: pywats_cache.pyWATS) -> None:
    step(3, "Ask for the hit rate")
    for _ in range(9):
        api.process.get_processes()
    stats = api.cache.stats
    print(f"  hits {stats.hits}, misses {stats.misses}, hit rate {stats.hit_rate:.0%}")
    print(f"  {stats.entries} answers stored, {stats.size_bytes / 1024:.1f} KB")


def ask_why(server: SimulatedWATS, api: pywats_cache.pyWATS) -> None:
    step(4, "Ask what happened, or would happen, and why")
    # Any httpx client can mount the same cache; its responses carry the outcome. Closing it is the api's business.
    # Who asks for another form gets an answer of his own, so ask for the one that the SDK asks for.
    headers = {"Authorization": f"Basic {server.token}", "Accept": "application/json"}
    client = httpx.Client(transport=api.cache, base_url=server.base_url, headers=headers)
    for path in (f"/api/Product/{PART_NUMBER}", "/api/Product/PN-1001", "/api/App/Version"):
        outcome = client.get(path).extensions["pywats_cache"]
        print(f"  {path:<22} {outcome.status:<7} {outcome.reason:<12} {pywats_cache.REASONS[outcome.reason]}")
    # explain() sends nothing.
    request = client.build_request("GET", "/api/Product/PN-1001")
    said = api.cache.explain(request)
    print(f"  explain(): PN-1001 would be a {said.status}, for another {said.left:.0f} s")


def read_the_policy() -> None:
    step(5, "Each route has a TTL of its own, and cache_ttl is the upper limit for all of them")
    print(f"  {'':<40} {'cache_ttl=60':>12} {'300 (default)':>14} {'3600':>6}")
    ceilings = [wats_controller(seconds) for seconds in (60, 300, 3600)]
    for what, method, path in (
        ("statistics (change with every report)", "POST", "/api/App/DynamicYield"),
        ("products (change now and then)", "GET", f"/api/Product/{PART_NUMBER}"),
        ("levels (hardly ever change)", "GET", "/api/App/Levels"),
        ("unit checks (an interlock: never cached)", "GET", "/api/Production/UnitVerification"),
    ):
        decisions = [controller.decide(method, path) for controller in ceilings]
        shown = ["-" if one.kind == "bypass" else f"{one.ttl:.0f} s" for one in decisions]
        print(f"  {what:<40} {shown[0]:>12} {shown[1]:>14} {shown[2]:>6}")


def write_and_read(server: SimulatedWATS, api: pywats_cache.pyWATS) -> None:
    step(6, "A read after a write is fresh, whatever the TTL says")
    product = api.product.get_product(PART_NUMBER)
    old, product.name = product.name, "renamed in step 6"
    sent = wire(server, lambda: api.product.update_product(product))
    print(f"  update_product   {old!r} -> {product.name!r}   ({requests(sent)})")
    for again in ("", " again"):
        server.reset_log()
        read = api.product.get_product(PART_NUMBER)
        how = "fetched, because the write dirtied it" if server.request_count else "a hit on the new value"
        print(f"  get_product{again:<6} {read.name!r:<22} {how}")
        assert read.name == "renamed in step 6"
    kept = wire(server, api.process.get_processes)
    print(f"  get_processes    {requests(kept)}: what the write cannot have changed is kept")


def many_at_once(server: SimulatedWATS, api: pywats_cache.pyWATS) -> None:
    step(7, f"{CALLERS} threads ask for the same uncached thing: one request")
    before = api.cache.stats
    ready = threading.Barrier(CALLERS)

    def call() -> None:
        ready.wait()
        api.product.get_product("PN-1007")

    def all_of_them() -> None:
        threads = [threading.Thread(target=call) for _ in range(CALLERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    seen = wire(server, all_of_them)
    after = api.cache.stats
    fetched, joined = after.misses - before.misses, after.collapsed - before.collapsed
    print(f"  {CALLERS} callers: {fetched} fetched, {joined} joined that fetch, {after.hits - before.hits} came later")
    print(f"  the server saw {requests(seen)}")
    assert seen == 1


def turn_it_off(server: SimulatedWATS, api: pywats_cache.pyWATS) -> None:
    step(8, "Skip, invalidate or clear the cache, or turn it off")
    headers = {"Authorization": f"Basic {server.token}", "Accept": "application/json"}
    path = f"/api/Product/{PART_NUMBER}"
    client = httpx.Client(transport=api.cache, base_url=server.base_url, headers=headers)
    for what, directive in (("as usual", {}), ("refresh", {"refresh": True}), ("bypass", {"bypass": True})):
        sent = wire(server, lambda use=directive: client.get(path, extensions={"pywats_cache": use}))
        print(f"  {what + ' (httpx)':<34} {requests(sent)}")

    def read() -> None:
        api.product.get_product(PART_NUMBER)
        api.process.get_processes()

    print(f"  {'product and processes':<34} {requests(wire(server, read))}")
    api.cache.invalidate("/api/Product")
    print(f"  {'after invalidate(/api/Product)':<34} {requests(wire(server, read))}: the product")
    api.cache.clear()
    print(f"  {'after clear()':<34} {requests(wire(server, read))}: both")
    with pywats_cache.pyWATS(base_url=server.base_url, token=server.token, enable_cache=False) as bare:
        off = wire(server, lambda: [bare.product.get_product(PART_NUMBER) for _ in range(3)])
    print(f"  {'enable_cache=False, three calls':<34} {requests(off)}, and api.cache is {bare.cache}")


def main() -> None:
    """Take the steps."""
    logging.disable(logging.WARNING)  # the SDK warns about http:// on loopback
    with SimulatedWATS(latency=LATENCY) as server:
        print(f"A WATS server that answers after {LATENCY * 1000:.0f} ms.")
        without_a_cache(server)
        with change_the_import(server) as api:
            look_at_the_statistics(api)
            ask_why(server, api)
            read_the_policy()
            write_and_read(server, api)
            many_at_once(server, api)
            turn_it_off(server, api)


if __name__ == "__main__":
    main()
