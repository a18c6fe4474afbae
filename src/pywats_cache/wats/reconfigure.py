"""A running `AsyncWATS` with another configuration: its objects stay, and its cache where that is true of the new."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import hishel

from ..httpx import AsyncCacheTransport
from ..storage.memory import MemoryStorage
from ..storage.tiered import TieredStorage
from .config import ClientConfig, database_of
from .options import DEFAULT_MAX_SIZE, DEFAULT_TTL, CacheOptions, check_options
from .rules import wats_controller

if TYPE_CHECKING:
    from .clients import AsyncWATS

__all__ = ["CacheSettings", "reconfigure"]

_DOMAINS = ("product", "asset", "production", "report", "software", "analytics", "rootcause", "scim", "process")


class CacheSettings:
    """What a configuration says of the cache, as arguments of `AsyncWATS`. Raises ConfigurationError."""

    def __init__(self, config: ClientConfig) -> None:
        config.check_cache()
        self.enabled: bool = config.enable_cache
        self.size: int = config.cache_max_size
        self.ttl: float = config.cache_ttl_seconds
        self.offline: str = config.cache_offline
        self.url: str = config.cache_storage_url

    def storage(self) -> MemoryStorage | TieredStorage:
        """A new storage."""
        memory = MemoryStorage(max_entries=self.size)
        path = database_of(self.url)
        return memory if path is None else TieredStorage(memory, hishel.AsyncSqliteStorage(database_path=path))

    def arguments(self, storage: MemoryStorage | TieredStorage) -> dict[str, Any]:
        """The arguments that `storage` goes with."""
        return {
            "enable_cache": self.enabled,
            "cache_storage": storage,
            "cache_controller": wats_controller(self.ttl, offline=self.offline or None),
        }

    def options(self, storage: MemoryStorage | TieredStorage) -> CacheOptions:
        """The same, checked."""
        return check_options(
            AsyncCacheTransport,
            cache_ttl=DEFAULT_TTL,
            cache_max_size=DEFAULT_MAX_SIZE,
            cache_ttl_seconds=None,
            cache_transport=None,
            **self.arguments(storage),
        )


def reconfigure(api: AsyncWATS, base_url: str, token: str, settings: CacheSettings, before: CacheSettings) -> Any:
    """Go on with another address, token and cache. Returns the httpx client that is left, to be closed.

    - What is stored and counted stays, also with another address or token: keys separate both. Entries beyond a lower
      `cache_max_size` go, the least recently used first; a lower `cache_ttl_seconds` holds for what is stored already.
    - It does not where it could not be true: the cache was off meanwhile, or is kept elsewhere now.

    Calls under way end on the old client.
    """
    client: Any = api._http_client
    left, old = client._client, client.cache
    kept = old.storage if old is not None and settings.enabled and settings.url == before.url else settings.storage()
    memory = kept.memory if isinstance(kept, TieredStorage) else kept
    memory.resize(settings.size)
    url = base_url.rstrip("/").removesuffix("/api")
    if url != client.base_url:
        for domain in _DOMAINS:
            setattr(api, f"_{domain}", None)
        if client._circuit_breaker is not None:
            client._circuit_breaker.reset()
    api._base_url = client.base_url = url
    api._token = client.token = token
    client._headers["Authorization"] = f"Basic {token}"
    client._client = client._mounted = client._storage = None
    client._start(settings.options(kept))
    if old is not None and client.cache is not None:
        client.cache._succeed(old)
    return left
