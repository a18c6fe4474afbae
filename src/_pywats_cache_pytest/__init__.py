"""What pytest loads at its start wherever pywats-cache is installed; its users import `pywats_cache.testing.plugin`.

A package beside `pywats_cache`, which imports httpx and hishel: a run of tests that uses none of it shall not wait.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pywats_cache.testing.clock import FakeClock

__all__ = ["assert_cached", "assert_not_cached", "cache_clock"]


_CACHED = ("hit", "stale", "collapsed")
"""The statuses of answers without a request of their own."""


def _outcome(response: Any) -> Any:
    __tracebackhide__ = True
    outcome = getattr(response, "extensions", {}).get("pywats_cache")
    if outcome is None:
        pytest.fail(f"{response!r} did not come through a cache: it has no extensions['pywats_cache']")
    return outcome


@pytest.fixture
def cache_clock() -> FakeClock:
    """A clock that only the test moves; give it to a transport or client as `clock=`."""
    from pywats_cache.testing.clock import FakeClock

    return FakeClock()


@pytest.fixture
def assert_cached() -> Callable[[Any], None]:
    """Fails, saying why, unless a response was answered without a request of its own."""

    def check(response: Any) -> None:
        __tracebackhide__ = True
        outcome = _outcome(response)
        if outcome.status not in _CACHED:
            pytest.fail(
                f"not answered from the cache: {outcome.status}, because {outcome.reason!r} (rule {outcome.rule})"
            )

    return check


@pytest.fixture
def assert_not_cached() -> Callable[[Any], None]:
    """Fails, saying why, if a response was answered without a request of its own."""

    def check(response: Any) -> None:
        __tracebackhide__ = True
        outcome = _outcome(response)
        if outcome.status in _CACHED:
            pytest.fail(
                f"answered from the cache: {outcome.status}, because {outcome.reason!r}, age {outcome.age:.1f} s"
            )

    return check
