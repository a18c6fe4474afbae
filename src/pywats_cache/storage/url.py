"""Storages by URL: `sqlite:///cache.db`, `redis://host:6379/0`, `memory://`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

from ..errors import ConfigurationError
from ..support.checks import seconds
from ..support.durations import seconds_of
from ..support.showing import shown_url
from .eviction import POLICIES
from .memory import MemoryStorage
from .redis.url import SCHEMES as REDIS_SCHEMES
from .redis.url import address_of

if TYPE_CHECKING:
    from typing_extensions import TypeIs

    from .shared.base import SharingStorage

__all__ = [
    "SCHEMES",
    "STORAGE_VARIABLE",
    "StorageURL",
    "check_storage_url",
    "is_shared",
    "parse_storage_url",
    "storage_from_url",
]

STORAGE_VARIABLE = "PYWATS_CACHE_STORAGE"
"""Names the storage of the WATS clients that are given none."""

_PARAMETERS = (
    "max_entries",
    "max_bytes",
    "max_entry_bytes",
    "policy",
    "max_lag",
    "on_unreachable",
    "prefix",
    "revalidate_for",
    "read_in_loop",
)
SCHEMES = ("memory", "sqlite", *REDIS_SCHEMES)
FORMS = "'memory://', 'sqlite:///path/to/cache.db' or 'redis://host:6379/0'"


class StorageURL(NamedTuple):
    """A URL of a storage, taken apart and found good.

    - `scheme`: `memory`, `sqlite`, or `redis` for all that lead to a Redis server.
    """

    scheme: str
    path: str
    options: dict[str, Any]


def storage_from_url(
    url: str, *, memory_entries: int | None = None, name: str = "storage"
) -> MemoryStorage | SharingStorage:
    """The storage that `url` names; `memory_entries` bounds its memory, unless the URL does.

    - `memory://`: a `MemoryStorage`; `max_entries`, `max_bytes`, `max_entry_bytes` and `policy` are its own.
    - `sqlite:///cache.db`: a `SharedStorage` at that path, relative to the working directory; an absolute path begins
      with a fourth slash (`sqlite:////var/cache/pywats.db`), a drive (`sqlite:///C:/cache.db`) or a `~`
      (`sqlite:///~/cache.db`). A shared folder of Windows (`sqlite://///server/share/cache.db`) is refused.
      `max_entries` and `max_bytes` bound the file, `revalidate_for` is in seconds, `read_in_loop` is `true` or `false`.
    - `redis://host:6379/0`, `rediss://…` with TLS, `unix:///run/redis.sock`, `redis+sentinel://host1,host2/service/0`:
      a `RedisSharedStorage`; `max_lag`, `on_unreachable`, `prefix` and `revalidate_for` are its own, the other
      parameters redis-py's. Its digest key comes from the environment.

    Raises ConfigurationError that says what is wrong, calls the URL `name` and never repeats a password.
    """
    parsed = parse_storage_url(url, name)
    bound: dict[str, Any] = {} if memory_entries is None else {"max_entries": memory_entries}
    if parsed.scheme == "memory":
        return MemoryStorage(**{**bound, **parsed.options})
    memory = MemoryStorage(**bound)
    if parsed.scheme == "redis":
        from .redis.storage import RedisSharedStorage

        return RedisSharedStorage(parsed.path, memory=memory, **parsed.options)
    from .sqlite.storage import SharedStorage

    with _calling(url, name):
        return SharedStorage(parsed.path, memory=memory, **parsed.options)


def check_storage_url(url: str, name: str) -> None:
    """Raise what `storage_from_url` would raise for the URL and its files, without making a storage."""
    parsed = parse_storage_url(url, name)
    if parsed.scheme == "sqlite":
        from .sqlite.store_files import check_store, resolved

        with _calling(url, name):
            check_store(resolved(parsed.path))


@contextmanager
def _calling(url: str, name: str) -> Iterator[None]:
    """Let an error say which URL it is about, and what that was given as."""
    try:
        yield
    except ConfigurationError as error:
        raise ConfigurationError(f"{name} {shown_url(url)}: {error}") from None


def parse_storage_url(url: str, name: str = "storage") -> StorageURL:
    """`url` taken apart; nothing is made yet. Raises ConfigurationError that calls it `name`."""
    try:
        return _parse(url)
    except ConfigurationError as error:
        raise ConfigurationError(f"{name} {error}") from None


def _parse(url: str) -> StorageURL:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigurationError(f"must be {FORMS}, not a URL that cannot be read") from None
    scheme = parts.scheme.lower()
    if scheme in REDIS_SCHEMES:
        return _redis(url, parts)
    if scheme not in ("memory", "sqlite") or "//" not in url:
        raise ConfigurationError(f"must be {FORMS}, not {shown_url(url) if url else repr(url)}")
    if parts.netloc:
        raise ConfigurationError(
            f"{scheme}:// must name no host, user or password: write {scheme}:///path for a file"
            if scheme == "sqlite"
            else "memory:// must name nothing more"
        )
    if parts.fragment:
        raise ConfigurationError("must have no fragment: write '#' in a path as %23")
    path = unquote(parts.path)[1:]
    if scheme == "memory":
        if path:
            raise ConfigurationError("memory:// must name nothing more")
        return StorageURL(scheme, "", _options(parts.query, ("max_entries", "max_bytes", "max_entry_bytes", "policy")))
    if not path or path.endswith("/") or "\0" in path:
        raise ConfigurationError("sqlite:/// must name a file, as sqlite:///path/to/cache.db")
    return StorageURL(
        scheme, path, _options(parts.query, ("revalidate_for", "read_in_loop", "max_entries", "max_bytes"))
    )


def _redis(url: str, parts: SplitResult) -> StorageURL:
    """Ours among the parameters are taken out; the others are redis-py's."""
    options: dict[str, Any] = {}
    theirs: list[tuple[str, str]] = []
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name in options:
            raise ConfigurationError(f"parameter {name} must be given once")
        if name in ("max_lag", "revalidate_for"):
            options[name] = _seconds(name, value, positive=name == "max_lag")
        elif name in ("on_unreachable", "prefix"):
            options[name] = value
        else:
            theirs.append((name, value))
    without = url.partition("?")[0] if parts.query else url
    rest = f"{without}?{urlencode(theirs)}" if theirs else without
    address_of(f"{rest}#{parts.fragment}" if parts.query and parts.fragment else rest)
    if options.get("on_unreachable", "fail") not in ("continue", "fail"):
        raise ConfigurationError("parameter on_unreachable must be 'continue' or 'fail'")
    if find_spec("redis") is None:
        raise ConfigurationError("redis:// needs redis-py: pip install 'pywats-cache[redis]'")
    return StorageURL("redis", rest, options)


