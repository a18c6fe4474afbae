"""Fixtures of the tests with real threads and tasks."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from pywats_cache import AsyncCacheTransport, CacheTransport
from pywats_cache.flights import Flight


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch) -> threading.Semaphore:
    """Released once for each caller that waits for another's flight."""
    waiting = threading.Semaphore(0)
    original = Flight.on_landing

    def on_landing(self: Flight, wake: Callable[[], object]) -> None:
        original(self, wake)
        waiting.release()

    monkeypatch.setattr(Flight, "on_landing", on_landing)
    return waiting


@pytest.fixture
def deadlines(monkeypatch: pytest.MonkeyPatch) -> set[float]:
    """Until when callers were ready to wait, those of event loops too."""
    seen: set[float] = set()
    for cls in (CacheTransport, AsyncCacheTransport):
        waited = cls._wait
        monkeypatch.setattr(
            cls, "_wait", lambda self, join, waited=waited: (seen.add(join.deadline), waited(self, join))[1]
        )
    return seen
