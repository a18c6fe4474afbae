"""Commands that ask a running service: stats, inspect, explain, doctor, warm, invalidate, clear."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from .output import FOUND, USAGE, AsJson, count, fail, say, seconds, size, table
from .remote import Address, Secret, ask, tell

__all__ = ["clear", "doctor", "explain", "inspect", "invalidate", "stats", "warm"]

URL = "http://127.0.0.1:8080"
BATCH = 32


class Sort(str, Enum):
    """What `inspect` sorts by."""

    age = "age"
    hits = "hits"
    left = "left"
    path = "path"
    rule = "rule"
    saved_seconds = "saved_seconds"
    size = "size"


def stats(url: Address = URL, as_json: AsJson = False) -> None:
    """Hits, misses, memory, time saved, and the routes they come from."""
    found = ask(url, "/cache/stats")
    if not found["enabled"]:
        say(found, as_json, "the cache is off")
        return
    rows = [
        ("hit rate", f"{found['hit_rate']:.1%} of {count(found['requests'] - found['bypassed'])} cacheable requests"),
        ("requests", ", ".join(f"{count(found[n])} {n}" for n in _OUTCOMES if found[n]) or "none yet"),
        ("time saved", seconds(found["saved_seconds"])),
        ("entries", f"{count(found['entries'])} of {count(found['max_entries'])}"),
        ("memory", f"{size(found['size_bytes'])} of {size(found['max_bytes'])}"),
        ("evictions", ", ".join(f"{count(number)} for {cause}" for cause, number in found["evictions_by"].items())),
        ("expirations", count(found["expirations"])),
        ("invalidations", count(found["invalidations"])),
        ("storage errors", count(found["storage_errors"])),
    ]
    rules = sorted(found["rules"], key=lambda rule: -rule["hits"])[:15]
    routes = table(
        "Routes",
        ("rule", ">hits", ">fetches", ">saved", ">entries", ">size"),
        (
            (
                r["rule"],
                count(r["hits"]),
                count(r["fetches"]),
                seconds(r["saved_seconds"]),
                r["entries"],
                size(r["size_bytes"]),
            )
            for r in rules
        ),
    )
    say(found, as_json, table(f"Cache {found['client']!r}", ("", ""), rows), routes)


_OUTCOMES = ("hits", "stale", "revalidated", "misses", "collapsed", "bypassed")


def inspect(
    url: Address = URL,
    sort: Annotated[Sort, typer.Option(help="What comes first.")] = Sort.hits,
    match: Annotated[str, typer.Option(help="Only entries whose path or rule contains this.")] = "",
    tag: Annotated[str | None, typer.Option(help="Only entries with this tag.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """What is stored: path, rule, age, time left, size, hits, tags."""
    found = ask(url, "/cache/entries", sort=sort.value, match=match, tag=tag, limit=limit)
    rows = (
        (
            e["path"],
            e["rule"],
            seconds(e["age"]),
            seconds(e["left"]),
            size(e["size"]),
            count(e["hits"]),
            ", ".join(e["tags"]),
        )
        for e in found["entries"]
    )
    title = f"{len(found['entries'])} of {found['matching']} matching, {found['total']} stored"
    say(found, as_json, table(title, ("path", "rule", ">age", ">left", ">size", ">hits", "tags"), rows))


def explain(
    method: Annotated[str, typer.Argument(help="GET, POST …")],
    target: Annotated[str, typer.Argument(metavar="URL", help="A URL, or a path below the client's base URL.")],
    url: Address = URL,
    as_json: AsJson = False,
) -> None:
    """What would happen to a request now, and why. Nothing is sent to the server."""
    found = ask(url, "/cache/explain", method=method, url=target)
    from ..outcome import REASONS

    say(found, as_json, found["text"], f"  {found['reason']}: {REASONS.get(found['reason'], '')}")


def doctor(url: Address = URL, as_json: AsJson = False) -> None:
    """What makes the cache useless, if anything does (then the exit code is 1)."""
    found = ask(url, "/cache/doctor")
    findings = found["findings"]
    say(found, as_json, *([f"- [{f['code']}] {f['text']}" for f in findings] or ["nothing is wrong"]))
    if findings:
        raise typer.Exit(FOUND)


def warm(
    urls: Annotated[list[str] | None, typer.Argument(help="Paths or URLs; none: one a line from --file.")] = None,
    file: Annotated[Path | None, typer.Option(help="A file of paths or URLs, one a line; - reads stdin.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="How many at a time.")] = 4,
    url: Address = URL,
    token: Secret = "",
    as_json: AsJson = False,
) -> None:
    """Fetch ahead what is not fresh. The exit code is 1 if something could not be had."""
    wanted = [*(urls or []), *(_lines(file) if file is not None else [])]
    if not wanted:
        fail("nothing to warm: give paths or URLs, or --file", USAGE)
    total = {"total": 0, "fetched": 0, "fresh": 0, "failed": 0}
    with Progress(disable=as_json or not sys.stderr.isatty(), transient=True) as progress:
        task = progress.add_task("warming", total=len(wanted))
        for start in range(0, len(wanted), BATCH):
            batch = wanted[start : start + BATCH]
            done = tell(url, "/cache/warm", token, {"urls": batch, "concurrency": concurrency}, timeout=600.0)
            total = {name: total[name] + done[name] for name in total}
            progress.advance(task, len(batch))
    text = f"{total['fetched']} fetched, {total['fresh']} fresh already, {total['failed']} failed"
    say(total, as_json, text)
    if total["failed"]:
        raise typer.Exit(FOUND)


def _lines(file: Path) -> list[str]:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{file} cannot be read: {error}", USAGE)
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def invalidate(
    path: Annotated[str | None, typer.Argument(help="A path, with all below it: /api/Product")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="What carries this tag; may be repeated.")] = None,
    soft: Annotated[bool, typer.Option(help="Make it stale instead: it may be served while it is refetched.")] = False,
    url: Address = URL,
    token: Secret = "",
    as_json: AsJson = False,
) -> None:
    """Make stored answers invalid."""
    if path is None and not tag:
        fail("nothing to invalidate: give a path, or --tag; `clear` forgets everything", USAGE)
    document: dict[str, Any] = {"path": path, "tags": tag or [], "soft": soft}
    found = tell(url, "/cache/invalidate", token, document)
    say(found, as_json, "invalidated " + ", ".join([*([path] if path else []), *(f"tag {name}" for name in tag or [])]))


def clear(
    url: Address = URL,
    token: Secret = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Forget everything stored."""
    if not yes and sys.stdin.isatty():
        typer.confirm(f"Forget everything that the service at {url} has stored?", abort=True)
    found = tell(url, "/cache/clear", token, {})
    say(found, as_json, f"{count(found['cleared'])} entries forgotten")
