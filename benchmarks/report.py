"""Where figures go: a Markdown table, plots, and JSON with date, machine, versions and command."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from . import plots
from .harness import Row

RESULTS = Path(__file__).parent / "results"
PACKAGES = (
    "pywats-cache", "httpx", "httpcore", "hishel", "anysqlite", "requests-cache", "requests", "pywats-api", "pydantic",
    "anyio",
)  # fmt: skip
HEAD = ("benchmark", "ours", "floor or peer", "ratio", "goal", "met")


def about(command: str) -> dict[str, Any]:
    """Describe a run that begins now: date, command, machine, versions; nothing that names a host, user or path."""
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": command,
        "commit": _commit(),
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "load_average": _load(),
        "system": _system(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _load() -> float | None:
    """Return how many processes wanted to run in the last minute, where the system counts them."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def _system() -> str:
    try:
        name = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        name = platform.system()
    return f"{name}, {platform.system()} {platform.release().split('-')[0]} {platform.machine()}"


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


def write(rows: Sequence[Row], run: dict[str, Any], directory: Path = RESULTS) -> list[Path]:
    """Write table, data and plots; a later run of the same benchmarks on the same day replaces them."""
    directory.mkdir(parents=True, exist_ok=True)
    chosen = run["command"].split()[3:]  # quick, and the benchmarks if not all were run
    stem = "-".join([run["date"][:10], f"py{'.'.join(platform.python_version_tuple()[:2])}", *chosen])
    pictures = {f"{stem}-{name}.svg": picture for name, picture in plots.draw(rows).items()}
    data = {"about": run, "rows": [asdict(replace(row, rounds={})) for row in rows]}
    shown = "\n\n".join(f"![{Path(name).stem.removeprefix(f'{stem}-')}]({name})" for name in pictures)
    texts = {
        f"{stem}.md": f"{_preface(run)}\n{table(rows)}\n\n{summary(rows)}\n\n{shown}\n",
        f"{stem}.json": json.dumps(data, indent=1, ensure_ascii=False, default=str) + "\n",
        **pictures,
    }
    for name, text in texts.items():
        (directory / name).write_text(text, encoding="utf-8")
    return [directory / name for name in texts]


def _preface(run: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    load, cores = run["load_average"], run["cores"]
    lines = [
        f"# Benchmarks of {run['date'][:10]}",
        f"`{run['command']}`, begun {run['date']}, took {run['seconds']} s; commit {run['commit'] or 'unknown'}",
        f"{run['cpu']}, {cores} cores, load average {'unknown' if load is None else load} at the start; "
        f"{run['system']}; {run['python']}; {versions}",
        "Cases of one comparison take turns in many short rounds; a ratio is the median of the rounds' ratios, "
        "beside it the ratio of the fastest rounds. Durations are medians per operation: processor time for what "
        "neither waits nor uses the network, else wall time.",
    ]
    if load is not None and cores and load > cores / 2:
        lines.append("**The machine was busy**: durations are longer than on a quiet one, and ratios less certain.")
    return "\n\n".join(lines) + "\n"
