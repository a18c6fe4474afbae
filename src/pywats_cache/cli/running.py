"""Commands on a running service or a store: stats, inspect, explain, doctor, warm, invalidate, clear."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from ..support.showing import shown
from ..telemetry.stats import OUTCOMES
from .asking import Asking, Progress
from .output import FOUND, USAGE, AsJson, count, fail, say, seconds, size, table
from .target import DEFAULT, Address, target_of

__all__ = ["clear", "doctor", "explain", "inspect", "invalidate", "stats", "warm"]

_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A token (RFC 9110 section 5.6.2)."""
Secret = Annotated[
    str, typer.Option("--token", envvar="PYWATS_CACHE_TOKEN", help="The token of a service, which changes need.")
]
Rules = Annotated[
    str,
    typer.Option(
        "--rules",
        help="For a store: `wats` (a server at the root of its host, asked for JSON as the SDK does), or module:name "
        "of a Controller. Without: every GET is a read.",
    ),
]
Headers = Annotated[
    list[str] | None, typer.Option("--header", help="For a store: a header of the request, as 'Accept: text/plain'.")
]
Authorize = Annotated[
    bool,
    typer.Option(
        "--authorize",
        help="For a store: ask for the Authorization header, if PYWATS_CACHE_AUTHORIZATION does not give it.",
    ),
]


@contextmanager
def _bar(what: str, as_json: bool) -> Iterator[Progress]:
    """A bar on stderr, where somebody sees it."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    quiet = as_json or not sys.stderr.isatty()
    with Bar(*columns, console=Console(stderr=True), disable=quiet, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class Sort(str, Enum):
    """What `inspect` sorts by."""

    age = "age"
    hits = "hits"
    left = "left"
    path = "path"
    rule = "rule"
    saved_seconds = "saved_seconds"
    size = "size"


def stats(url: Address = DEFAULT, as_json: AsJson = False) -> None:
    """Show hits, misses, memory, time saved and routes of a service; or entries, bytes and their state in a store."""
    with _bar("reading", as_json) as progress:
        found = target_of(url).stats(progress)
    if "store" in found:
        from .pictures import store_tables

        say(found, as_json, *store_tables(found))
        return
    if not found["enabled"]:
        say(found, as_json, "the cache is off")
        return
    rows = [
        ("hit rate", f"{found['hit_rate']:.1%} of {count(found['requests'] - found['bypassed'])} cacheable requests"),
        ("requests", ", ".join(f"{count(found[n])} {n}" for n in OUTCOMES if found[n]) or "none yet"),
        ("time saved", seconds(found["saved_seconds"])),
        ("entries", f"{count(found['entries'])} of {count(found['max_entries'])}"),
        ("memory", f"{size(found['size_bytes'])} of {size(found['max_bytes'])}"),
        ("beside it", f"{size(found.get('remembered_bytes', 0))} remembered of requests"),
        ("evictions", ", ".join(f"{count(number)} for {cause}" for cause, number in found["evictions_by"].items())),
        ("expirations", count(found["expirations"])),
        ("invalidations", count(found["invalidations"])),
        ("storage errors", count(found["storage_errors"])),
    ]
    if found["tier_hits"] or found["saved_bytes"]:
        beyond = f"{count(found['tier_hits'])} hits, compression saved {size(found['saved_bytes'])}"
        rows.append(("beyond memory", beyond))
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


def inspect(
    url: Address = DEFAULT,
    sort: Annotated[Sort | None, typer.Option(help="What to sort by; default: hits, for a store age.")] = None,
    match: Annotated[str, typer.Option(help="Only entries whose path or rule contains this.")] = "",
    tag: Annotated[str | None, typer.Option(help="Only entries with this tag.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many entries to list.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List what is stored: path, rule, age, time left, size, tags; and hits, or for a store the state of each entry."""
    with _bar("reading", as_json) as progress:
        found = target_of(url).entries(None if sort is None else sort.value, match, tag, limit, progress)
    is_store = "unreadable" in found
    rows = (
        (
            e["path"],
            e["rule"],
            seconds(e["age"]),
            seconds(e["left"]),
            size(e["size"]),
            e["state"] if is_store else count(e["hits"]),
            ", ".join(e["tags"]),
        )
        for e in found["entries"]
    )
    title = f"{len(found['entries'])} of {found['matching']} matching, {found['total']} stored"
    notes = []
    if found.get("unreadable"):
        records = "1 record" if found["unreadable"] == 1 else f"{count(found['unreadable'])} records"
        why = ": damaged, or of another digest key" if found["key_known"] else " without PYWATS_CACHE_DIGEST_KEY"
        notes = [f"{records} cannot be read{why}"]
    columns = ("path", "rule", ">age", ">left", ">size", "state" if is_store else ">hits", "tags")
    say(found, as_json, table(title, columns, rows), *notes)


