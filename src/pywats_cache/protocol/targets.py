"""What a request addresses: its URL, or another target that goes over the wire in its place (httpx's `target`)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ..support.http_types import ParsedUrl

__all__ = ["Target", "addressed", "origin_of"]

# What servers read alike: no fragment, no backslash, no space, ASCII only.
_ORIGIN_FORM = re.compile(r"(/[!-\"$-\[\]-~]*)")
_ABSOLUTE_FORM = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]*://(?:[^@/?#\[\]]*@)?(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?)"
    r"((?:[/?][!-\"$-\[\]-~]*)?)"
)


class Target(NamedTuple):
    """A target that can be told: its raw path, and its origin where it names one."""

    path: str
    origin: str | None = None


def origin_of(url: ParsedUrl) -> str:
    """Scheme, host and port of a parsed URL as tags and keys have them."""
    host = f"[{url.host}]" if ":" in url.host else url.host
    return f"{url.scheme}://{host}" if url.port is None else f"{url.scheme}://{host}:{url.port}"


def addressed(target: object, parse: Callable[[str], ParsedUrl]) -> Target | None:
    """What a request with this `target` addresses (RFC 9112 §3.2); None where that cannot be told.

    - `parse`: the parts of a URL as the library reads it, or its error.
    """
    if isinstance(target, bytes):
        target = target.decode("latin-1")
    if not isinstance(target, str):
        return None
    if _ORIGIN_FORM.fullmatch(target):
        return Target(target.partition("?")[0])
    absolute = _ABSOLUTE_FORM.fullmatch(target)
    if absolute is None:
        return None
    try:
        origin = origin_of(parse(absolute[1]))
    except Exception:  # noqa: BLE001 - not a URL to the library, so who knows what a server makes of it
        return None
    return Target(absolute[2].partition("?")[0] or "/", origin)
