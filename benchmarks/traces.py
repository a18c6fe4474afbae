"""Traces to compare policies on: lists of keys, the same for the same seed, and what the best policy makes of each."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator, Sequence
from itertools import accumulate, cycle, islice

__all__ = ["best_hits", "traces"]

NEVER = 1 << 62


def traces(keys: int, requests: int, seed: int = 1) -> dict[str, list[str]]:
    """Return the traces by name, each of `requests` over `keys` different keys or a few more."""
    rng = random.Random(seed)
    made = {
        "Zipf 0.9": _zipf(rng, keys, 0.9),
        "Zipf 1.1": _zipf(rng, keys, 1.1),
        "Zipf 0.9 and scans": _with_scans(rng, keys),
        "loops": _loops(rng, keys),
        "a dashboard": _dashboard(rng, keys),
        "shifting Zipf 1.0": _shifting(rng, keys, requests),
    }
    return {name: [f"{key}" for key in islice(trace, requests)] for name, trace in made.items()}


def _zipf(rng: random.Random, keys: int, exponent: float) -> Iterator[int]:
    """Key n is asked for in proportion to 1 / n ** exponent."""
    weights = list(accumulate((n + 1) ** -exponent for n in range(keys)))
    while True:
        yield from rng.choices(range(keys), cum_weights=weights, k=10_000)


def _with_scans(rng: random.Random, keys: int) -> Iterator[int]:
    """Half of the requests go through 5 % of all keys in a row, beginning anywhere."""
    usual, part = _zipf(rng, keys, 0.9), keys // 20
    while True:
        yield from islice(usual, part)
        start = rng.randrange(keys)
        yield from ((start + n) % keys for n in range(part))


def _loops(rng: random.Random, keys: int) -> Iterator[int]:
    """A job goes ten times through its own 0.5 to 10 % of the keys, then the next one through others."""
    while True:
        length, start = int(keys * 0.005 * 20 ** rng.random()), rng.randrange(keys)
        for _ in range(10):
            yield from ((start + n) % keys for n in range(length))


def _dashboard(rng: random.Random, keys: int) -> Iterator[int]:
    """A fixed 0.5 % of the keys are refreshed in a row, each time after four times as many others (Zipf 0.6)."""
    tail, shown = _zipf(rng, keys, 0.6), keys // 200
    while True:
        yield from range(keys, keys + shown)
        yield from islice(tail, 4 * shown)


def _shifting(rng: random.Random, keys: int, requests: int) -> Iterator[int]:
    """What is popular changes all the time: in the whole trace the ranks move once through all keys."""
    ranks = _zipf(rng, keys // 4, 1.0)
    for n in cycle(range(requests)):
        yield (next(ranks) + n * keys // requests) % keys


def best_hits(trace: Sequence[str], capacity: int) -> int:
    """Return the hits of Belady's optimum: what is asked for latest goes, the newcomer itself if that is it."""
    following = [NEVER] * len(trace)
    seen: dict[str, int] = {}
    for place in range(len(trace) - 1, -1, -1):
        following[place] = seen.get(trace[place], NEVER)
        seen[trace[place]] = place
    held: dict[str, int] = {}
    latest: list[tuple[int, str]] = []
    hits = 0
    for key, following_place in zip(trace, following, strict=True):
        if key in held:
            hits += 1
        elif len(held) >= capacity:
            while held.get(latest[0][1]) != -latest[0][0]:
                heapq.heappop(latest)
            if -latest[0][0] <= following_place:
                continue
            del held[heapq.heappop(latest)[1]]
        held[key] = following_place
        heapq.heappush(latest, (-following_place, key))
    return hits
