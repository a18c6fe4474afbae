"""A coherent HTTP response cache that mounts on any httpx client.

```python
from pywats_cache import CacheClient

with CacheClient(base_url="https://wats.example") as client:
    client.get("/api/Product/A").extensions["pywats_cache"]  # CacheOutcome(status="miss", …)
    client.get("/api/Product/A").extensions["pywats_cache"]  # CacheOutcome(status="hit", …)
```
`pyWATS` and `AsyncWATS` (extra `wats`) load when they are first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._version import __version__
from .controller import Bypass, Controller, Read, Write
from .diagnosis import Explanation, Finding
from .errors import CachingError, ConfigurationError, ConfigurationTypeError, StorageError
from .httpx import AsyncCacheClient, AsyncCacheTransport, CacheClient, CacheTransport
from .outcome import REASONS, CacheOutcome
from .stats import CacheStats
from .storage.memory import MemoryStorage
from .storage.tiered import TieredStorage
from .warming import Warmed

if TYPE_CHECKING:
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
    "Explanation",
    "Finding",
    "MemoryStorage",
    "Read",
    "StorageError",
    "TieredStorage",
    "Warmed",
    "Write",
    "__version__",
]

_LAZY = ("AsyncWATS", "pyWATS")


def __getattr__(name: str) -> Any:
    # PEP 562: the SDK takes most of a second to import, and only its users have it installed.
    if name in _LAZY:
        from . import wats

        return getattr(wats, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_LAZY])
