"""A pytest plugin: `pytest_plugins = ["pywats_cache.testing.plugin"]`, or installed with this package.

```python
def test_the_second_call_is_cached(cache_clock, assert_cached, assert_not_cached):
    client = CacheClient(clock=cache_clock, transport=…)
    assert_not_cached(client.get("/a"))
    assert_cached(client.get("/a"))
    cache_clock.advance(301)
    assert_not_cached(client.get("/a"))
```
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from .clock import FakeClock

__all__ = ["assert_cached", "assert_not_cached", "cache_clock"]


def _outcome(response: Any) -> Any:
    outcome = response.extensions.get("pywats_cache")
    if outcome is None:
        pytest.fail(f"{response!r} did not come through a cache: it has no extensions['pywats_cache']")
    return outcome


@pytest.fixture
def cache_clock() -> FakeClock:
    """A clock that only the test moves; give it to a transport or client as `clock=`."""
    return FakeClock()


@pytest.fixture
def assert_cached() -> Callable[[Any], None]:
    """Fails, saying why, unless a response was answered without a request of its own."""

    def check(response: Any) -> None:
        outcome = _outcome(response)
        if outcome.status not in ("hit", "stale", "collapsed"):
            pytest.fail(
                f"not answered from the cache: {outcome.status}, because {outcome.reason!r} (rule {outcome.rule})"
            )

    return check


@pytest.fixture
def assert_not_cached() -> Callable[[Any], None]:
    """Fails, saying why, if a response was answered without a request of its own."""

    def check(response: Any) -> None:
        outcome = _outcome(response)
        if outcome.status in ("hit", "stale", "collapsed"):
            pytest.fail(
                f"answered from the cache: {outcome.status}, because {outcome.reason!r}, age {outcome.age:.1f} s"
            )

    return check
