"""The default clock: monotonic, and counting the time the machine slept where the system offers such a clock."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial

__all__ = ["Clock", "calendar", "monotonic"]

Clock = Callable[[], float]
"""Seconds since some moment; never set back."""


def calendar(clock: Clock) -> Clock:
    """The time of day that goes with `clock`, as `time.time()`: its own `wall`, for a test's, else the system's."""
    wall: Clock = getattr(clock, "wall", time.time)
    return wall


def _system_clock() -> Clock:
    # An answer stored before a laptop slept for an hour is an hour old.
    if sys.platform == "linux" and hasattr(time, "CLOCK_BOOTTIME"):
        return partial(time.clock_gettime, time.CLOCK_BOOTTIME)
    if sys.platform == "darwin":
        return partial(time.clock_gettime, time.CLOCK_MONOTONIC)
    return time.monotonic  # on Windows it counts sleep


monotonic: Clock = _system_clock()
