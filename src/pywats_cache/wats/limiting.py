"""The SDK's rate limiter and circuit breaker as transports below the cache, so that a hit spends neither.

The SDK counts by *call* of its HTTP client, not by request: one failure for a call whose retries all failed, none for
a 5xx that came back. A retry happens above the cache, the breaker is below it, so the client opens a `Call`, which
travels with each of its requests and is settled at its end:

```
with Call(limiter, breaker, base_url) as call:
    client.get(url, extensions={CALL: call})
```
A call that the cache answered says nothing of the server, and settles nothing. One whose request failed, and that then
got a stale answer, is a failure all the same. The refresh that a stale answer starts in the background is a call of its
own, for the call that got the answer may be over before it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import anyio
import anyio.to_thread
import httpx
from pywats.core.circuit_breaker import CircuitBreaker, CircuitBreakerOpenError, CircuitState
from pywats.core.exceptions import AuthenticationError, NotFoundError, ValidationError
from pywats.core.logging import get_logger
from pywats.core.throttle import RateLimiter

from ..policy.directives import BACKGROUND
from ..support.showing import shown_address
from .sync_bridge import Deadline, OperationTimeoutError

__all__ = ["CALL", "AsyncLimitedTransport", "Call", "LimitedTransport", "PhaseTimeouts"]

CALL = "pywats_cache.wats.call"
"""The request extension that carries the Call."""

_NO_FAILURE = (ValidationError, AuthenticationError, NotFoundError, OperationTimeoutError)
_LONGEST_NAP = 1.0

# The SDK's own loggers, so that filters and handlers for those go on working.
_client_logger = get_logger("pywats.core.async_client")
_limiter_logger = get_logger("pywats.core.throttle")


class Call:
    """One call of an HTTP client, over all its retries and redirects. A context manager that settles the breaker."""

    __slots__ = ("_admitted", "_base_url", "_breaker", "deadline", "failed", "limiter")

    def __init__(
        self,
        limiter: RateLimiter | None,
        breaker: CircuitBreaker | None,
        base_url: str = "",
        deadline: Deadline | None = None,
    ) -> None:
        self.limiter: RateLimiter | None = limiter
        self.deadline: Deadline | None = deadline
        self._breaker = breaker
        self._base_url = base_url
        self._admitted = False
        self.failed: bool = False
        """Whether the last request that was sent failed."""

    def admit(self) -> None:
        """Let a request pass the breaker; it is asked once for each call.

        Raises CircuitBreakerOpenError while the breaker is open, OperationTimeoutError after the deadline.
        """
        if self.deadline is not None and self.deadline.is_over():
            raise OperationTimeoutError(self.deadline.allowed, request_not_sent=True)
        breaker = self._breaker
        if self._admitted or breaker is None:
            return
        with breaker._lock:
            if breaker._state is CircuitState.OPEN:
                if not breaker._should_attempt_reset():
                    error = CircuitBreakerOpenError(
                        f"Circuit breaker for {shown_address(self._base_url)} is OPEN - failing fast"
                    )
                    error.request_not_sent = True  # type: ignore[attr-defined]  # tells the cache below
                    raise error
                _client_logger.info(f"Circuit breaker: Attempting recovery for {shown_address(self._base_url)}")
                breaker._state = CircuitState.HALF_OPEN
                breaker._success_count = 0
        self._admitted = True

    def apart(self) -> Call:
        """Another one over the same limiter and breaker, without the deadline."""
        return Call(self.limiter, self._breaker, self._base_url)

    def __enter__(self) -> Call:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._breaker is None or not self._admitted:
            return
        if error is None and not self.failed:
            self._breaker._on_success()
        elif error is None or (isinstance(error, Exception) and not isinstance(error, _NO_FAILURE)):
            self._breaker._on_failure()


class PhaseTimeouts(dict[str, Any]):
    """httpx's timeouts, each cut to what is left of the call when its phase begins."""

    def __init__(self, timeouts: dict[str, float | None], deadline: Deadline) -> None:
        super().__init__(timeouts)
        self._deadline = deadline

    def get(self, phase: str, default: Any = None) -> Any:
        """Seconds for this phase."""
        allowed = super().get(phase, default)
        left = self._deadline.left()
        return left if allowed is None else min(allowed, left)


