"""A simulated server, and our clients on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pywats.core import throttle

from pywats_cache import MemoryStorage, pyWATS
from pywats_cache.testing import FakeClock, SimulatedWATS


@pytest.fixture(autouse=True)
def _without_throttling(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK's limiter is one for the process, and the suite sends more than 500 requests a minute."""
    monkeypatch.setattr(throttle, "_default_limiter", throttle.RateLimiter(enabled=False))


@pytest.fixture(scope="session")
def _started() -> Iterator[SimulatedWATS]:
    with SimulatedWATS(users=("alice", "bob")) as server:
        yield server


@pytest.fixture
def server(_started: SimulatedWATS) -> SimulatedWATS:
    """A server with the data of the start and an empty log."""
    _started.latency = 0.0
    for user in _started.users:
        _started.restore(user)
    _started.reset()
    return _started


@pytest.fixture(scope="session")
def api_clock() -> FakeClock:
    """The clock of `api`'s cache; it goes on from test to test."""
    return FakeClock()


@pytest.fixture(scope="session")
def _client(_started: SimulatedWATS, api_clock: FakeClock) -> Iterator[pyWATS]:
    storage = MemoryStorage(clock=api_clock)
    with pyWATS(base_url=_started.base_url, token=_started.token, cache_storage=storage) as api:
        api._http_client._rate_limiter = throttle.RateLimiter(enabled=False)
        yield api


@pytest.fixture
def api(server: SimulatedWATS, _client: pyWATS, api_clock: FakeClock) -> pyWATS:
    """Our sync client on `server`, with nothing stored; its counters go on from test to test."""
    api_clock.advance(3600)  # settle windows are over
    _client.cache.clear()
    return _client
