"""The SDK's coroutines run in the caller's thread, over the sync client: no event loop, no other thread.

Over a client that answers synchronously every coroutine of the SDK's services ends at its first `send(None)`. So a
sync call works anywhere: in a plain script, inside a running event loop (a notebook), in many threads at once.
"""

from __future__ import annotations

import time
from collections.abc import Coroutine
from contextvars import ContextVar
from functools import wraps
from random import getrandbits
from types import CoroutineType
from typing import Any, TypeVar

from pywats.domains.product.async_service import AsyncBoxBuildTemplate

from .vendor import SyncProductServiceWrapper, SyncServiceWrapper, correlation_id_var, with_retry

__all__ = [
    "CallingProductWrapper",
    "CallingWrapper",
    "Deadline",
    "OperationTimeoutError",
    "deadline",
    "run",
    "sleep_here",
]

_T = TypeVar("_T")


class OperationTimeoutError(TimeoutError):
    """A sync call took longer than the `timeout` of its SyncConfig; what the SDK raises then, a built-in TimeoutError.

    `request_not_sent` tells the cache below whether the request that was under way had left.
    """

    def __init__(self, allowed: float, *, request_not_sent: bool = False) -> None:
        super().__init__(f"Operation timed out after {allowed}s")
        self.request_not_sent = request_not_sent


class Deadline:
    """When the whole of one sync call must be over: `ends` on `time.monotonic`, `allowed` seconds after its start."""

    __slots__ = ("allowed", "ends")

    SLACK = 0.01  # a socket's timeout may fire that much before its time
    LEAST = 0.001  # a timeout of 0 would make a socket non-blocking instead

    def __init__(self, allowed: float) -> None:
        self.allowed: float = allowed
        self.ends: float = time.monotonic() + allowed

    def left(self) -> float:
        """Seconds left, never less than a socket can be given."""
        return max(self.LEAST, self.ends - time.monotonic())

    def is_over(self) -> bool:
        """Whether there is no time left."""
        return time.monotonic() >= self.ends - self.SLACK


def sleep_here(seconds: float, until: Deadline | None) -> None:
    """Sleep in the caller's thread. Raises OperationTimeoutError at the deadline, should it come first."""
    if until is not None and seconds >= until.left():
        time.sleep(until.left())
        raise OperationTimeoutError(until.allowed)
    time.sleep(seconds)


deadline: ContextVar[Deadline | None] = ContextVar("pywats_cache.wats.deadline", default=None)
"""The deadline of the sync call that runs now in this thread."""


def run(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run `coroutine` to its end, here and now.

    Raises RuntimeError if it waits for an event loop, which no call of the SDK does over our clients.
    """
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: _T = done.value
        return result
    coroutine.close()
    raise RuntimeError(f"{coroutine!r} waits for an event loop; use AsyncWATS for it")


def _new_id() -> str:
    # As the SDK's: eight hexadecimal digits; a UUID to cut them from would take a tenth of a whole hit.
    return f"{getrandbits(32):08x}"


class CallingWrapper(SyncServiceWrapper):
    """The SDK's sync face of a service, with each call run in the caller's thread.

    Timeout, retry and correlation id of the SyncConfig hold as in the SDK. A method is looked up on the service at
    each call, so one that was replaced there is the one that runs.
    """

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._async, name)
        if not callable(attribute):
            return attribute
        if name.startswith("__"):
            return attribute

        @wraps(attribute)
        def method(*args: Any, **kwargs: Any) -> Any:
            config = self._config
            if not config.retry_enabled:
                return self._call(name, args, kwargs)
            identifier = _new_id() if config.correlation_id_enabled else "no-corr-id"
            return with_retry(self._call, config.retry, identifier)(name, args, kwargs)

        # The next access finds it without this function.
        self.__dict__[name] = method
        return method

    def _call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        service = self._async
        result = getattr(service, name)(*args, **kwargs)
        if type(result) is CoroutineType:
            config = self._config
            allowed = config.timeout
            timed = None if allowed is None else deadline.set(Deadline(allowed))
            named = correlation_id_var.set(_new_id()) if config.correlation_id_enabled else None
            try:
                result = run(result)
            finally:
                if named is not None:
                    correlation_id_var.reset(named)
                if timed is not None:
                    deadline.reset(timed)
        return self if result is service else result

    def __enter__(self) -> CallingWrapper:
        if hasattr(self._async, "__aenter__"):
            run(self._async.__aenter__())
        return self

    def __exit__(self, *error: Any) -> bool | None:
        if hasattr(self._async, "__aexit__"):
            suppress: bool | None = run(self._async.__aexit__(*error))
            return suppress
        return None


class CallingProductWrapper(CallingWrapper, SyncProductServiceWrapper):
    """The same for the product service, whose box build templates are asynchronous themselves."""

    def _call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = super()._call(name, args, kwargs)
        return CallingWrapper(result, self._config) if isinstance(result, AsyncBoxBuildTemplate) else result
