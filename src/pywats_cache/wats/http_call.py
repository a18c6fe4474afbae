"""One call of an HTTP client of the SDK: retry, traces, metrics, and the cache asked first.

Sync and async share it. Where the SDK acquires its limiter and asks its breaker before every call, here the
transports below the cache do (`limits`), so that a hit spends neither.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import httpx
from pywats.core.circuit_breaker import CircuitBreakerOpenError
from pywats.core.client import Response
from pywats.core.exceptions import ConnectionError as WATSConnectionError
from pywats.core.exceptions import PyWATSError
from pywats.core.exceptions import TimeoutError as WATSTimeoutError
from pywats.core.logging import get_logger
from pywats.core.retry import should_retry

from ..engine.scopes import given_here
from ..storage.memory import MemoryStorage
from ..support.genuine import OURS, is_genuine, reads_plainly, unchanged
from ..support.showing import shown_address
from ..telemetry.outcome import EXTENSION, CacheOutcome
from .limiting import CALL, Call, PhaseTimeouts
from .sdk_response import response_of
from .sync_bridge import Deadline, OperationTimeoutError

__all__ = ["ASKED", "CALL_STEPS", "Exchange"]

_NO_NETWORK = frozenset({"hit", "stale", "collapsed"})
_KNOWN_ARGUMENTS = frozenset({"headers", "retry"})
ASKED: ContextVar[list[int] | None] = ContextVar("pywats_cache.wats.asked", default=None)
"""Where a caller wants to know of the calls below it: the status of each answer for which the server was asked."""

CALL_STEPS = ("_make_request", "_exchange", "_request", "_attempts", "_send", "_opened", "_handle_response")
"""What a call that the cache answers runs of the client, unless `_stored` answers it."""
_OVERRIDES = frozenset({*CALL_STEPS, "_get_client"})  # `client` is a property, which no instance replaces


class Exchange:
    """What the three clients have in common; it goes in front of a client of the SDK.

    An answer from the cache leaves no trace in `capture_traces()`, nothing in the metrics and counts no retry: these
    tell of requests that were sent to the server. The cache's own numbers are in `cache.stats`.
    """

    _logger = get_logger("pywats.core.async_client")
    _traces_content = False

    # Of the SDK's clients:
    base_url: str
    timeout: float
    _headers: dict[str, str]
    _rate_limiter: Any
    _retry_config: Any
    _metrics_collector: Any
    _cache_enabled: bool
    _client: Any
    _circuit_breaker: Any = None
    _circuit_breaker_enabled = False
    # Ours:
    _storage: MemoryStorage | None = None
    _mounted: Any = None
    _mounted_headers: dict[str, str]
    _opens = "_get_client"
    """What gives `_opened` the httpx client."""
    _is_genuine: Callable[[Any], bool] = staticmethod(lambda kind: False)
    """Whether the class of this client is the one that was judged, unchanged since; and the same of `_is_foreign`."""
    _is_foreign: Callable[[Any], bool] = _is_genuine
    _attributes = 0
    """How many attributes the client has of its own; a step of its own makes it more."""

    async def _opened(self) -> Any:
        """The httpx client."""
        raise NotImplementedError

    async def _send(self, client: Any, request: dict[str, Any]) -> httpx.Response:
        raise NotImplementedError

    async def _sleep(self, seconds: float, deadline: Deadline | None) -> None:
        raise NotImplementedError

    def _stored(
        self, method: str, endpoint: str, params: dict[str, Any] | None, data: Any, options: dict[str, Any]
    ) -> Response | None:
        """The answer, if the cache holds a fresh one; nothing is sent, and nothing happens if it does not.

        The budget is 7 µs for one product: the lookup, its data parsed for this caller, and the SDK's Response. Where a
        subclass or a tracing tool put a step of its own in the way of a call, no lookup leaves it out.
        """
        storage = self._storage
        client = self._client
        if storage is None or client is None:
            return None
        if not (self._is_genuine(type(self)) or self._judge(type(self))):
            return None
        own = self.__dict__
        if len(own) > self._attributes and not _OVERRIDES.isdisjoint(own):
            return None
        if endpoint[:1] != "/":
            endpoint = f"/{endpoint}"
        if not options and not params and data is None and self._headers == self._mounted_headers:
            entry = client.lookup(method, endpoint)
        else:
            if not _KNOWN_ARGUMENTS.issuperset(options):
                return None
            entry = client.lookup(method, endpoint, **self._particulars(params, data, options.get("headers")))
        return None if entry is None else response_of(entry, storage)

    def _judge(self, kind: Any) -> bool:
        """Whether all steps of this class are this package's or the SDK's; that is remembered."""
        if self._is_foreign(kind):
            return False
        names = (*CALL_STEPS, self._opens)
        same = unchanged(kind, names)  # before they are judged
        if reads_plainly(kind) and all(is_genuine(kind, name, OURS, "pywats") for name in names):
            self._is_genuine = same
            return True
        self._is_foreign = same
        return False

    def _particulars(self, params: dict[str, Any] | None, data: Any, headers: dict[str, str] | None) -> dict[str, Any]:
        """What a lookup must know beyond method and endpoint."""
        given = _payload(params, data)
        if self._headers != self._mounted_headers:
            headers = {**self._headers, **(headers or {})}
        if headers:
            given["headers"] = headers
        return given

    async def _exchange(
        self,
        method: str,
        endpoint: str,
        params: dict[str, Any] | None = None,
        data: Any = None,
        headers: dict[str, str] | None = None,
        retry: bool | None = None,
        directives: dict[str, Any] | None = None,
        deadline: Deadline | None = None,
    ) -> Response:
        """Send a request, again after transient failures, as the SDK does.

        Raises the SDK's ConnectionError, TimeoutError and PyWATSError, CircuitBreakerOpenError as it is, and
        OperationTimeoutError after the deadline.
        """
        if not endpoint.startswith("/"):
            endpoint = f"/{endpoint}"
        breaker = self._circuit_breaker if self._circuit_breaker_enabled else None
        with Call(self._rate_limiter, breaker, self.base_url, deadline) as call:
            request = self._request(method, endpoint, params, data, headers, directives, call)
            retries = self._retry_config.enabled if retry is None else retry
            # One client for all attempts: the headers are of its time, and may be for no other server.
            return await self._attempts(await self._opened(), request, call, retries)

    def _request(
        self,
        method: str,
        endpoint: str,
        params: dict[str, Any] | None,
        data: Any,
        headers: dict[str, str] | None,
        directives: dict[str, Any] | None,
        call: Call,
    ) -> dict[str, Any]:
        """The arguments of httpx."""
        timeouts: dict[str, Any] = httpx.Timeout(self.timeout).as_dict()
        extensions: dict[str, Any] = {
            CALL: call,
            "timeout": timeouts if call.deadline is None else PhaseTimeouts(timeouts, call.deadline),
        }
        if directives and self._cache_enabled:
            extensions[EXTENSION] = self._beside_block(directives)
        return {
            "method": method,
            "url": endpoint,
            "headers": {**self._headers, **(headers or {})},
            "extensions": extensions,
            **_payload(params, data),
        }

    def _beside_block(self, directives: dict[str, Any]) -> dict[str, Any]:
        """What a method of the SDK asks of the cache, where its caller's block asks no more than that.

        The caller cannot ask for one request of a method, so his block counts: what goes around the cache stays so, and
        of two bounds on the age the shorter one holds.
        """
        engine = None if self._mounted is None else self._mounted._engine
        if engine is None or not engine.open_scopes:
            return directives
        around = given_here(engine)
        if around.get("bypass"):
            return {"bypass": True}
        ttls = [given["ttl"] for given in (around, directives) if given.get("ttl") is not None]
        return {**directives, "ttl": min(ttls)} if ttls else directives

    async def _attempts(self, client: Any, request: dict[str, Any], call: Call, retries: bool) -> Response:
        began = time.time()
        was_sent = False
        for attempt in range(self._retry_config.max_attempts if retries else 1):
            started = time.perf_counter()
            try:
                answer = await self._send(client, request)
                if _came_from_network(answer):
                    was_sent = True
                    asked = ASKED.get()
                    if asked is not None:
                        asked.append(answer.status_code)
                    self._trace(request, answer, (time.perf_counter() - started) * 1000.0, attempt)
                response: Response = self._handle_response(answer)  # type: ignore[attr-defined]
                retry_status = retries and self._retry_config.should_retry_status(answer.status_code)
                if retry_status and await self._again(request, call, attempt, response=response):
                    continue
                if was_sent:
                    self._measure(request, answer.status_code, time.time() - began)
                return response
            except httpx.ConnectError as error:
                address = shown_address(self.base_url)
                failure: Exception = WATSConnectionError(
                    f"Failed to connect to {address}: {error}",
                    operation=f"{request['method']} {request['url']}",
                    details={"url": address},
                )
                if not (retries and await self._again(request, call, attempt, exception=failure)):
                    raise failure from error
            except httpx.TimeoutException as error:
                if call.deadline is not None and call.deadline.is_over():
                    raise OperationTimeoutError(call.deadline.allowed) from error
                failure = WATSTimeoutError(
                    f"Request timed out after {self.timeout}s: {error}",
                    operation=f"{request['method']} {request['url']}",
                    details={"timeout": self.timeout, "endpoint": request["url"]},
                )
                if not (retries and await self._again(request, call, attempt, exception=failure)):
                    raise failure from error
            except (CircuitBreakerOpenError, OperationTimeoutError):
                raise
            except Exception as error:
                raise PyWATSError(f"HTTP request failed: {error}") from error
        raise PyWATSError("Unexpected state: no response or exception after retries")

    async def _again(
        self,
        request: dict[str, Any],
        call: Call,
        attempt: int,
        *,
        response: Response | None = None,
        exception: Exception | None = None,
    ) -> bool:
        """Whether to try again; if so, after the wait."""
        config = self._retry_config
        wanted, delay = should_retry(config, request["method"], attempt, response=response, exception=exception)
        if not wanted:
            return False
        config._total_retries += 1
        config._total_retry_time += delay
        why = f"HTTP {response.status_code}" if response is not None else type(exception).__name__
        self._logger.info(
            f"Retry {attempt + 1}/{config.max_attempts} for {request['method']} {request['url']} "
            f"after {delay:.2f}s ({why})"
        )
        await self._sleep(delay, call.deadline)
        return True

    def _trace(self, request: dict[str, Any], answer: httpx.Response, duration_ms: float, attempt: int) -> None:
        bounded = self._bounded_json  # type: ignore[attr-defined]
        trace = {
            "method": request["method"],
            "url": f"{shown_address(self.base_url)}{request['url']}",
            "params": bounded(request.get("params")),
            "json": bounded(request.get("json")),
        }
        if self._traces_content:
            trace["content"] = bounded(request.get("content"))
        trace["status_code"] = answer.status_code
        trace["duration_ms"] = duration_ms
        trace["response_bytes"] = len(answer.content or b"")
        trace["attempt"] = attempt + 1
        self._emit_trace(trace)  # type: ignore[attr-defined]

    def _measure(self, request: dict[str, Any], status: int, duration: float) -> None:
        metrics = self._metrics_collector
        if metrics:
            labels = {"method": request["method"], "endpoint": request["url"]}
            metrics.http_requests_total.labels(**labels, status=str(status)).inc()
            metrics.http_request_duration_seconds.labels(**labels).observe(duration)


def _payload(params: dict[str, Any] | None, data: Any) -> dict[str, Any]:
    """Parameters and body as httpx takes them; the same for a lookup and for the request."""
    given: dict[str, Any] = {}
    if params:
        given["params"] = {name: value for name, value in params.items() if value is not None}
    if data is not None:
        given["json" if isinstance(data, (dict, list)) else "content"] = data
    return given


def _came_from_network(answer: httpx.Response) -> bool:
    outcome = answer.extensions.get(EXTENSION)
    return not (isinstance(outcome, CacheOutcome) and outcome.status in _NO_NETWORK)
