"""The same pyWATS script without and with the cache, against a simulated WATS server.

Run it with `python noxfile.py -s demo`. No account, no server, nothing to set up.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from pywats_cache import pyWATS
from pywats_cache.testing import SimulatedWATS

ROUNDS = 20
LATENCY = 0.02


@dataclass(frozen=True)
class Run:
    """What one run of the script cost."""

    name: str
    calls: int
    requests: int
    seconds: float
    hit_rate: float | None


def script(api: pyWATS, part_numbers: list[str]) -> int:
    """What a dashboard does: the same questions again and again. Returns the number of calls."""
    calls = 0
    for _ in range(ROUNDS):
        for part_number in part_numbers:
            api.product.get_product(part_number)
            calls += 1
        api.process.get_processes()
        api.analytics.get_product_groups()
        calls += 2
    return calls


def measure(name: str, server: SimulatedWATS, *, enable_cache: bool) -> Run:
    """Run the script once and ask the server what it saw."""
    server.reset_log()
    with pyWATS(base_url=server.base_url, token=server.token, enable_cache=enable_cache) as api:
        part_numbers = [product.part_number for product in api.product.get_products()[:8]]
        started = time.perf_counter()
        calls = script(api, part_numbers) + 1
        seconds = time.perf_counter() - started
        rate = api.cache.stats.hit_rate if api.cache is not None else None
    return Run(name, calls, server.request_count, seconds, rate)


def write_and_read(server: SimulatedWATS) -> list[str]:
    """One write, followed by the fresh value: what the cache held is never served after it."""
    with pyWATS(base_url=server.base_url, token=server.token) as api:
        part_number = api.product.get_products()[0].part_number
        product = api.product.get_product(part_number)
        product = api.product.get_product(part_number)
        lines = [f"  {'read':<6} {product.name!r:<28} {api.cache.stats.hits} hit so far"]
        product.name = "renamed by the demo"
        api.product.update_product(product)
        lines.append(f"  {'write':<6} {product.name!r}")
        product = api.product.get_product(part_number)
        lines.append(f"  {'read':<6} {product.name!r:<28} fetched anew, because the write dirtied it")
    return lines


def main() -> None:
    """Print the table."""
    logging.disable(logging.WARNING)
    with SimulatedWATS(latency=LATENCY) as server:
        runs = [
            measure("without the cache", server, enable_cache=False),
            measure("with the cache", server, enable_cache=True),
        ]
        lines = write_and_read(server)
    print(f"\nThe same script, {runs[0].calls} pyWATS calls, a server {LATENCY * 1000:.0f} ms away:\n")
    print(f"  {'':<20} {'requests the server saw':>24} {'seconds':>9} {'hit rate':>9}")
    for run in runs:
        rate = "-" if run.hit_rate is None else f"{run.hit_rate:.0%}"
        print(f"  {run.name:<20} {run.requests:>24} {run.seconds:>9.2f} {rate:>9}")
    bare, cached = runs
    print(f"\n  {bare.seconds / cached.seconds:.0f} times faster, {bare.requests - cached.requests} fewer requests.")
    print("\nA write is seen at once:\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
