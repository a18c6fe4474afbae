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

from ._version import __version__

TYPE_CHECKING = False  # as `typing` has it, which takes longer to import than all of this
if TYPE_CHECKING:
    from . import errors as errors
    from . import httpx as httpx
    from . import httpx2 as httpx2
    from .diagnostics.doctor import Finding as Finding
    from .diagnostics.explain import Explanation as Explanation
    from .errors import CachingError as CachingError
    from .errors import ConfigurationError as ConfigurationError
    from .errors import ConfigurationTypeError as ConfigurationTypeError
    from .errors import StorageError as StorageError
    from .httpx import AsyncCacheClient as AsyncCacheClient
    from .httpx import AsyncCacheTransport as AsyncCacheTransport
    from .httpx import CacheClient as CacheClient
    from .httpx import CacheTransport as CacheTransport
    from .policy.controller import Controller as Controller
    from .policy.rules import Bypass as Bypass
    from .policy.rules import Read as Read
    from .policy.rules import Write as Write
    from .storage.memory import MemoryStorage as MemoryStorage
    from .storage.redis.storage import RedisSharedStorage as RedisSharedStorage
    from .storage.sqlite.storage import SharedStorage as SharedStorage
    from .storage.tiered import TieredStorage as TieredStorage
    from .telemetry.outcome import REASONS as REASONS
    from .telemetry.outcome import CacheOutcome as CacheOutcome
    from .telemetry.stats import CacheStats as CacheStats
    from .transport.warming import Warmed as Warmed
    from .wats import AsyncWATS as AsyncWATS
    from .wats import pyWATS as pyWATS

# Without those that need an extra or that few ask for, so that `import *` works wherever this is installed.
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

# PEP 562: each name loads when it is asked for, so that nobody waits for a library that he does not use.
_LAZY = {
    "AsyncCacheClient": ".httpx",
    "AsyncCacheTransport": ".httpx",
    "AsyncWATS": ".wats",
    "Bypass": ".policy.rules",
    "CacheClient": ".httpx",
    "CacheOutcome": ".telemetry.outcome",
    "CacheStats": ".telemetry.stats",
    "CacheTransport": ".httpx",
    "CachingError": ".errors",
    "ConfigurationError": ".errors",
    "ConfigurationTypeError": ".errors",
    "Controller": ".policy.controller",
    "Explanation": ".diagnostics.explain",
    "Finding": ".diagnostics.doctor",
    "MemoryStorage": ".storage.memory",
    "REASONS": ".telemetry.outcome",
    "Read": ".policy.rules",
    "RedisSharedStorage": ".storage.redis.storage",
    "SharedStorage": ".storage.sqlite.storage",
    "StorageError": ".errors",
    "TieredStorage": ".storage.tiered",
    "Warmed": ".transport.warming",
    "Write": ".policy.rules",
    "pyWATS": ".wats",
}
_MODULES = ("errors", "httpx", "httpx2", "metrics", "testing", "wats", "web")

if not TYPE_CHECKING:  # to a type checker every name would be there then

    def __getattr__(name):
        from importlib import import_module

        if name in _MODULES:
            return import_module(f".{name}", __name__)
        if name not in _LAZY:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(import_module(_LAZY[name], __name__), name)
        return found


def __dir__() -> list[str]:
    return sorted({*__all__, *_LAZY})
