"""Figures in the README and the docs are those of the newest results, and stand nowhere else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks import quotes
from examples.demo import measure
from pywats_cache.testing import SimulatedWATS

ROOT = Path(__file__).resolve().parents[2]
RENEW = "run `python -m benchmarks quote`"
A_TIME = re.compile(r"\d\s?(?:µs|ns|ms)\b|\btimes (?:less|more|faster|slower|what)\b|\d+ times\b|\d[.,]\d+x\b")


@pytest.mark.parametrize("name", ["README.md", "docs/guides/performance.md"])
def test_what_is_quoted_is_in_the_newest_results(name: str) -> None:
    page = ROOT / name
    text = page.read_text("utf-8")
    assert page in quotes.pages()
    assert quotes.renewed(text, page, quotes.newest()) == text, RENEW


@pytest.mark.parametrize("name", ["README.md", "docs/guides/performance.md"])
def test_no_time_and_no_factor_is_written_by_hand(name: str) -> None:
    prose = re.sub(r"<!--.*?-->", "", quotes.outside((ROOT / name).read_text("utf-8")), flags=re.DOTALL)
    assert A_TIME.findall(prose) == []


def test_the_page_on_eviction_has_the_newest_results() -> None:
    newest = max((ROOT / "benchmarks" / "results").glob("*-policies.md"))
    page = (ROOT / "docs" / "explanation" / "eviction.md").read_text("utf-8")
    assert f"benchmarks/results/{newest.name}" in page
    results = newest.read_text("utf-8")
    measured: list[list[str]] = []
    for room in (1, 10):
        rows = re.findall(rf"^\| .*room for {room}% of the keys (\|.*)$", results, re.MULTILINE)
        shares = [re.findall(r"(\| |\blru: |s3-fifo: )([\d.]+)%", row) for row in rows]
        measured.append([" ".join(dict(share)[name] for name in ("lru: ", "s3-fifo: ", "| ")) for share in shares])
    told = [" ".join(re.findall(r"([\d.]+) %", row)) for row in re.findall(r"^\| .+ % \|$", page, re.MULTILINE)]
    assert told == [f"{small} {large}" for small, large in zip(*measured, strict=True)]


def test_the_readme_tells_how_many_requests_the_demo_makes() -> None:
    with SimulatedWATS() as server:
        bare, cached = (measure("", server, enable_cache=cached) for cached in (False, True))
    told = (
        f"{bare.calls} calls; the server sees {bare.requests} requests without the cache, and {cached.requests} with it"
    )
    assert told in (ROOT / "README.md").read_text("utf-8")
