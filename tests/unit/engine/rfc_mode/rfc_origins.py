"""Origins and types of the tests of RFC 9111 mode; its fixtures are in conftest.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pywats_cache import CacheOutcome, Controller

Make = Callable[..., Any]
Outcome = Callable[[Any], CacheOutcome]
Said = Callable[..., None]

RFC = Controller(rfc9111=True)


def unchanged(origin: Any, **named: str) -> None:
    """From now on the server answers with a 304."""
    headers = {name.replace("_", "-"): value for name, value in named.items()}
    origin.reply = lambda _: origin.http.Response(304, headers=headers)


def breaks(origin: Any) -> None:
    """From now on the server cannot be reached."""

    def fail(request: Any) -> Any:
        raise origin.http.ConnectError("refused", request=request)

    origin.reply = fail
