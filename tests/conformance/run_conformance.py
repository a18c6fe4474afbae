"""Puts a cache to the public HTTP cache tests: `CACHE_TESTS=<checkout> python tests/conformance/run_conformance.py`.

The suite is github.com/http-tests/cache-tests; node reads its definitions. Each test gets an empty cache. Our own
subjects live in a time that only the runner moves, so the whole suite takes seconds; `--subject hishel` takes the
real pauses, many tests at a time.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from conformance_client import Outcome, run_test
from conformance_origin import serving
from conformance_subjects import SUBJECTS, Subject
from conformance_suite import VARIABLE, Test, checkout, load, published, with_dependencies

KINDS = ("required", "optimal", "check")


def run(tests: list[Test], subject: Subject) -> dict[str, Outcome]:
    """The outcome of each test, by its id, without regard to dependencies."""
    workers = 100 if subject.real_time else 8
    with serving() as origin, ThreadPoolExecutor(workers) as pool:
        outcomes = pool.map(lambda test: run_test(test, origin, subject), tests)
        return dict(zip([test.id for test in tests], outcomes, strict=True))


def selected(tests: list[Test], *, everything: bool = False) -> list[Test]:
    """The tests of a private cache that a transport of httpx can show at all."""
    return [test for test in tests if everything or (test.is_for_private_caches and not test.beyond_httpx)]


def table(tests: list[Test], results: dict[str, str], reasons: dict[str, str], *, verbose: bool) -> list[str]:
    """The report as lines."""
    lines = []
    for kind in KINDS:
        of_kind = [test for test in tests if test.kind == kind]
        lines += [f"  {_count(of_kind, results, kind)}"]
        for test in of_kind:
            if verbose or results[test.id] != "passed":
                lines.append(f"    {results[test.id]:10}  {test.id}: {reasons.get(test.id, '')}".rstrip(": "))
    return lines


def _count(tests: list[Test], results: dict[str, str], kind: str) -> str:
    counts = Counter(results[test.id] for test in tests if test.kind == kind)
    total = sum(counts.values())
    rest = ", ".join(f"{number} {result}" for result, number in sorted(counts.items()) if result != "passed")
    return f"{kind}: {counts['passed']} of {total} passed" + (f" ({rest})" if rest else "")


def _compare(tests: list[Test], every: list[Test], path: Path) -> list[str]:
    """What other caches' published results are on the same tests."""
    lines = []
    for name, raw in published(path).items():
        results = with_dependencies(every, raw)
        lines.append(f"  {name:14} " + "; ".join(_count(tests, results, kind) for kind in KINDS[:2]))
    return lines


def main(arguments: list[str] | None = None) -> int:
    """Run the suite and print the table. Returns 1 if a required behaviour is missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--subject", choices=sorted(SUBJECTS), default="rfc9111")
    parser.add_argument("--id", action="append", help="only these tests")
    parser.add_argument("--all", action="store_true", help="also what is asked of shared caches, or beyond httpx")
    parser.add_argument("--checks", action="store_true", help="list the tests that only ask what a cache does, too")
    parser.add_argument("--verbose", action="store_true", help="list what passed, too")
    parser.add_argument("--compare", action="store_true", help="add the published results of other caches")
    options = parser.parse_args(arguments)
    path = checkout()
    if path is None:
        parser.error(f"set {VARIABLE} to a checkout of github.com/http-tests/cache-tests")
    every = load(path)
    tests = selected(every, everything=options.all)
    if options.id:
        tests = [test for test in every if test.id in options.id]
    outcomes = run(tests, SUBJECTS[options.subject])
    results = {test: outcome.result for test, outcome in outcomes.items()}
    if not options.id:
        results = {test: result for test, result in with_dependencies(tests, results).items() if test in outcomes}
    reasons = {test: outcome.reason for test, outcome in outcomes.items()}
    shown = [test for test in tests if options.checks or options.id or test.kind != "check"]
    print(f"{options.subject}: {len(tests)} tests")
    for line in table(shown, results, reasons, verbose=options.verbose or bool(options.id)):
        print(line)
    if options.compare:
        print("published results of other caches, on the same tests:")
        for line in _compare(tests, every, path):
            print(line)
    return int(any(results[test.id] != "passed" for test in tests if test.kind == "required"))


if __name__ == "__main__":
    sys.exit(main())
