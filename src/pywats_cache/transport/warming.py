"""Warming: fetch ahead of the first caller, a few at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextvars import copy_context
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

import anyio

from ..errors import ConfigurationTypeError
from ..support.checks import whole
from ..support.showing import shown
from ..telemetry.outcome import EXTENSION

if TYPE_CHECKING:
    from ..support.http_types import HttpResponse

__all__ = ["Progress", "Warmed", "warm", "warm_async"]

Progress = Callable[[int, int], object]
"""Called after each item with how many are done and how many there are; from several threads, one at a time."""


@dataclass(frozen=True, slots=True)
class Warmed:
    """How many answers were asked for, fetched, fresh already, and not to be had."""

    __module__ = "pywats_cache"

    total: int
    fetched: int
    fresh: int
    failed: int


class _Tally:
    """Guarded by `_lock`."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        if progress is not None and not callable(progress):
            raise ConfigurationTypeError(f"progress must be a function of (done, total), not {shown(progress)}")
        self._total = total
        self._progress = progress
        self._lock = Lock()
        self._fetched = self._fresh = self._failed = 0

    def add(self, response: HttpResponse | None) -> None:
        """Count an answer, or a failure for None."""
        with self._lock:
            if response is None or not response.is_success:
                self._failed += 1
            elif response.extensions[EXTENSION].status in ("hit", "stale", "collapsed"):
                self._fresh += 1
            else:
                self._fetched += 1
            if self._progress is not None:
                self._progress(self._fetched + self._fresh + self._failed, self._total)

    def result(self) -> Warmed:
        return Warmed(self._total, self._fetched, self._fresh, self._failed)


def _wanted(items: Iterable[Any]) -> list[Any]:
    """`items` as a list; one URL alone would be taken apart into its characters."""
    if isinstance(items, (str, bytes)) or not isinstance(items, Iterable):
        raise ConfigurationTypeError(f"items must be a list of URLs or requests, not {shown(items)}")
    return list(items)


def warm(send: Callable[[Any], Any], items: Iterable[Any], concurrency: int, progress: Progress | None) -> Warmed:
    """Send each item by `send`, at most `concurrency` at a time; an error counts as failed and stops nothing."""
    wanted = _wanted(items)
    tally = _Tally(len(wanted), progress)

    def one(item: Any) -> None:
        try:
            response = send(item)
        except Exception:  # noqa: BLE001 - the first caller will see it
            response = None
        tally.add(response)

    from concurrent.futures import ThreadPoolExecutor  # here: few callers warm, and it takes 2 ms to import

    with ThreadPoolExecutor(whole("concurrency", concurrency, least=1), "pywats-cache-warm") as pool:
        try:
            # Each in a copy of the caller's context, as tasks have it: a block of options holds for them too.
            for future in [pool.submit(copy_context().run, one, item) for item in wanted]:
                future.result()
        except BaseException:  # Ctrl-C: what waits for its turn is not begun any more
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return tally.result()


async def warm_async(
    send: Callable[[Any], Awaitable[Any]], items: Iterable[Any], concurrency: int, progress: Progress | None
) -> Warmed:
    """The same with tasks. Cancelled, it stops what it began."""
    wanted = _wanted(items)
    tally = _Tally(len(wanted), progress)
    limit = anyio.Semaphore(whole("concurrency", concurrency, least=1))

    async def one(item: Any) -> None:
        async with limit:
            try:
                response = await send(item)
            except Exception:  # noqa: BLE001 - the first caller will see it
                response = None
        tally.add(response)

    async with anyio.create_task_group() as tasks:
        for item in wanted:
            tasks.start_soon(one, item)
    return tally.result()
