"""The configuration of the station service, with its cache: saved, loaded back and validated (extra `service`)."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ...errors import CachingError, ConfigurationError, ConfigurationTypeError
from ...storage.url import FORMS, parse_storage_url
from ...support.checks import flag, seconds, whole
from ...support.showing import shown, shown_url, without_arguments

if TYPE_CHECKING:
    # It ships no py.typed, so mypy sees nothing of it; pyright reads the source.
    from pywats_client.core.config import ClientConfig as _Vendor  # type: ignore[import-untyped]
else:
    _Vendor = import_module("pywats_client.core.config").ClientConfig

__all__ = ["ClientConfig"]

logger: logging.Logger = logging.getLogger("pywats_cache.wats.config")

_OFFLINE = ("", "auto", "only")


def _storage_url(value: object) -> None:
    if not isinstance(value, str):
        raise ConfigurationTypeError(f"cache_storage_url must be '' or a URL of a storage, {FORMS}; not {shown(value)}")
    if value:
        parse_storage_url(value, "cache_storage_url")


def _offline(value: object) -> None:
    if value not in _OFFLINE:
        raise ConfigurationError(f"cache_offline must be '', 'auto' or 'only', not {shown(value)}")


_CHECKS: dict[str, Callable[[Any], object]] = {
    "enable_cache": lambda value: flag("enable_cache", value),
    "cache_ttl_seconds": lambda value: seconds("cache_ttl_seconds", value, infinite=True),
    "cache_max_size": lambda value: whole("cache_max_size", value, least=1),
    "cache_storage_url": _storage_url,
    "cache_offline": _offline,
}


@dataclass(repr=False)
class ClientConfig(_Vendor):  # type: ignore[misc]
    """The vendor's `ClientConfig` (schema 2.0), whose cache fields survive saving and are validated.

    ```python
    config = ClientConfig.load(path)
    config["cache_ttl_seconds"] = 600
    config.save()
    ```
    - `enable_cache`; `cache_ttl_seconds`: the ceiling over the TTL of each route; `cache_max_size`: entries at most.
    - `cache_storage_url`: any URL that `cache_storage=` takes, such as `sqlite:////var/lib/pywats/cache.db` (the fourth
      slash begins an absolute path) or `redis://host:6379/0`; `cache_max_size` then bounds the memory in front of
      it. '' takes that of the environment variable PYWATS_CACHE_STORAGE, or keeps answers in memory.
    - `cache_offline`: 'auto' serves what is stored while the server cannot be reached; 'only' never goes to the
      server; '' does neither.

    Files without these load with the defaults. `validate()` names each bad field with its value and what is allowed;
    `config[name] = value` raises that as ConfigurationError (a ValueError) or ConfigurationTypeError (a TypeError);
    `repair()` sets a bad one to its default. Loading itself does not raise for them, for the vendor's
    `load_and_repair` answers that by overwriting the file. Unknown fields, of a newer version perhaps, are named in
    the log, and saved again.
    """

    cache_storage_url: str = field(default="", repr=False)  # it may hold a password
    cache_offline: str = ""
    _unknown: dict[str, Any] = field(default_factory=dict, repr=False)

    def __repr__(self) -> str:
        # The cache fields; the others hold a token and passwords.
        url = self.cache_storage_url
        told = {name: shown(getattr(self, name)) for name in _CHECKS}
        if isinstance(url, str) and url:
            told["cache_storage_url"] = shown_url(url)
        return f"{type(self).__name__}({', '.join(f'{name}={value}' for name, value in told.items())})"

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
        given = [value for value in vars(self).values() if isinstance(value, str)]
        errors: list[str] = [without_arguments(error, given) for error in super().validate()]
        return [*errors, *self.cache_problems().values()]

    def repair(self) -> list[str]:
        """As the vendor's; a bad cache field gets its default."""
        repairs: list[str] = super().repair()
        for name in self.cache_problems():
            default = type(self).__dataclass_fields__[name].default
            value = getattr(self, name)
            is_url = name == "cache_storage_url" and isinstance(value, str)
            repairs.append(f"Reset {name} from {shown_url(value) if is_url else shown(value)} to {default!r}")
            setattr(self, name, default)
        return repairs

    def __setitem__(self, key: str, value: Any) -> None:
        check = _CHECKS.get(key)
        if check is None:
            if key not in self.__dataclass_fields__:
                raise KeyError(f"{shown(key)} is no field of ClientConfig{_meant(key, _public(self))}")
            try:
                super().__setitem__(key, value)
            except (TypeError, ValueError) as error:  # whose text repeats the value
                text = without_arguments(str(error), [value] if isinstance(value, str) else [])
                raise type(error)(text) from None
        else:
            check(value)
            setattr(self, key, value)

    def to_dict(self) -> dict[str, Any]:
        """As the vendor's, and the fields that it leaves out."""
        data: dict[str, Any] = super().to_dict()
        for name in _public(self):
            data.setdefault(name, getattr(self, name))
        return {**self._unknown, **data}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ClientConfig:
        """As the vendor's; unknown fields are named in the log, and kept.

        Raises ConfigurationTypeError for what is no dictionary.
        """
        if not isinstance(data, dict):
            raise ConfigurationTypeError(f"the configuration must be a JSON object, not a {type(data).__name__}")
        known = _public(cls)
        unknown = {name: value for name, value in data.items() if name not in cls.__dataclass_fields__}
        for name in unknown:
            logger.warning("the configuration has a field %s, which is unknown%s", shown(name), _meant(name, known))
        config: ClientConfig = super().from_dict({name: value for name, value in data.items() if name in known})
        config._unknown = unknown
        return config


def _public(config: Any) -> list[str]:
    # What is in capitals belongs to the version of the SDK, and must not be taken from a file of another one.
    return [one.name for one in fields(config) if not one.name.startswith("_") and not one.name.isupper()]


def _meant(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {close[0]!r}?" if close else ""
