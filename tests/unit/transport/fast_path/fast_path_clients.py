"""What the tests of lookups ask of a client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pywats_cache import CacheOutcome

Outcome = Callable[[Any], CacheOutcome]
Make = Callable[..., Any]


def lookups(client: Any) -> int:
    return client.cache.stats.lookups