class _Below:
    """What the two transports share. Without a Call in its extensions, a request is a call of its own."""

    def __init__(
        self, transport: Any, *, limiter: RateLimiter | None = None, breaker: CircuitBreaker | None = None
    ) -> None:
        self.next_transport = transport
        self._limiter = limiter
        self._breaker = breaker

    @staticmethod
    def _given(request: httpx.Request) -> Call | None:
        """The call that `request` is a part of."""
        return None if BACKGROUND in request.extensions else request.extensions.get(CALL)

    def _own(self, request: httpx.Request) -> Call:
        """A call for `request` alone."""
        extensions = request.extensions
        if CALL not in extensions:
            return Call(self._limiter, self._breaker, f"{request.url.scheme}://{request.url.netloc.decode('ascii')}")
        if isinstance(extensions.get("timeout"), PhaseTimeouts):
            extensions["timeout"] = dict(extensions["timeout"])
        apart: Call = extensions[CALL].apart()
        return apart


class LimitedTransport(_Below, httpx.BaseTransport):
    """Sends what limiter and breaker let pass: `LimitedTransport(httpx.HTTPTransport(), limiter=…, breaker=…)`."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Wait for the limiter in the caller's thread, then send."""
        call = self._given(request)
        if call is not None:
            return self._send(request, call)
        with self._own(request) as own:
            return self._send(request, own)

    def _send(self, request: httpx.Request, call: Call) -> httpx.Response:
        call.admit()
        deadline = call.deadline
        if call.limiter is not None:
            if deadline is None:
                call.limiter.acquire()
            elif not call.limiter.acquire(timeout=deadline.left()):
                raise OperationTimeoutError(deadline.allowed, request_not_sent=True)
        call.failed = True
        response: httpx.Response = self.next_transport.handle_request(request)
        call.failed = False
        if deadline is not None and isinstance(response.stream, httpx.SyncByteStream):
            response.stream = _InTime(response.stream, deadline)
        return response

    def close(self) -> None:
        """Close the next transport."""
        self.next_transport.close()


class AsyncLimitedTransport(_Below, httpx.AsyncBaseTransport):
    """The same for async clients; the event loop runs on while a request waits for the limiter."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Wait for the limiter without blocking the loop, then send. A cancelled wait has taken no slot."""
        call = self._given(request)
        if call is not None:
            return await self._send(request, call)
        with self._own(request) as own:
            return await self._send(request, own)

    async def _send(self, request: httpx.Request, call: Call) -> httpx.Response:
        call.admit()
        if call.limiter is not None:
            await _acquire(call.limiter)
        call.failed = True
        response: httpx.Response = await self.next_transport.handle_async_request(request)
        call.failed = False
        return response

    async def aclose(self) -> None:
        """Close the next transport."""
        await self.next_transport.aclose()


class _InTime(httpx.SyncByteStream):
    """A body that must be complete by a deadline: a server that sends drop by drop never times out by phases."""

    def __init__(self, stream: httpx.SyncByteStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._stream:
            yield chunk
            if self._deadline.is_over():
                raise OperationTimeoutError(self._deadline.allowed)

    def close(self) -> None:
        self._stream.close()


async def _acquire(limiter: RateLimiter) -> None:
    """What `limiter.acquire()` does, asleep on the event loop instead of in it."""
    if type(limiter).acquire is not RateLimiter.acquire:
        await anyio.to_thread.run_sync(limiter.acquire)
        return
    waited = 0.0
    while limiter.enabled:
        wait = _seconds_to_slot(limiter)
        if wait <= 0.0 and limiter.acquire(timeout=0.0):
            break
        nap = min(max(wait, 0.001), _LONGEST_NAP)
        limiter._throttle_count += 1
        _limiter_logger.info(
            f"Rate limit reached ({limiter.max_requests} requests/{limiter.window_seconds}s). Waiting {wait:.2f}s..."
        )
        await anyio.sleep(nap)
        waited += nap
    limiter._total_wait_time += waited


def _seconds_to_slot(limiter: RateLimiter) -> float:
    """Seconds until the oldest request leaves the window, 0.0 if there is room now."""
    with limiter._lock:
        stamps = limiter._timestamps
        if len(stamps) < limiter.max_requests:
            return 0.0
        oldest: float = stamps[0]
        return max(0.0, oldest + limiter.window_seconds - time.monotonic() + 0.001)
