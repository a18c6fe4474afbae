"""The fields that this package adds to the station's configuration or checks in it, and what is allowed in each."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from ...errors import CachingError, ConfigurationError, ConfigurationTypeError
from ...storage.url import FORMS, parse_storage_url
from ...support.addresses import host_names, path_prefix
from ...support.checks import flag, seconds, whole
from ...support.durations import seconds_in, seconds_of
from ...support.showing import shown, shown_url

__all__ = ["CACHE_FIELDS", "FIELDS", "Field", "field_named", "problems", "same"]

_OFFLINE = ("", "auto", "only")
_FLAGS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_WHOLE = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_OPEN_PARAMETERS = ("max_lag", "on_unreachable", "prefix")


@dataclass(frozen=True, slots=True)
class Field:
    """One field.

    - `check`: raises ConfigurationError or ConfigurationTypeError for a value that is not allowed.
    - `parse`: the value that a text means; a text that means none is returned as it is, for `check` to refuse.
    - `allowed`, `what`: for people.
    """

    name: str
    default: Any
    check: Callable[[Any], object]
    parse: Callable[[str], Any]
    allowed: str
    what: str

    def value_of(self, given: object) -> Any:
        """The value that was given, as a text or as itself, and checked."""
        value = self.parse(given.strip()) if isinstance(given, str) else given
        self.check(value)
        return value

    def kept(self, value: object) -> Any:
        """A value that was checked as the configuration keeps it: a duration in seconds."""
        return seconds_in(value) if self.parse is _a_duration else value

    def shown(self, value: object) -> str:
        """What may be seen of a value: of a URL nothing that may be a password."""
        if self.name != "cache_storage_url" or not isinstance(value, str) or not value:
            return json.dumps(value) if isinstance(value, bool) else shown(value)
        return value if self.is_open(value) else shown_url(value)

    def is_open(self, value: object) -> bool:
        """Whether the whole value may be shown."""
        if self.name != "cache_storage_url" or value == "":
            return True
        return isinstance(value, str) and value.isprintable() and _without_secret(value)


def _without_secret(url: str) -> bool:
    try:
        parsed = parse_storage_url(url)
        parts = urlsplit(url)
    except (CachingError, ValueError):
        return False
    if parsed.scheme != "redis":
        return True  # its parameters are all known, and it names no user
    names = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
    return "@" not in url and "%40" not in url and not parts.fragment and set(names) <= set(_OPEN_PARAMETERS)


def _storage_url(value: object) -> None:
    if not isinstance(value, str):
        raise ConfigurationTypeError(f"cache_storage_url must be '' or a URL of a storage, {FORMS}; not {shown(value)}")
    if value:
        parse_storage_url(value, "cache_storage_url")


def _offline(value: object) -> None:
    if not isinstance(value, str) or value not in _OFFLINE:
        raise ConfigurationError(f"cache_offline must be '', 'auto' or 'only', not {shown(value)}")


def _a_flag(text: str) -> Any:
    return _FLAGS.get(text.lower(), text)


def _a_duration(text: str) -> Any:
    if _WHOLE.fullmatch(text):
        return int(text)
    try:
        return seconds_of(text)
    except ValueError:
        return text


def _a_whole(text: str) -> Any:
    return int(text) if _WHOLE.fullmatch(text) else text


def _a_list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


FIELDS: tuple[Field, ...] = (
    Field(
        "enable_cache",
        True,
        lambda value: flag("enable_cache", value),
        _a_flag,
        "true or false",
        "Whether answers of the WATS server are cached.",
    ),
    Field(
        "cache_ttl_seconds",
        300.0,
        lambda value: seconds("cache_ttl_seconds", value, infinite=True),
        _a_duration,
        "a number of seconds >= 0, or a text such as 90s, 5m, 2h or 1d; inf (in the file: Infinity): no limit",
        "How old a cached answer may be at most; each route has a limit of its own below that.",
    ),
    Field(
        "cache_max_size",
        1000,
        lambda value: whole("cache_max_size", value, least=1),
        _a_whole,
        "a whole number >= 1",
        "How many answers are kept in memory at most.",
    ),
    Field(
        "cache_storage_url",
        "",
        _storage_url,
        str,
        "'', memory://, sqlite:///path/to/cache.db or redis://host:6379/0",
        "Where answers are kept, beside the memory. '': what PYWATS_CACHE_STORAGE names, else in memory only.",
    ),
    Field(
        "cache_offline",
        "",
        _offline,
        str,
        "'', 'auto' or 'only'",
        "auto: while the server cannot be reached, serve what is stored, however old; only: never ask the server.",
    ),
    Field(
        "web_hosts",
        [],
        lambda value: host_names("web_hosts", value),
        _a_list,
        "host names without a port; on the command line separated by commas",
        "The names under which a proxy offers the page, beside the service's own address.",
    ),
    Field(
        "web_prefix",
        "",
        lambda value: path_prefix("web_prefix", value),
        str,
        "'' or a path such as /station7",
        "The path under which a proxy offers the page, if the proxy passes that path on.",
    ),
)
CACHE_FIELDS: tuple[Field, ...] = tuple(one for one in FIELDS if one.name.startswith(("cache_", "enable_cache")))


def field_named(name: str) -> Field:
    """The field of that name. Raises ConfigurationError that names those there are."""
    for one in FIELDS:
        if one.name == name:
            return one
    raise ConfigurationError(f"the field must be one of {', '.join(one.name for one in FIELDS)}, not {shown(name)}")


def problems(values: Mapping[str, Any]) -> dict[str, str]:
    """By field, what is wrong with it. A field that is not there has its default, which is right."""
    found = {}
    for one in FIELDS:
        try:
            if one.name in values:
                one.check(values[one.name])
        except CachingError as error:
            found[one.name] = str(error)
    return found


def same(a: object, b: object) -> bool:
    """Whether two values are written alike: True is not 1."""
    return json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)
