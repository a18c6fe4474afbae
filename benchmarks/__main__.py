"""Run the benchmarks, each in a process of its own, and write the results; or compare two result files, or quote one.

python -m benchmarks                      all of them (about 7 minutes), written to benchmarks/results
python -m benchmarks quick                fewer rounds (under a minute); -quick is part of the files' names
python -m benchmarks [quick] hits lookup  some of them, printed only
python -m benchmarks hits --pyperf FILE   the rounds too, as a JSON file of pyperf
python -m benchmarks compare OLD NEW      two JSON files: what got worse; exits 1 if a goal newly fails
python -m benchmarks quote                the figures in README and docs, anew from the newest results
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

from . import pyperf_export, quotes, regression, report
from .harness import Options, Row

NAMES = (
    "hits", "lookup", "misses", "wats_calls", "stampede", "threads", "loop_blocking", "scenarios", "staleness",
    "outages", "eviction", "policies", "invalidation", "sharing", "memory", "import_time",
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "words", nargs="*", metavar="WORD", help=f"quick, compare, quote, and any of: {', '.join(NAMES)}"
    )
    parser.add_argument("--rows", action="store_true", help=argparse.SUPPRESS)  # a child: rows as JSON
    parser.add_argument("--no-write", action="store_true", help="print only")
    parser.add_argument("--pyperf", type=Path, metavar="FILE", help="write the rounds as a JSON file of pyperf, too")
    parser.add_argument("--into", type=Path, help="write to this directory instead, also when only some are run")
    arguments = parser.parse_intermixed_args()
    words = arguments.words
    if words[:1] == ["compare"]:
        if len(words) != 3:
            parser.error("compare takes two JSON files, the older first")
        return regression.compare(Path(words[1]), Path(words[2]))
    if words == ["quote"]:
        for page in quotes.renew():
            print(f"written: {page.relative_to(quotes.ROOT)}")
        return 0
    names = [word for word in words if word != "quick"]
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    options = Options(quick="quick" in words)
    if arguments.rows:
        json.dump([asdict(row) for row in _rows(names[0], options)], sys.stdout, default=str)
        return 0
    if arguments.pyperf is not None and importlib.util.find_spec("pyperf") is None:
        parser.error("--pyperf needs pyperf: pip install pyperf")
    into = arguments.into or (None if names else report.RESULTS)
    return _all(names or list(NAMES), options, None if arguments.no_write else into, arguments.pyperf)


def _rows(name: str, options: Options) -> list[Row]:
    return list(importlib.import_module(f"benchmarks.{name}").run(options))


def _all(names: list[str], options: Options, into: Path | None, pyperf: Path | None) -> int:
    chosen = [*(["quick"] if options.quick else []), *(names if len(names) < len(NAMES) else [])]
    about = report.about(" ".join(["python -m benchmarks", *chosen]))
    begin = time.monotonic()
    rows: list[Row] = []
    took: dict[str, float] = {}
    for name in names:
        print(f"{name} …", file=sys.stderr, flush=True)
        start = time.monotonic()
        rows += _in_a_child(name, options)
        took[name] = round(time.monotonic() - start, 1)
    about |= {"seconds": round(time.monotonic() - begin), "seconds_each": took}
    print(report.table(rows))
    print(f"\n{report.summary(rows)} Took {about['seconds']} s.")
    if into is not None:
        for path in report.write(rows, about, into):
            print(f"written: {path}")
    if pyperf is not None:
        print(f"written: {pyperf}, {pyperf_export.export(rows, about, pyperf)} benchmarks")
    return 1 if any(row.detail.get("broke_off") for row in rows) else 0


def _in_a_child(name: str, options: Options) -> list[Row]:
    command = [sys.executable, "-m", "benchmarks", "--rows", *(["quick"] if options.quick else []), name]
    child = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    if child.returncode:  # its traceback is on stderr
        return [Row(name, "broke off", goal="to run", met=False, detail={"broke_off": True})]
    return [Row(**row) for row in json.loads(child.stdout)]


if __name__ == "__main__":
    sys.exit(main())
