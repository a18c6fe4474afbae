"""Every example runs, and its output shows what the table of `examples/run_all.py` says it must."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SPEC = importlib.util.spec_from_file_location("run_all", EXAMPLES / "run_all.py")
assert SPEC is not None
assert SPEC.loader is not None
run_all = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(run_all)


def test_every_example_is_run_and_described() -> None:
    files = {path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.rglob("*.py")} - {"run_all.py"}
    assert files == set(run_all.FACTS)
    assert all(run_all.FACTS.values())
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert {name for name in files if f"({name})" not in readme} == set()


@pytest.mark.parametrize("name", run_all.FACTS)
def test_it_shows_what_it_promises(name: str) -> None:
    output, problems = run_all.run(name)
    assert problems == [], output
