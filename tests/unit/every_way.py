"""One cache, asked in every way there is: sync and async, through a mounted transport and through our client."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from pywats_cache import Controller

WAYS = ["sync transport", "async transport", "sync client", "async client"]
MODES = {
    "ttl": Controller(ttl=60.0),
    "rfc": Controller(ttl=60.0, rfc9111=True),
}


class Asking:
    """A client that is asked as sync code asks, whatever its kind."""

    def __init__(self, lib: SimpleNamespace, origin: Any, way: str, **parts: Any) -> None:
        kind, _, what = way.partition(" ")
        prefix = "Async" if kind == "async" else ""
        self.lib, self.origin = lib, origin
        self.loop = asyncio.new_event_loop() if prefix else None
        if what == "client":
            self.client = getattr(lib, f"{prefix}CacheClient")(transport=origin.transport, **parts)
            self.cache = self.client.cache
        else:
            self.cache = getattr(lib, f"{prefix}CacheTransport")(origin.transport, **parts)
            self.client = getattr(lib.http, f"{prefix}Client")(transport=self.cache)

    def __call__(
        self,
        method: str = "GET",
        path: str = "/a",
        fields: list[tuple[bytes, bytes]] | dict[str, str] | None = None,
        content: bytes | None = None,
        **directives: Any,
    ) -> Any:
        """The response to a request with these raw header fields and directives."""
        extensions = {"pywats_cache": directives} if directives else {}
        # Not by the client's build_request, which takes no header name beyond ASCII.
        sent = self.lib.http.Request(
            method, f"http://origin{path}", headers=fields, content=content, extensions=extensions
        )
        return self._run(self.client.send(sent))

    def get(self, path: str = "/a") -> Any:
        """A plain `get`, which a client may answer before it builds a request."""
        return self._run(self.client.get(f"http://origin{path}"))

    def _run(self, result: Any) -> Any:
        return result if self.loop is None else self.loop.run_until_complete(result)

    def close(self) -> None:
        if self.loop is None:
            self.client.close()
        else:
            self.loop.run_until_complete(self.client.aclose())
            self.loop.close()


def status(response: Any) -> tuple[str, str]:
    outcome = response.extensions["pywats_cache"]
    return outcome.status, outcome.reason
