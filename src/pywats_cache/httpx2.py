"""The transports and clients on httpx2, the living fork of httpx. The same engine, storage and rules serve both."""

# Written by tests/package/httpx2_face.py from httpx.py: change that, and run it.

from __future__ import annotations

from typing import TYPE_CHECKING

from .support.lazy import needs

try:
    import httpx2
    from httpx2._client import BoundAsyncStream, BoundSyncStream
    from httpx2._content import encode_json
except ModuleNotFoundError as _error:
    raise needs("httpx2", _error) from None

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

    from httpx2._types import AuthTypes, CertTypes, CookieTypes, HeaderTypes, ProxyTypes, QueryParamTypes, TimeoutTypes
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
        limits: httpx2.Limits
        max_redirects: int
        event_hooks: Mapping[str, list[Callable[..., object]]] | None
        base_url: httpx2.URL | str
        default_encoding: str | Callable[[bytes], str]

    class _SyncOptions(_Options, total=False):
        transport: httpx2.BaseTransport | None
        mounts: Mapping[str, httpx2.BaseTransport | None] | None

    class _AsyncOptions(_Options, total=False):
        transport: httpx2.AsyncBaseTransport | None
        mounts: Mapping[str, httpx2.AsyncBaseTransport | None] | None


__all__ = ["AsyncCacheClient", "AsyncCacheTransport", "CacheClient", "CacheTransport"]


class CachedResponse(StoredBody, httpx2.Response):
    """A Response whose body is stored."""


class LookedUpResponse(LookedUp, httpx2.Response):
    """A Response that is read already, and gets its request when somebody asks for it."""


class _IncomingResponse(IncomingResponse, httpx2.Response):
    """A Response whose body is still to come."""


class _AsyncIncomingResponse(AsyncIncomingResponse, httpx2.Response):
    """The same of the async transport."""


class CachedHeaders(StoredHeaders, httpx2.Headers):
    """The header fields of a stored answer."""


class _IncomingStream(IncomingStream, httpx2.SyncByteStream):
    __slots__ = ()


class _AsyncIncomingStream(AsyncIncomingStream, httpx2.AsyncByteStream):
    __slots__ = ()


class _Tee(Tee, httpx2.SyncByteStream):
    pass


class _AsyncTee(AsyncTee, httpx2.AsyncByteStream):
    pass


LIBRARY = Library(
    name="httpx2",
    request=httpx2.Request,
    response=httpx2.Response,
    cached_response=CachedResponse,
    looked_up_response=LookedUpResponse,
    headers=CachedHeaders,
    byte_stream=httpx2.ByteStream,
    tee=_Tee,
    async_tee=_AsyncTee,
    incoming_response=_IncomingResponse,
    async_incoming_response=_AsyncIncomingResponse,
    incoming_stream=_IncomingStream,
    async_incoming_stream=_AsyncIncomingStream,
    bound_streams=(BoundSyncStream, BoundAsyncStream),
    timeouts=lambda given: None if given is httpx2.USE_CLIENT_DEFAULT else httpx2.Timeout(given).as_dict(),
    encode_json=lambda json: b"".join(encode_json(json)[1]),
    not_sent=(httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol),
    request_error=httpx2.RequestError,
    unreachable=(httpx2.TimeoutException, httpx2.NetworkError, httpx2.RemoteProtocolError, httpx2.ProxyError),
)


class CacheTransport(SyncCache, httpx2.BaseTransport):
    """Caches what goes through it: `httpx2.Client(transport=CacheTransport())`.

    ```python
    client = httpx2.Client(transport=CacheTransport(controller=Controller(ttl=60.0)))
    client.get(url).extensions["pywats_cache"]    # CacheOutcome(status="miss", reason="unknown", …)
    ```
    """

    __module__ = "pywats_cache.httpx2"

    _library = LIBRARY
    _next_class = httpx2.HTTPTransport
    _calls = "handle_request"

    if TYPE_CHECKING:

        def handle_request(self, request: httpx2.Request) -> httpx2.Response: ...  # noqa: D102 - the base says it


class AsyncCacheTransport(AsyncCache, httpx2.AsyncBaseTransport):
    """Caches what goes through it: `httpx2.AsyncClient(transport=AsyncCacheTransport())`, on asyncio and trio."""

    __module__ = "pywats_cache.httpx2"

    _library = LIBRARY
    _next_class = httpx2.AsyncHTTPTransport
    _calls = "handle_async_request"

    if TYPE_CHECKING:

        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response: ...  # noqa: D102 - the base says it


class CacheClient(SyncCachingClient[httpx2.Request, httpx2.Response], httpx2.Client):  # type: ignore[misc]
    """An `httpx2.Client` that caches: `CacheClient(controller=Controller(ttl=60.0), base_url=…)`.

    A plain `get` asks the cache before httpx2 builds a request, which makes a hit many times faster. `cache` is the
    cache transport: `.stats`, `.invalidate()`, `.clear()`, `.warm()`, `.explain()`, `.doctor()`.
    """

    __module__ = "pywats_cache.httpx2"

    _transport_class = CacheTransport
    _client_class = httpx2.Client
    cache: CacheTransport

    if TYPE_CHECKING:  # the library's own arguments, which the code hands on unseen

        def __init__(self, **options: Unpack[_SyncOptions]) -> None: ...


class AsyncCacheClient(AsyncCachingClient[httpx2.Request, httpx2.Response], httpx2.AsyncClient):  # type: ignore[misc]
    """An `httpx2.AsyncClient` that caches: `AsyncCacheClient(controller=Controller(ttl=60.0), base_url=…)`.

    A plain `get` asks the cache before httpx2 builds a request, which makes a hit many times faster; it does not
    suspend then. `cache` is the cache transport; its methods that do I/O are awaited.
    """

    __module__ = "pywats_cache.httpx2"

    _transport_class = AsyncCacheTransport
    _client_class = httpx2.AsyncClient
    cache: AsyncCacheTransport

    if TYPE_CHECKING:  # the library's own arguments, which the code hands on unseen

        def __init__(self, **options: Unpack[_AsyncOptions]) -> None: ...
