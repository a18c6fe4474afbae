"""Origins whose answers go stale, and what became of a request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pywats_cache import CacheOutcome

Outcome = Callable[[Any], CacheOutcome]
ETAG = {"headers": {"ETag": '"1"'}}


def status(response: Any) -> tuple[str, str]:
    outcome = response.extensions["pywats_cache"]
    return outcome.status, outcome.reason


def versioned(origin: Any, tag: str = '"1"') -> None:
    """The origin has one version, and says 304 to who holds it."""

    def reply(request: Any) -> Any:
        if request.headers.get("If-None-Match") == tag:
            return origin.http.Response(304, headers={"ETag": tag, "X-Count": str(origin.count)})
        return origin.http.Response(200, headers={"ETag": tag, "X-Count": str(origin.count)}, text=f"version {tag}")

    origin.reply = reply


def unreachable(origin: Any) -> None:
    def reply(request: Any) -> Any:
        raise origin.http.ConnectError("refused")

    origin.reply = reply
