"""How long the server took to answer the fetches, and how often it did not."""

from __future__ import annotations

from bisect import bisect_left

__all__ = ["BOUNDS", "OriginTimes"]

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the buckets in seconds; one more bucket holds what took longer."""


class OriginTimes:
    """Seconds from sending a fetch to the head of its answer. Guarded by the lock of the storage."""

    __slots__ = ("buckets", "failures", "total")

    def __init__(self) -> None:
        self.buckets: list[int] = [0] * (len(BOUNDS) + 1)
        self.total: float = 0.0
        self.failures: dict[str, int] = {"unreachable": 0, "cancelled": 0, "other": 0}

    def answered(self, seconds: float) -> None:
        """A fetch was answered, whatever the status."""
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds

    def failed(self, cause: str) -> None:
        """A fetch got no answer, or its body broke off."""
        self.failures[cause] += 1
