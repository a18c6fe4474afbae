"""The cache that is looked at, whatever client it is in."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from anyio import to_thread

from ..diagnostics.snapshot import Figures, measure
from ..errors import ConfigurationError, ConfigurationTypeError
from ..support.showing import is_relative, shown
from ..transport.base import Mounted

if TYPE_CHECKING:
    from ..diagnostics.doctor import Finding
    from ..diagnostics.explain import Explanation
    from ..storage.entry import StoredResponse
    from ..telemetry.event_log import Event
    from ..transport.warming import Warmed

__all__ = ["Subject"]


class Subject:
    """One cache, asked and told things from an event loop.

    - `client`: a `CacheTransport`, a `CacheClient`, a `pyWATS`, the async ones. With a client, paths are relative to
      its base URL, and its own credentials are used.
    - `name`: how it is called in figures.
    - `elsewhere`: the client is used in another event loop, if in any.

    Raises ConfigurationTypeError for anything else.
    """

    def __init__(self, client: Any, name: str = "default", *, elsewhere: bool = False) -> None:
        self.name = name
        self._elsewhere = elsewhere
        self._client = client
        if self.transport is None and not hasattr(client, "cache"):
            raise ConfigurationTypeError(
                f"client must be a cache transport or a client with a cache, not {shown(client)}"
            )

    @property
    def transport(self) -> Mounted | None:
        """The cache as it is now; None while it is off."""
        mounted = self._client if isinstance(self._client, Mounted) else getattr(self._client, "cache", None)
        return mounted if isinstance(mounted, Mounted) else None

    @property
    def _http(self) -> Any:
        """The httpx client, or the transport where there is none."""
        inner = getattr(self._client, "_http_client", self._client)
        return getattr(inner, "_client", None) or inner

    def _mounted(self) -> Mounted:
        mounted = self.transport
        if mounted is None:
            raise LookupError("the cache is off")
        return mounted

    def figures(self) -> Figures | None:
        """All figures; None while the cache is off."""
        mounted = self.transport
        return None if mounted is None else measure(mounted._engine)

    def now(self) -> float:
        """The time on the cache's clock."""
        return self._mounted()._engine.now()

    def entries(self) -> list[StoredResponse]:
        """What is in memory now."""
        storage = self._mounted()._engine.storage
        with storage.lock:
            return [item for item in storage.table.items.values() if hasattr(item, "rule")]

    def events(self) -> list[Event]:
        """The last requests that were no plain hits, and invalidations; oldest first."""
        return list(self._mounted()._engine.journal.recent)

    def findings(self) -> list[Finding]:
        """What the doctor says."""
        return self._mounted().doctor()

    async def explain(self, method: str, url: str) -> Explanation:
        """What would happen to a request of this client now. Raises ConfigurationError for what is no URL."""
        mounted = self._mounted()
        try:
            request = self._request(method.upper(), _address(url))
        except Exception:  # noqa: BLE001 - its InvalidURL, whichever library it is, is no ValueError and repeats a part
            raise ConfigurationError(
                f"url cannot be used: it must be a path or a URL such as https://wats.example/api, not {shown(url)}"
            ) from None
        # In a thread whatever the client is, for it may ask a storage that processes share.
        return await to_thread.run_sync(partial(mounted._explain, request, mounted._caller(), asks=True))

    async def invalidate(self, path: str | None, tags: tuple[str, ...], soft: bool) -> None:
        """As the transport's `invalidate`."""
        mounted: Any = self._mounted()
        await _done(lambda: mounted.invalidate(path, tags=tags, soft=soft))

    async def clear(self) -> None:
        """As the transport's `clear`."""
        mounted: Any = self._mounted()
        await _done(mounted.clear)

    async def warm(self, urls: Iterable[str], concurrency: int) -> Warmed:
        """Fetch ahead what is not fresh; URLs without a host are relative to the client's base URL.

        Raises ConfigurationError for what the rules do not read, for it may write, and for a URL of another origin than
        that one, which must not get the client's credentials.
        """
        urls = list(urls)
        self._check_that_all_are_reads(urls)
        if self._elsewhere and self._mounted()._is_async:
            raise LookupError("an async client can be warmed in its own event loop only")
        warm: Any = getattr(self._http, "warm", None) or getattr(self._mounted(), "warm")  # noqa: B009
        result: Warmed = await _done(lambda: warm(urls, concurrency=concurrency))
        return result

    def _request(self, method: str, url: str) -> Any:
        """A request as the client builds it, or its transport's library where that has no client."""
        build = getattr(self._http, "build_request", None) or self._mounted()._library.request
        return build(method, url)

    def _check_that_all_are_reads(self, urls: list[str]) -> None:
        mounted, base = self._mounted(), getattr(self._http, "base_url", None)
        for url in urls:
            try:
                target = self._request("GET", _address(url)).url
            except Exception:  # noqa: BLE001, S112 - it cannot be sent anywhere, and counts as failed
                continue
            decision = mounted.controller.decide("GET", target.raw_path.decode("ascii").partition("?")[0])
            if decision.kind != "read":
                raise ConfigurationError(f"urls must be cached, and {target.path} is not: {decision.rule}")
            if base is not None and base.host and _origin(target) != _origin(base):
                raise ConfigurationError(f"urls must be at {_origin(base)}, not at {_origin(target)}")


async def _done(call: Any) -> Any:
    """The result of a call that may be sync (then in a thread: it may block) or async."""
    result = await to_thread.run_sync(call)
    return await result if inspect.isawaitable(result) else result


def _address(url: str) -> str:
    """`url`, unless it is a mistyped one, which httpx takes for a path. Raises ValueError."""
    if not is_relative(url) and not url.lower().startswith(("http://", "https://")):
        raise ValueError("no URL of a server")
    return url


def _origin(url: Any) -> str:
    return f"{url.scheme}://{url.netloc.decode('ascii')}"
