"""Another configuration for a running `AsyncWATS`: its objects stay, and its cache where that still holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...httpx import AsyncCacheTransport
from ...storage.url import STORAGE_VARIABLE, check_storage_url, parse_storage_url
from ..options import DEFAULT_MAX_SIZE, DEFAULT_TTL, CacheOptions, check_options, default_storage_url
from ..rules import prefix_of, server_of, wats_controller
from .config import ClientConfig

if TYPE_CHECKING:
    from ..clients import AsyncWATS

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
        self.url: str = config.cache_storage_url or default_storage_url() or ""
        if self.enabled and self.url:
            check_storage_url(self.url, "cache_storage_url" if config.cache_storage_url else STORAGE_VARIABLE)

    @property
    def entries(self) -> int:
        """The bound of the memory: that of its URL, if it has one."""
        parsed = parse_storage_url(self.url) if self.url else None
        return int(parsed.options.get("max_entries", self.size)) if parsed and parsed.scheme == "memory" else self.size

    def arguments(self, base_url: str, storage: Any = None) -> dict[str, Any]:
        """The arguments, with a storage that is there already or with a new one."""
        prefix = prefix_of(server_of(base_url))
        given = {"cache_storage": self.url or None, "cache_max_size": self.size} if storage is None else {}
        return {
            "enable_cache": self.enabled,
            "cache_storage": storage,
            "cache_controller": wats_controller(self.ttl, prefix=prefix, offline=self.offline or None),
            **given,
        }

    def options(self, base_url: str, storage: Any = None) -> CacheOptions:
        """The same, checked."""
        defaults = {"cache_ttl": DEFAULT_TTL, "cache_max_size": DEFAULT_MAX_SIZE}
        unset = {"cache_ttl_seconds": None, "cache_transport": None}
        return check_options(AsyncCacheTransport, **{**defaults, **unset, **self.arguments(base_url, storage)})


def reconfigure(api: AsyncWATS, base_url: str, token: str, settings: CacheSettings, before: CacheSettings) -> Any:
    """Go on with another address, token and cache. Returns the httpx client that is left, to be closed.

    - What is stored and counted stays, also with another address or token: keys separate both. Entries beyond a lower
      `cache_max_size` go, the least recently used first; a lower `cache_ttl_seconds` holds for what is stored already.
    - It does not stay where it could be wrong: the cache was off meanwhile, or is kept elsewhere now.

    Calls under way end on the old client. Raises what the new one cannot be made for; then nothing has changed.
    """
    client: Any = api._http_client
    left, old, parts = client._client, client.cache, vars(client).copy()
    kept = old.storage if old is not None and settings.enabled and settings.url == before.url else None
    url = server_of(base_url)
    try:
        client.base_url, client.token = url, token
        client._headers = {**client._headers, "Authorization": f"Basic {token}"}
        client._client = client._mounted = client._storage = None
        client._start(settings.options(url, kept))
    except BaseException:
        vars(client).update(parts)
        raise
    if kept is not None:
        getattr(kept, "memory", kept).resize(settings.entries)
    if url != parts["base_url"]:
        for domain in _DOMAINS:
            setattr(api, f"_{domain}", None)
        if client._circuit_breaker is not None:
            client._circuit_breaker.reset()
    api._base_url, api._token = url, token
    if old is not None and client.cache is not None:
        client.cache._take_over(old)
        client.cache._closes_storage = True  # also one that was kept: each was made for this client
        old._closes_storage = kept is None
    return left
