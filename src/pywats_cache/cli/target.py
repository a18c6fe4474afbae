"""What the commands work on: a running service or a store, by its URL. Here alone is decided which."""

from __future__ import annotations

from typing import Annotated

import typer

from ..storage.url import SCHEMES
from .asking import Target
from .output import USAGE, fail

__all__ = ["DEFAULT", "Address", "target_of"]

DEFAULT = "http://127.0.0.1:8080"
Address = Annotated[
    str,
    typer.Option(
        "--url",
        envvar="PYWATS_CACHE_URL",
        help="A service (http://…) or a store (sqlite:///cache.db, redis://host:6379/0). "
        "Put one with a password into PYWATS_CACHE_URL.",
        show_default=True,
    ),
]


def target_of(url: str, token: str = "") -> Target:
    """The target at `url`; `token` is that of a service."""
    scheme = url.partition("://")[0].lower()
    if scheme in SCHEMES:
        from .stored import Stored

        return Stored(url)
    if scheme in ("http", "https"):
        from .remote import Service

        return Service(url, token)
    fail("--url must be http://host:port of a service, sqlite:///cache.db or redis://host:6379/0", USAGE)
