"""How long settle windows are still open, counted by clocks that nobody sets.

Wall clocks jump: a station boots with a wrong one and gets the right one minutes later. So where all processes have one
clock in common that counts from the boot, a window says when it ends on that. Any other window, of an earlier boot, of
another system or of a version that knew only the wall clock, counts as begun when this process saw it first: it may
last longer then, never shorter.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from functools import lru_cache

from ...support.boot import windows_boot
from ...support.clock import monotonic

__all__ = ["SeenWindows", "boot", "since_boot"]

Name = tuple[str, str]
"""The id of a window, and a tag."""


@lru_cache(maxsize=1)
def boot() -> str | None:
    """Names what `since_boot` counts from, the same for all processes that share it; None where there is no such."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            # A container may have an offset of its own.
            return f"{file.read().strip()} {os.readlink('/proc/self/ns/time')}" if _has_clock() else None
    except OSError:
        named = windows_boot()
        return None if named is None else named.hex()


def _has_clock() -> bool:
    return hasattr(time, "CLOCK_BOOTTIME")


def since_boot() -> float:
    """Seconds since the boot that `boot` names, while the machine slept too."""
    return monotonic()


class SeenWindows:
    """When this process saw windows first whose time it cannot tell. Not safe from several threads at once."""

    def __init__(self) -> None:
        self._first: dict[Name, float] = {}

    def left(self, window: Name, length: float) -> float:
        """Seconds that a window of this length has left, if it began when it was seen first."""
        now = monotonic()
        return self._first.setdefault(window, now) + length - now

    def keep(self, windows: Iterable[Name]) -> None:
        """Forget all but these."""
        if self._first:
            known = self._first
            self._first = {window: known[window] for window in windows if window in known}
