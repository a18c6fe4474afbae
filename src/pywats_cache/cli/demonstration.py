"""A simulated WATS server with something going on: for `demo`, and for a page to look at."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .output import USAGE, fail

__all__ = ["compare", "traffic"]

PRODUCTS = 40
ROUNDS = 5


def compare(latency: float) -> dict[str, Any]:
    """The same calls without and with the cache. `latency` of the server in seconds."""
    wats, simulated = _parts()
    rows: list[dict[str, Any]] = []
    seen: dict[bool, int] = {}
    coherent = True
    times: dict[bool, list[float]] = {}
    for cached in (False, True):
        with simulated(latency=latency, products=PRODUCTS) as server:
            api = wats(base_url=server.base_url, token=server.token, enable_cache=cached)
            try:
                api.analytics.get_version()  # the connection
                before = len(server.requests)
                times[cached] = [_read(api, 1), _read(api, ROUNDS)]
                seen[cached] = len(server.requests) - before
                if cached:
                    product = api.product.get_product("PN-1000")
                    product.description = "changed by the demo"
                    api.product.update_product(product)
                    coherent = api.product.get_product("PN-1000").description == "changed by the demo"
            finally:
                api.close()
    for number, what in enumerate((f"{PRODUCTS} products, first time", f"{PRODUCTS} products, {ROUNDS} times more")):
        without, with_cache = times[False][number], times[True][number]
        rows.append({"what": what, "without": without, "with": with_cache, "times": without / with_cache})
    return {
        "rows": rows,
        "requests_without": seen[False],
        "requests_with": seen[True],
        "coherent": coherent,
    }


def _read(api: Any, rounds: int) -> float:
    """Read all products so often; seconds that took."""
    began = time.perf_counter()
    for _ in range(rounds):
        for number in range(PRODUCTS):
            api.product.get_product(f"PN-{1000 + number}")
    return time.perf_counter() - began


@contextmanager
def traffic() -> Iterator[Any]:
    """A `pyWATS` that keeps asking a simulated server, and writes now and then, in a thread."""
    wats, simulated = _parts()
    ended = threading.Event()
    with simulated(latency=0.02, products=PRODUCTS) as server:
        api = wats(base_url=server.base_url, token=server.token, cache_max_size=30)

        def run() -> None:
            chance = random.Random(1)  # noqa: S311 - a demo that is the same each time
            while not ended.wait(0.02):
                number = min(PRODUCTS - 1, int(chance.expovariate(0.12)))
                api.product.get_product(f"PN-{1000 + number}")
                if chance.random() < 0.1:
                    api.process.get_processes()
                if chance.random() < 0.01:
                    product = api.product.get_product(f"PN-{1000 + number}")
                    product.description = f"changed at {time.time():.0f}"
                    api.product.update_product(product)

        thread = threading.Thread(target=run, name="pywats-cache-demo", daemon=True)
        thread.start()
        try:
            yield api
        finally:
            ended.set()
            thread.join()
            api.close()


def _parts() -> tuple[Any, Any]:
    try:
        from ..testing import SimulatedWATS
        from ..wats import pyWATS
    except ImportError as error:
        fail(f"this needs the SDK (no {error.name}): pip install 'pywats-cache[cli,wats]'", USAGE)
    return pyWATS, SimulatedWATS
