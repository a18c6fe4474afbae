"""The cache arguments of the WATS clients, checked once for all of them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import hishel

from ..errors import ConfigurationTypeError
from ..policy.controller import Controller
from ..storage.memory import MemoryStorage
from ..storage.tiered import TieredStorage
from ..storage.url import STORAGE_VARIABLE, is_shared, parse_storage_url
from ..support.checks import flag, seconds, whole
from ..support.showing import shown

if TYPE_CHECKING:
    from ..support.durations import Duration

__all__ = ["DEFAULT_MAX_SIZE", "DEFAULT_TTL", "CacheOptions", "check_options", "default_storage_url"]

# The vendor's defaults, as objects of their own: by identity they tell an argument given from one left out.
DEFAULT_TTL = float("300")
DEFAULT_MAX_SIZE = int("1000")

_STORAGES = (MemoryStorage, TieredStorage, hishel.BaseStorage, hishel.AsyncBaseStorage)


@dataclass(frozen=True, slots=True)
class CacheOptions:
    """What a client is to mount: `transport` of the user's, or a controller and a storage for one of ours.

    No `controller`: the WATS rules, with `ttl` (seconds) as their ceiling.

    `storage` may be a URL, which may hold a password, so it is not shown; `storage_name` is what it was given as, and
    `entries` bounds the memory of that storage.
    """

    enabled: bool
    transport: Any = None
    controller: Controller | None = None
    storage: Any = field(default=None, repr=False)
    storage_name: str = "cache_storage"
    entries: int = DEFAULT_MAX_SIZE
    ttl: float = DEFAULT_TTL
    record: Any = None


def check_options(
    transport_class: type[Any],
    *,
    enable_cache: bool,
    cache_ttl: Duration,
    cache_max_size: int,
    cache_ttl_seconds: Duration | None,
    cache_transport: Any,
    cache_storage: Any,
    cache_controller: Controller | None,
    cache_record: Any = None,
) -> CacheOptions:
    """Check the cache arguments of a client, whether the cache is on or off.

    - `enable_cache`: False: no cache; the other arguments are checked nevertheless.
    - `cache_ttl`: seconds, the upper limit for the TTL of every route; `cache_ttl_seconds` is another name for it.
    - `cache_max_size`: entries at most.
    - `cache_transport`: a cache transport of the caller's (`transport_class`), with its own policy and storage;
      limiter and breaker come between it and its next transport.
    - `cache_storage`, `cache_controller`: used instead of ours. No storage given: the URL in the environment variable
      PYWATS_CACHE_STORAGE, if it is set. With a URL, `cache_max_size` bounds its memory.
    - `cache_record`: a file for a redacted trace, as `CacheTransport(record=…)`.

    Raises ConfigurationError (a ValueError) or ConfigurationTypeError (a TypeError) that names parameter, value and
    what is allowed; the latter too for arguments that exclude each other.
    """
    enabled = flag("enable_cache", enable_cache)
    if cache_ttl_seconds is not None:
        if cache_ttl is not DEFAULT_TTL:
            raise ConfigurationTypeError("cache_ttl and cache_ttl_seconds are two names of one thing: give only one")
        ttl = seconds("cache_ttl_seconds", cache_ttl_seconds, infinite=True)
    else:
        ttl = seconds("cache_ttl", cache_ttl, infinite=True)
    size = whole("cache_max_size", cache_max_size, least=1)
    given = {
        "cache_ttl": cache_ttl is not DEFAULT_TTL,
        "cache_ttl_seconds": cache_ttl_seconds is not None,
        "cache_max_size": cache_max_size is not DEFAULT_MAX_SIZE,
        "cache_storage": cache_storage is not None,
        "cache_controller": cache_controller is not None,
        "cache_record": cache_record is not None,
    }
    if cache_transport is not None:
        if not isinstance(cache_transport, transport_class):
            raise ConfigurationTypeError(
                f"cache_transport must be a {transport_class.__module__}.{transport_class.__name__}, "
                f"not {shown(cache_transport)}"
            )
        _exclude(given, "cache_transport", tuple(given))
        return CacheOptions(enabled, transport=cache_transport)
    if cache_controller is not None:
        if not isinstance(cache_controller, Controller):
            raise ConfigurationTypeError(f"cache_controller must be a Controller, not {shown(cache_controller)}")
        _exclude(given, "cache_controller", ("cache_ttl", "cache_ttl_seconds"))
    storage_name = "cache_storage"
    if isinstance(cache_storage, str):
        parse_storage_url(cache_storage, storage_name)
    elif cache_storage is not None:
        if not isinstance(cache_storage, _STORAGES) and not is_shared(cache_storage):
            raise ConfigurationTypeError(
                "cache_storage must be a MemoryStorage, SharedStorage, RedisSharedStorage, TieredStorage or hishel "
                f"storage, or a URL, not {shown(cache_storage)}"
            )
        _exclude(given, "cache_storage", ("cache_max_size",))
    else:
        cache_storage, storage_name = (default_storage_url() if enabled else None), STORAGE_VARIABLE
    return CacheOptions(
        enabled,
        controller=cache_controller,
        storage="memory://" if cache_storage is None else cache_storage,
        storage_name=storage_name,
        entries=size,
        ttl=ttl,
        record=cache_record,
    )


def default_storage_url() -> str | None:
    """The URL of PYWATS_CACHE_STORAGE; None without one. Raises ConfigurationError."""
    url = os.environ.get(STORAGE_VARIABLE) or None
    if url is not None:
        parse_storage_url(url, STORAGE_VARIABLE)
    return url


def _exclude(given: dict[str, bool], governs: str, others: tuple[str, ...]) -> None:
    for name in others:
        if given[name]:
            raise ConfigurationTypeError(f"{name} must not be given together with {governs}, which decides it")
