"""What `import pywats_cache` adds over `import httpx, hishel`, each time in a fresh process."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from typing import Any

from .harness import Goal, Options, Row, span

GOAL = Goal("<=", 15.0, "ms")
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
import json, sys, time
start = time.perf_counter()
import httpx, hishel
base = time.perf_counter() - start
"""
ADDED = """
start = time.perf_counter()
import pywats_cache
pywats_cache.CacheTransport, pywats_cache.AsyncCacheTransport, pywats_cache.CacheClient, pywats_cache.Controller
print(json.dumps({"base": base, "added": time.perf_counter() - start, "modules": sorted(sys.modules)}))
"""
WHOLE = """
import json, sys, time
start = time.perf_counter()
import pywats_cache
pywats_cache.CacheTransport
print(json.dumps({"whole": time.perf_counter() - start, "modules": sorted(sys.modules)}))
"""


def run(options: Options) -> list[Row]:
    added, base, whole, modules = [], [], [], set()
    _child(WHOLE)  # writes the bytecode
    for _ in range(options.pick(5, 31)):
        one = _child(BASE + ADDED)
        added.append(one["added"])
        base.append(one["base"])
        other = _child(WHOLE)
        whole.append(other["whole"])
        modules.update(other["modules"])
    eager = sorted(name for name in LAZY if name in modules)
    median = statistics.median(added)
    return [
        Row(
            "`import pywats_cache` after `import httpx, hishel`",
            f"{span(median)} (min {span(min(added))})",
            f"httpx and hishel: {span(statistics.median(base))}; all from nothing: {span(statistics.median(whole))}",
            "",
            str(GOAL),
            GOAL.met(median * 1e3),
            {"added": added, "base": base, "whole": whole},
        ),
        Row(
            "loaded by the import although optional",
            ", ".join(eager) or "nothing",
            goal="nothing",
            met=not eager,
            detail={"modules": len(modules), "looked_for": LAZY},
        ),
    ]


def _child(code: str) -> dict[str, Any]:
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return dict(json.loads(found.stdout))
