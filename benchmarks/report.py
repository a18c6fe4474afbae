"""Where figures go: a Markdown table, and JSON with date, machine, versions and command."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from .harness import Row

RESULTS = Path(__file__).parent / "results"
PACKAGES = (
    "pywats-cache", "httpx", "httpcore", "hishel", "anysqlite", "requests-cache", "pywats-api", "pydantic", "anyio"
)  # fmt: skip
HEAD = ("benchmark", "ours", "floor or peer", "ratio", "goal", "met")


def machine() -> dict[str, Any]:
    """Describe the processor, the system and the versions; nothing that names a host, a user or a path."""
    return {
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


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
    missed = [row.benchmark for row in judged if not row.met]
    text = f"{len(judged) - len(missed)} of {len(judged)} goals met."
    return f"{text} Short of its goal: {'; '.join(missed)}." if missed else text


def write(rows: Sequence[Row], command: str, seconds: float) -> Path:
    """Write both files and return the path of the table; a later run on the same day replaces them."""
    now = datetime.now(timezone.utc)
    about = {"date": now.isoformat(timespec="seconds"), "command": command, "seconds": round(seconds), **machine()}
    version = "".join(platform.python_version_tuple()[:2])
    stem = RESULTS / f"{now:%Y-%m-%d}-py{version}{'-quick' if ' quick' in command else ''}"
    RESULTS.mkdir(exist_ok=True)
    data = {"about": about, "rows": [asdict(row) for row in rows]}
    stem.with_suffix(".json").write_text(json.dumps(data, indent=1, ensure_ascii=False, default=str) + "\n")
    stem.with_suffix(".md").write_text(f"{_preface(about)}\n{table(rows)}\n\n{summary(rows)}\n")
    return stem.with_suffix(".md")


def _preface(about: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return (
        f"# Benchmarks of {about['date'][:10]}\n\n"
        f"`{about['command']}`, {about['date']}, {about['seconds']} s\n\n"
        f"{about['cpu']}, {about['cores']} cores; {about['system']}; {about['python']}; {versions}\n\n"
        "Cases of one comparison take turns in many short rounds; a ratio is the median of the rounds' ratios, "
        "beside it the ratio of the fastest rounds. Durations are medians per operation: processor time for what "
        "neither waits nor uses the network, else wall time.\n"
    )
