"""The transports and clients on httpx."""

from __future__ import annotations

import httpx
from httpx._content import encode_json

from .aio import AsyncCache
from .body import AsyncTee, LookedUp, StoredBody, StoredHeaders, Tee
from .clients import AsyncCachingClient, SyncCachingClient
from .library import Library
from .sync import SyncCache

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


class CacheClient(SyncCachingClient[httpx.Request, httpx.Response], httpx.Client):  # type: ignore[misc]
    """An `httpx.Client` that caches: `CacheClient(controller=Controller(ttl=60.0), base_url=…)`.

    A plain `get` asks the cache before httpx builds a request, which makes a hit many times faster. `cache` is the
    cache transport: `.stats`, `.invalidate()`, `.clear()`, `.warm()`, `.explain()`, `.doctor()`.
    """

    _transport_class = CacheTransport
    _client_class = httpx.Client
    cache: CacheTransport


class AsyncCacheClient(AsyncCachingClient[httpx.Request, httpx.Response], httpx.AsyncClient):  # type: ignore[misc]
    """An `httpx.AsyncClient` that caches: `AsyncCacheClient(controller=Controller(ttl=60.0), base_url=…)`.

    A plain `get` asks the cache before httpx builds a request, which makes a hit many times faster; it does not
    suspend then. `cache` is the cache transport; its methods that change or fetch are awaited.
    """

    _transport_class = AsyncCacheTransport
    _client_class = httpx.AsyncClient
    cache: AsyncCacheTransport
