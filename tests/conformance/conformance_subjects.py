"""What can be put to the public cache tests."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import httpx

from pywats_cache import CacheTransport, Controller
from pywats_cache.testing import FakeClock


class Clock(Protocol):
    """Seconds since 1970, real or not."""

    def __call__(self) -> float:
        """The time."""
        ...

    def advance(self, seconds: float) -> None:
        """Let time pass, or wait until it has."""
        ...


class RealClock:
    """The wall clock."""

    def __call__(self) -> float:
        return time.time()

    def advance(self, seconds: float) -> None:
        time.sleep(seconds)


@dataclass(frozen=True)
class Subject:
    """A cache under test: how to make one, empty, and whose time it lives in."""

    transport: Callable[[Any], httpx.BaseTransport]
    real_time: bool = False

    def clock(self) -> Clock:
        """A clock for one test; the origin dates its answers by the same one."""
        if self.real_time:
            return RealClock()
        start = float(int(time.time()))
        return FakeClock(start, wall=start)

    def settle(self) -> None:
        """Leave a moment to what runs in the background, where no real time passes otherwise."""
        if not self.real_time:
            time.sleep(0.01)


def _ttl(clock: Any) -> httpx.BaseTransport:
    return CacheTransport(httpx.HTTPTransport(verify=False), controller=Controller(ttl=3600.0), clock=clock)


def _rfc9111(clock: Any) -> httpx.BaseTransport:
    return CacheTransport(httpx.HTTPTransport(verify=False), controller=Controller(rfc9111=True), clock=clock)


def _hishel(_: Any) -> httpx.BaseTransport:
    import sqlite3

    import hishel
    import hishel.httpx

    storage = hishel.SqliteStorage(connection=sqlite3.connect(":memory:", check_same_thread=False))
    options = hishel.CacheOptions(shared=False)
    return hishel.httpx.CacheTransport(httpx.HTTPTransport(verify=False), storage=storage, rfc=options)


SUBJECTS: dict[str, Subject] = {
    "rfc9111": Subject(_rfc9111),
    "ttl": Subject(_ttl),
    "hishel": Subject(_hishel, real_time=True),
    "none": Subject(lambda _: httpx.HTTPTransport(verify=False)),
}
