"""Timing side by side: the cases of one comparison take turns in many short rounds.

A machine that slows down for a while slows all of them, so the ratio within a round means something where an
absolute figure does not. Ratios are medians of the per-round ratios; that of the fastest rounds is given beside it.
pyperf's own runner times one case after the other, which is why the rounds are made here; the rest is pyperf's.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pyperf

from .recording import Clock, Measured, Recording, Samples

perf: Clock = pyperf.perf_counter
cpu: Clock = time.process_time if time.get_clock_info("process_time").resolution < 1e-6 else time.perf_counter
"""For what neither waits nor uses the network: processor time, which a busy neighbour disturbs less."""


@dataclass(frozen=True)
class Case:
    """Runs an operation n times and returns the seconds that its clock counted."""

    run: Callable[[int], float]
    clock: Clock


@dataclass(frozen=True)
class Options:
    """How thoroughly to measure, and where it is recorded."""

    quick: bool = False
    processes: int = 1
    """How many share the rounds."""
    recording: Recording = field(default_factory=Recording)

    def share(self, rounds: int) -> int:
        """Return how many of so many rounds are for one process."""
        return -(-rounds // self.processes)

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
    """One line of the table; `detail` goes to the JSON only."""

    benchmark: str
    ours: str
    other: str = ""
    ratio: str = ""
    goal: str = ""
    met: bool | None = None
    detail: dict[str, Any] = field(default_factory=dict)


def loop_of(operation: Callable[[], Any], clock: Clock = cpu) -> Case:
    """Make a case of a function that is called again and again."""

    def run(n: int) -> float:
        turns = range(n)
        start = clock()
        for _ in turns:
            operation()
        return clock() - start

    return Case(run, clock)


def async_loop_of(
    runner: asyncio.AbstractEventLoop, operation: Callable[[], Awaitable[Any]], clock: Clock = cpu
) -> Case:
    """Make a case of an async function that is awaited again and again in one event loop."""

    async def batch(n: int) -> float:
        turns = range(n)
        start = clock()
        for _ in turns:
            await operation()
        return clock() - start

    return Case(lambda n: runner.run_until_complete(batch(n)), clock)


def interleave(
    options: Options, title: str, cases: Mapping[str, Case], *, rounds: int, round_seconds: float = 0.006
) -> Samples:
    """Run all cases in turn, each for about `round_seconds`, and return what all processes measured so far.

    `rounds` are shared among the processes. One more round, which is not counted, warms each of them up.
    """
    loops: dict[str, int] = {}
    warmups: dict[str, list[tuple[int, float]]] = {}
    for name, case in cases.items():
        loops[name], warmups[name] = _calibrate(case, round_seconds)
    values: dict[str, list[float]] = {name: [] for name in cases}
    gc.collect()
    gc.freeze()  # what was set up is not walked again and again; garbage of the rounds is still collected
    try:
        for order in orders(list(cases), options.share(rounds) + 1):
            for name in order:
                values[name].append(cases[name].run(loops[name]) / loops[name])
    finally:
        gc.unfreeze()
    return options.recording.add(
        title,
        {
            name: Measured(rest, cases[name].clock, loops[name], [*warmups[name], (loops[name], first)])
            for name, (first, *rest) in values.items()
        },
    )


def orders(names: Sequence[str], rounds: int) -> Iterator[Sequence[str]]:
    """Yield the order of each round; in twice as many as there are cases, each begins, and precedes each, as often."""
    for turn in range(rounds):
        shift = turn // 2 % len(names)
        order = [*names[shift:], *names[:shift]]
        yield order if turn % 2 else order[::-1]


def _calibrate(case: Case, round_seconds: float) -> tuple[int, list[tuple[int, float]]]:
    """Return how many operations make a round, and what was seen meanwhile: loops, and seconds per operation."""
    seen = [(1, case.run(1))]
    n = 1
    while True:
        took = case.run(n)
        seen.append((n, took / n))
        if took >= round_seconds / 4 or n >= 1_000_000:
            return max(1, round(n * round_seconds / max(took, 1e-9))), seen
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
            "comparison": samples.title,
            "figure": ratio_figure(samples, ours, other),
            "bars": bars(benchmark, samples.medians(), [ours]),
            **(detail or {}),
        },
    )


def ratio_figure(samples: Samples, ours: str, other: str) -> dict[str, Any]:
    """Return the figure of a ratio.

    Hash seed and memory layout of a process are noise, too: the median of each process lies within low and high.
    """
    found = figure(samples.ratios(ours, other), other)
    each = samples.ratio_of_each_process(ours, other)
    if found["low"] is not None:
        found |= {"low": min(found["low"], *each), "high": max(found["high"], *each)}
    return {**found, "processes": each}


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
