"""Nothing in the suite may hang: what ends a test that does, and processes that are waited for without end."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]

HANGS = {
    "a test": """
        import threading
        def test_that_hangs():
            threading.Event().wait()
        """,
    "a fixture that a failed test leaves": """
        import threading, pytest
        @pytest.fixture
        def lasting():
            yield
            threading.Event().wait()
        def test_that_fails(lasting):
            assert False
        """,
    "a thread that outlives the run": """
        import threading
        def test_that_leaves_a_thread():
            threading.Thread(target=threading.Event().wait).start()
        """,
}


@pytest.mark.parametrize("what", HANGS)
def test_what_hangs_is_ended_with_a_stack_trace(tmp_path: Path, what: str) -> None:
    lines = HANGS[what].splitlines()
    (tmp_path / "test_it.py").write_text("\n".join(line[8:] for line in lines), "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "time_limit", "test_it.py"],
        cwd=tmp_path,
        env={**os.environ, "PYWATS_CACHE_TEST_LIMIT": "2", "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert "Timeout (0:00:02)!" in done.stderr
    assert "threading.py" in done.stderr, "the stack of what waits"


ENDLESS = {"run", "call", "check_call", "check_output", "communicate"}


def waits_without_end() -> Iterator[str]:
    for path in TESTS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            on = ast.unparse(node.func.value)
            if node.func.attr in ENDLESS and (on == "subprocess" or node.func.attr == "communicate"):
                names = {keyword.arg for keyword in node.keywords}
                if not names & {"timeout", None}:  # None: **options
                    yield f"{path.relative_to(TESTS)}:{node.lineno}"


def test_every_process_that_the_suite_waits_for_has_a_limit() -> None:
    assert list(waits_without_end()) == []


def test_this_run_has_a_limit(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.pluginmanager.has_plugin("time-limit")