def _options(query: str, names: tuple[str, ...]) -> dict[str, Any]:
    """The parameters of a URL: bounds, each a whole number, and a policy."""
    found: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in names:
            # A name that is none of ours is not shown: it may be part of a password.
            from difflib import get_close_matches  # for this message alone

            meant = get_close_matches(name, names, 1)
            hint = f"not {name}" if name in _PARAMETERS else f"did you mean {meant[0]}?" if meant else "no others"
            raise ConfigurationError(f"takes the parameters {', '.join(names)}; {hint}")
        if name == "policy" and name not in found:
            if value not in POLICIES:
                raise ConfigurationError(f"parameter policy must be one of {', '.join(map(repr, POLICIES))}")
            found[name] = value
            continue
        if name in found:
            raise ConfigurationError(f"parameter {name} must be given once")
        if name == "revalidate_for":
            found[name] = _seconds(name, value)
            continue
        if name == "read_in_loop":
            if value not in ("true", "false"):
                raise ConfigurationError(f"parameter {name} must be true or false")
            found[name] = value == "true"
            continue
        if not value.isascii() or not value.isdigit() or len(value) > 18 or not int(value):
            raise ConfigurationError(f"parameter {name} must be a whole number >= 1, of 18 digits at most")
        found[name] = int(value)
    return found


def _seconds(name: str, value: str, *, positive: bool = False) -> float:
    try:
        return seconds(name, seconds_of(value), positive=positive)
    except ValueError:
        sign = ">" if positive else ">="
        raise ConfigurationError(
            f"parameter {name} must be a number of seconds {sign} 0, or a text such as '5m'"
        ) from None


def is_shared(storage: object) -> TypeIs[SharingStorage]:
    """Whether processes share `storage`. Its module, and sqlite3, is loaded only where one is used."""
    module = sys.modules.get(f"{__package__}.shared.base")
    return module is not None and isinstance(storage, module.SharingStorage)
