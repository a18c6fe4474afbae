"""The public HTTP cache tests, read from a checkout at run time; nothing of them is kept here.

Their documentation names the members of a test and of its requests; `Test.requests` holds them as they are.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

VARIABLE = "CACHE_TESTS"
_DUMP = "import(process.argv[1]).then(m => process.stdout.write(JSON.stringify(m.default)))"


@dataclass(frozen=True)
class Test:
    """One test of the suite."""

    __test__ = False  # pytest: not a class of tests

    id: str
    name: str
    kind: str
    requests: list[dict[str, Any]]
    depends_on: tuple[str, ...] = ()
    traits: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_for_private_caches(self) -> bool:
        """False for what is asked of CDNs or of shared caches only."""
        return not self.traits.get("cdn_only") and "shared" not in self.name.lower()

    @property
    def beyond_httpx(self) -> str | None:
        """Why no transport of httpx can show this behaviour, or None."""
        for request in self.requests:
            if "expected_interim_responses" in request:
                return "httpx does not show interim responses"
            names = {header[0].lower() for header in request.get("response_headers", ())}
            if "transfer-encoding" in names:
                return "h11 refuses an unknown transfer coding"
        return None


def checkout() -> Path | None:
    """The checkout that the environment names, or None."""
    value = os.environ.get(VARIABLE)
    if not value:
        return None
    path = Path(value)
    if not (path / "tests" / "index.mjs").is_file():
        raise ValueError(f"{VARIABLE} must name a checkout of the public cache tests, not {value!r}")
    return path


def load(path: Path) -> list[Test]:
    """All tests of a checkout, by node, since they are JavaScript modules."""
    node = shutil.which("node")
    if node is None:
        raise RuntimeError("node is needed to read the definitions of the tests")
    index = (path / "tests" / "index.mjs").resolve().as_uri()
    command = [node, "--input-type=module", "-e", _DUMP, index]
    dumped = subprocess.run(command, capture_output=True, check=True, timeout=60)
    return [_test(test) for suite in json.loads(dumped.stdout) for test in suite["tests"]]


def _test(given: dict[str, Any]) -> Test:
    return Test(
        given["id"],
        given["name"],
        given.get("kind", "required"),
        given["requests"],
        tuple(given.get("depends_on", ())),
        given,
    )


def published(path: Path) -> dict[str, dict[str, str]]:
    """The results that the checkout holds of other caches: name → test id → what `Outcome` would call it."""
    return {
        file.stem: {
            test: "passed" if result is True else "setup" if result[0] == "Setup" else "failed"
            for test, result in json.loads(file.read_text()).items()
        }
        for file in sorted((path / "results").glob("*.json"))
    }


def with_dependencies(tests: Iterable[Test], raw: Mapping[str, str]) -> dict[str, str]:
    """The results, those of tests whose dependencies did not pass being `dependency`: they say nothing then."""
    by_id = {test.id: test for test in tests}
    known: dict[str, str] = {}

    def result(test_id: str) -> str:
        if test_id not in known:
            own = raw.get(test_id, "untested")
            needed = by_id[test_id].depends_on if test_id in by_id else ()
            if own != "untested" and any(result(other) != "passed" for other in needed):
                own = "dependency"
            known[test_id] = own
        return known[test_id]

    return {test_id: result(test_id) for test_id in by_id}
