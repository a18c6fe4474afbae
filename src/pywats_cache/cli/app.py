"""All commands."""

from __future__ import annotations

from typing import Annotated

import typer

from .._version import __version__
from . import local, running

__all__ = ["app"]

app: typer.Typer = typer.Typer(
    name="pywats-cache",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Look into a running cache, or a store on disk or in Redis; invalidate what is stored; choose settings.",
    epilog="Exit codes: 0 all is well; 1 something was found (doctor, warm); 2 bad input; 3 no service answers, or "
    "there is no store; 4 the service refused, or the store is damaged, locked or of another version.",
)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        print(__version__)
        raise typer.Exit


for _command in (
    running.stats,
    running.inspect,
    running.explain,
    running.doctor,
    running.warm,
    running.invalidate,
    running.clear,
    local.simulate,
    local.serve,
    local.demo,
):
    app.command()(_command)
