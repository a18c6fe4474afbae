"""How long settle windows are still open, counted by clocks that nobody sets, and in whatever ledger.

Wall clocks jump: a station boots with a wrong one and gets the right one minutes later. So where all processes have one
clock in common that counts from the boot, a window says when it ends on that. Any other window, of an earlier boot, of
another system or of a version that knew only the wall clock, counts as begun when this process saw it first: it may
last longer then, never shorter.

A ledger may be lost while windows are open (flushed, restarted empty, removed). Whoever knows them opens them again in
the next one: else what is read there would be stored while a write to it is under way.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache

from ...support.boot import windows_boot
from ...support.clock import monotonic

__all__ = ["EVERYTHING", "KnownWindows", "Name", "SeenWindows", "boot", "since_boot"]

Name = tuple[str, str]
"""The id of a window, and a tag."""
NO: Mapping[Name, float] = {}
EVERYTHING = "*"
"""The tag of a window for all that there is: what it is really for is not known."""


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


class KnownWindows:
    """The windows that were open when a process looked last, and in which ledger. Not safe from several threads."""

    def __init__(self) -> None:
        self.generation: str | None = None
        self._ends: dict[Name, float] = {}
        self._lengths: dict[Name, float] = {}

    def lost_with(self, generation: str | None, now: float) -> dict[Name, float]:
        """The windows, and the seconds left, that a ledger of `generation` does not have, as it is another one."""
        if self.generation in (None, generation):
            return {}
        return {name: end - now for name, end in self._ends.items() if end > now}

    def length(self, name: Name) -> float:
        """For how long a known window is opened again where each process counts it from when it sees it first.

        It is always the same. With what is left of it, who has seen it before would take it for over too soon.
        """
        return self._lengths[name]

    def forget(self, ids: Collection[str]) -> None:
        """These were closed."""
        self._ends = {name: end for name, end in self._ends.items() if name[0] not in ids}

    def is_open(self, now: float) -> bool:
        """Whether any of them still is."""
        return any(end > now for end in self._ends.values())

    def note(self, generation: str, left: Mapping[Name, float], now: float, lengths: Mapping[Name, float] = NO) -> None:
        """These are open in the ledger of `generation`, for so many seconds of so many."""
        self.generation = generation
        self._ends = {name: now + seconds for name, seconds in left.items()}
        self._lengths = {name: lengths.get(name, seconds) for name, seconds in left.items()}
