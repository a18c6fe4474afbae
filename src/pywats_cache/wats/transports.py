"""The httpx clients below the WATS clients: on every route the cache, then limiter and breaker, then the network.

The order comes from the order of the base classes: `CacheClient` wraps what `LimitedClient` makes.
"""

from __future__ import annotations

from typing import Any

import httpx
from pywats.core.circuit_breaker import CircuitBreaker
from pywats.core.throttle import RateLimiter

from ..httpx import AsyncCacheClient, AsyncCacheTransport, CacheClient, CacheTransport
from ..storage.url import storage_from_url
from .limiting import AsyncLimitedTransport, LimitedTransport
from .options import CacheOptions
from .rules import prefix_of, wats_controller

__all__ = ["AsyncLimitedClient", "LimitedClient", "mount", "mount_async"]


class _Limits:
    """Goes in front of a client of httpx: what it sends on any route passes limiter and breaker."""

    _limited: type[Any]

    def __init__(self, limiter: RateLimiter | None, breaker: CircuitBreaker | None, **options: Any) -> None:
        self._limits = {"limiter": limiter, "breaker": breaker}
        super().__init__(**options)

    def _init_transport(self, **options: Any) -> Any:
        return self._limited(super()._init_transport(**options), **self._limits)  # type: ignore[misc]

    def _init_proxy_transport(self, *args: Any, **options: Any) -> Any:
        return self._limited(super()._init_proxy_transport(*args, **options), **self._limits)  # type: ignore[misc]


class LimitedClient(_Limits, httpx.Client):  # type: ignore[misc]
    """An `httpx.Client` without a cache."""

    _limited = LimitedTransport


class AsyncLimitedClient(_Limits, httpx.AsyncClient):  # type: ignore[misc]
    """An `httpx.AsyncClient` without a cache."""

    _limited = AsyncLimitedTransport


class _Reusing:
    """Goes on with the cache transport of a client that was closed, so that answers and counts live on."""

    def __init__(
        self, limiter: RateLimiter | None, breaker: CircuitBreaker | None, reused: Any = None, **options: Any
    ) -> None:
        self._reused = reused
        super().__init__(limiter=limiter, breaker=breaker, **options)  # type: ignore[call-arg]

    def _init_transport(self, **options: Any) -> Any:
        if self._reused is None:
            return super()._init_transport(**options)  # type: ignore[misc]
        self._reused._renew()
        return self._reused


class _CachingClient(_Reusing, CacheClient, LimitedClient):  # type: ignore[misc]
    pass


class _AsyncCachingClient(_Reusing, AsyncCacheClient, AsyncLimitedClient):  # type: ignore[misc]
    pass


class _NextOf:
    """The next transport of a cache transport that the user made, whatever it is at the time."""

    _limited: type[Any]

    def __init__(self, mounted: Any) -> None:
        self._mounted = mounted

    @property
    def _next(self) -> Any:
        below = self._mounted.next_transport
        # The transport of another of our clients: one limiter is enough.
        return below.next_transport if isinstance(below, self._limited) else below


class _SyncNextOf(_NextOf, httpx.BaseTransport):
    _limited = LimitedTransport

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response: httpx.Response = self._next.handle_request(request)
        return response

    def close(self) -> None:
        self._next.close()


class _AsyncNextOf(_NextOf, httpx.AsyncBaseTransport):
    _limited = AsyncLimitedTransport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response: httpx.Response = await self._next.handle_async_request(request)
        return response

    async def aclose(self) -> None:
        await self._next.aclose()


def mount(
    cache: CacheOptions,
    limiter: RateLimiter | None,
    breaker: CircuitBreaker | None,
    reused: CacheTransport | None = None,
    **options: Any,
) -> CacheClient | LimitedClient:
    """A sync httpx client with what `cache` asks for; `options` are those of httpx.Client."""
    if not cache.enabled:
        return LimitedClient(limiter, breaker, **options)
    return _caching(_CachingClient, _SyncNextOf, cache, limiter, breaker, reused, options)  # type: ignore[no-any-return]


def mount_async(
    cache: CacheOptions,
    limiter: RateLimiter | None,
    breaker: CircuitBreaker | None,
    reused: AsyncCacheTransport | None = None,
    **options: Any,
) -> AsyncCacheClient | AsyncLimitedClient:
    """The same for an async httpx client."""
    if not cache.enabled:
        return AsyncLimitedClient(limiter, breaker, **options)
    return _caching(_AsyncCachingClient, _AsyncNextOf, cache, limiter, breaker, reused, options)  # type: ignore[no-any-return]


def _caching(
    client_class: type[Any],
    next_of: type[Any],
    cache: CacheOptions,
    limiter: RateLimiter | None,
    breaker: CircuitBreaker | None,
    reused: Any,
    options: dict[str, Any],
) -> Any:
    given = cache.transport
    if given is not None:
        below = client_class._limited(next_of(given), limiter=limiter, breaker=breaker)
        return client_class(limiter, breaker, transport=given._over(below), **options)
    parts = {}
    if reused is None:  # else it has them already
        storage = cache.storage
        if isinstance(storage, str):
            storage = storage_from_url(storage, memory_entries=cache.entries, name=cache.storage_name)
        controller = cache.controller
        if controller is None:
            controller = wats_controller(cache.ttl, prefix=prefix_of(options["base_url"]))
        parts = {"controller": controller, "storage": storage, "record": cache.record}
    client = client_class(limiter, breaker, reused, **parts, **options)
    client.cache._closes_storage |= isinstance(cache.storage, str)
    return client
