"""The switch that turns the cache off for a whole process."""

from __future__ import annotations

import os

__all__ = ["DISABLED_VARIABLE", "is_disabled"]

DISABLED_VARIABLE = "PYWATS_CACHE_DISABLED"
_ON = frozenset({"", "0", "false", "no", "off"})
"""Values, in lower case, with which the cache is on; with any other it is off."""


def is_disabled() -> bool:
    """Whether the environment says that a client or transport made now caches nothing."""
    return os.environ.get(DISABLED_VARIABLE, "").strip().lower() not in _ON
