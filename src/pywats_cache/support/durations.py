"""Durations: seconds, a `timedelta`, or a text such as `"90s"`, `"5m"`, `"2h"`, `"1d"`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta
    from typing import TypeAlias

    Duration: TypeAlias = float | timedelta | str
    """What is taken wherever seconds are: a number of seconds, a `timedelta`, or a text such as `"5m"`."""

__all__ = ["FORMS", "seconds_in", "seconds_of"]

FORMS = "a timedelta, or a text such as '90s', '5m', '2h' or '1d'"
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_TEXT = r"(?a)\s*(\d{1,15}(?:\.\d{1,9})?)\s*([smhd])\s*"


def seconds_in(value: object) -> object:
    """The seconds of a `timedelta`, or of a text such as `"5m"`; any other value as it is.

    The unit is never left out: a bare number is no text, and `"5M"` may mean months or millions.
    """
    if isinstance(value, str):
        found = re.fullmatch(_TEXT, value)
        return value if found is None else float(found[1]) * _UNITS[found[2]]
    if isinstance(value, (int, float)):
        return value
    from datetime import timedelta  # here: most durations are numbers

    return value.total_seconds() if isinstance(value, timedelta) else value


def seconds_of(text: str) -> float:
    """The seconds that a text of a command line, a URL or the environment means: `"300"`, `"5m"`, `"inf"`.

    Raises ValueError.
    """
    found = seconds_in(text)
    return found if isinstance(found, float) else float(text)
