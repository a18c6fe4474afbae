"""Storages by URL: `sqlite:///cache.db`, `redis://host:6379/0`, `memory://`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from ..errors import ConfigurationError, seconds, whole
from .memory import MemoryStorage
from .policy import policy_named

if TYPE_CHECKING:
    from typing_extensions import TypeIs

    from .sharing import SharingStorage

__all__ = [
    "STORAGE_VARIABLE",
    "StorageURL",
    "check_storage_url",
    "is_shared",
    "parse_storage_url",
    "shown",
    "storage_from_url",
]

STORAGE_VARIABLE = "PYWATS_CACHE_STORAGE"
"""Names the storage of the WATS clients that are given none."""

FORMS = "'memory://', 'sqlite:///path/to/cache.db' or 'redis://host:6379/0'"


class StorageURL(NamedTuple):
    """A URL of a storage, taken apart and found good."""

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
      (`sqlite:///~/cache.db`). `max_entries` and `max_bytes` bound the file.
    - `redis://host:6379/0`, `rediss://…`: a `RedisSharedStorage`; `max_lag`, `on_unreachable` and `prefix` are its own,
      the other parameters redis-py's. Its digest key comes from the environment.

    Raises ConfigurationError that says what is wrong, calls the URL `name` and never repeats a password.
    """
    parsed = parse_storage_url(url, name)
    bound: dict[str, Any] = {} if memory_entries is None else {"max_entries": memory_entries}
    if parsed.scheme == "memory":
        return MemoryStorage(**{**bound, **parsed.options})
    memory = MemoryStorage(**bound)
    if parsed.scheme == "redis":
        from .redis_shared import RedisSharedStorage

        return RedisSharedStorage(parsed.path, memory=memory, **parsed.options)
    from .shared import SharedStorage

    with _calling(url, name):
        return SharedStorage(parsed.path, memory=memory, **parsed.options)


def check_storage_url(url: str, name: str) -> None:
    """Raise what `storage_from_url` would raise for the URL and its files, without making a storage."""
    parsed = parse_storage_url(url, name)
    if parsed.scheme == "sqlite":
        from .store_files import check_store, resolved

        with _calling(url, name):
            check_store(resolved(parsed.path))


@contextmanager
def _calling(url: str, name: str) -> Iterator[None]:
    """Let an error say which URL it is about, and what that was given as."""
    try:
        yield
    except ConfigurationError as error:
        raise ConfigurationError(f"{name} {shown(url)}: {error}") from None


def shown(url: str) -> str:
    """`url` without what may be a secret: user, password and parameters."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "a URL that cannot be read"
    if not parts.scheme or "//" not in url:
        return "no URL"
    if parts.netloc and "@" in parts.path + parts.query + parts.fragment:
        return f"{parts.scheme}://…"  # a '/', '?' or '#' within the password, so any part of it may be one of that
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


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
    if scheme in ("redis", "rediss"):
        return _redis(parts)
    if scheme not in ("memory", "sqlite") or "//" not in url:
        what = f"scheme {scheme!r}" if scheme and "//" in url else "no URL" if "@" in url else repr(url)
        raise ConfigurationError(f"must be {FORMS}, not {what}")
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
        raise ConfigurationError(f"sqlite:/// must name a file, not {path!r}")
    return StorageURL(scheme, path, _options(parts.query, ("max_entries", "max_bytes")))


def _redis(parts: SplitResult) -> StorageURL:
    """Ours among the parameters are taken out; the others are redis-py's."""
    options: dict[str, Any] = {}
    theirs: list[tuple[str, str]] = []
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name == "max_lag":
            try:
                options[name] = seconds(name, float(value), positive=True)
            except ValueError:
                raise ConfigurationError(f"parameter max_lag must be a number of seconds > 0, not {value!r}") from None
        elif name in ("on_unreachable", "prefix"):
            options[name] = value
        else:
            theirs.append((name, value))
    if "@" in parts.path + parts.fragment + "".join(name for name, _ in theirs):
        raise ConfigurationError("redis:// must have '/', '?' and '#' in a user or password as %2F, %3F and %23")
    if options.get("on_unreachable", "fail") not in ("continue", "fail"):
        raise ConfigurationError(
            f"parameter on_unreachable must be 'continue' or 'fail', not {options['on_unreachable']!r}"
        )
    if not parts.hostname:
        raise ConfigurationError("redis:// must name a host, as redis://127.0.0.1:6379/0")
    try:
        port_is_right = parts.port != 0
    except ValueError:
        port_is_right = False
    database = parts.path.strip("/")
    if not port_is_right or (database and not database.isdecimal()):
        raise ConfigurationError(f"redis:// must be as redis://127.0.0.1:6379/0, not {shown(urlunsplit(parts))!r}")
    if find_spec("redis") is None:
        raise ConfigurationError("redis:// needs redis-py: pip install 'pywats-cache[redis]'")
    return StorageURL("redis", urlunsplit(parts._replace(query=urlencode(theirs))), options)


def _options(query: str, names: tuple[str, ...]) -> dict[str, Any]:
    """The parameters of a URL: bounds, each a whole number, and a policy."""
    found: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in names:
            raise ConfigurationError(f"takes the parameters {', '.join(names)}, not {name!r}")
        if name == "policy" and name not in found:
            found[name] = policy_named(value)
            continue
        if name in found:
            raise ConfigurationError(f"parameter {name} must be given once")
        if not value.isascii() or not value.isdigit():
            raise ConfigurationError(f"parameter {name} must be a whole number >= 1, not {value!r}")
        found[name] = whole(name, int(value), least=1)
    return found


def is_shared(storage: object) -> TypeIs[SharingStorage]:
    """Whether processes share `storage`. Its module, and sqlite3, is loaded only where one is used."""
    module = sys.modules.get(f"{__package__}.sharing")
    return module is not None and isinstance(storage, module.SharingStorage)
