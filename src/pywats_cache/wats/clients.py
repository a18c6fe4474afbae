"""`pyWATS` and `AsyncWATS`: the vendor's clients with the cache mounted. Change the import, nothing else."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pywats
from pywats.core.exceptions import ErrorMode
from pywats.core.retry import RetryConfig
from pywats.core.station import Station
from pywats.core.throttle import RateLimiter

from ..httpx import AsyncCacheTransport, CacheTransport
from ..policy.controller import Controller
from ..support.checks import text
from ..support.showing import shown_address
from .domain_services import build_service
from .http_clients import AsyncHttpClient, ThreadHttpClient
from .options import DEFAULT_MAX_SIZE, DEFAULT_TTL, check_options
from .sync_bridge import CallingProductWrapper, CallingWrapper, run
from .vendor import VendorWATS

if TYPE_CHECKING:
    from pywats.core.config import APISettings, SyncConfig
    from pywats.domains.analytics import AsyncAnalyticsService
    from pywats.domains.asset import AsyncAssetService
    from pywats.domains.process import AsyncProcessService
    from pywats.domains.product import AsyncProductService
    from pywats.domains.production import AsyncProductionService
    from pywats.domains.report import AsyncReportService
    from typing_extensions import Self

    from ..support.durations import Duration
    from .stubs.analytics import SyncAnalyticsService
    from .stubs.asset import SyncAssetService
    from .stubs.manual_inspection import SyncManualInspectionService
    from .stubs.process import SyncProcessService
    from .stubs.product import SyncProductService
    from .stubs.production import SyncProductionService
    from .stubs.report import SyncReportService
    from .stubs.rootcause import SyncRootCauseService
    from .stubs.scim import SyncScimService
    from .stubs.software import SyncSoftwareService

__all__ = ["AsyncWATS", "pyWATS"]


def _told(base_url: str | None) -> str | None:
    """What the SDK is told: it makes a client that we replace, and logs the address of that."""
    return shown_address(text("base_url", base_url, "https://wats.example")) if base_url else base_url


class pyWATS(VendorWATS):  # noqa: N801 - the vendor's name
    """The vendor's `pyWATS` with a coherent cache, run in the caller's thread. Safe from any number of threads.

    ```python
    from pywats_cache import pyWATS

    api = pyWATS(base_url="https://wats.example", token="…", cache_ttl=600)
    api.product.get_product("PN-1000")
    api.cache.stats.hit_rate
    ```
    It takes the vendor's arguments, and these:

    - `enable_cache`: False: no cache; `api.cache` is None then.
    - `cache_ttl` (or `cache_ttl_seconds`): seconds; no answer is kept for longer, many kinds for less.
    - `cache_max_size`: entries in memory at most.
    - `cache_transport`: a `CacheTransport` of your own, with its own policy, storage and next transport.
    - `cache_storage`: what keeps the answers, instead of `MemoryStorage(max_entries=cache_max_size)`, or its URL:
      `"sqlite:///cache.db"` is shared with every process that names the same file. None: the URL in the environment
      variable `PYWATS_CACHE_STORAGE`, if it is set.
    - `cache_controller`: the policy, instead of `wats_controller(cache_ttl)`.
    - `cache_record`: a file to which a redacted trace is appended, for `pywats-cache simulate`.

    Raises ConfigurationError (a ValueError) or ConfigurationTypeError (a TypeError) for a bad argument.
    """

    __module__ = "pywats_cache"

    _http_client: ThreadHttpClient

    if TYPE_CHECKING:  # the vendor's class is named there, which knows of no cache

        def __enter__(self) -> Self: ...

    def __init__(
        self,
        base_url: str | None = None,
        token: str | None = None,
        station: Station | None = None,
        timeout: float | None = None,
        verify_ssl: bool | None = None,
        error_mode: ErrorMode | None = None,
        retry_config: RetryConfig | None = None,
        retry_enabled: bool = False,
        enable_cache: bool = True,
        cache_ttl: Duration = DEFAULT_TTL,
        cache_max_size: int = DEFAULT_MAX_SIZE,
        instance_id: str = "default",
        settings: APISettings | None = None,
        sync_config: SyncConfig | None = None,
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
            base_url=_told(base_url),
            token=token,
            station=station,
            timeout=timeout,
            verify_ssl=verify_ssl,
            error_mode=error_mode,
            retry_config=retry_config,
            retry_enabled=retry_enabled,
            enable_cache=False,
            instance_id=instance_id,
            settings=settings,
            sync_config=sync_config,
        )
        if base_url:
            self._base_url = base_url.rstrip("/")
        self._http_client = ThreadHttpClient(
            options,
            base_url=self._base_url,
            token=self._token,
            timeout=self._timeout,
            verify_ssl=self._verify_ssl,
            retry_config=self._retry_config,
        )

    def __repr__(self) -> str:
        return f"pyWATS(base_url={shown_address(self._base_url)!r})"

    @property
    def cache(self) -> CacheTransport | None:
        """The cache: `.stats`, `.invalidate()`, `.clear()`, `.controller`, `.storage`; None if it is off."""
        return self._http_client.cache

    def close(self) -> None:
        """Close the connections. A later call opens new ones; what is stored stays."""
        run(self._http_client.close())

    def _wrapped(self, domain: str, wrapper: type[CallingWrapper] = CallingWrapper) -> Any:
        service = getattr(self, f"_{domain}")
        if service is None:
            built = build_service(domain, self._http_client, self._base_url, self._error_handler)
            service = wrapper(built, self._sync_config)
            setattr(self, f"_{domain}", service)
        return service

    @property
    def product(self) -> SyncProductService:  # type: ignore[override]
        """Products, revisions, groups, BOMs, box builds."""
        return self._wrapped("product", CallingProductWrapper)  # type: ignore[no-any-return]

    @property
    def asset(self) -> SyncAssetService:  # type: ignore[override]
        """Assets, their types, log and calibration."""
        return self._wrapped("asset")  # type: ignore[no-any-return]

    @property
    def production(self) -> SyncProductionService:  # type: ignore[override]
        """Units, serial numbers, batches, phases."""
        return self._wrapped("production")  # type: ignore[no-any-return]

    @property
    def report(self) -> SyncReportService:  # type: ignore[override]
        """Test and repair reports."""
        return self._wrapped("report")  # type: ignore[no-any-return]

    @property
    def software(self) -> SyncSoftwareService:  # type: ignore[override]
        """Software packages."""
        return self._wrapped("software")  # type: ignore[no-any-return]

    @property
    def analytics(self) -> SyncAnalyticsService:  # type: ignore[override]
        """Yield, failures, measurements."""
        return self._wrapped("analytics")  # type: ignore[no-any-return]

    @property
    def rootcause(self) -> SyncRootCauseService:  # type: ignore[override]
        """Tickets."""
        return self._wrapped("rootcause")  # type: ignore[no-any-return]

    @property
    def scim(self) -> SyncScimService:  # type: ignore[override]
        """Users and tokens; never cached."""
        return self._wrapped("scim")  # type: ignore[no-any-return]

    @property
    def process(self) -> SyncProcessService:  # type: ignore[override]
        """Test, repair and WIP operations."""
        return self._wrapped("process")  # type: ignore[no-any-return]

    @property
    def manual_inspection(self) -> SyncManualInspectionService:
        """Manual inspection definitions and sequences."""
        return self._wrapped("manual_inspection")  # type: ignore[no-any-return]


class AsyncWATS(pywats.AsyncWATS):
    """The vendor's `AsyncWATS` with a coherent cache, on asyncio and trio.

    ```python
    from pywats_cache import AsyncWATS

    async with AsyncWATS(base_url="https://wats.example", token="…") as api:
        await api.product.get_product("PN-1000")
    ```
    It takes the same arguments as `pyWATS`; `cache_transport` is an `AsyncCacheTransport`.
    """

    __module__ = "pywats_cache"

    _http_client: AsyncHttpClient

    if TYPE_CHECKING:  # as above

        async def __aenter__(self) -> Self: ...

    def __init__(
        self,
        base_url: str | None = None,
        token: str | None = None,
        station: Station | None = None,
        timeout: float | None = None,
        verify_ssl: bool | None = None,
        error_mode: ErrorMode | None = None,
        rate_limiter: RateLimiter | None = None,
        enable_throttling: bool = True,
        retry_config: RetryConfig | None = None,
        retry_enabled: bool = True,
        enable_cache: bool = True,
        cache_ttl: Duration = DEFAULT_TTL,
        cache_max_size: int = DEFAULT_MAX_SIZE,
        instance_id: str = "default",
        settings: APISettings | None = None,
        *,
        cache_ttl_seconds: Duration | None = None,
        cache_transport: AsyncCacheTransport | None = None,
        cache_storage: Any = None,
        cache_controller: Controller | None = None,
        cache_record: str | os.PathLike[str] | None = None,
    ) -> None:
        cache: dict[str, Any] = {
            "enable_cache": enable_cache,
            "cache_ttl": cache_ttl,
            "cache_max_size": cache_max_size,
            "cache_ttl_seconds": cache_ttl_seconds,
            "cache_transport": cache_transport,
            "cache_storage": cache_storage,
            "cache_controller": cache_controller,
            "cache_record": cache_record,
        }
        check_options(AsyncCacheTransport, **cache)
        super().__init__(
            base_url=_told(base_url),
            token=token,
            station=station,
            timeout=timeout,
            verify_ssl=verify_ssl,
            error_mode=error_mode,
            rate_limiter=rate_limiter,
            enable_throttling=enable_throttling,
            retry_config=retry_config,
            retry_enabled=retry_enabled,
            enable_cache=False,
            instance_id=instance_id,
            settings=settings,
        )
        if base_url:
            self._base_url = base_url.rstrip("/")
        self._http_client = AsyncHttpClient(
            base_url=self._base_url,
            token=self._token,
            timeout=self._timeout,
            verify_ssl=self._verify_ssl,
            rate_limiter=rate_limiter,
            enable_throttling=enable_throttling,
            retry_config=self._retry_config,
            **cache,
        )

    @property
    def cache(self) -> AsyncCacheTransport | None:
        """The cache: `.stats`, `await .invalidate()`, `await .clear()`, …; None with `enable_cache=False`."""
        return self._http_client.cache

    def _built(self, domain: str) -> Any:
        service = getattr(self, f"_{domain}")
        if service is None:
            service = build_service(domain, self._http_client, self._base_url, self._error_handler)
            setattr(self, f"_{domain}", service)
        return service

    # The services that differ from the SDK's; it builds the others over the same HTTP client itself.

    @property
    def product(self) -> AsyncProductService:
        """Products, revisions, groups, BOMs, box builds."""
        return self._built("product")  # type: ignore[no-any-return]

    @property
    def asset(self) -> AsyncAssetService:
        """Assets, their types, log and calibration."""
        return self._built("asset")  # type: ignore[no-any-return]

    @property
    def production(self) -> AsyncProductionService:
        """Units, serial numbers, batches, phases."""
        return self._built("production")  # type: ignore[no-any-return]

    @property
    def report(self) -> AsyncReportService:
        """Test and repair reports."""
        return self._built("report")  # type: ignore[no-any-return]

    @property
    def analytics(self) -> AsyncAnalyticsService:
        """Yield, failures, measurements."""
        return self._built("analytics")  # type: ignore[no-any-return]

    @property
    def process(self) -> AsyncProcessService:
        """Test, repair and WIP operations."""
        return self._built("process")  # type: ignore[no-any-return]
