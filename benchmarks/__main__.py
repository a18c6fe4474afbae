"""`python -m benchmarks [quick] [name …]`: run the benchmarks, each in a process of its own, and write the results."""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import time
from dataclasses import asdict

from . import report
from .harness import Options, Row

NAMES = (
    "hits", "lookup", "misses", "wats_calls", "stampede", "threads", "loop_blocking",
    "scenarios", "eviction", "invalidation", "memory", "import_time",
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("words", nargs="*", metavar="quick|name", help=f"quick, and any of: {', '.join(NAMES)}")
    parser.add_argument("--rows", action="store_true", help=argparse.SUPPRESS)  # a child: rows as JSON
    parser.add_argument("--no-write", action="store_true", help="print only")
    arguments = parser.parse_intermixed_args()
    names = [word for word in arguments.words if word != "quick"]
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    options = Options(quick="quick" in arguments.words)
    if arguments.rows:
        json.dump([asdict(row) for row in _rows(names[0], options)], sys.stdout, default=str)
        return 0
    return _all(names or list(NAMES), options, write=not arguments.no_write)


def _rows(name: str, options: Options) -> list[Row]:
    return list(importlib.import_module(f"benchmarks.{name}").run(options))


def _all(names: list[str], options: Options, *, write: bool) -> int:
    start = time.monotonic()
    rows: list[Row] = []
    failed = []
    for name in names:
        print(f"{name} …", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", "benchmarks", "--rows", *(["quick"] if options.quick else []), name]
        child = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
        if child.returncode:
            failed.append(name)
            rows.append(Row(name, "failed, see above", met=False))
        else:
            rows += [Row(**row) for row in json.loads(child.stdout)]
    seconds = time.monotonic() - start
    print(report.table(rows))
    print(f"\n{report.summary(rows)} Took {seconds:.0f} s.")
    if write and not failed:
        whole = len(names) == len(NAMES)
        said = " ".join(["python -m benchmarks", *(["quick"] if options.quick else []), *([] if whole else names)])
        print(f"Written to {report.write(rows, said, seconds).relative_to(report.RESULTS.parent.parent)} and .json")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
