"""The reference says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from pywats_cache import REASONS

DOCS = Path(__file__).resolve().parents[2] / "docs"
SRC = Path(__file__).resolve().parents[2] / "src" / "pywats_cache"


def test_every_reason_is_documented_with_its_meaning() -> None:
    table = (DOCS / "reference" / "reasons.md").read_text(encoding="utf-8")
    documented = dict(re.findall(r"^\| `([a-z0-9-]+)` \| (.+) \|$", table, re.MULTILINE))
    assert {code: documented.get(code) for code in REASONS} == REASONS


def test_every_environment_variable_is_documented() -> None:
    page = (DOCS / "reference" / "environment.md").read_text(encoding="utf-8")
    named = {name for path in SRC.rglob("*.py") for name in re.findall(r"PYWATS_[A-Z_]+", path.read_text("utf-8"))}
    assert {name for name in named if f"`{name}`" not in page} == set()


def test_no_relative_link_in_the_docs_is_broken() -> None:
    pages = [*DOCS.rglob("*.md"), DOCS.parent / "README.md", DOCS.parent / "CONTRIBUTING.md"]
    broken = [
        (page.name, target)
        for page in pages
        for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert broken == []
