"""The SDK's services where they would undo the cache: caches of their own, read-modify-write, queries that hold "now".

Everything else is the SDK's, unchanged.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, TypeVar

from pywats.core.routes import Routes
from pywats.domains.analytics import AsyncAnalyticsRepository, AsyncAnalyticsService
from pywats.domains.analytics.models import StepAnalysisRow
from pywats.domains.asset import AsyncAssetRepository, AsyncAssetService
from pywats.domains.manual_inspection import AsyncManualInspectionRepository, AsyncManualInspectionService
from pywats.domains.process import AsyncProcessRepository, AsyncProcessService
from pywats.domains.process.models import ProcessInfo
from pywats.domains.product import AsyncProductRepository, AsyncProductService
from pywats.domains.production import AsyncProductionRepository, AsyncProductionService
from pywats.domains.production.enums import UnitPhaseFlag
from pywats.domains.production.models import UnitPhase
from pywats.domains.report import AsyncReportRepository, AsyncReportService
from pywats.domains.report.async_service import DEFAULT_RECENT_DAYS
from pywats.domains.report.enums import ReportType
from pywats.domains.report.filter_builders import build_date_range_filter
from pywats.domains.report.models import ReportHeader, WATSFilter
from pywats.domains.rootcause import AsyncRootCauseRepository, AsyncRootCauseService
from pywats.domains.scim import AsyncScimRepository, AsyncScimService
from pywats.domains.software import AsyncSoftwareRepository, AsyncSoftwareService
from pywats.shared.stats import CacheStats

from .http_call import ASKED
from .http_clients import AsyncHttpClient, ThreadHttpClient

__all__ = ["build_service"]

_T = TypeVar("_T")
_F = TypeVar("_F", bound=Callable[..., Coroutine[Any, Any, Any]])


class _Refreshing:
    """The HTTP client of a call that reads, changes and writes back: what it reads is fetched anew."""

    def __init__(self, client: AsyncHttpClient | ThreadHttpClient) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def get(self, endpoint: str, params: dict[str, Any] | None = None, **kwargs: Any) -> Any:
        """A GET whose answer is fetched anew."""
        return await self._client.refreshed(endpoint, params, **kwargs)


def _refreshed(service: _T) -> _T:
    """`service` with all its reads fetched anew."""
    client = _client_of(service)
    if client is None:
        return service
    return _over(service, _Refreshing(client))


def _over(service: _T, client: Any) -> _T:
    """A copy of `service` over another HTTP client."""
    made: Any = copy.copy(service)
    made._repository = copy.copy(made._repository)
    made._repository._http_client = client
    return made  # type: ignore[no-any-return]


def _client_of(service: Any) -> AsyncHttpClient | ThreadHttpClient | None:
    """The client of ours below `service`; None if a stand-in is there, or one that refreshes already."""
    client = getattr(service._repository, "_http_client", None)
    return client if isinstance(client, (AsyncHttpClient, ThreadHttpClient)) else None


def _rereading(method: _F) -> _F:
    """`method` of the SDK, run on a service that fetches anew what it is about to change, or to refer to."""

    @wraps(method)
    async def reread(self: Any, *args: Any, **kwargs: Any) -> Any:
        return await method(_refreshed(self), *args, **kwargs)

    return reread  # type: ignore[return-value]


class _ProductService(AsyncProductService):
    create_revision = _rereading(AsyncProductService.create_revision)
    set_product_tags = _rereading(AsyncProductService.set_product_tags)
    add_product_tag = _rereading(AsyncProductService.add_product_tag)
    set_revision_tags = _rereading(AsyncProductService.set_revision_tags)
    add_revision_tag = _rereading(AsyncProductService.add_revision_tag)
    add_subunit = _rereading(AsyncProductService.add_subunit)
    # The template keeps the service it came from, so its own add_subunit() and reload() fetch anew too.
    get_box_build_template = _rereading(AsyncProductService.get_box_build_template)


class _AssetService(AsyncAssetService):
    add_child_asset = _rereading(AsyncAssetService.add_child_asset)


class _Bounded:
    """The HTTP client of a service whose stored answers may not be older than `ttl` seconds."""

    def __init__(self, client: AsyncHttpClient | ThreadHttpClient, ttl: float) -> None:
        self._client = client
        self._ttl = ttl

    async def get(self, endpoint: str, params: dict[str, Any] | None = None, **kwargs: Any) -> Any:
        """A GET that uses a stored answer up to that age."""
        return await self._client.bounded(endpoint, params, self._ttl, **kwargs)


class _ProcessService(AsyncProcessService):
    """Goes to the repository each time: the list that the SDK keeps for 300 s is shared, mutable and needs a task.

    What the SDK says of its list is said of the answer that the HTTP cache holds; `_cache` stays readable, and empty.
    """

    _last_refresh: datetime | None = None
    _asked_at = float("-inf")
    """The same on the cache's clock."""
    _interval: float | None = None

    async def _ensure_cache_started(self) -> None:
        """Nothing to clean up, so no task."""

    @property
    def cache_ttl(self) -> float:
        """Seconds for which the processes are kept; 0.0 if they are not."""
        client = _client_of(self)
        if client is None:
            return self._cache_ttl
        ttl = client.ttl_of("GET", Routes.App.PROCESSES)
        return ttl if self._interval is None else min(ttl, self._interval)

    @property
    def refresh_interval(self) -> float:
        """As `cache_ttl`; it can be set, up to the TTL of the route. 0: no bound but that TTL."""
        return self.cache_ttl

    @refresh_interval.setter
    def refresh_interval(self, value: float) -> None:
        self._cache_ttl = value
        self._interval = value if value > 0 else None

    @property
    def last_refresh(self) -> datetime | None:
        """When the server was last asked for the processes: by this service, or for the answer that is stored now."""
        held = self._held_since()
        if held is not None and held > self._asked_at:  # refreshed in the background, or by another client
            client = _client_of(self)
            assert client is not None
            self._last_refresh = datetime.now() - timedelta(seconds=client.clock() - held)
            self._asked_at = held
        return self._last_refresh

    @property
    def cache_stats(self) -> CacheStats:
        """Calls for the processes without asking the server (hits) and with, and whether they are stored (size)."""
        counted = self._cache._stats
        return CacheStats(counted.hits, counted.misses, size=0 if self._held_since() is None else 1, max_size=None)

    def _held_since(self) -> float | None:
        client = _client_of(self)
        return None if client is None else client.held_since(Routes.App.PROCESSES)

    async def refresh(self) -> None:
        """Fetch the processes anew."""
        await _refreshed(self)._repository.get_processes()
        self._was_asked()

    async def _get_cached_processes(self) -> list[ProcessInfo]:
        client = _client_of(self)
        service = self if client is None or self._interval is None else _over(self, _Bounded(client, self.cache_ttl))
        answers: list[int] = []
        token = ASKED.set(answers)
        try:
            processes = await service._repository.get_processes()
        finally:
            ASKED.reset(token)
        counted = self._cache._stats  # without a lock: two threads at once may count once
        if answers or client is None:
            self._was_asked()
            counted.misses += 1
        else:
            counted.hits += 1
        return processes

    def _was_asked(self) -> None:
        client = _client_of(self)
        self._last_refresh = datetime.now()
        if client is not None:
            self._asked_at = client.clock()

    async def clear_cache(self) -> None:
        """Forget the processes: the next call fetches them anew."""
        await super().clear_cache()
        client = _client_of(self)
        if client is not None:
            await client.forget("process")
        self._last_refresh = None


