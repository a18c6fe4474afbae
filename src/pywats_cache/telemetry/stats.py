"""What happened to all requests of a transport, as an immutable snapshot."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["OUTCOMES", "CacheStats", "Counters"]

OUTCOMES = ("hits", "stale", "revalidated", "misses", "collapsed", "bypassed")
"""The first fields of `CacheStats`: every request counts in exactly one of them."""


class CacheStats(NamedTuple):
    """A snapshot of the counters. Every request counts in exactly one of the first six, unless it is refused.

    A request is refused, and not counted, if a directive is bad or the controller's partition function raises.
    `hits` to `bypassed` and `lookups` belong to the transport, `stores` to `size_bytes` to its storage, which other
    transports may share.
    """

    hits: int = 0
    stale: int = 0
    revalidated: int = 0
    misses: int = 0
    collapsed: int = 0
    bypassed: int = 0
    lookups: int = 0
    """How many of all these were answered before the client built a request: hits, stale answers and joins."""
    stores: int = 0
    evictions: int = 0
    expirations: int = 0
    invalidations: int = 0
    """Writes and calls of `invalidate` that dirtied something."""
    storage_errors: int = 0
    tier_hits: int = 0
    """How many of the hits an outer storage answered."""
    entries: int = 0
    size_bytes: int = 0
    saved_bytes: int = 0
    """Bytes that compression saved in everything written to an outer storage."""
    remembered_bytes: int = 0
    """Bytes counted for what this transport, and the clients made on it, remember of requests beside what is stored."""
    floors: int = 0
    """How often a full table of tags made responses invalid whose own first two path segments no write had reached: one
    for each origin, or top-level path, that it gave up. In memory alone never; see *Coherence* in the docs."""

    @property
    def requests(self) -> int:
        """All requests: the calls of the transport, and the lookups that were answered before it."""
        return self.hits + self.stale + self.revalidated + self.misses + self.collapsed + self.bypassed

    @property
    def hit_rate(self) -> float:
        """The fraction of cacheable requests that needed no fetch of their own, 0.0 to 1.0; 0.0 if there were none."""
        answered = self.hits + self.stale + self.collapsed
        cacheable = answered + self.revalidated + self.misses
        return answered / cacheable if cacheable else 0.0


CacheStats.__module__ = "pywats_cache"  # mypy takes one in the body for a field


class Counters:
    """The running numbers behind the first fields of CacheStats. Guarded by the lock of the storage."""

    __slots__ = ("bypass", "collapsed", "hit", "lookups", "miss", "revalidated", "stale", "tier")

    def __init__(self) -> None:
        self.hit: int = 0
        self.stale: int = 0
        self.revalidated: int = 0
        self.miss: int = 0
        self.collapsed: int = 0
        self.bypass: int = 0
        self.lookups: int = 0
        self.tier: int = 0
