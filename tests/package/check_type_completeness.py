"""How many of the public names have a type that every type checker sees alike: all, or this fails (`-s types`).

`pyright --verifytypes` looks into other packages only where they are marked as typed and every directory of theirs is a
package. Two are not, though type checkers read them well where they are used; here they are read from a mended copy.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

LEAST = 1.0
MENDED = ("hishel", "pywats_client")  # directories without __init__.py; no py.typed


def mended_copy(name: str, target: Path) -> None:
    """Copy an installed package, and add what it lacks."""
    spec = find_spec(name)
    assert spec is not None, f"{name} is not installed"
    assert spec.submodule_search_locations, name
    copy = target / name
    shutil.copytree(spec.submodule_search_locations[0], copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "py.typed").touch()
    for module in copy.rglob("*.py"):
        (module.parent / "__init__.py").touch()


def completeness(mended: Path) -> dict[str, Any]:
    """What pyright says of the package that this Python imports."""
    paths = [str(mended), *filter(None, [os.environ.get("PYTHONPATH")])]
    # It asks the `python` of the path where packages are.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = ["-m", "basedpyright", "--verifytypes", "pywats_cache", "--ignoreexternal", "--outputjson"]
    done = subprocess.run(
        [sys.executable, *command],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PATH": path},
        capture_output=True,
        text=True,
        check=False,  # 1 says that a name lacks a type
        timeout=600,
    )
    assert done.stdout.startswith("{"), done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)["typeCompleteness"]
    return found


def main() -> int:
    """Print what has no type, and the figure."""
    with tempfile.TemporaryDirectory() as directory:
        for name in MENDED:
            mended_copy(name, Path(directory))
        found = completeness(Path(directory))
    for symbol in found["symbols"]:
        for one in symbol["diagnostics"]:
            if one["severity"] == "error":
                print(f"{symbol['name']}: {one['message']}")
    score: float = found["completenessScore"]
    counts = found["exportedSymbolCounts"]
    print(f"{counts['withKnownType']} of {sum(counts.values())} public names have a known type: {score:.2%}")
    return 0 if score >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main())