class _ProductionService(AsyncProductionService):
    """Goes to the repository for the phases each time; the SDK keeps them for ever."""

    async def get_phases(self, force_refresh: bool = False) -> list[UnitPhase]:
        """All unit phases; `force_refresh` fetches them anew."""
        service = _refreshed(self) if force_refresh else self
        return await service._repository.get_unit_phases()

    async def get_phase(
        self, phase_id: int | None = None, code: str | None = None, name: str | None = None
    ) -> UnitPhase | None:
        """The phase with this id, or code, or name (both in lower case, as the SDK has it)."""
        phases = await self.get_phases()
        if phase_id is not None:
            return _last(phases, lambda phase: phase.phase_id == phase_id)
        if code:
            return _last(phases, lambda phase: (phase.code or "").lower() == code)
        if name:
            return _last(phases, lambda phase: (phase.name or "").lower() == name)
        return None

    async def get_phase_id(self, phase: int | str | UnitPhaseFlag) -> int | None:
        """The id of a phase given by id, flag, name or code (any case)."""
        if isinstance(phase, int):  # a UnitPhaseFlag is one
            return int(phase)
        wanted = phase.lower()
        phases = await self.get_phases()
        found = _last(phases, lambda each: (each.name or "").lower() == wanted)
        found = found or _last(phases, lambda each: (each.code or "").lower() == wanted)
        return found.phase_id if found else None


