"""What SECURITY.md promises is tested."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CLAIMS = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", (ROOT / "SECURITY.md").read_text(encoding="utf-8"))


def test_every_test_that_is_named_exists() -> None:
    assert len(CLAIMS) > 15
    missing = [
        f"{path}::{name}"
        for path, name in CLAIMS
        if not (ROOT / path).exists() or (name and f"def {name}(" not in (ROOT / path).read_text(encoding="utf-8"))
    ]
    assert missing == []


def test_nothing_that_was_stored_can_run() -> None:
    """No module of ours turns stored data into code or into objects of any class."""
    forbidden = {"pickle", "marshal", "shelve", "dill", "eval", "exec", "compile"}
    found = []
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                names = [node.func.id]
            found += [(path.name, name) for name in names if name.partition(".")[0] in forbidden]
    # Of JSON it has read itself, in memory only: no storage writes an entry's `derived`.
    assert found == [("sdk_response.py", "marshal")]
