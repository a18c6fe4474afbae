"""The transports and clients on httpx."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
from httpx._client import BoundAsyncStream, BoundSyncStream
from httpx._content import encode_json

from .engine.http_library import Library
from .transport.asynchronous import AsyncCache
from .transport.cached_response import LookedUp, StoredBody, StoredHeaders
from .transport.client import AsyncCachingClient, SyncCachingClient
from .transport.incoming import AsyncIncomingResponse, AsyncIncomingStream, IncomingResponse, IncomingStream
from .transport.streams import AsyncTee, Tee
from .transport.sync import SyncCache

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from httpx._types import AuthTypes, CertTypes, CookieTypes, HeaderTypes, ProxyTypes, QueryParamTypes, TimeoutTypes
    from typing_extensions import Unpack

    from .transport.client import CacheArguments

    class _Options(CacheArguments, total=False):
        auth: AuthTypes | None
        params: QueryParamTypes | None
        headers: HeaderTypes | None
        cookies: CookieTypes | None
        verify: ssl.SSLContext | str | bool
        cert: CertTypes | None
        trust_env: bool
        http1: bool
        http2: bool
        proxy: ProxyTypes | None
        timeout: TimeoutTypes
        follow_redirects: bool
        limits: httpx.Limits
        max_redirects: int
        event_hooks: Mapping[str, list[Callable[..., object]]] | None
        base_url: httpx.URL | str
        default_encoding: str | Callable[[bytes], str]

    class _SyncOptions(_Options, total=False):
        transport: httpx.BaseTransport | None
        mounts: Mapping[str, httpx.BaseTransport | None] | None

    class _AsyncOptions(_Options, total=False):
        transport: httpx.AsyncBaseTransport | None
        mounts: Mapping[str, httpx.AsyncBaseTransport | None] | None


__all__ = ["AsyncCacheClient", "AsyncCacheTransport", "CacheClient", "CacheTransport"]


class CachedResponse(StoredBody, httpx.Response):
    """A Response whose body is stored."""


class LookedUpResponse(LookedUp, httpx.Response):
    """A Response that is read already, and gets its request when somebody asks for it."""


class _IncomingResponse(IncomingResponse, httpx.Response):
    """A Response whose body is still to come."""


class _AsyncIncomingResponse(AsyncIncomingResponse, httpx.Response):
    """The same of the async transport."""


class CachedHeaders(StoredHeaders, httpx.Headers):
    """The header fields of a stored answer."""


class _IncomingStream(IncomingStream, httpx.SyncByteStream):
    __slots__ = ()


class _AsyncIncomingStream(AsyncIncomingStream, httpx.AsyncByteStream):
    __slots__ = ()


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
    incoming_response=_IncomingResponse,
    async_incoming_response=_AsyncIncomingResponse,
    incoming_stream=_IncomingStream,
    async_incoming_stream=_AsyncIncomingStream,
    bound_streams=(BoundSyncStream, BoundAsyncStream),
    timeouts=lambda given: None if given is httpx.USE_CLIENT_DEFAULT else httpx.Timeout(given).as_dict(),
    encode_json=lambda json: b"".join(encode_json(json)[1]),
    not_sent=(httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol),
    request_error=httpx.RequestError,
    unreachable=(httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError, httpx.ProxyError),
)


class CacheTransport(SyncCache, httpx.BaseTransport):
    """Caches what goes through it: `httpx.Client(transport=CacheTransport())`.

    ```python
    client = httpx.Client(transport=CacheTransport(controller=Controller(ttl=60.0)))
    client.get(url).extensions["pywats_cache"]    # CacheOutcome(status="miss", reason="unknown", …)
    ```
    """

    __module__ = "pywats_cache"

    _library = LIBRARY
    _next_class = httpx.HTTPTransport
    _calls = "handle_request"

    if TYPE_CHECKING:

        def handle_request(self, request: httpx.Request) -> httpx.Response: ...  # noqa: D102 - the base says it


class AsyncCacheTransport(AsyncCache, httpx.AsyncBaseTransport):
    """Caches what goes through it: `httpx.AsyncClient(transport=AsyncCacheTransport())`, on asyncio and trio."""

    __module__ = "pywats_cache"

    _library = LIBRARY
    _next_class = httpx.AsyncHTTPTransport
    _calls = "handle_async_request"

    if TYPE_CHECKING:

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response: ...  # noqa: D102 - the base says it


class CacheClient(SyncCachingClient[httpx.Request, httpx.Response], httpx.Client):  # type: ignore[misc]
    """An `httpx.Client` that caches: `CacheClient(controller=Controller(ttl=60.0), base_url=…)`.

    A plain `get` asks the cache before httpx builds a request, which makes a hit many times faster. `cache` is the
    cache transport: `.stats`, `.invalidate()`, `.clear()`, `.warm()`, `.explain()`, `.doctor()`.
    """

    __module__ = "pywats_cache"

    _transport_class = CacheTransport
    _client_class = httpx.Client
    cache: CacheTransport

    if TYPE_CHECKING:  # the library's own arguments, which the code hands on unseen

        def __init__(self, **options: Unpack[_SyncOptions]) -> None: ...


class AsyncCacheClient(AsyncCachingClient[httpx.Request, httpx.Response], httpx.AsyncClient):  # type: ignore[misc]
    """An `httpx.AsyncClient` that caches: `AsyncCacheClient(controller=Controller(ttl=60.0), base_url=…)`.

    A plain `get` asks the cache before httpx builds a request, which makes a hit many times faster; it does not
    suspend then. `cache` is the cache transport; its methods that do I/O are awaited.
    """

    __module__ = "pywats_cache"

    _transport_class = AsyncCacheTransport
    _client_class = httpx.AsyncClient
    cache: AsyncCacheTransport

    if TYPE_CHECKING:  # the library's own arguments, which the code hands on unseen

        def __init__(self, **options: Unpack[_AsyncOptions]) -> None: ...
