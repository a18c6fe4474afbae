"""What `import pywats_cache` adds over `import httpx, hishel`, each time in a fresh process.

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
from typing import Any

from .harness import Goal, Options, Row, bars, figure, span
from .recording import Measured

GOAL = Goal("<=", 15.0, "ms")
MINE, THEIRS = "ours, added", "httpx and hishel"
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
        return _measure(options, environment)


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


def _child(code: str, environment: dict[str, str]) -> dict[str, Any]:
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
    return dict(json.loads(found.stdout))
