"""The rounds of a run as a file of pyperf, whose commands then work on it: `stats`, `hist`, `compare_to`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .harness import Row

__all__ = ["export"]


def export(rows: Iterable[Row], about: dict[str, Any], path: Path) -> int:
    """Write each case of each comparison as a benchmark with one value per round, and return how many.

    What is not timed round by round (memory, hit rates, outages) has no place in that format and is left out.
    """
    import pyperf

    common = {
        "unit": "second",
        "description": about["command"],
        "cpu_model_name": about["cpu"],
        "cpu_count": about["cores"],
        "platform": about["system"],
        "python_version": about["python"].split()[-1],
        "commit": about["commit"],
        "date": about["date"],
    }
    known = {name: value for name, value in common.items() if value is not None}
    benchmarks: dict[tuple[str, ...], Any] = {}
    for row in rows:
        for case, values in row.rounds.items():
            once = (case, *map(str, values))  # a case stands in each row that it is compared in
            if once not in benchmarks:
                metadata = {"name": f"{row.benchmark}: {case}", **known}
                benchmarks[once] = pyperf.Benchmark([pyperf.Run(values, metadata=metadata, collect_metadata=False)])
    pyperf.BenchmarkSuite(list(benchmarks.values())).dump(str(path), replace=True)
    return len(benchmarks)
