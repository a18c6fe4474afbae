"""The fixtures that installing the package gives to pytest."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from pywats_cache.testing import FakeClock

Check = Callable[[Any], None]


def test_the_fixtures_tell_a_hit_from_a_miss(
    lib: SimpleNamespace, origin: Any, cache_clock: FakeClock, assert_cached: Check, assert_not_cached: Check
) -> None:
    with lib.CacheClient(transport=origin.transport, clock=cache_clock, base_url="http://origin") as client:
        first = client.get("/a")
        assert_not_cached(first)
        with pytest.raises(pytest.fail.Exception, match="miss, because 'unknown'"):
            assert_cached(first)
        second = client.get("/a")
        assert_cached(second)
        with pytest.raises(pytest.fail.Exception, match="hit, because 'fresh'"):
            assert_not_cached(second)
        cache_clock.advance(301)
        assert_not_cached(client.get("/a"))


def test_a_response_without_a_cache_is_no_miss(lib: SimpleNamespace, origin: Any, assert_not_cached: Check) -> None:
    with (
        lib.http.Client(transport=origin.transport) as client,
        pytest.raises(pytest.fail.Exception, match="did not come through a cache"),
    ):
        assert_not_cached(client.get("http://origin/a"))
