"""HTTP dates, read strictly, in any of the three formats (RFC 9110 §5.6.7)."""

from __future__ import annotations

import re
import time
from calendar import monthrange, timegm
from collections.abc import Mapping

from .fields import OWS

__all__ = ["date_field", "parse_http_date"]

_MONTH = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_NUMBER_OF_MONTH = {name: number for number, name in enumerate(_MONTH.lower().split("|"), 1)}
_SHORT = "Mon|Tue|Wed|Thu|Fri|Sat|Sun"
_LONG = "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday"
_TIME = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
# Case does not matter to a robust recipient; digits, separators and the zone do: a date in another shape is not a date.
# Compiled at first use, by `re` itself: not every process meets a date.
_FORMATS = (
    rf"(?:{_SHORT}), (?P<day>\d\d) (?P<month>{_MONTH}) (?P<year>\d{{4}}) {_TIME} GMT",  # IMF-fixdate
    rf"(?:{_LONG}), (?P<day>\d\d)-(?P<month>{_MONTH})-(?P<year>\d\d) {_TIME} GMT",  # RFC 850
    rf"(?:{_SHORT}) (?P<month>{_MONTH}) (?P<day>[ \d]\d) {_TIME} (?P<year>\d{{4}})",  # asctime
)


def parse_http_date(value: str, now: float | None = None) -> float | None:
    """Seconds since 1970, or None if `value` is not an HTTP date.

    - `now`: the wall clock (None: the system's); it places the two-digit years of RFC 850.
    """
    value = value.strip(OWS)
    for pattern in _FORMATS:
        found = re.fullmatch(pattern, value, re.ASCII | re.IGNORECASE)
        if found is not None:
            break
    else:
        return None
    year, month, day = int(found["year"]), _NUMBER_OF_MONTH[found["month"].lower()], int(found["day"])
    if len(found["year"]) == 2:
        year = _full_year(year, time.time() if now is None else now)
    hour, minute, second = int(found["hour"]), int(found["minute"]), int(found["second"])
    # 60 is a leap second.
    if year < 1 or not 1 <= day <= monthrange(year, month)[1] or hour > 23 or minute > 59 or second > 60:
        return None
    return float(timegm((year, month, day, hour, minute, second)))


def _full_year(two_digits: int, now: float) -> int:
    """More than 50 years ahead means the last such year that has been (RFC 9110 §5.6.7)."""
    this_year = time.gmtime(now).tm_year
    year = this_year - this_year % 100 + two_digits
    if year > this_year + 50:
        return year - 100
    return year + 100 if year <= this_year - 50 else year


def date_field(headers: Mapping[str, list[str]], name: str, now: float | None = None) -> float | None:
    """The date in a field that must occur once; None if it is missing, repeated with other values, or no date."""
    values = set(headers.get(name, ()))
    return parse_http_date(values.pop(), now) if len(values) == 1 else None
