"""What a request addresses: its URL, or another target that goes over the wire in its place (httpx's `target`)."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from .fields import lowered

if TYPE_CHECKING:
    from ..support.http_types import ParsedUrl

__all__ = ["Target", "addressed", "asked_origin"]

# What servers read alike: no fragment, no backslash, no space, ASCII only.
_ORIGIN_FORM = r"(/[!-\"$-\[\]-~]*)"
_ABSOLUTE_FORM = (
    r"([A-Za-z][A-Za-z0-9+.-]*://(?:[^@/?#\[\]]*@)?(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?)"
    r"((?:[/?][!-\"$-\[\]-~]*)?)"
)
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class Target(NamedTuple):
    """A target that can be told: its raw path, and its origin where it names one."""

    path: str
    origin: str | None = None


@lru_cache(maxsize=256)
def asked_origin(scheme: str, host: str, port: int | None, named: bytes | None) -> str:
    """The origin that a request to this address asks, as one object for all that ask it.

    - `named`: its Host header, or None. One of its own, be it empty, asks another site than the address alone.
    """
    netloc = f"[{host}]" if ":" in host else host
    if port is not None:
        netloc = f"{netloc}:{port}"
    origin = f"{scheme}://{netloc}"
    if named is not None:
        site = lowered(named.decode("latin-1")).removesuffix(_DEFAULT_PORTS.get(scheme, ""))
        if site != netloc:
            origin = f"{origin} ({site})"
    return origin


def addressed(target: object, parse: Callable[[str], ParsedUrl]) -> Target | None:
    """What a request with this `target` addresses (RFC 9112 §3.2); None where that cannot be told.

    - `parse`: the parts of a URL as the library reads it, or its error.
    """
    if isinstance(target, bytes):
        target = target.decode("latin-1")
    if not isinstance(target, str):
        return None
    if re.fullmatch(_ORIGIN_FORM, target):
        return Target(target.partition("?")[0])
    absolute = re.fullmatch(_ABSOLUTE_FORM, target)
    if absolute is None:
        return None
    try:
        url = parse(absolute[1])
        origin = asked_origin(url.scheme, url.host, url.port, None)
    except Exception:  # noqa: BLE001 - not a URL to the library, so who knows what a server makes of it
        return None
    return Target(absolute[2].partition("?")[0] or "/", origin)
