"""Runs what differs under Windows where Windows is simulated: the tests in `inside`, and others of the suite."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUNS = {
    "its own": ["tests/windows/inside"],
    "storages": ["tests/unit/storage"],
    "coherence, clocks, files": [
        "tests/unit/coherence",
        "tests/unit/support",
        "tests/unit/telemetry",
        "tests/unit/web",
    ],
    "the engine": ["tests/unit/engine", "tests/unit/transport", "tests/unit/diagnostics"],
    "processes": ["tests/sharing/test_sqlite_processes.py"],
}
ONE_LIBRARY = ("-k", "not httpx2")  # no file and no clock depends on which


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="only Linux tells what a process has open")
@pytest.mark.parametrize("run", RUNS)
def test_under_simulated_windows_the_same_tests_pass(run: str, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "tests.windows.plugin",
        "-p",
        "no:cacheprovider",
        "--tb=short",
    ]
    ended = subprocess.run(
        [*command, f"--basetemp={tmp_path / 'run'}", *RUNS[run], *ONE_LIBRARY],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert ended.returncode == 0, ended.stdout[-20_000:] + ended.stderr[-5_000:]
