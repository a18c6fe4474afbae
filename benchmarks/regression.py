"""Two result files side by side: what got worse by more than the noise of both, and which goals fail that did not.

What is compared are ratios within a run, so the machines need not be the same. Their noise is that of the rounds and of
the processes, not the error of their median, which a t-test goes by: with a hundred rounds it calls every half percent
significant, and a machine differs from itself by more. Absolute times are for `pyperf compare_to`, on one machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from .harness import Row
from .report import against, read

FLOOR = 0.02
"""Less than this part is nobody's business, however steady the rounds were: two runs differ by as much."""
SAME = ("cpu", "cores", "system", "python", "command")


class Change(NamedTuple):
    """How a figure went from one run to the next; less is better."""

    title: str
    old: float
    new: float
    noise: float

    @property
    def is_worse(self) -> bool:
        return self.new - self.old > self.noise

    @property
    def is_better(self) -> bool:
        return self.old - self.new > self.noise

    def __str__(self) -> str:
        percent = 100 * (self.new / self.old - 1)
        return f"{self.title}: {self.old:.3g} -> {self.new:.3g} ({percent:+.0f} %, noise {self.noise:.2g})"


def compare(old_path: Path, new_path: Path) -> int:
    """Print what changed. Returns 1 if a goal newly fails, else 0."""
    old, new = read(old_path), read(new_path)
    for name in SAME:
        if old.about.get(name) != new.about.get(name):
            print(f"note: {name} differs: {old.about.get(name)} and {new.about.get(name)}")
    before, after = _titled(old.rows), _titled(new.rows)
    changes = list(_changes(before, after))
    _print("worse by more than the noise of both", [str(change) for change in changes if change.is_worse])
    _print("better by more than the noise of both", [str(change) for change in changes if change.is_better])
    failing = [title for title, row in after.items() if row.met is False and _was_met(before, title, row)]
    _print("goals that fail now and did not", failing)
    missing = [title for title, row in before.items() if title not in after and row.met is not None]
    _print("goals that were not measured again", missing)
    print(f"{len(changes)} figures compared, {len(failing)} goals newly fail.")
    return 1 if failing else 0


def _titled(rows: Iterable[Row]) -> dict[str, Row]:
    return {f"{row.benchmark}, against {against(row)}": row for row in rows}


def _was_met(before: dict[str, Row], title: str, row: Row) -> bool:
    """Tell whether a goal was met; a new benchmark's was not, but one that broke off counts as newly failing."""
    return before[title].met is True if title in before else bool(row.detail.get("broke_off"))


def _changes(before: dict[str, Row], after: dict[str, Row]) -> Iterator[Change]:
    for title, row in after.items():
        new = row.detail.get("figure")
        old = before[title].detail.get("figure") if title in before else None
        if old and new and None not in (old["low"], new["low"]):
            # Half the distance of the quartiles of each: medians further apart than both together mean something.
            noise = sum((figure["high"] - figure["low"]) / 2 for figure in (old, new))
            yield Change(title, old["value"], new["value"], max(noise, FLOOR * old["value"]))


def _print(heading: str, lines: list[str]) -> None:
    print(f"{heading}:")
    for line in lines or ["nothing"]:
        print(f"  {line}")
