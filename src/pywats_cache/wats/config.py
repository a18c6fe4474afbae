"""The configuration of the station service, with its cache: saved, loaded back and validated (extra `service`)."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable
from dataclasses import dataclass, fields
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from ..errors import CachingError, ConfigurationError, ConfigurationTypeError, flag, seconds, whole

if TYPE_CHECKING:
    _Vendor = Any
else:
    _Vendor = import_module("pywats_client.core.config").ClientConfig

__all__ = ["ClientConfig", "database_of"]

logger = logging.getLogger("pywats_cache.wats.config")

_OFFLINE = ("", "auto", "only")
_URL = "'' (memory only) or 'sqlite:///<absolute path>'"


def database_of(url: object) -> str | None:
    """The path of the database that a storage URL names; None for memory only. Raises like the checks of errors."""
    if not isinstance(url, str):
        raise ConfigurationTypeError(f"cache_storage_url must be {_URL}, not {url!r}")
    if not url:
        return None
    parts = urlsplit(url)
    path = unquote(parts.path)
    if len(path) > 3 and path[0] == "/" and path[2] == ":":  # sqlite:///C:/…
        path = path[1:]
    if parts.scheme != "sqlite" or parts.netloc or len(path) < 2 or parts.query or parts.fragment:
        raise ConfigurationError(f"cache_storage_url must be {_URL}, not {url!r}")
    return path


def _offline(value: object) -> None:
    if value not in _OFFLINE:
        raise ConfigurationError(f"cache_offline must be '', 'auto' or 'only', not {value!r}")


_CHECKS: dict[str, Callable[[Any], object]] = {
    "enable_cache": lambda value: flag("enable_cache", value),
    "cache_ttl_seconds": lambda value: seconds("cache_ttl_seconds", value, infinite=True),
    "cache_max_size": lambda value: whole("cache_max_size", value, least=1),
    "cache_storage_url": database_of,
    "cache_offline": _offline,
}


@dataclass
class ClientConfig(_Vendor):  # type: ignore[misc]
    """The vendor's `ClientConfig` (schema 2.0), whose cache fields survive saving and are validated.

    ```python
    config = ClientConfig.load(path)
    config["cache_ttl_seconds"] = 600
    config.save()
    ```
    - `enable_cache`; `cache_ttl_seconds`: the ceiling over the TTL of each route; `cache_max_size`: entries at most.
    - `cache_storage_url`: '' keeps answers in memory; `sqlite:///<absolute path>` keeps what memory lets go there.
    - `cache_offline`: 'auto' serves what is stored while the server cannot be reached; 'only' never goes to the
      server; '' does neither.

    Files without these load with the defaults. `validate()` names each bad field with its value and what is allowed;
    `config[name] = value` raises that as ConfigurationError (a ValueError) or ConfigurationTypeError (a TypeError);
    `repair()` sets a bad one to its default. Loading itself does not raise for them, for the vendor's
    `load_and_repair` answers that by overwriting the file. Unknown fields are named in the log.
    """

    cache_storage_url: str = ""
    cache_offline: str = ""

    def cache_problems(self) -> dict[str, str]:
        """By field, what is wrong with it."""
        problems = {}
        for name, check in _CHECKS.items():
            try:
                check(getattr(self, name))
            except CachingError as error:
                problems[name] = str(error)
        return problems

    def check_cache(self) -> None:
        """Raise ConfigurationError that names every bad cache field, if there is one."""
        problems = self.cache_problems()
        if problems:
            raise ConfigurationError("; ".join(problems.values()))

    def validate(self) -> list[str]:
        """All that is wrong, as the vendor's, and the cache fields."""
        errors: list[str] = super().validate()
        return [*errors, *self.cache_problems().values()]

    def repair(self) -> list[str]:
        """As the vendor's; a bad cache field gets its default."""
        repairs: list[str] = super().repair()
        for name in self.cache_problems():
            default = type(self).__dataclass_fields__[name].default
            repairs.append(f"Reset {name} from {getattr(self, name)!r} to {default!r}")
            setattr(self, name, default)
        return repairs

    def __setitem__(self, key: str, value: Any) -> None:
        check = _CHECKS.get(key)
        if check is None:
            if key not in self.__dataclass_fields__:
                raise KeyError(f"{key!r} is no field of ClientConfig{_meant(key, self.__dataclass_fields__)}")
            super().__setitem__(key, value)
        else:
            check(value)
            setattr(self, key, value)

    def to_dict(self) -> dict[str, Any]:
        """As the vendor's, and the fields that it leaves out."""
        data: dict[str, Any] = super().to_dict()
        for field in fields(self):
            if not field.name.startswith("_"):
                data.setdefault(field.name, getattr(self, field.name))
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ClientConfig:
        """As the vendor's; unknown fields are left out, and named in the log."""
        known = {field.name for field in fields(cls)}
        for name in data:
            if name not in known:
                logger.warning("the configuration has a field %r, which is unknown%s", name, _meant(name, known))
        config: ClientConfig = super().from_dict(data)
        return config


def _meant(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, [field for field in known if not field.startswith("_")], 1)
    return f"; did you mean {close[0]!r}?" if close else ""
