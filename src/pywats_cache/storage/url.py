"""Storages by URL: `sqlite:///cache.db`, `memory://`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from ..errors import ConfigurationError, whole
from .memory import MemoryStorage

if TYPE_CHECKING:
    from typing_extensions import TypeIs

    from .shared import SharedStorage

__all__ = ["StorageURL", "is_shared", "parse_storage_url", "storage_from_url"]

FORMS = "'memory://' or 'sqlite:///path/to/cache.db', with ?max_entries= and &max_bytes= if wanted"


class StorageURL(NamedTuple):
    """A URL of a storage, taken apart and found good."""

    scheme: str
    path: str
    options: dict[str, Any]


def storage_from_url(url: str) -> MemoryStorage | SharedStorage:
    """The storage that `url` names.

    - `memory://`: a `MemoryStorage`; `max_entries`, `max_bytes` and `max_entry_bytes` are its own.
    - `sqlite:///cache.db`: a `SharedStorage` at that path, relative to the working directory; an absolute path begins
      with a fourth slash (`sqlite:////var/cache/pywats.db`) or a drive (`sqlite:///C:/cache.db`). `max_entries` and
      `max_bytes` bound the file.

    Raises ConfigurationError that says what is wrong and never repeats a password.
    """
    parsed = parse_storage_url(url)
    if parsed.scheme == "memory":
        return MemoryStorage(**parsed.options)
    from .shared import SharedStorage

    return SharedStorage(parsed.path, **parsed.options)


def parse_storage_url(url: str) -> StorageURL:
    """`url` taken apart; nothing is made yet. Raises ConfigurationError."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    if scheme not in ("memory", "sqlite") or "//" not in url:
        shown = f"scheme {scheme!r}" if scheme and "//" in url else "no URL" if "@" in url else repr(url)
        raise ConfigurationError(f"storage must be {FORMS}, not {shown}")
    if parts.netloc:
        raise ConfigurationError(
            f"storage {scheme}:// must name no host, user or password: write {scheme}:///path for a file"
            if scheme == "sqlite"
            else "storage memory:// must name nothing more"
        )
    if parts.fragment:
        raise ConfigurationError("storage must have no fragment: write '#' in a path as %23")
    path = unquote(parts.path)[1:]
    if scheme == "memory":
        if path:
            raise ConfigurationError("storage memory:// must name nothing more")
        return StorageURL(scheme, "", _bounds(parts.query, ("max_entries", "max_bytes", "max_entry_bytes")))
    if not path or path.endswith("/") or "\0" in path:
        raise ConfigurationError(f"storage sqlite:/// must name a file, not {path!r}")
    return StorageURL(scheme, path, _bounds(parts.query, ("max_entries", "max_bytes")))


def _bounds(query: str, names: tuple[str, ...]) -> dict[str, Any]:
    """The parameters of a URL, each a whole number."""
    found: dict[str, int] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in names:
            raise ConfigurationError(f"storage takes the parameters {', '.join(names)}, not {name!r}")
        if not value.isascii() or not value.isdigit() or name in found:
            raise ConfigurationError(f"storage parameter {name} must be one whole number >= 1")
        found[name] = whole(name, int(value), least=1)
    return found


def is_shared(storage: object) -> TypeIs[SharedStorage]:
    """Whether `storage` is a SharedStorage. Its module, and sqlite3 with it, is only loaded by who uses one."""
    module = sys.modules.get(f"{__package__}.shared")
    return module is not None and isinstance(storage, module.SharedStorage)
