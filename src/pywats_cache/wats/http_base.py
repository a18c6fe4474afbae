"""What the SDK's HTTP clients with the cache mounted share: the mount, and the face of those that are awaited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError
from ..storage.entry import known_age
from ..support.checks import text
from ..support.clock import monotonic
from ..support.showing import shown_address
from .http_call import Exchange
from .patterns import invalidate_matching
from .rules import prefix_of, server_of
from .sync_bridge import deadline

if TYPE_CHECKING:
    from collections.abc import Callable

    from pywats.core.client import Response

    from ..transport.base import Mounted
    from .options import CacheOptions

__all__ = ["Awaitable", "Mounting"]


class Mounting(Exchange):
    """The cache of a client: mounted at construction, kept over `close()` and a later reopening.

    The SDK's own cache is built off below (two caches would stack), and what it offers goes to ours.
    """

    _options: CacheOptions
    _mounted: Mounted | None = None
    base_url: str
    token: str
    verify_ssl: bool

    def __init__(self, *, base_url: str, **arguments: Any) -> None:
        # The SDK names and logs by its address, so it gets one without what may be a secret.
        shown = shown_address(text("base_url", base_url, "https://wats.example"))
        super().__init__(base_url=shown, **arguments)  # type: ignore[call-arg]
        if shown != base_url:
            self.base_url = server_of(base_url)

    def _open(self) -> Any:
        raise NotImplementedError

    def _start(self, options: CacheOptions) -> None:
        if isinstance(self.token, str) and not (self.token.isascii() and self.token.isprintable()):
            # Else the first call fails, with a message that repeats it.
            raise ConfigurationError("token must be printable ASCII, on one line: it is sent as a header")
        self._options = options
        self._cache_enabled = options.enabled
        self._prefix = prefix_of(self.base_url)
        self._client = self._open()
        if options.enabled:
            self._mounted = options.transport or self._client.cache
            self._storage = self._client.cache._engine.storage
        self._is_genuine = self._is_foreign = type(self)._is_genuine
        self._attributes = len({*self.__dict__, "_attributes"})

    def _settings(self) -> dict[str, Any]:
        """What the SDK gives to httpx."""
        self._mounted_headers = self._headers.copy()
        return {
            "base_url": self.base_url,
            "headers": self._headers,
            "timeout": self.timeout,
            "verify": self.verify_ssl,
            "follow_redirects": True,
        }

    @property
    def _breaker(self) -> Any:
        return self._circuit_breaker if self._circuit_breaker_enabled else None

    @property
    def _reused(self) -> Any:
        """Our own cache transport of the client that was closed."""
        return None if self._options.transport is not None else self._mounted

    def ttl_of(self, method: str, path: str) -> float:
        """Seconds for which an answer to this may be stored; 0.0 for what is not cached, or with the cache off."""
        if self._mounted is None or self._mounted._engine.is_disabled:
            return 0.0
        decision = self._mounted.controller.decide(method, self._prefix + path)
        return decision.ttl if decision.kind == "read" else 0.0

    def held_since(self, path: str) -> float | None:
        """When the stored answer to a GET of `path` was fetched, on the cache's clock; None if there is none.

        Only memory is asked. Nothing is sent or counted.
        """
        if self._mounted is None or self._client is None:
            return None
        request = self._client.build_request("GET", path, headers=self._headers)
        found = self._mounted._explain(request, self._mounted._caller(), asks=False)
        if found.key is None or not found.stored or found.dirtied_by is not None:
            return None
        entry = self._mounted._engine.storage.find(found.key)
        return None if entry is None or known_age(entry.began) is None else entry.began

    def clock(self) -> float:
        """The time on the cache's clock, or on the system's with the cache off."""
        return monotonic() if self._mounted is None else self._mounted._engine.now()

    def _known(self, endpoint: str, params: dict[str, Any] | None, kwargs: dict[str, Any]) -> Response | None:
        """The stored answer to a GET, unless the caller says `cache=False`; then the request will say so, too."""
        if kwargs.pop("cache", True):
            return self._stored("GET", endpoint, params, None, kwargs)
        kwargs["directives"] = {"bypass": True}
        return None


class Awaitable(Mounting):
    """The asynchronous face, whether over an async client or over a sync one."""

    async def _opened(self) -> Any:
        return await self._get_client()  # type: ignore[attr-defined]

    async def _make_request(
        self,
        method: str,
        endpoint: str,
        params: dict[str, Any] | None = None,
        data: Any = None,
        headers: dict[str, str] | None = None,
        retry: bool | None = None,
        *,
        directives: dict[str, Any] | None = None,
    ) -> Response:
        return await self._exchange(method, endpoint, params, data, headers, retry, directives, deadline.get())

    async def get(self, endpoint: str, params: dict[str, Any] | None = None, **kwargs: Any) -> Response:
        """A GET, unless a fresh answer is stored.

        - `cache=False` goes around the cache for this call.
        - `headers`, `retry`: for this call.
        """
        found = self._known(endpoint, params, kwargs)
        if found is not None:
            return found
        return await self._make_request("GET", endpoint, params=params, **kwargs)

    async def refreshed(self, endpoint: str, params: dict[str, Any] | None = None, **kwargs: Any) -> Response:
        """A GET whose answer is fetched anew, and stored."""
        directives = {"refresh": True} if kwargs.pop("cache", True) else {"bypass": True}
        return await self._make_request("GET", endpoint, params=params, directives=directives, **kwargs)

    async def bounded(self, endpoint: str, params: dict[str, Any] | None, ttl: float, **kwargs: Any) -> Response:
        """A GET whose stored answer is used up to the age of `ttl` seconds."""
        directives = {"ttl": ttl} if kwargs.pop("cache", True) else {"bypass": True}
        return await self._make_request("GET", endpoint, params=params, directives=directives, **kwargs)

    async def post(
        self, endpoint: str, data: Any = None, params: dict[str, Any] | None = None, **kwargs: Any
    ) -> Response:
        """A POST; one that only reads is answered from the cache, if a fresh answer to the same body is stored."""
        found = self._stored("POST", endpoint, params, data, kwargs)
        if found is not None:
            return found
        return await self._make_request("POST", endpoint, data=data, params=params, **kwargs)

    async def invalidate_cache(self, endpoint_pattern: str | None = None) -> None:
        """Forget the answers whose path contains `endpoint_pattern`; None: all of them.

        Answers under way are forgotten too. A pattern with a part of a query drops everything.
        """
        if self._mounted is not None:
            await self._change(invalidate_matching, self._mounted, endpoint_pattern)

    async def forget(self, *tags: str) -> None:
        """Make invalid what carries one of `tags`, for this client and all that share its storage."""
        if self._mounted is not None:
            await self._change(self._mounted._invalidate, None, tags, False)

    async def _change(self, step: Callable[..., object], *arguments: Any) -> None:
        """Run what makes something invalid, in the caller's thread."""
        step(*arguments)
