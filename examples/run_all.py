"""Run every example as a user would, each in a process of its own; stop at the first that fails."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Run them all, or those whose path contains an argument."""
    wanted = sys.argv[1:]
    scripts = sorted(p for p in HERE.rglob("*.py") if p.name != "run_all.py")
    for script in scripts:
        name = script.relative_to(HERE).as_posix()
        if wanted and not any(part in name for part in wanted):
            continue
        print(f"── {name}", flush=True)
        started = time.perf_counter()
        command = [sys.executable, "-W", "error::ResourceWarning", str(script)]
        if script.name.startswith("test_"):
            command = [sys.executable, "-m", "pytest", "-q", "--rootdir", str(script.parent), str(script)]
        result = subprocess.run(command, check=False, timeout=300)
        if result.returncode:
            print(f"{name} failed with exit code {result.returncode}")
            return 1
        print(f"   {time.perf_counter() - started:.1f} s\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
