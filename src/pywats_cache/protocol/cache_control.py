"""Cache-Control, read once for both modes and both sides of an exchange (RFC 9111 §5.2)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType

from .fields import TOKEN, lowered

__all__ = ["MAX_DELTA", "CacheControl", "delta_seconds", "parse_cache_control", "seconds_of"]

CacheControl = Mapping[str, tuple[str | None, ...]]
"""Directives by name in lower case, each with the values of its repetitions in order; None is one without a value."""

MAX_DELTA = 2**31
"""What a greater number of seconds counts as (RFC 9111 §1.2.2)."""

# A token, then "=" and a quoted string or whatever stands there up to the comma. What cannot be read is skipped, an
# unclosed quote included, so that one bad directive does not hide the next. Compiled at first use, by `re` itself.
_DIRECTIVE = r'([^ \t,="]+)(?:[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^ \t,]*)))?'
_ESCAPED = r"\\(.)"
# Honoured also where what no token may hold, such as a no-break space, stands beside it; its value is then no number.
_BINDING = frozenset({"no-store", "no-cache", "must-revalidate", "max-age", "min-fresh"})


def parse_cache_control(lines: Iterable[str]) -> CacheControl:
    """The directives of all field lines, with every repetition. Immutable."""
    return _parsed(tuple(lines))


@lru_cache(maxsize=256)
def _parsed(lines: tuple[str, ...]) -> CacheControl:
    result: dict[str, tuple[str | None, ...]] = {}
    for line in lines:
        for found in re.finditer(_DIRECTIVE, line):
            name, quoted, token = found.groups()
            value = token if quoted is None else re.sub(_ESCAPED, r"\1", quoted)
            name = lowered(name)
            if TOKEN.fullmatch(name):
                result[name] = (*result.get(name, ()), value)
            else:
                for part in _BINDING.intersection(TOKEN.findall(name)):
                    result[part] = ("", *result.get(part, ()))
    return MappingProxyType(result)  # for everyone who asks again


def delta_seconds(value: str | None) -> float | None:
    """Delta-seconds: digits only, large ones clamped (RFC 9111 §1.2.2); None for anything else."""
    if value is None or not (value.isascii() and value.isdigit()):
        return None
    # Python refuses to read a number of more than 4300 digits.
    significant = value.lstrip("0") or "0"
    return float(MAX_DELTA if len(significant) > 10 else min(int(significant), MAX_DELTA))


def seconds_of(directives: CacheControl, name: str, invalid: float | None = None) -> float | None:
    """The seconds of a directive, the first of several (RFC 9111 §4.2.1); None where it is absent."""
    values = directives.get(name)
    if not values:
        return None
    found = delta_seconds(values[0])
    return invalid if found is None else found
