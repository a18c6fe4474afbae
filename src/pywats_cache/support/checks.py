"""Checks of arguments: each returns the value, or raises an error that says what is wrong with it."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ..errors import ConfigurationError, ConfigurationTypeError
from .durations import FORMS, seconds_in
from .showing import shown


def seconds(name: str, value: object, *, positive: bool = False, infinite: bool = False) -> float:
    """Check that `value` is a duration, a number of seconds or another `Duration`, and return its seconds.

    Raises ConfigurationTypeError for anything else (a bool is no number) and ConfigurationError for NaN,
    a negative number, zero where `positive`, or infinity unless `infinite`.
    """
    given = seconds_in(value)
    allowed = "a number of seconds " + ("> 0" if positive else ">= 0") + (" (inf: no limit)" if infinite else "")
    allowed += f", {FORMS}"
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        raise ConfigurationTypeError(f"{name} must be {allowed}, not {shown(value)}")
    try:
        number = float(given)
    except OverflowError:
        raise ConfigurationError(f"{name} must be {allowed}, not a number that large") from None
    if math.isnan(number) or number < 0 or (positive and number == 0) or (math.isinf(number) and not infinite):
        raise ConfigurationError(f"{name} must be {allowed}, not {shown(value)}")
    return number


def optional_seconds(name: str, value: object) -> float | None:
    """`seconds` for a duration that may be infinite, or None for "not given"."""
    return None if value is None else seconds(name, value, infinite=True)


def whole(name: str, value: object, *, least: int) -> int:
    """Check that `value` is an int of at least `least` (a bool is not one) and return it."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigurationTypeError(f"{name} must be a whole number >= {least}, not {shown(value)}")
    if value < least:
        raise ConfigurationError(f"{name} must be a whole number >= {least}, not {shown(value)}")
    return value


def words(name: str, value: object) -> tuple[str, ...]:
    """Check that `value` is an iterable of non-empty strings, not a string itself, and return a tuple."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ConfigurationTypeError(f"{name} must be a tuple of strings, not {shown(value)}")
    result = tuple(value)
    for word in result:
        if not isinstance(word, str):
            raise ConfigurationTypeError(f"{name} must hold strings only, not {shown(word)}")
        if not word:
            raise ConfigurationError(f"{name} must not hold an empty string")
    return result


def text(name: str, value: object, example: str) -> str:
    """Check that `value` is a string and return it; `example` is one that is allowed."""
    if not isinstance(value, str):
        raise ConfigurationTypeError(f"{name} must be a string such as {example!r}, not {shown(value)}")
    return value


def flag(name: str, value: object) -> bool:
    """Check that `value` is True or False and return it."""
    if not isinstance(value, bool):
        raise ConfigurationTypeError(f"{name} must be True or False, not {shown(value)}")
    return value
