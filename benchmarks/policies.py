"""What each eviction policy makes of a small memory: hits as a share of Belady's optimum's, and what a hit costs.

The tables are those of the package; the traces are in `traces.py`, the policies that were not taken in `candidates.py`.
"""

from __future__ import annotations

import statistics
import tracemalloc
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from pywats_cache.storage.bounded_table import BoundedTable
from pywats_cache.storage.eviction import PolicyItems
from pywats_cache.storage.tinylfu import USES, WTinyLFU

from .candidates import S3FIFO, Sieve, SmallWindow, TinyLFUAndLRU
from .harness import Case, Goal, Options, Row, check, cpu, figure, interleave, number, span
from .recording import Samples
from .traces import best_hits, traces

NEWCOMER = "w-tinylfu"
POLICIES: dict[str, Callable[[], Any] | None] = {
    "w-tinylfu": WTinyLFU, "lru": None, "s3-fifo": S3FIFO, "sieve": Sieve, "TinyLFU over LRU": TinyLFUAndLRU,
    "w-tinylfu with a window of 1 %": SmallWindow,
}  # fmt: skip
SHARES = (0.01, 0.1)
UNBOUNDED = 1 << 40
LIMIT = Goal("<=", 1.0, "µs")


class Item:
    """Of one byte; all keys share it."""

    size = 1


ITEM = Item()


def run(options: Options, seed: int = 1) -> list[Row]:
    keys = options.pick(2_000, 10_000)
    made = traces(keys, 20 * keys, seed)
    rows: list[Row] = []
    for share in SHARES:
        capacity = int(keys * share)
        shares: dict[str, list[float]] = {name: [] for name in POLICIES}
        for title, trace in made.items():
            best = best_hits(trace, capacity)
            hits = {name: replay(trace, capacity, make) for name, make in POLICIES.items()}
            check(max(hits.values()) <= best, "a policy has more hits than is possible")
            for name in POLICIES:
                shares[name].append(hits[name] / best)
            rows.append(_row(f"{title}, room for {share:.0%} of the keys", hits, best, len(trace)))
        rows.append(_mean(f"all {len(made)} traces, room for {share:.0%} of the keys", shares))
    return [*rows, *_costs(options), _memory()]


def table_of(make: Callable[[], Any] | None, capacity: int) -> BoundedTable[Item]:
    """Return an empty table of a policy."""
    return BoundedTable(capacity, UNBOUNDED, OrderedDict() if make is None else PolicyItems(make()))


def replay(trace: Sequence[str], capacity: int, make: Callable[[], Any] | None) -> int:
    """Return the hits of a policy on a trace."""
    table = table_of(make, capacity)
    items, hits = table.items, 0
    for key in trace:
        if key in items:
            hits += 1
            items.move_to_end(key)
        else:
            table.put(key, ITEM)
    check(len(items) == table.size_bytes <= capacity, "a table is out of its bounds")
    check(table.stores == len(items) + table.evictions == len(trace) - hits, "a table has miscounted")
    return hits


def _row(title: str, hits: dict[str, int], best: int, requests: int) -> Row:
    parts = {name: count / best for name, count in hits.items()}
    return Row(
        title,
        f"{parts[NEWCOMER]:.0%} of the optimum's hits",
        _others(parts) + f"; optimum: {best / requests:.1%} of the requests",
        f"{number(hits[NEWCOMER] / max(1, hits['lru']))}x the hits of lru",
        detail={"hits": hits, "optimum": best, "requests": requests},
    )


def _mean(title: str, shares: dict[str, list[float]]) -> Row:
    means = {name: statistics.mean(values) for name, values in shares.items()}
    means = dict(sorted(means.items(), key=lambda pair: -pair[1]))
    rest = max(mean for name, mean in means.items() if name != NEWCOMER)
    return Row(
        title,
        f"{means[NEWCOMER]:.1%} of the optimum's hits",
        "; ".join(f"{name}: {mean:.1%}" for name, mean in means.items() if name != NEWCOMER),
        goal="the most of all",
        met=means[NEWCOMER] > rest,
        detail={"means": means},
    )


def _others(parts: dict[str, float]) -> str:
    return "; ".join(f"{name}: {part:.0%}" for name, part in parts.items() if name != NEWCOMER)


def _costs(options: Options) -> list[Row]:
    """On the way of a hit; and what it leaves for the next insertion, where it leaves something."""
    cases = {name: _hits(make) for name, make in POLICIES.items()}
    cases["w-tinylfu, all"] = _settled_hits()
    samples = interleave(options, "what a hit costs", cases, rounds=options.pick(15, 121))
    return [_cost(name, samples) for name in POLICIES]


def _hits(make: Callable[[], Any] | None) -> Case:
    items = _full(make).items
    keys = list(items)

    def run(n: int) -> float:
        order = (keys * (n // len(keys) + 1))[:n]
        start = cpu()
        for key in order:
            items.move_to_end(key)
        return cpu() - start

    return Case(run, cpu)


def _settled_hits() -> Case:
    """With the work that W-TinyLFU puts off until the next insertion, at the most there can be."""
    table = _full(WTinyLFU)
    policy: Any = table.items._policy  # type: ignore[union-attr]
    keys = list(table.items)

    def run(n: int) -> float:
        order = (keys * (n // len(keys) + 1))[:n]
        start = cpu()
        for place in range(0, n, USES):
            for key in order[place : place + USES]:
                policy.used(key)
            policy._settle()
        return cpu() - start

    return Case(run, cpu)


def _full(make: Callable[[], Any] | None) -> BoundedTable[Item]:
    table = table_of(make, 1000)
    for n in range(1000):
        table.put(f"{n}", ITEM)
    return table


def _memory() -> Row:
    """Keys and items are there before; what counts is the table, its order and what the policy remembers."""
    entries = 10_000
    names = [f"{n}" for n in range(entries)]
    sizes = {}
    for name, make in POLICIES.items():
        tracemalloc.start()
        table = table_of(make, entries)
        for key in names:
            table.put(key, ITEM)
        sizes[name] = tracemalloc.get_traced_memory()[0] / entries
        tracemalloc.stop()
    return Row(
        "memory of table and order, an entry of 10 000",
        f"{number(sizes[NEWCOMER])} bytes",
        "; ".join(f"{name}: {number(size)}" for name, size in sizes.items() if name != NEWCOMER),
        detail={"sizes": sizes},
    )


def _cost(name: str, samples: Samples) -> Row:
    took = samples.median(name)
    later = samples.median("w-tinylfu, all") - took if name == NEWCOMER else 0.0
    own = name in (NEWCOMER, "lru")
    shown = f"{span(took)}" + (f", and {span(later)} at the next insertion (of at most {USES} hits)" if later else "")
    detail: dict[str, Any] = {"comparison": samples.title}
    if own:
        detail["figure"] = figure([1e6 * value for value in samples.values(name)], "1 µs")
    return Row(
        f"what a hit costs by {name}",
        shown if own else "",
        "" if own else f"{name}: {shown}",
        f"{number(took / samples.median('lru'))}x lru",
        str(LIMIT) if own else "",
        LIMIT.met(1e6 * took) if own else None,
        detail,
    )
