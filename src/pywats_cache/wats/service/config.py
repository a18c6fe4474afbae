"""The configuration of the station service, with its cache: saved, loaded back and validated (extra `service`)."""

from __future__ import annotations

import difflib
import logging
from copy import deepcopy
from dataclasses import dataclass, field, fields
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import CachingError, ConfigurationError, ConfigurationTypeError
from ...support.showing import printable, shown, shown_path, without_arguments
from .config_file import backup_of, change_config, read_config, replace_config
from .fields import FIELDS, problems, same

if TYPE_CHECKING:
    # It ships no py.typed, so mypy sees nothing of it; pyright reads the source.
    from pywats_client.core.config import ClientConfig as _Vendor  # type: ignore[import-untyped]
else:
    _Vendor = import_module("pywats_client.core.config").ClientConfig

__all__ = ["ClientConfig"]

logger: logging.Logger = logging.getLogger("pywats_cache.wats.config")

_BY_NAME = {one.name: one for one in FIELDS}


@dataclass(repr=False)
class ClientConfig(_Vendor):  # type: ignore[misc]
    """The vendor's `ClientConfig` (schema 2.0), whose cache fields survive saving and are validated.

    ```python
    config = ClientConfig.load(path)
    config["cache_ttl_seconds"] = 600
    config.save()
    ```
    - `enable_cache`; `cache_ttl_seconds`: the ceiling over the TTL of each route, in seconds or as `"5m"`;
      `cache_max_size`: entries at most.
    - `cache_storage_url`: any URL that `cache_storage=` takes, such as `sqlite:////var/lib/pywats/cache.db` (the fourth
      slash begins an absolute path) or `redis://host:6379/0`; `cache_max_size` then bounds the memory in front of
      it. '' takes that of the environment variable PYWATS_CACHE_STORAGE, or keeps answers in memory.
    - `cache_offline`: 'auto' serves what is stored while the server cannot be reached; 'only' never goes to the
      server; '' does neither.
    - `web_hosts`, `web_prefix`: the names and the path under which a proxy offers the page of the service.

    Files without these load with the defaults. `validate()` names each bad field with its value and what is allowed;
    `config[name] = value` raises that as ConfigurationError (a ValueError) or ConfigurationTypeError (a TypeError);
    `repair()` sets a bad one to its default. Loading itself does not raise for them, for the vendor's
    `load_and_repair` answers that by overwriting the file. Unknown fields, of a newer version perhaps, are named in
    the log, and saved again; one whose name begins with `//` is a comment.

    `load()` raises ConfigurationError for a file that is broken, and leaves it as it is: the SDK's writes its backup
    over it. `save()` writes what was changed since `load()` into what the file is then, so that nothing that another
    program has changed is lost; it raises ConfigurationError where both have changed the same field.
    """

    cache_storage_url: str = field(default="", repr=False)  # it may hold a password
    cache_offline: str = ""
    web_hosts: list[str] = field(default_factory=list)
    web_prefix: str = ""
    _unknown: dict[str, Any] = field(default_factory=dict, repr=False)
    _config_path: Path | None = field(default=None, repr=False)
    _saved: dict[str, Any] | None = field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        # The fields of ours; the others hold a token and passwords.
        told = (f"{one.name}={_told(one, getattr(self, one.name))}" for one in FIELDS)
        return f"{type(self).__name__}({', '.join(told)})"

    def cache_problems(self) -> dict[str, str]:
        """By field, what is wrong with it."""
        return problems(vars(self))

    def check_cache(self) -> None:
        """Raise ConfigurationError that names every bad cache field, if there is one."""
        found = self.cache_problems()
        if found:
            raise ConfigurationError("; ".join(found.values()))

    def validate(self) -> list[str]:
        """All that is wrong, as the vendor's, and the cache fields."""
        given = [value for value in vars(self).values() if isinstance(value, str)]
        errors: list[str] = [without_arguments(error, given) for error in super().validate()]
        return [*errors, *self.cache_problems().values()]

    def repair(self) -> list[str]:
        """As the vendor's; a bad cache field gets its default."""
        repairs: list[str] = super().repair()
        for name in self.cache_problems():
            one = _BY_NAME[name]
            repairs.append(f"Reset {name} from {_told(one, getattr(self, name))} to {one.default!r}")
            setattr(self, name, deepcopy(one.default))
        return repairs

    def __setitem__(self, key: str, value: Any) -> None:
        one = _BY_NAME.get(key)
        if one is None:
            if key not in self.__dataclass_fields__:
                raise KeyError(f"{shown(key)} is no field of ClientConfig{_meant(key, _public(self))}")
            try:
                super().__setitem__(key, value)
            except (TypeError, ValueError) as error:  # whose text repeats the value
                text = without_arguments(str(error), [value] if isinstance(value, str) else [])
                raise type(error)(text) from None
        else:
            one.check(value)
            setattr(self, key, one.kept(value))

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
            if name.startswith("//"):
                continue
            logger.warning("the configuration has a field %s, which is unknown%s", shown(name), _meant(name, known))
        config: ClientConfig = super().from_dict({name: value for name, value in data.items() if name in known})
        config._unknown = unknown
        for one in FIELDS:
            setattr(config, one.name, one.kept(getattr(config, one.name)))
        return config

    @classmethod
    def load(cls, path: Path) -> ClientConfig:
        """The configuration in the file at `path`; where there is none but its backup, that of the backup.

        Raises FileNotFoundError, ConfigurationError for a file that is broken, and OSError.
        """
        path = Path(path)
        try:
            found = read_config(path)
        except FileNotFoundError:
            backup = backup_of(path)
            if not backup.exists():
                raise
            logger.warning("there is no file %s: its backup is used", shown_path(path, "of that name"))
            found = read_config(backup)
        return cls._of(found.document, path)

    @classmethod
    def _of(cls, document: dict[str, Any], path: Path) -> ClientConfig:
        config = cls.from_dict(document)
        config._config_path = path
        config._saved = deepcopy(config.to_dict())
        return config

    @classmethod
    def load_and_repair(cls, path: Path) -> tuple[ClientConfig, list[str]]:
        """As the vendor's: a file that is broken is replaced by its backup, and kept as `….json.broken`."""
        path, repairs = Path(path), []
        try:
            config = cls.load(path)
        except (CachingError, OSError) as error:
            logger.warning("the configuration cannot be read: %s", printable(str(error)))
            config = cls()
            try:
                config = cls.load(backup_of(path))
                repairs = [f"Took the backup, for {error}"]
            except (CachingError, OSError):
                pass
            config._config_path, config._saved = path, None
        repairs += config.repair()
        if repairs:
            config.save()
        return config, repairs

    def save(self, path: Path | None = None) -> None:
        """Save to `path`, or to where it was loaded from or saved last. Raises ConfigurationError."""
        target = path or self._config_path
        if not target:
            raise ConfigurationTypeError("path is missing: this configuration was not loaded from a file")
        target = Path(target)
        mine, saved = self.to_dict(), self._saved
        if saved is not None and target == self._config_path and target.exists():
            changed = {name: mine[name] for name in mine if name not in saved or not same(mine[name], saved[name])}

            def merged(document: dict[str, Any]) -> dict[str, Any]:
                theirs = type(self).from_dict(document).to_dict()
                both = [
                    name
                    for name, value in changed.items()
                    if not same(theirs.get(name), saved.get(name)) and not same(theirs.get(name), value)
                ]
                if both:
                    raise ConfigurationError(
                        f"another program has changed {', '.join(both)} in {shown_path(target, 'the file')} since it "
                        "was loaded: load it again"
                    )
                return {**document, **theirs, **changed}

            change_config(target, merged)
        else:
            replace_config(target, mine)
        self._config_path, self._saved = target, deepcopy(mine)


def _told(one: Any, value: object) -> str:
    return repr(value) if isinstance(value, bool) else str(one.shown(value))


def _public(config: Any) -> list[str]:
    # What is in capitals belongs to the version of the SDK, and must not be taken from a file of another one.
    return [one.name for one in fields(config) if not one.name.startswith("_") and not one.name.isupper()]


def _meant(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {close[0]!r}?" if close else ""
