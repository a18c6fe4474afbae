"""Fixtures of the tests with real threads and tasks."""

from __future__ import annotations

import pytest

from pywats_cache import AsyncCacheTransport, CacheTransport


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