def explain(
    method: Annotated[str, typer.Argument(help="GET, POST …")],
    target: Annotated[str, typer.Argument(metavar="URL", help="A URL; for a service also a path below its base URL.")],
    url: Address = DEFAULT,
    rules: Rules = "",
    header: Headers = None,
    authorize: Authorize = False,
    as_json: AsJson = False,
) -> None:
    """Say what would happen to a request now, and why. Nothing is sent to the server."""
    if not _METHOD.fullmatch(method):
        fail(f"METHOD must be one such as GET, not {shown(method)}: explain METHOD URL", USAGE)
    found = target_of(url).explain(method, target, Asking(rules, tuple(header or ()), authorize))
    from ..telemetry.outcome import meaning

    say(found, as_json, *str(found["text"]).split("\n"), f"  {found['reason']}: {meaning(found['reason']) or ''}")


def doctor(url: Address = DEFAULT, as_json: AsJson = False) -> None:
    """Say what makes a cache or a store useless. The exit code is 1 if anything does."""
    with _bar("reading", as_json) as progress:
        found = target_of(url).doctor(progress)
    findings = found["findings"]
    say(found, as_json, *([f"- [{f['code']}] {f['text']}" for f in findings] or ["nothing is wrong"]))
    if findings:
        raise typer.Exit(FOUND)


def warm(
    urls: Annotated[list[str] | None, typer.Argument(help="Paths or URLs; or use --file.")] = None,
    file: Annotated[Path | None, typer.Option(help="A file of paths or URLs, one per line; -: stdin.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="How many requests at a time.")] = 4,
    url: Address = DEFAULT,
    token: Secret = "",
    rules: Rules = "",
    header: Headers = None,
    authorize: Authorize = False,
    as_json: AsJson = False,
) -> None:
    """Fetch ahead what is not fresh. The exit code is 1 if anything could not be fetched."""
    wanted = [*(urls or []), *(_lines(file) if file is not None else [])]
    if not wanted:
        fail("nothing to warm: give paths or URLs, or --file", USAGE)
    asking = Asking(rules, tuple(header or ()), authorize)
    with _bar("warming", as_json) as progress:
        total = target_of(url, token).warm(wanted, concurrency, asking, progress)
    text = f"{total['fetched']} fetched, {total['fresh']} fresh already, {total['failed']} failed"
    say(total, as_json, text)
    if total["failed"]:
        raise typer.Exit(FOUND)


def _lines(file: Path) -> list[str]:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{shown(str(file))} cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}", USAGE)
    lines = (line.strip() for line in text.removeprefix("\ufeff").splitlines())  # as Windows' editors begin a file
    return [line for line in lines if line and not line.startswith("#")]


def invalidate(
    path: Annotated[str | None, typer.Argument(help="A path; includes everything below it: /api/Product")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Everything with this tag; may be repeated.")] = None,
    soft: Annotated[bool, typer.Option(help="Make it stale instead: it may be served while it is refetched.")] = False,
    url: Address = DEFAULT,
    token: Secret = "",
    as_json: AsJson = False,
) -> None:
    """Make stored answers invalid."""
    if path is None and not tag:
        fail("nothing to invalidate: give a path, or --tag; `clear` forgets everything", USAGE)
    target_of(url, token).invalidate(path, tag or [], soft)
    say(
        {"invalidated": {"path": path, "tags": tag or []}},
        as_json,
        "invalidated " + ", ".join([*([path] if path else []), *(f"tag {name}" for name in tag or [])]),
    )


def clear(
    url: Address = DEFAULT,
    token: Secret = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Forget everything that is stored."""
    target = target_of(url, token)
    if not yes and sys.stdin.isatty():
        typer.confirm(f"Forget everything that {target.name} has stored?", abort=True, err=True)
    cleared = target.clear()
    say({"cleared": cleared}, as_json, f"{count(cleared)} entries forgotten")
