"""Every Python block of the README and the docs runs, and prints what is shown below it."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
from snippets import Network, Page, diverted

from pywats_cache.testing import SimulatedWATS

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # a page need not close what it shows; it goes here
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_snippets_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = Page(path)
    with SimulatedWATS() as server, diverted(Network(server)):
        page.run()
        page.document.namespace.clear()
        gc.collect()
    assert len(page.skipped) <= 1, page.skipped
