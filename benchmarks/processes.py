"""The processes of a run: each benchmark module in fresh ones, which share its rounds and take turns with the others'.

Hash seed, address space and memory layout are drawn once for each process and bias all that it measures, and for a
minute a machine may be slower. So a module's rounds are spread over several processes, as pyperf does it, and those
over the run.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import pyperf

from .harness import Options, Row
from .recording import Recording

NAMES = (
    "hits", "lookup", "misses", "wats_calls", "stampede", "threads", "loop_blocking", "busy_loops", "scenarios",
    "staleness", "outages", "restarts", "eviction", "policies", "invalidation", "busy_day", "sharing",
    "store_processes", "memory", "import_time",
)  # fmt: skip
BY_NAME = ("fleet",)
"""Modules that run only if they are named: they take minutes, and all processors."""
PROCESSES = 3
ALONE = {
    "stampede": "turns of seconds at a server, few of them",
    "scenarios": "the same",
    "busy_loops": "keeps all processors busy, and waits for them",
    "outages": "the slowest hundredth of the calls to a server that is away",
    "restarts": "starts processes of its own",
    "eviction": "the caches of 100 000 entries take longer to fill than the rounds",
    "invalidation": "the same",
    "busy_day": "a million writes, counted",
    "policies": "hits, counted",
    "store_processes": "starts processes of its own",
    "memory": "the same",
    "import_time": "the same",
    "fleet": "the same, fifty of them",
}
"""Modules that one process measures, and why several would be no better, or too long."""
Start = Callable[[str, bool, Path], list[Row] | None]


class Run(NamedTuple):
    """What all processes found."""

    rows: list[Row]
    benchmarks: list[pyperf.Benchmark]
    seconds: dict[str, float]
    """What each module took."""


def of(name: str, *, quick: bool) -> int:
    """Return how many processes measure a module."""
    return 1 if quick or name in ALONE else PROCESSES


def measure(name: str, quick: bool, runs: Path) -> list[Row]:
    """Measure a module in this process: its share of the rounds, recorded in `runs` after that of earlier ones.

    The rows tell of all of them.
    """
    recording = Recording(runs)
    options = Options(quick, of(name, quick=quick), recording)
    rows = list(importlib.import_module(f"benchmarks.{name}").run(options))
    recording.save()
    return rows


def child(name: str, quick: bool, runs: Path) -> list[Row] | None:
    """Measure a module in a new process, and return None if that breaks off; its traceback is on stderr then."""
    words = [*(["quick"] if quick else []), name]
    command = [sys.executable, "-m", "benchmarks", "--worker", str(runs), *words]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    return None if done.returncode else [Row(**row) for row in json.loads(done.stdout)]


def run(names: Sequence[str], *, quick: bool, start: Start = child) -> Run:
    """Measure modules. A module of which a process breaks off has one row that says so, and no benchmarks."""
    rows: dict[str, list[Row] | None] = {name: [] for name in names}
    seconds = dict.fromkeys(names, 0.0)
    with tempfile.TemporaryDirectory() as directory:
        files = {name: Path(directory, f"{name}.json") for name in names}
        for turn in range(PROCESSES):
            for name in names:
                if turn < of(name, quick=quick) and rows[name] is not None:
                    print(f"{name} {turn + 1}/{of(name, quick=quick)} …", file=sys.stderr, flush=True)
                    begin = time.monotonic()
                    rows[name] = start(name, quick, files[name])  # the last process knows what all measured
                    seconds[name] = round(seconds[name] + time.monotonic() - begin, 1)
        benchmarks = [
            benchmark
            for name, file in files.items()
            if rows[name] is not None and file.exists()
            for benchmark in pyperf.BenchmarkSuite.load(str(file))
        ]
    told = [row for name, of_it in rows.items() for row in (_broken_off(name) if of_it is None else of_it)]
    return Run(told, benchmarks, seconds)


def _broken_off(name: str) -> list[Row]:
    return [Row(name, "broke off", goal="to run", met=False, detail={"broke_off": True})]


def as_json(rows: Sequence[Row]) -> str:
    """Return rows as a child prints them."""
    return json.dumps([asdict(row) for row in rows], default=str)
