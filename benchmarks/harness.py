"""Timing side by side: the cases of one comparison take turns in many short rounds.

A machine that slows down for a while slows all of them, so the ratio within a round means something where an
absolute figure does not. Ratios are medians of the per-round ratios; that of the fastest rounds is given beside it.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Case = Callable[[int], float]
"""Runs an operation n times and returns the seconds it took."""

perf = time.perf_counter
cpu = time.process_time if time.get_clock_info("process_time").resolution < 1e-6 else time.perf_counter
"""For what neither waits nor uses the network: processor time, which a busy neighbour disturbs less."""


@dataclass(frozen=True)
class Options:
    """How thoroughly to measure."""

    quick: bool = False

    def pick(self, quick: int, full: int) -> int:
        """Return the first number for a quick run, else the second."""
        return quick if self.quick else full


@dataclass(frozen=True)
class Goal:
    """What a ratio (or another figure) should be."""

    sense: Literal["<=", ">="]
    value: float
    unit: str = "x"

    def __str__(self) -> str:
        sign = "≤" if self.sense == "<=" else "≥"
        return f"{sign} {self.value:g}{'' if self.unit == 'x' else ' '}{self.unit}"

    def met(self, figure: float) -> bool:
        """Tell whether the figure reaches the goal."""
        return figure <= self.value if self.sense == "<=" else figure >= self.value


@dataclass
class Row:
    """One line of the table; `detail` goes to the JSON only, `rounds` (seconds of each case) to `--pyperf` only."""

    benchmark: str
    ours: str
    other: str = ""
    ratio: str = ""
    goal: str = ""
    met: bool | None = None
    detail: dict[str, Any] = field(default_factory=dict)
    rounds: dict[str, list[float]] = field(default_factory=dict)


@dataclass
class Samples:
    """Seconds per operation of each case, round by round."""

    rounds: dict[str, list[float]]

    def median(self, name: str) -> float:
        """Return the median round of a case."""
        return statistics.median(self.rounds[name])

    def best(self, name: str) -> float:
        """Return the fastest round of a case."""
        return min(self.rounds[name])

    def ratios(self, a: str, b: str) -> list[float]:
        """Return a/b of each round."""
        return [x / y for x, y in zip(self.rounds[a], self.rounds[b], strict=True)]

    def ratio(self, a: str, b: str) -> float:
        """Return the median of a/b within a round."""
        return statistics.median(self.ratios(a, b))

    def medians(self) -> dict[str, float]:
        """Return the median round of each case."""
        return {name: self.median(name) for name in self.rounds}

    def detail(self) -> dict[str, Any]:
        """Return median, minimum and quartiles of each case in seconds, for the JSON."""
        return {
            name: {
                "median": statistics.median(values),
                "min": min(values),
                "quartiles": statistics.quantiles(values, n=4) if len(values) > 1 else values,
                "rounds": len(values),
            }
            for name, values in self.rounds.items()
        }


def loop_of(operation: Callable[[], Any], clock: Callable[[], float] = cpu) -> Case:
    """Make a case of a function that is called again and again."""

    def run(n: int) -> float:
        turns = range(n)
        start = clock()
        for _ in turns:
            operation()
        return clock() - start

    return run


def async_loop_of(
    runner: asyncio.AbstractEventLoop, operation: Callable[[], Awaitable[Any]], clock: Callable[[], float] = cpu
) -> Case:
    """Make a case of an async function that is awaited again and again in one event loop."""

    async def batch(n: int) -> float:
        turns = range(n)
        start = clock()
        for _ in turns:
            await operation()
        return clock() - start

    return lambda n: runner.run_until_complete(batch(n))


def interleave(cases: Mapping[str, Case], *, rounds: int, round_seconds: float = 0.006) -> Samples:
    """Run all cases in turn, `rounds` times, each for about `round_seconds`; the order alternates."""
    times = {name: _calibrate(case, round_seconds) for name, case in cases.items()}
    samples: dict[str, list[float]] = {name: [] for name in cases}
    names = list(cases)
    gc.collect()
    gc.freeze()  # what was set up is not walked again and again; garbage of the rounds is still collected
    try:
        for turn in range(rounds):
            shift = turn % len(names)
            order = names[shift:] + names[:shift]
            for name in order if turn % 2 else reversed(order):
                samples[name].append(cases[name](times[name]) / times[name])
    finally:
        gc.unfreeze()
    return Samples(samples)


def _calibrate(case: Case, round_seconds: float) -> int:
    case(1)
    n = 1
    while True:
        took = case(n)
        if took >= round_seconds / 4 or n >= 1_000_000:
            return max(1, round(n * round_seconds / max(took, 1e-9)))
        n *= 4


def compare(
    benchmark: str,
    samples: Samples,
    ours: str,
    other: str,
    goal: Goal | None = None,
    *,
    detail: Mapping[str, Any] | None = None,
) -> Row:
    """Make a row: a `<=` goal reads ours/other, a `>=` goal says how many times faster ours is.

    Without a goal it reads whichever is above 1.
    """
    faster = goal.sense == ">=" if goal else samples.ratio(ours, other) < 1
    a, b = (other, ours) if faster else (ours, other)
    ratio = samples.ratio(a, b)
    least = samples.best(a) / samples.best(b)
    return Row(
        benchmark=benchmark,
        ours=span(samples.median(ours)),
        other=f"{other}: {span(samples.median(other))}",
        ratio=f"{number(ratio)}{'x faster' if faster else 'x'} (of minima {number(least)})",
        goal=str(goal or ""),
        met=goal.met(ratio) if goal else None,
        detail={
            "ratio": ratio,
            "ratio_of_minima": least,
            "seconds": samples.detail(),
            "figure": figure(samples.ratios(ours, other), other),
            "bars": bars(benchmark, samples.medians(), [ours]),
            **(detail or {}),
        },
        rounds=samples.rounds,
    )


def figure(values: Sequence[float], against: str, *, exact: bool = False) -> dict[str, Any]:
    """Return what a later run is compared with: the median and its quartiles; less is better, always.

    One measurement has no spread, so nothing can be compared with it, unless it is `exact`.
    """
    if len(values) > 1:
        low, _, high = statistics.quantiles(values, n=4)
    else:
        low = high = values[0] if exact else None
    return {"value": statistics.median(values), "low": low, "high": high, "against": against}


def bars(group: str, values: Mapping[str, float], mine: Iterable[str], unit: str = "s") -> dict[str, Any]:
    """Return what a plot shows of a row: bars under the heading `group`, of which `mine` are ours."""
    return {"group": group, "values": dict(values), "mine": list(mine), "unit": unit}


def span(seconds: float) -> str:
    """Write a duration with a unit that fits."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{number(seconds / scale)} {unit}"
    return f"{number(seconds * 1e9)} ns"


def number(value: float) -> str:
    """Write a number with three to four digits that count."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def check(truth: bool, what: str) -> None:
    """Refuse to time something that is not what it claims to be."""
    if not truth:
        raise AssertionError(f"the benchmark measures something else: {what}")
