"""Commands on the configuration file of a station service: config show, check, set, sample."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer

from ..errors import CachingError
from ..support.showing import shown_path
from .output import FOUND, REFUSED, UNREACHABLE, USAGE, AsJson, fail, say, table

__all__ = ["config"]

config: typer.Typer = typer.Typer(
    no_args_is_help=True, help="Show, check and set the cache fields in the configuration file of a station service."
)
Where = Annotated[
    Path | None, typer.Option("--config", help="The file; without: that of the default instance of the SDK.")
]


@config.command()
def show(path: Where = None, as_json: AsJson = False) -> None:
    """Show the cache fields, what each is now, its default and what is allowed. Nothing secret is shown."""
    fields, files_ = _modules()
    real = _path(path)
    with _failing(real):
        found = files_.read_config(real)
    bad = fields.problems(found.document)
    documents = [_described(one, found.document, bad) for one in fields.FIELDS]
    rows = ((d["name"], d["shown"], d["default"], d["allowed"], d["problem"] or d["what"]) for d in documents)
    columns = ("field", "now", "default", "allowed", "what it is")
    say({"file": str(real), "fields": documents}, as_json, table(str(real), columns, rows))


def _described(one: Any, document: dict[str, Any], bad: dict[str, str]) -> dict[str, Any]:
    value = document.get(one.name, one.default)
    plain = one.is_open(value) and one.name not in bad
    return {
        "name": one.name,
        "value": _for_json(value) if plain else None,
        "shown": one.shown(value),
        "default": one.shown(one.default),
        "allowed": one.allowed,
        "what": one.what,
        "problem": bad.get(one.name),
    }


def _for_json(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


@config.command()
def check(path: Where = None, as_json: AsJson = False) -> None:
    """Say what is wrong with the file. The exit code is 1 if anything is.

    The fields of the SDK are checked too where the extra `service` is installed.
    """
    fields, files_ = _modules()
    real = _path(path)
    findings: list[str] = []
    with _failing(real):
        found = files_.read_config(real)
        findings += [f"{name} is there twice: remove one of them" for name in found.twice]
        findings += _complaints(fields, found.document)
    say({"file": str(real), "findings": findings}, as_json, *([f"- {one}" for one in findings] or ["nothing is wrong"]))
    if findings:
        raise typer.Exit(FOUND)


def _complaints(fields: ModuleType, document: dict[str, Any]) -> list[str]:
    try:
        from ..wats.service.config import ClientConfig
    except ImportError:
        return list(fields.problems(document).values())
    try:
        made = ClientConfig.from_dict(document)
        return made.validate()
    except CachingError as error:
        return [str(error)]
    except (TypeError, ValueError, AttributeError) as error:  # of the SDK, for a field of another shape
        return [f"the SDK cannot use the file ({type(error).__name__}): a field has another type than in the sample"]


@config.command(name="set", context_settings={"ignore_unknown_options": True})  # -5 is a value
def set_(
    field: Annotated[str, typer.Argument(help="The name of a cache field: see `pywats-cache config show`.")],
    value: Annotated[str, typer.Argument(help="Its value; '' for none. A URL with a password: -, to be asked for.")],
    path: Where = None,
    as_json: AsJson = False,
) -> None:
    """Set one field, if the value is allowed. The file before it is kept as ….json.bak; a running service follows."""
    fields, files_ = _modules()
    real = _path(path)
    try:
        one = fields.field_named(field)
        given = typer.prompt(field, hide_input=True, err=True) if value == "-" else value
        new = one.value_of(given)
    except CachingError as error:
        fail(str(error), USAGE)

    def changed(document: dict[str, Any]) -> dict[str, Any]:
        return {**document, field: new}

    with _failing(real):
        before, after = files_.change_config(real, changed)
    was, now = (one.shown(each.document.get(field, one.default)) for each in (before, after))
    backup = files_.backup_of(after.path)
    is_new = before is not after
    document = {"file": str(after.path), "field": field, "was": was, "now": now, "changed": is_new}
    if is_new:
        text = f"{field}: {now} (was {was}); the file before is {shown_path(backup, 'its backup')}"
    else:
        text = f"{field} is {now} already"
    notes = [f"still wrong: {text}" for text in fields.problems(after.document).values()]
    say({**document, "still_wrong": notes}, as_json, text, *notes)


@config.command()
def sample(
    to: Annotated[Path | None, typer.Option("--to", help="Write it to this file, which must not be there yet.")] = None,
) -> None:
    """Print a whole configuration, with every field at its default and a comment to each."""
    _, files_ = _modules()
    text = files("pywats_cache.wats.service").joinpath("sample.json").read_text("utf-8")
    if to is None:
        print(text, end="")
        return
    with _failing(to):
        files_.create_config(to, text)
    say({}, False, f"written: {shown_path(to, 'the file')}. Set service_address and api_token in it.")


def _modules() -> tuple[ModuleType, ModuleType]:
    try:
        from ..wats.service import config_file, fields
    except ImportError as error:
        fail(f"config needs the SDK (no {error.name}): pip install 'pywats-cache[cli,service]'", USAGE)
    return fields, config_file


def _path(given: Path | None) -> Path:
    if given is not None:
        return Path(os.path.expanduser(given))
    try:
        from pywats_client.core.config import get_default_config_path  # type: ignore[import-untyped]
    except ImportError:
        fail("which file? Give --config FILE", USAGE)
    found: Path = get_default_config_path("default")
    return found


@contextmanager
def _failing(path: Path) -> Iterator[None]:
    """End the program where the file cannot be read or written."""
    try:
        yield
    except FileNotFoundError as error:
        fail(f"{shown_path(path, 'the file')}: {error.strerror}", UNREACHABLE)
    except CachingError as error:
        fail(str(error), REFUSED)
    except OSError as error:
        fail(f"{shown_path(path, 'the file')} cannot be read: {error.strerror}", REFUSED)
