"""A running service, asked over HTTP."""

from __future__ import annotations

from typing import Any

import httpx

from ..support.showing import shown_url
from .asking import Asking, Progress, check_field
from .output import REFUSED, UNREACHABLE, USAGE, fail

__all__ = ["Service"]

TIMEOUT = 10.0
WARMING_TIMEOUT = 600.0
BATCH = 32
"""URLs warmed by one request, so that there is progress to show."""

_SAYS = {
    "/cache/stats": "enabled",
    "/cache/entries": "entries",
    "/cache/explain": "text",
    "/cache/doctor": "findings",
    "/cache/warm": "fetched",
    "/cache/invalidate": "invalidated",
    "/cache/clear": "cleared",
}
"""What an answer must have, lest another program that answers everything with JSON be taken for a service."""


class Service:
    """The service at `url`; changes need its `token`. See `Target`."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self.name: str = shown_url(self._url)
        check_field("--token (PYWATS_CACHE_TOKEN)", token)
        self._token = token

    def stats(self, progress: Progress) -> dict[str, Any]:
        """All figures of the cache."""
        return self._ask("/cache/stats")

    def entries(self, sort: str | None, match: str, tag: str | None, limit: int, progress: Progress) -> dict[str, Any]:
        """What is in its memory."""
        return self._ask("/cache/entries", sort=sort or "hits", match=match, tag=tag, limit=limit)

    def explain(self, method: str, url: str, asking: Asking) -> dict[str, Any]:
        """What would happen to a request of the service's client."""
        self._needs_nothing(asking)
        return self._ask("/cache/explain", method=method, url=url)

    def doctor(self, progress: Progress) -> dict[str, Any]:
        """What its statistics say is wrong."""
        return self._ask("/cache/doctor")

    def warm(self, urls: list[str], concurrency: int, asking: Asking, progress: Progress) -> dict[str, Any]:
        """Let the service's client fetch."""
        self._needs_nothing(asking)
        total = {"total": 0, "fetched": 0, "fresh": 0, "failed": 0}
        for start in range(0, len(urls), BATCH):
            wanted = {"urls": urls[start : start + BATCH], "concurrency": concurrency}
            done = self._tell("/cache/warm", wanted, WARMING_TIMEOUT)
            total = {name: total[name] + done[name] for name in total}
            progress(total["total"], len(urls))
        return total

    def invalidate(self, path: str | None, tags: list[str], soft: bool) -> None:
        """As the `invalidate` of the service's client."""
        self._tell("/cache/invalidate", {"path": path, "tags": tags, "soft": soft})

    def clear(self) -> int:
        """As the `clear` of the service's client."""
        return int(self._tell("/cache/clear", {})["cleared"])

    @staticmethod
    def _needs_nothing(asking: Asking) -> None:
        if asking != Asking():
            fail("--rules, --header and --authorize are for a store: a service has a client with its own", USAGE)

    def _ask(self, path: str, **parameters: Any) -> dict[str, Any]:
        return self._answer("GET", path, params={k: value for k, value in parameters.items() if value is not None})

    def _tell(self, path: str, document: dict[str, Any], timeout: float = TIMEOUT) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}  # an empty one httpx would not send
        return self._answer("POST", path, json=document, headers=headers, timeout=timeout)

    def _answer(self, method: str, path: str, *, timeout: float = TIMEOUT, **options: Any) -> dict[str, Any]:
        try:
            response = httpx.request(method, self._url + path, timeout=timeout, trust_env=False, **options)
        except httpx.InvalidURL:
            fail(f"{self.name} is not an address such as http://127.0.0.1:8080", USAGE)
        except httpx.HTTPError as error:
            fail(
                f"no service answers at {self.name} ({type(error).__name__}). Give --url, or start one: a station "
                "service, `pywats-cache serve`, or pywats_cache.web.serve(client) in a program.",
                UNREACHABLE,
            )
        try:
            document = response.json()
        except ValueError:
            document = None
        if not isinstance(document, dict) or ("error" if response.is_error else _SAYS[path]) not in document:
            fail(
                f"what answers at {self.name} is not a pywats-cache service (status {response.status_code})",
                UNREACHABLE,
            )
        if response.is_error:
            fail(str(document["error"]), USAGE if response.status_code in (400, 413) else REFUSED)
        return document
