"""Where figures go: a Markdown table, plots, and JSON with date, machine, versions and command.

The JSON is a file of pyperf, whose commands read it, with two more keys that pyperf passes over: `about` and `rows`.
"""

from __future__ import annotations

import io
import json
import platform
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import pyperf

from . import plots
from .harness import Row
from .processes import ALONE, PROCESSES, Run
from .recording import machine

RESULTS = Path(__file__).parent / "results"
PACKAGES = (
    "pywats-cache", "httpx", "httpcore", "hishel", "anysqlite", "requests-cache", "requests", "pywats-api", "pydantic",
    "anyio",
)  # fmt: skip
HEAD = ("benchmark", "ours", "floor or peer", "ratio", "goal", "met")


def about(command: str) -> dict[str, Any]:
    """Describe a run that begins now: date, command, machine, versions; nothing that names a host, user or path."""
    known = machine()
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": command,
        "commit": _commit(),
        "cpu": known.get("cpu_model_name") or platform.machine(),
        "cores": known.get("cpu_count"),
        "load_average": known.get("load_avg_1min"),
        "system": known["platform"],
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
    }


def _commit() -> str | None:
    """Return what was measured, as far as it is a checkout."""
    git = ["git", "-C", str(RESULTS.parent.parent)]
    try:
        found = subprocess.run([*git, "rev-parse", "--short", "HEAD"], check=True, capture_output=True, text=True)
        changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "src"], check=False, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip() + (" and changes" if changed.returncode else "")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def table(rows: Iterable[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = [f"| {' | '.join(HEAD)} |", f"|{'---|' * len(HEAD)}"]
    for row in rows:
        met = {True: "yes", False: "**no**", None: ""}[row.met]
        lines.append(f"| {' | '.join([row.benchmark, row.ours, row.other, row.ratio, row.goal, met])} |")
    return "\n".join(lines)


def summary(rows: Sequence[Row]) -> str:
    """Say how many goals are met and name those that are not."""
    judged = [row for row in rows if row.met is not None]
    missed = [f"{row.benchmark}, against {against(row)}" for row in judged if not row.met]
    text = f"{len(judged) - len(missed)} of {len(judged)} goals met."
    return f"{text} Short of its goal: {'; '.join(missed)}." if missed else text


def against(row: Row) -> str:
    """Name what a row is compared with."""
    return str(row.detail.get("figure", {}).get("against") or row.other.partition(":")[0] or row.goal)


def write(found: Run, run: dict[str, Any], directory: Path = RESULTS) -> list[Path]:
    """Write table, data and plots; a later run of the same benchmarks on the same day replaces them."""
    directory.mkdir(parents=True, exist_ok=True)
    chosen = run["command"].split()[3:]  # quick, and the benchmarks if not all were run
    stem = "-".join([run["date"][:10], f"py{'.'.join(platform.python_version_tuple()[:2])}", *chosen])
    pictures = {f"{stem}-{name}.svg": picture for name, picture in plots.draw(found.rows).items()}
    shown = "\n\n".join(f"![{Path(name).stem.removeprefix(f'{stem}-')}]({name})" for name in pictures)
    texts = {
        f"{stem}.md": f"{_preface(run)}\n{table(found.rows)}\n\n{summary(found.rows)}\n\n{shown}\n",
        f"{stem}.json": _json(found, run),
        **pictures,
    }
    for name, text in texts.items():
        (directory / name).write_text(text, encoding="utf-8")
    return [directory / name for name in texts]


def _json(found: Run, run: dict[str, Any]) -> str:
    """Return the data, a row or a benchmark a line."""
    data: dict[str, Any] = {"about": run, "rows": [asdict(row) for row in found.rows]}
    if found.benchmarks:  # a suite of pyperf must not be empty
        suite = pyperf.BenchmarkSuite(found.benchmarks)
        for benchmark in suite:
            told = {"description": run["command"], "commit_id": run["commit"]}
            benchmark.update_metadata({name: value for name, value in told.items() if value is not None})
        text = io.StringIO()
        suite.dump(text)
        data |= json.loads(text.getvalue())
    return "{\n" + ",\n".join(f"{_compact(key)}: {_lines(value)}" for key, value in data.items()) + "\n}\n"


def _lines(value: Any) -> str:
    return "[\n" + ",\n".join(map(_compact, value)) + "\n]" if isinstance(value, list) else _compact(value)


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


class Results(NamedTuple):
    """What a result file tells, without the rounds."""

    about: dict[str, Any]
    rows: list[Row]


def read(path: Path) -> Results:
    """Read a result file; also one of those made before they were pyperf's, whose rows had a place for the rounds."""
    data = json.loads(path.read_text(encoding="utf-8"))
    known = {field.name for field in fields(Row)}
    return Results(data["about"], [Row(**{k: v for k, v in row.items() if k in known}) for row in data["rows"]])


def _preface(run: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    load, cores = run["load_average"], run["cores"]
    lines = [
        f"# Benchmarks of {run['date'][:10]}",
        f"`{run['command']}`, begun {run['date']}, took {run['seconds']} s; commit {run['commit'] or 'unknown'}",
        f"{run['cpu']}, {cores} cores, load average {'unknown' if load is None else load} at the start; "
        f"{run['system']}; {run['python']}; {versions}",
        "Cases of one comparison take turns in many short rounds, in a full run those of "
        f"{PROCESSES} processes ({', '.join(ALONE)}: of one); a ratio is the median of the rounds' ratios, beside it "
        "the ratio of the fastest rounds. Durations are medians per operation: processor time for what neither waits "
        "nor uses the network, else wall time.",
    ]
    if load is not None and cores and load > cores / 2:
        lines.append("**The machine was busy**: durations are longer than on a quiet one, and ratios less certain.")
    return "\n\n".join(lines) + "\n"
