"""What is measured, as pyperf's benchmarks: one for each case, with a run of each process and a value of each round.

Only the order of the rounds is ours (`harness.interleave`). Runs, medians, percentiles, what is known of the machine,
the merging of several processes and the file are pyperf's. A result may go to anybody, so what names a host, a user or
a path is left out of what pyperf collects.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyperf

Clock = Callable[[], float]
"""`time.perf_counter`, `time.process_time` or `time.thread_time`."""
_LEFT_OUT = ("hostname", "python_executable", "python_config_args", "python_cflags", "timer")
"""What is private, and the clock, of which each case has its own."""


class Measured(NamedTuple):
    """What one process measured of one case."""

    values: Sequence[float]
    """Per operation, of each round. Greater than 0."""
    clock: Clock = pyperf.perf_counter
    loops: int = 1
    """How many operations a round had."""
    warmups: Sequence[tuple[int, float]] = ()
    """Loops and value of what ran before the first round."""
    unit: str = "second"
    """Or `byte`; then there is no clock."""
    duration: float | None = None
    """Seconds that it took to measure this; needed where values are none."""


def machine() -> dict[str, Any]:
    """Return what pyperf knows of this machine and process, without names of hosts, users and paths, and no clock."""
    known = pyperf.Run([1.0]).get_metadata()
    return {name: value for name, value in known.items() if name not in _LEFT_OUT} | {"platform": _system()}


def _system() -> str:
    """Name the system; its release without what a distributor or host appended to the number."""
    try:
        name = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        name = platform.system()
    return f"{name}, {platform.system()} {platform.release().split('-')[0]} {platform.machine()}"


class Samples:
    """One comparison: a benchmark of each case, of which values at the same place are of the same round."""

    def __init__(self, title: str, benchmarks: Mapping[str, pyperf.Benchmark]) -> None:
        self.title = title
        self.benchmarks = dict(benchmarks)

    def median(self, case: str) -> float:
        """Return the median round of a case."""
        return float(self.benchmarks[case].median())

    def best(self, case: str) -> float:
        """Return the fastest round of a case."""
        return self.percentile(case, 0)

    def percentile(self, case: str, share: float) -> float:
        """Return what `share` percent of the rounds of a case do not exceed."""
        return float(self.benchmarks[case].percentile(share))

    def medians(self) -> dict[str, float]:
        """Return the median round of each case."""
        return {case: self.median(case) for case in self.benchmarks}

    def values(self, case: str) -> tuple[float, ...]:
        """Return all rounds of a case, process after process."""
        return tuple(self.benchmarks[case].get_values())

    def ratios(self, a: str, b: str) -> list[float]:
        """Return a/b of each round."""
        return [x / y for x, y in zip(self.values(a), self.values(b), strict=True)]

    def ratio(self, a: str, b: str) -> float:
        """Return the median of a/b within a round."""
        return statistics.median(self.ratios(a, b))

    def ratio_of_each_process(self, a: str, b: str) -> list[float]:
        """Return the same of the rounds of each process."""
        runs = zip(self.benchmarks[a].get_runs(), self.benchmarks[b].get_runs(), strict=True)
        return [statistics.median(x / y for x, y in zip(p.values, q.values, strict=True)) for p, q in runs]


class Recording:
    """The runs of one benchmark module. Those of earlier processes come first, from `path`, if there is such a file."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._earlier = pyperf.BenchmarkSuite.load(str(path)) if path is not None and path.exists() else None
        self._benchmarks: dict[str, pyperf.Benchmark] = {}

    def add(self, title: str, measured: Mapping[str, Measured]) -> Samples:
        """Record what this process measured, and return it with what the earlier ones did.

        Raises ValueError for a title that was there before in this process, or for runs that cannot be merged because
        another interpreter or machine made them, and KeyError for a case that the earlier processes did not measure.
        """
        about = machine()
        return Samples(title, {case: self._add(f"{title}: {case}", about, of) for case, of in measured.items()})

    def _add(self, name: str, about: Mapping[str, Any], of: Measured) -> pyperf.Benchmark:
        if name in self._benchmarks:
            raise ValueError(f"measured twice in one process: {name}")
        own = {"name": name, "unit": of.unit, "loops": of.loops}
        own |= {"timer": _timer(of.clock)} if of.unit == "second" else {}
        own |= {} if of.duration is None else {"duration": of.duration}
        # Six digits are what a clock of 1 ns tells of a round, and half the file.
        run = pyperf.Run(
            [_rounded(value) for value in of.values],
            warmups=[(loops, _rounded(value)) for loops, value in of.warmups],
            metadata={**about, **own},
            collect_metadata=False,
        )
        if self._earlier is None:
            benchmark = pyperf.Benchmark([run])
        else:
            benchmark = self._earlier.get_benchmark(name)
            benchmark.add_run(run)
        self._benchmarks[name] = benchmark
        return benchmark

    def save(self) -> None:
        """Write all runs to `path` for the next process; nothing if nothing was timed.

        Raises ValueError if earlier processes measured what this one did not.
        """
        earlier = set(self._earlier.get_benchmark_names()) if self._earlier is not None else set()
        if missing := earlier - self._benchmarks.keys():
            raise ValueError(f"not measured again: {', '.join(sorted(missing))}")
        if self._path is not None and self._benchmarks:
            pyperf.BenchmarkSuite(list(self._benchmarks.values())).dump(str(self._path), replace=True)


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


def _timer(clock: Clock) -> str:
    """Describe a clock in pyperf's words, which always describe `perf_counter`."""
    info = time.get_clock_info(clock.__name__)  # type: ignore[arg-type]
    return f"{info.implementation}, resolution: {pyperf.format_metadata('duration', info.resolution)}"
