"""Figures in the README and the docs: copied from the newest results, between marks, and never typed.

A mark names the rows, one a line, as `label = benchmark | peer`. The label may be left out; without a peer the whole
cell is copied; `benchmark + other benchmark | peer` takes ours from the first and the peer from the second, where the
results have them in rows of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from . import report
from .harness import Row

ROOT = Path(__file__).resolve().parents[1]
FULL = "python -m benchmarks"
START = "<!-- quote: `python -m benchmarks quote` copies these rows from the newest results"
END = "<!-- end of quote -->"
_BLOCK = re.compile(rf"({re.escape(START)}\n(.*?)-->\n)(.*?)({re.escape(END)})", re.DOTALL)
_HEAD = ("", "pywats-cache", "compared with", "ratio")


class Quoted(NamedTuple):
    """The result file that is quoted."""

    path: Path
    date: str
    command: str
    rows: list[Row]


def newest(directory: Path = report.RESULTS) -> Quoted:
    """Return the results of the latest full run. Raises FileNotFoundError if there is none."""
    found = []
    for path in directory.glob("*.json"):
        about, rows = report.read(path)
        if about["command"] == FULL:
            found.append((about["date"], path, rows))
    if not found:
        raise FileNotFoundError(f"no results in {directory}: run python -m benchmarks")
    date, path, rows = max(found, key=lambda each: each[0])
    return Quoted(path, date[:10], FULL, rows)


def pages() -> Iterator[Path]:
    """Yield the pages that quote."""
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        if START in path.read_text(encoding="utf-8"):
            yield path


def renewed(text: str, page: Path, results: Quoted) -> str:
    """Return `text` of `page` with the figures of `results`. Raises LookupError for a row they do not have."""

    def block(found: re.Match[str]) -> str:
        lines = [line for line in found[2].splitlines() if line.strip()]
        table = [_HEAD, ("---",) * len(_HEAD), *(_cells(line, results.rows) for line in lines)]
        shown = "\n".join(f"| {' | '.join(cells)} |" for cells in table)
        return f"{found[1]}\n{shown}\n\n{_source(page, results)}\n\n{found[4]}"

    return _BLOCK.sub(block, text)


def outside(text: str) -> str:
    """Return `text` without what is quoted."""
    return _BLOCK.sub("", text)


def renew() -> list[Path]:
    """Rewrite every page that quotes, and return those that changed."""
    results, changed = newest(), []
    for page in pages():
        text = page.read_text(encoding="utf-8")
        new = renewed(text, page, results)
        if new != text:
            page.write_text(new, encoding="utf-8")
            changed.append(page)
    return changed


def _source(page: Path, results: Quoted) -> str:
    where = results.path.with_suffix(".md").relative_to(ROOT).as_posix()
    shown = f"`{where}`" if page.is_relative_to(ROOT / "docs") else f"[{where}]({where})"
    return f"Measured on {results.date} by `{results.command}`: {shown}."


def _cells(line: str, rows: list[Row]) -> tuple[str, ...]:
    label, _, wanted = line.rpartition(" = ")
    names, _, peer = wanted.partition(" | ")
    first, _, second = names.partition(" + ")
    mine = _row(first, None if second else peer, rows)
    theirs = _row(second, peer, rows) if second else mine
    pieces = [piece for piece in theirs.other.split("; ") if not peer or piece.startswith(f"{peer}: ")]
    return label or first, mine.ours, "; ".join(pieces), re.sub(r" \(of minima [\d.]+\)", "", theirs.ratio)


def _row(benchmark: str, peer: str | None, rows: list[Row]) -> Row:
    for row in rows:
        if row.benchmark == benchmark and (not peer or any(p.startswith(f"{peer}: ") for p in row.other.split("; "))):
            return row
    raise LookupError(f"the results have no {benchmark!r}" + (f" against {peer!r}" if peer else ""))
