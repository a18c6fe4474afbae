"""The page and the interface below a path, as a proxy offers them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["Prefixed"]


class Prefixed:
    """An ASGI application that answers below `prefix()` too; a proxy may pass that path on, or take it away.

    Nothing in the page or in an answer names a path from the root, so neither needs to know which of both it does.
    """

    def __init__(self, app: Any, prefix: Callable[[], str]) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """As ASGI has it."""
        prefix = self._prefix().rstrip("/")
        path = scope.get("path", "")
        if prefix and path.startswith(f"{prefix}/"):
            scope = {**scope, "path": path[len(prefix) :]}
        elif prefix and path == prefix:
            # Where the address has no slash at its end, a browser takes the page's files for siblings of it.
            scope = {**scope, "path": "/", "pywats_cache.from": prefix.rpartition("/")[2]}
        await self._app(scope, receive, send)
