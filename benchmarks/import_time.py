"""What the first client adds over `import httpx, hishel`, and `import pywats_cache` over an empty package.

A full garbage collection walks all that httpx and hishel loaded (30 ms on a busy machine) and falls into whichever
import makes the object too many, ours or not; so theirs is collected and set aside before ours is timed. The time of
all from nothing has it in.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from .harness import Goal, Options, Row, bars, figure, span
from .recording import Measured

GOAL = Goal("<=", 15.0, "ms")
ALONE_GOAL = Goal("<=", 1.0, "ms")
MINE, THEIRS = "ours, added", "httpx and hishel"
MINE_ALONE, EMPTY = "the package alone", "an empty package"
LAZY = (
    "hishel.httpx",
    "hishel.httpx2",
    "redis",
    "anysqlite",
    "pywats",
    "pydantic",
    "trio",
    "prometheus_client",
    "httpx2",
)
BASE = """
import gc, json, sys, time
start = time.process_time()
import httpx, hishel
base = time.process_time() - start
theirs = sorted(sys.modules)
"""
ADDED = """
gc.collect()
gc.freeze()
start = time.process_time()
import pywats_cache
pywats_cache.CacheTransport, pywats_cache.AsyncCacheTransport, pywats_cache.CacheClient, pywats_cache.Controller
added = time.process_time() - start
print(json.dumps({"base": base, "added": added, "theirs": theirs, "modules": sorted(sys.modules)}))
"""
ALONE = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
start = time.perf_counter()
import {}
print(json.dumps({{"took": time.perf_counter() - start}}))
"""
WHOLE = """
import json, sys, time
start = time.process_time()
import pywats_cache
pywats_cache.CacheTransport
print(json.dumps({"whole": time.process_time() - start}))
"""


def run(options: Options) -> list[Row]:
    with tempfile.TemporaryDirectory() as cache:
        # Bytecode of its own, whatever the caller's environment says of writing it.
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": cache}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        return [*_measure(options, environment), _alone(options, environment, cache)]


def _alone(options: Options, environment: dict[str, str], folder: str) -> Row:
    """`import pywats_cache` itself, which loads a name's module when the name is asked for."""
    empty = Path(folder) / "found" / "an_empty_package"
    empty.mkdir(parents=True)
    (empty / "__init__.py").touch()
    names = {MINE_ALONE: "pywats_cache", EMPTY: empty.name}
    took: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(options.pick(5, 31)):
        for name, module in names.items():
            one = _child(ALONE.format(module), environment, str(empty.parent))["took"]
            if turn:  # the first writes the bytecode
                took[name].append(one)
    title = "`import pywats_cache`, before any name is used"
    samples = options.recording.add(title, {name: Measured(of, time.perf_counter) for name, of in took.items()})
    more = samples.median(MINE_ALONE) - samples.median(EMPTY)
    return Row(
        title,
        f"{span(more)} more than an empty package",
        "; ".join(f"{name}: {span(samples.median(name))}" for name in names),
        "",
        str(ALONE_GOAL),
        ALONE_GOAL.met(more * 1e3),
    )


def _measure(options: Options, environment: dict[str, str]) -> list[Row]:
    added, base, whole = [], [], []
    _child(BASE + ADDED, environment)  # writes the bytecode
    _child(WHOLE, environment)
    for _ in range(options.pick(4, 21)):
        one = _child(BASE + ADDED, environment)
        added.append(one["added"])
        base.append(one["base"])
        other = _child(WHOLE, environment)
        whole.append(other["whole"])
        theirs, modules = set(one["theirs"]), set(one["modules"])
    eager = sorted(name for name in LAZY if name in modules - theirs)
    title = "`import pywats_cache` after `import httpx, hishel`"
    found = {MINE: added, THEIRS: base, "all from nothing": whole}
    samples = options.recording.add(title, {name: Measured(of, time.process_time) for name, of in found.items()})
    median = samples.median(MINE)
    return [
        Row(
            title,
            f"{span(median)} (min {span(samples.best(MINE))})",
            "; ".join(f"{name}: {span(samples.median(name))}" for name in found if name != MINE),
            "",
            str(GOAL),
            GOAL.met(median * 1e3),
            {
                "comparison": title,
                "figure": figure(samples.values(MINE), THEIRS),
                "bars": bars("import", {name: samples.median(name) for name in (MINE, THEIRS)}, [MINE]),
            },
        ),
        Row(
            "loaded by the import although optional",
            ", ".join(eager) or "nothing",
            goal="nothing",
            met=not eager,
            detail={"modules": sorted(modules - theirs), "looked_for": LAZY},
        ),
    ]


def _child(code: str, environment: dict[str, str], *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-c", code, *arguments]
    found = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return dict(json.loads(found.stdout))
