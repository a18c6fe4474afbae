"""The transports and clients on httpx."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import httpx
from httpx._content import encode_json

from .aio import AsyncCache
from .body import AsyncTee, LookedUp, StoredBody, StoredHeaders, Tee
from .clients import CachingClient
from .library import Library
from .sync import SyncCache

if TYPE_CHECKING:
    from .warming import Progress, Warmed

__all__ = ["AsyncCacheClient", "AsyncCacheTransport", "CacheClient", "CacheTransport"]


class CachedResponse(StoredBody, httpx.Response):
    """A Response that was born read."""


class LookedUpResponse(LookedUp, httpx.Response):
    """A Response that was born read, and gets its request when somebody asks for it."""


class CachedHeaders(StoredHeaders, httpx.Headers):
    """The header fields of a stored answer."""


class _Tee(Tee, httpx.SyncByteStream):
    pass


class _AsyncTee(AsyncTee, httpx.AsyncByteStream):
    pass


LIBRARY = Library(
    name="httpx",
    request=httpx.Request,
    response=httpx.Response,
    cached_response=CachedResponse,
    looked_up_response=LookedUpResponse,
    headers=CachedHeaders,
    byte_stream=httpx.ByteStream,
    tee=_Tee,
    async_tee=_AsyncTee,
    encode_json=lambda json: b"".join(encode_json(json)[1]),
    not_sent=(httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol),
    unreachable=(httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError, httpx.ProxyError),
)


class CacheTransport(SyncCache, httpx.BaseTransport):
    """Caches what goes through it: `httpx.Client(transport=CacheTransport())`.

    ```python
    client = httpx.Client(transport=CacheTransport(controller=Controller(ttl=60.0)))
    client.get(url).extensions["pywats_cache"]    # CacheOutcome(status="miss", reason="unknown", …)
    ```
    """

    _library = LIBRARY
    _next_class = httpx.HTTPTransport
    _calls = "handle_request"


class AsyncCacheTransport(AsyncCache, httpx.AsyncBaseTransport):
    """Caches what goes through it: `httpx.AsyncClient(transport=AsyncCacheTransport())`, on asyncio and trio."""

    _library = LIBRARY
    _next_class = httpx.AsyncHTTPTransport
    _calls = "handle_async_request"


class CacheClient(CachingClient, httpx.Client):  # type: ignore[misc]
    """An `httpx.Client` that caches: `CacheClient(controller=Controller(ttl=60.0), base_url=…)`.

    A plain `get` asks the cache before httpx builds a request, which makes a hit many times faster.
    """

    _transport_class = CacheTransport
    _client_class = httpx.Client
    _transport: CacheTransport

    def warm(
        self, items: Iterable[str | httpx.Request], *, concurrency: int = 4, progress: Progress | None = None
    ) -> Warmed:
        """Fetch ahead what is not fresh, as this client would: requests, or URLs. See `CacheTransport.warm`."""
        from .warming import warm

        return warm(self._send_or_get, items, concurrency, progress)

    def _send_or_get(self, item: str | httpx.Request) -> httpx.Response:
        return self.get(item) if isinstance(item, str) else self.send(item)

    @property
    def cache(self) -> CacheTransport:
        """The cache transport: `.stats`, `.invalidate()`, `.clear()`, `.controller`, `.storage`."""
        return self._transport

    def get(self, url: httpx.URL | str, **options: Any) -> httpx.Response:
        """Send a GET, unless a fresh answer is stored. The options are those of `httpx.Client.get`."""
        response: httpx.Response | None = self._door.answer(url, options)
        return super().get(url, **options) if response is None else response


class AsyncCacheClient(CachingClient, httpx.AsyncClient):  # type: ignore[misc]
    """An `httpx.AsyncClient` that caches: `AsyncCacheClient(controller=Controller(ttl=60.0), base_url=…)`.

    A plain `get` asks the cache before httpx builds a request, which makes a hit many times faster; it does not
    suspend then.
    """

    _transport_class = AsyncCacheTransport
    _client_class = httpx.AsyncClient
    _transport: AsyncCacheTransport

    async def warm(
        self, items: Iterable[str | httpx.Request], *, concurrency: int = 4, progress: Progress | None = None
    ) -> Warmed:
        """Fetch ahead what is not fresh, as this client would: requests, or URLs. See `AsyncCacheTransport.warm`."""
        from .warming import warm_async

        return await warm_async(self._send_or_get, items, concurrency, progress)

    async def _send_or_get(self, item: str | httpx.Request) -> httpx.Response:
        return await (self.get(item) if isinstance(item, str) else self.send(item))

    @property
    def cache(self) -> AsyncCacheTransport:
        """The cache transport: `.stats`, `await .invalidate()`, `await .clear()`, `.controller`, `.storage`."""
        return self._transport

    async def get(self, url: httpx.URL | str, **options: Any) -> httpx.Response:
        """Send a GET, unless a fresh answer is stored. The options are those of `httpx.AsyncClient.get`."""
        response: httpx.Response | None = self._door.answer(url, options)
        return await super().get(url, **options) if response is None else response
