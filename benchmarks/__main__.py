"""Run the benchmarks, each in processes of its own, and write the results; or compare two result files, or quote one.

python -m benchmarks                      all of them (9 to 10 minutes), written to benchmarks/results
python -m benchmarks quick                fewer rounds (a minute and a half); -quick is part of the files' names
python -m benchmarks [quick] hits lookup  some of them, printed only, unless --into says where to
python -m benchmarks compare OLD NEW      two JSON files: what got worse; exits 1 if a goal newly fails
python -m benchmarks quote                the figures in README and docs, anew from the newest results

A result's JSON file is one of pyperf, too: python -m pyperf stats FILE, hist FILE, compare_to OLD NEW.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from . import processes, quotes, regression, report
from .processes import BY_NAME, NAMES


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "words", nargs="*", metavar="WORD", help=f"quick, compare, quote, and any of: {', '.join(NAMES + BY_NAME)}"
    )
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)  # a child: where the runs of the module are
    parser.add_argument("--no-write", action="store_true", help="print only")
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
    unknown = [name for name in names if name not in NAMES + BY_NAME]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(NAMES + BY_NAME)}")
    quick = "quick" in words
    if arguments.worker is not None:
        print(processes.as_json(processes.measure(names[0], quick, arguments.worker)))
        return 0
    into = arguments.into or (None if names else report.RESULTS)
    return _all(names or list(NAMES), quick, None if arguments.no_write else into)


def _all(names: list[str], quick: bool, into: Path | None) -> int:
    chosen = [*(["quick"] if quick else []), *(names if len(names) < len(NAMES) else [])]
    about = report.about(" ".join(["python -m benchmarks", *chosen]))
    begin = time.monotonic()
    found = processes.run(names, quick=quick)
    about |= {"seconds": round(time.monotonic() - begin), "seconds_each": found.seconds}
    print(report.table(found.rows))
    print(f"\n{report.summary(found.rows)} Took {about['seconds']} s.")
    if into is not None:
        for path in report.write(found, about, into):
            print(f"written: {path}")
    return 1 if any(row.detail.get("broke_off") for row in found.rows) else 0


if __name__ == "__main__":
    sys.exit(main())
