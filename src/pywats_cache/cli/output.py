"""What the commands print: tables for people, JSON for programs; and how they end when something is wrong."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..support.showing import printable

__all__ = [
    "FOUND",
    "REFUSED",
    "UNREACHABLE",
    "USAGE",
    "AsJson",
    "as_document",
    "count",
    "fail",
    "say",
    "seconds",
    "size",
    "table",
]

FOUND, USAGE, UNREACHABLE, REFUSED = 1, 2, 3, 4
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def fail(text: str, code: int) -> NoReturn:
    """End with a message on stderr."""
    print(f"pywats-cache: {printable(text)}", file=sys.stderr)
    raise typer.Exit(code)


def say(document: Any, as_json: bool, *human: Any) -> None:
    """Print the document as JSON, or what is for people.

    Paths, tags and rules are whatever somebody made a request for: what a terminal would act upon is shown escaped.
    """
    if as_json:
        print(as_document(document, indent=2))
        return
    seen = sys.stdout.isatty()
    console = Console(highlight=False, width=None if seen else 120)
    for part in human:
        if isinstance(part, str):
            # What reads a pipe takes a line for a whole finding.
            console.print(Text(printable(part)), soft_wrap=not seen)
        else:
            console.print(part)


def as_document(document: Any, **options: Any) -> str:
    """`document` as JSON in printable ASCII; `json` itself leaves DEL as it is."""
    return json.dumps(document, **options).replace("\x7f", "\\u007f")


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> Table:
    """A table; columns whose name starts with `>` hold numbers."""
    made = Table(title=Text(printable(title)) if title else None, title_justify="left")
    for column in columns:
        made.add_column(column.lstrip(">"), justify="right" if column.startswith(">") else "left", overflow="fold")
    for row in rows:
        made.add_row(*(Text(printable(str(cell))) for cell in row))
    return made


def count(number: float) -> str:
    """A whole number with its thousands apart."""
    return f"{number:,.0f}"


def size(number: float) -> str:
    """Bytes, as people read them."""
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} GiB"


def seconds(number: float | None) -> str:
    """A duration, as people read it; None: no end."""
    if number is None:
        return "∞"
    if number < 0:
        return "-" + seconds(-number)
    if number < 1:
        return f"{number * 1000:.1f} ms"
    if number < 120:
        return f"{number:.1f} s"
    return f"{number / 60:.0f} min" if number < 7200 else f"{number / 3600:.1f} h"
