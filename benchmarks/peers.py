"""Other caches, set up as their documentation shows, each with the storage it is fastest with."""

from __future__ import annotations

import importlib.util
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import httpx


def has(module: str) -> bool:
    """Tell whether a peer is installed; what is not is left out of the table."""
    return importlib.util.find_spec(module) is not None


def scratch() -> Path:
    """Return a new directory for a peer's database; it is small and left to the system's clean-up."""
    return Path(tempfile.mkdtemp(prefix="pywats-cache-bench-"))


def hishel_sync(next_transport: httpx.BaseTransport, *, memory: bool = True) -> httpx.BaseTransport:
    """Return hishel's sync transport in its TTL mode, over SQLite in memory or in a file."""
    from hishel import SqliteStorage
    from hishel.httpx import CacheTransport

    if memory:
        connection = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        return CacheTransport(next_transport, storage=SqliteStorage(connection=connection, default_ttl=300.0))
    return CacheTransport(next_transport, storage=SqliteStorage(database_path=scratch() / "h.db", default_ttl=300.0))


def hishel_async(next_transport: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
    """Return hishel's async transport in its TTL mode, over SQLite in a file (needs anysqlite)."""
    from hishel import AsyncSqliteStorage
    from hishel.httpx import AsyncCacheTransport

    return AsyncCacheTransport(
        next_transport, storage=AsyncSqliteStorage(database_path=scratch() / "h.db", default_ttl=300.0)
    )


def requests_cache_session(*, workers: int = 10) -> Any:
    """Return a requests-cache session with its memory backend and enough connections."""
    import requests.adapters
    import requests_cache

    session = requests_cache.CachedSession(backend="memory", expire_after=300)
    session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=workers))
    return session


def sdk_http_client(base_url: str, *, enable_cache: bool = True, max_size: int = 1000) -> Any:
    """Return the vendor's async HTTP client with its own cache; its limiter is off, or it would stop long runs."""
    from pywats.core.async_client import AsyncHttpClient

    return AsyncHttpClient(
        base_url, "dXNlcjpwYXNz", enable_cache=enable_cache, cache_max_size=max_size, enable_throttling=False
    )