def _last(items: list[UnitPhase], wanted: Callable[[UnitPhase], bool]) -> UnitPhase | None:
    # The SDK looks up in dictionaries, where the last of several wins.
    return next((item for item in reversed(items) if wanted(item)), None)


def _window(service: Any, method: str, path: str) -> tuple[datetime, datetime] | None:
    """Now, as begin and end of the window that the TTL of this route cuts time into; None where nothing is cached.

    A query that holds the very moment never repeats, so that a cache of its answers is of no use.
    """
    client = _client_of(service)
    ttl = client.ttl_of(method, path) if client is not None else 0.0
    if not 0.0 < ttl < float("inf"):
        return None
    begin = time.time() // ttl * ttl
    return datetime.fromtimestamp(begin), datetime.fromtimestamp(begin + ttl)


class _ReportService(AsyncReportService):
    async def get_recent_headers(
        self, days: int = DEFAULT_RECENT_DAYS, report_type: ReportType | str = ReportType.UUT, top: int | None = None
    ) -> list[ReportHeader]:
        """Headers from the last `days` days, from a bit before them to a bit after now (up to the TTL of the route).

        Both ends are widened, never cut: a report that was just submitted must not fall out.
        """
        window = _window(self, "GET", Routes.Report.QUERY_HEADER)
        if window is None:
            return await super().get_recent_headers(days, report_type, top)
        begin, end = window
        odata_filter = build_date_range_filter(begin - timedelta(days=days), end)
        return await self._repository.query_headers(report_type, odata_filter=odata_filter, top=top)


class _AnalyticsService(AsyncAnalyticsService):
    async def get_test_step_analysis_for_operation(
        self,
        part_number: str,
        test_operation: str,
        *,
        revision: str | None = None,
        days: int = 30,
        run: int = 1,
        max_count: int = 10000,
    ) -> list[StepAnalysisRow]:
        """The steps of one product and operation in the last `days` days, and a bit before (up to the TTL).

        Raises ValueError without part number or operation.
        """
        window = _window(self, "POST", Routes.App.TEST_STEP_ANALYSIS)
        if window is None or not part_number or not test_operation:
            return await super().get_test_step_analysis_for_operation(
                part_number, test_operation, revision=revision, days=days, run=run, max_count=max_count
            )
        return await self.get_test_step_analysis(
            WATSFilter(
                part_number=part_number,
                test_operation=test_operation,
                revision=revision,
                max_count=max_count,
                date_from=window[0] - timedelta(days=days),
                run=run,
            )
        )


_BUILDERS: dict[str, Callable[[Any, str, Any], Any]] = {
    "product": lambda http, url, errors: _ProductService(AsyncProductRepository(http, url, errors), url),
    "asset": lambda http, url, errors: _AssetService(AsyncAssetRepository(http, url, errors), url),
    "production": lambda http, url, errors: _ProductionService(AsyncProductionRepository(http, url, errors), url),
    "report": lambda http, url, errors: _ReportService(AsyncReportRepository(http, errors)),
    "software": lambda http, url, errors: AsyncSoftwareService(AsyncSoftwareRepository(http, url, errors)),
    "analytics": lambda http, url, errors: _AnalyticsService(AsyncAnalyticsRepository(http, errors, url)),
    "rootcause": lambda http, url, errors: AsyncRootCauseService(AsyncRootCauseRepository(http, errors)),
    "scim": lambda http, url, errors: AsyncScimService(AsyncScimRepository(http, errors)),
    "process": lambda http, url, errors: _ProcessService(AsyncProcessRepository(http, errors, url)),
    "manual_inspection": lambda http, url, errors: AsyncManualInspectionService(
        AsyncManualInspectionRepository(http, errors, url)
    ),
}


def build_service(domain: str, http: Any, base_url: str, error_handler: Any) -> Any:
    """The service of `domain` over an HTTP client, for `pyWATS` and `AsyncWATS` alike."""
    return _BUILDERS[domain](http, base_url, error_handler)
