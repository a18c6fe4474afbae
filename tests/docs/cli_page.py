"""The commands of docs/reference/cli.md, as the command line itself describes them.

`python tests/docs/cli_page.py` writes them anew.
"""

from __future__ import annotations

from pathlib import Path

import click
import typer

from pywats_cache.cli.app import app

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "cli.md"
MARK = "<!-- written by `python tests/docs/cli_page.py` from here on -->\n"


def commands() -> dict[str, click.Command]:
    """By what is typed: `stats`, `config set`."""
    found: dict[str, click.Command] = {}
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", {"": command})
        found |= {f"{name} {below}".strip(): each for below, each in inner.items()}
    return found


def rendered(page: str) -> str:
    """`page` with its commands as they are."""
    parts = [
        page.partition(MARK)[0] + MARK,
        f"{app.info.epilog}\n",
        *(_section(name, each) for name, each in commands().items()),
    ]
    return "\n".join(parts)


def _section(name: str, command: click.Command) -> str:
    rows = [_row(each) for each in sorted(command.params, key=lambda each: each.param_type_name)]
    table = "\n".join(["| | default | what it is |", "|---|---|---|", *rows])
    return f"## {name}\n\n{command.help}\n\n{table}\n"


def _row(parameter: click.Parameter) -> str:
    if parameter.param_type_name == "argument":
        names = f"`{parameter.metavar or str(parameter.name).upper()}`"
    else:
        names = ", ".join(f"`{name}`" for name in parameter.opts)
    default = getattr(parameter.default, "value", parameter.default)
    shown = "required" if parameter.required else f"`{default}`" if default else ""
    variable = f" Environment: `{parameter.envvar}`." if parameter.envvar else ""
    return f"| {names} | {shown} | {parameter.help}{variable} |"  # type: ignore[attr-defined]


if __name__ == "__main__":
    PAGE.write_text(rendered(PAGE.read_text("utf-8")), encoding="utf-8")
