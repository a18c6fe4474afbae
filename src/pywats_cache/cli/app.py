"""All commands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from .._version import __version__
from ..support.showing import printable, without_arguments
from . import local, running
from .configuring import config

__all__ = ["app"]


class _Commands(TyperGroup):
    """The commands, whose complaints about an argument repeat nothing that may be a secret: `stats redis://:pw@h`."""

    _arguments: tuple[str, ...] = ()

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> Any:
        """As typer's."""
        self._arguments = tuple(args)
        with self._complaining():
            return super().make_context(info_name, args, *rest, **extra)

    def invoke(self, ctx: Any) -> Any:
        """As typer's."""
        with self._complaining():
            return super().invoke(ctx)

    @contextmanager
    def _complaining(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if hasattr(error, "format_message") and isinstance(getattr(error, "message", None), str):
                error.message = printable(without_arguments(error.message, self._arguments), lines=True)  # type: ignore[attr-defined]
            raise


app: typer.Typer = typer.Typer(
    name="pywats-cache",
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Look into a running cache, or a store on disk or in Redis; invalidate what is stored; choose settings.",
    epilog="Exit codes: 0 all is well; 1 something was found (doctor, warm, config check); 2 bad input; 3 no service "
    "answers, or there is no store or file; 4 the service refused, or the store or file is damaged, locked or of "
    "another version.",
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
app.add_typer(config, name="config")
