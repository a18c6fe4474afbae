"""The default clock and the clock of tests."""

from __future__ import annotations

import sys
import time

import pytest

from pywats_cache import CachingError
from pywats_cache.support.clock import monotonic
from pywats_cache.testing import FakeClock


def test_the_default_clock_never_goes_back() -> None:
    readings = [monotonic() for _ in range(1000)]
    assert readings == sorted(readings)
    assert isinstance(readings[0], float)


@pytest.mark.skipif(sys.platform != "linux", reason="CLOCK_BOOTTIME is Linux's")
def test_the_default_clock_counts_the_time_the_machine_slept() -> None:
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert before <= monotonic() <= time.clock_gettime(time.CLOCK_BOOTTIME)


def test_a_fake_clock_moves_only_when_told() -> None:
    clock = FakeClock(50)
    assert [clock(), clock()] == [50.0, 50.0]
    clock.advance(2.5)
    assert clock() == 52.5
    clock.advance(-10)
    assert clock() == 42.5
    assert repr(clock) == "FakeClock(42.5)"


@pytest.mark.parametrize("start", [True, "now", None])
def test_a_fake_clock_refuses_what_is_no_number(start: object) -> None:
    with pytest.raises(TypeError, match="start must be a number of seconds, not") as caught:
        FakeClock(start)  # type: ignore[arg-type]
    assert isinstance(caught.value, CachingError)
    assert repr(start) in str(caught.value)
