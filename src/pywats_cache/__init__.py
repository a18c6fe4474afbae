"""A coherent HTTP response cache that mounts on any httpx client.

```python
from pywats_cache import CacheClient

with CacheClient(base_url="https://wats.example") as client:
    client.get("/api/Product/A").extensions["pywats_cache"]  # CacheOutcome(status="miss", …)
    client.get("/api/Product/A").extensions["pywats_cache"]  # CacheOutcome(status="hit", …)
```
The main names:

- `CacheClient`, `AsyncCacheClient`: httpx clients that cache.
- `CacheTransport`, `AsyncCacheTransport`: the cache alone, to mount in an httpx client of your own.
- `Controller` with its rules `Read`, `Write` and `Bypass`: what is cached, and for how long.
- `MemoryStorage`, `TieredStorage`, `SharedStorage` (SQLite), `RedisSharedStorage`: where answers are kept.
- `CacheOutcome`, `REASONS`, `CacheStats`: what happened, and why.
- `pyWATS`, `AsyncWATS` (extra `wats`): the WATS clients with the cache; they load on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._version import __version__
from .errors import CachingError, ConfigurationError, ConfigurationTypeError, StorageError
from .httpx import AsyncCacheClient, AsyncCacheTransport, CacheClient, CacheTransport
from .policy.controller import Bypass, Controller, Read, Write
from .storage.memory import MemoryStorage
from .storage.tiered import TieredStorage
from .support.lazy import lazy
from .telemetry.outcome import REASONS, CacheOutcome
from .telemetry.stats import CacheStats

if TYPE_CHECKING:
    from .diagnostics.doctor import Finding as Finding
    from .diagnostics.explain import Explanation as Explanation
    from .storage.redis.storage import RedisSharedStorage as RedisSharedStorage
    from .storage.sqlite.storage import SharedStorage as SharedStorage
    from .transport.warming import Warmed as Warmed
    from .wats import AsyncWATS as AsyncWATS
    from .wats import pyWATS as pyWATS

__all__ = [
    "REASONS",
    "AsyncCacheClient",
    "AsyncCacheTransport",
    "Bypass",
    "CacheClient",
    "CacheOutcome",
    "CacheStats",
    "CacheTransport",
    "CachingError",
    "ConfigurationError",
    "ConfigurationTypeError",
    "Controller",
    "MemoryStorage",
    "Read",
    "StorageError",
    "TieredStorage",
    "Write",
    "__version__",
]

# PEP 562: the SDK takes most of a second to import and only its users have it; the rest is asked for by few.
_LAZY = {
    "AsyncWATS": ".wats",
    "Explanation": ".diagnostics.explain",
    "Finding": ".diagnostics.doctor",
    "RedisSharedStorage": ".storage.redis.storage",
    "SharedStorage": ".storage.sqlite.storage",
    "Warmed": ".transport.warming",
    "pyWATS": ".wats",
}


if not TYPE_CHECKING:  # to a type checker every name would be there then
    __getattr__ = lazy(__name__, _LAZY)


def __dir__() -> list[str]:
    return sorted([*__all__, *_LAZY])
