"""Who may ask, and who may change something."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["LOOPBACK", "Guard", "allowed_hosts"]

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def allowed_hosts(listening: str, named: Iterable[str]) -> tuple[str, ...] | None:
    """The names in `Host` that are answered, by the address that is listened on and the names that settings list.

    None: any, as on an address of the network, which has names that nobody here knows.
    """
    return (*LOOPBACK, *(one.lower() for one in named)) if listening in LOOPBACK else None


class Guard:
    """Says no, with a reason, or nothing.

    - `hosts`: the names in `Host` that are answered. On a loopback address only its own names are: else a page of
      another site could reach the service under a name of its own that resolves to it (DNS rebinding). A proxy's must
      be among them. None: any. May be set anew at any time.
    - `token`: what a change must bring, as `Authorization: Bearer …`. A browser sends that for no other site without
      asking first, so it guards against cross-site requests too. None: changes are off.
    """

    def __init__(self, hosts: Iterable[str] | None = LOOPBACK, token: str | None = None) -> None:
        self.hosts: Iterable[str] | None = hosts
        self._token = token or None

    def against_reading(self, request: Request) -> str | None:
        """Why this request is not answered, or None."""
        if self.hosts is not None and (request.url.hostname or "") not in self.hosts:
            return "this service answers to its own address only, and to the hosts that its settings name (web_hosts)"
        return None

    def against_change(self, request: Request) -> str | None:
        """Why this request may change nothing, or None."""
        if self._token is None:
            return "changes are off: start the service with a token (PYWATS_CACHE_TOKEN)"
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return "a page of another site may change nothing here"
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not secrets.compare_digest(given.strip().encode(), self._token.encode()):
            return "changes need the token of the service, as Authorization: Bearer …"
        return None
