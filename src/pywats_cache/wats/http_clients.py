"""The SDK's HTTP clients with the cache mounted: `AsyncHttpClient`, `HttpClient`, and the one below `pyWATS`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import anyio
import httpx
from pywats.core import async_client as sdk_async
from pywats.core import client as sdk_sync
from pywats.core.circuit_breaker import CircuitBreakerConfig
from pywats.core.client import Response
from pywats.core.logging import get_logger
from pywats.core.retry import RetryConfig
from pywats.core.throttle import RateLimiter

from ..httpx import AsyncCacheClient, AsyncCacheTransport, CacheTransport
from ..policy.controller import Controller
from .http_base import Awaitable, Mounting
from .limiting import Call
from .options import DEFAULT_MAX_SIZE, DEFAULT_TTL, CacheOptions, check_options
from .patterns import invalidate_matching
from .sync_bridge import Deadline, run, sleep_here
from .transports import mount, mount_async

if TYPE_CHECKING:
    from collections.abc import Callable

    from pywats.core.metrics import MetricsCollector

    from ..support.durations import Duration


__all__ = ["AsyncHttpClient", "HttpClient", "ThreadHttpClient"]

# The SDK's connection pool.
_POOL = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=30.0)


class AsyncHttpClient(Awaitable, sdk_async.AsyncHttpClient):
    """The SDK's AsyncHttpClient with the cache mounted, on asyncio and trio.

    ```python
    async with AsyncHttpClient(base_url="https://wats.example", token="…") as client:
        response = await client.get("/api/Product/PN-1000")
    ```
    The arguments are those of the SDK, and the last five; see `check_options` for what they do and raise.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        timeout: float = 30.0,
        verify_ssl: bool = True,
        rate_limiter: RateLimiter | None = None,
        enable_throttling: bool = True,
        retry_config: RetryConfig | None = None,
        enable_cache: bool = True,
        cache_ttl: Duration = DEFAULT_TTL,
        cache_max_size: int = DEFAULT_MAX_SIZE,
        metrics_collector: MetricsCollector | None = None,
        circuit_breaker_config: CircuitBreakerConfig | None = None,
        enable_circuit_breaker: bool = True,
        *,
        cache_ttl_seconds: Duration | None = None,
        cache_transport: AsyncCacheTransport | None = None,
        cache_storage: Any = None,
        cache_controller: Controller | None = None,
        cache_record: str | os.PathLike[str] | None = None,
    ) -> None:
        options = check_options(
            AsyncCacheTransport,
            enable_cache=enable_cache,
            cache_ttl=cache_ttl,
            cache_max_size=cache_max_size,
            cache_ttl_seconds=cache_ttl_seconds,
            cache_transport=cache_transport,
            cache_storage=cache_storage,
            cache_controller=cache_controller,
            cache_record=cache_record,
        )
        super().__init__(
            base_url=base_url,
            token=token,
            timeout=timeout,
            verify_ssl=verify_ssl,
            rate_limiter=rate_limiter,
            enable_throttling=enable_throttling,
            retry_config=retry_config,
            enable_cache=False,
            metrics_collector=metrics_collector,
            circuit_breaker_config=circuit_breaker_config,
            enable_circuit_breaker=enable_circuit_breaker,
        )
        self._start(options)

    def _open(self) -> Any:
        settings = {**self._settings(), "limits": _POOL, "http2": True}
        return mount_async(self._options, self._rate_limiter, self._breaker, self._reused, **settings)

    async def _get_client(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = self._open()
        return self._client  # type: ignore[no-any-return]

    async def _attempts(self, client: Any, request: dict[str, Any], call: Call, retries: bool) -> Response:
        try:
            return await super()._attempts(client, request, call, retries)
        finally:
            await self._told(client, request)

    async def _told(self, client: Any, request: dict[str, Any]) -> None:
        """Tell the cache of now of a write that passed another or none, for it was mounted during the call."""
        if client is self._client or self.cache is None:
            return
        passed = client.cache._engine.storage if isinstance(client, AsyncCacheClient) else None
        if passed is not self._storage:
            try:
                made = client.build_request(**request)
            except Exception:  # noqa: BLE001 - then it was not sent, and its error is on the way
                return
            await self.cache._run(self.cache._engine.wrote_elsewhere, made)

    async def _send(self, client: httpx.AsyncClient, request: dict[str, Any]) -> httpx.Response:
        return await client.request(**request)

    async def _change(self, step: Callable[..., object], *arguments: Any) -> None:
        """Run what makes something invalid, in a worker thread where the storage does I/O."""
        assert self.cache is not None
        await self.cache._run(step, *arguments)

    async def _sleep(self, seconds: float, deadline: Deadline | None) -> None:
        await anyio.sleep(seconds)

    @property
    def cache(self) -> AsyncCacheTransport | None:  # type: ignore[override]
        """The cache: `.stats`, `await .invalidate()`, `await .clear()`, …; None if it is off."""
        return self._mounted  # type: ignore[return-value]

    async def clear_cache(self) -> None:
        """Forget all stored answers."""
        if self.cache is not None:
            await self.cache.clear()


class ThreadHttpClient(Awaitable, sdk_async.AsyncHttpClient):
    """Looks like the SDK's AsyncHttpClient, works like a sync one: nothing it returns ever waits for an event loop.

    The services below `pyWATS` run on it, in the caller's thread. Safe from any number of threads.
    """

    _client: Any

    def __init__(self, options: CacheOptions, **arguments: Any) -> None:
        super().__init__(enable_cache=False, **arguments)
        self._start(options)

    def _open(self) -> Any:
        settings = {**self._settings(), "limits": _POOL, "http2": True}
        return mount(self._options, self._rate_limiter, self._breaker, self._reused, **settings)

    async def _get_client(self) -> Any:
        if self._client is None:
            self._client = self._open()
        return self._client

    async def close(self) -> None:
        """Close the connections. The next call opens new ones; what is stored stays."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    async def _send(self, client: Any, request: dict[str, Any]) -> httpx.Response:
        answer: httpx.Response = client.request(**request)
        return answer

    async def _sleep(self, seconds: float, deadline: Deadline | None) -> None:
        sleep_here(seconds, deadline)

    @property
    def cache(self) -> CacheTransport | None:  # type: ignore[override]
        """The cache: `.stats`, `.invalidate()`, `.clear()`, `.controller`, `.storage`; None if it is off."""
        return self._mounted  # type: ignore[return-value]

    async def clear_cache(self) -> None:
        """Forget all stored answers."""
        if self.cache is not None:
            self.cache.clear()


class HttpClient(Mounting, sdk_sync.HttpClient):
    """The SDK's sync HttpClient with the cache mounted (the SDK's own never caches). Safe from any number of threads.

    ```python
    with HttpClient(base_url="https://wats.example", token="…") as client:
        response = client.get("/api/Product/PN-1000")
    ```
    The arguments are those of the SDK, and the last five; see `check_options` for what they do and raise.
    """

    _logger = get_logger("pywats.core.client")
    _traces_content = True
    _opens = "client"

    def __init__(
        self,
        base_url: str,
        token: str,
        timeout: float = 30.0,
        verify_ssl: bool = True,
        rate_limiter: RateLimiter | None = None,
        enable_throttling: bool = True,
        retry_config: RetryConfig | None = None,
        enable_cache: bool = True,
        cache_ttl: Duration = DEFAULT_TTL,
        cache_max_size: int = DEFAULT_MAX_SIZE,
        metrics_collector: MetricsCollector | None = None,
        *,
        cache_ttl_seconds: Duration | None = None,
        cache_transport: CacheTransport | None = None,
        cache_storage: Any = None,
        cache_controller: Controller | None = None,
        cache_record: str | os.PathLike[str] | None = None,
    ) -> None:
        options = check_options(
            CacheTransport,
            enable_cache=enable_cache,
            cache_ttl=cache_ttl,
            cache_max_size=cache_max_size,
            cache_ttl_seconds=cache_ttl_seconds,
            cache_transport=cache_transport,
            cache_storage=cache_storage,
            cache_controller=cache_controller,
            cache_record=cache_record,
        )
        super().__init__(
            base_url=base_url,
            token=token,
            timeout=timeout,
            verify_ssl=verify_ssl,
            rate_limiter=rate_limiter,
            enable_throttling=enable_throttling,
            retry_config=retry_config,
            enable_cache=False,
            metrics_collector=metrics_collector,
        )
        self._start(options)

    def _open(self) -> Any:
        return mount(self._options, self._rate_limiter, None, self._reused, **self._settings())

    @property
    def client(self) -> httpx.Client:
        """The httpx client, opened again if it was closed."""
        if self._client is None:
            self._client = self._open()
        client: httpx.Client = self._client
        return client

    async def _opened(self) -> httpx.Client:
        return self.client

    async def _send(self, client: Any, request: dict[str, Any]) -> httpx.Response:
        answer: httpx.Response = client.request(**request)
        return answer

    async def _sleep(self, seconds: float, deadline: Deadline | None) -> None:
        sleep_here(seconds, None)

    def _make_request(
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
        return run(self._exchange(method, endpoint, params, data, headers, retry, directives))

    def get(self, endpoint: str, params: dict[str, Any] | None = None, **kwargs: Any) -> Response:
        """A GET, unless a fresh answer is stored. `cache=False` goes around the cache for this call."""
        found = self._known(endpoint, params, kwargs)
        if found is not None:
            return found
        return self._make_request("GET", endpoint, params=params, **kwargs)

    def post(self, endpoint: str, data: Any = None, params: dict[str, Any] | None = None, **kwargs: Any) -> Response:
        """A POST; one that only reads is answered from the cache, if a fresh answer to the same body is stored."""
        found = self._stored("POST", endpoint, params, data, kwargs)
        if found is not None:
            return found
        return self._make_request("POST", endpoint, data=data, params=params, **kwargs)

    @property
    def cache(self) -> CacheTransport | None:  # type: ignore[override]
        """The cache: `.stats`, `.invalidate()`, `.clear()`, `.controller`, `.storage`; None if it is off."""
        return self._mounted  # type: ignore[return-value]

    def clear_cache(self) -> None:
        """Forget all stored answers."""
        if self.cache is not None:
            self.cache.clear()

    def invalidate_cache(self, endpoint_pattern: str | None = None) -> None:
        """Forget the answers whose path contains `endpoint_pattern`; None: all of them. See AsyncHttpClient."""
        if self._mounted is not None:
            invalidate_matching(self._mounted, endpoint_pattern)
