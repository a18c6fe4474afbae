"""What a caller asks of the cache for one request: `extensions={"pywats_cache": {...}}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..errors import ConfigurationError, ConfigurationTypeError
from ..support.checks import flag, optional_seconds, words
from ..support.showing import shown
from ..telemetry.outcome import EXTENSION

__all__ = ["BACKGROUND", "DEADLINE", "Directives"]

DEADLINE = "pywats_cache.deadline"
"""Extension of a request whose lookup waited and got no answer: the `time.monotonic` at which waiting ends."""
BACKGROUND = "pywats_cache.transport.background"
"""Extension of a request that is sent in the background, and so is part of no caller's call."""


class Directives(NamedTuple):
    """The directives of one request. They beat what its header fields say, but for `Cache-Control: no-store`.

    On a write only `tags` has a meaning; where a rule, or the kind of request, bypasses, `bypass` and `only_if_cached`.

    - `bypass`: do not use the cache: nothing is looked up, nothing stored (a write still dirties). Beats all others.
    - `refresh`: fetch a new answer and store it. A conditional request in TTL mode is sent, and its answer not stored.
    - `ttl`: seconds, instead of the rule's TTL: an older answer is not served, and a new one stays fresh that long.
    - `tags`: more tags for the answer; on a write, more tags that it dirties.
    - `key`: names the answer instead of method, URL and body (credentials, and what the rule's `vary` names, still
      separate it).
    - `only_if_cached`: a stored answer, or a 504 made by the cache (RFC 9111 §5.2.1.7).
    """

    bypass: bool = False
    refresh: bool = False
    ttl: float | None = None
    tags: tuple[str, ...] = ()
    key: str | None = None
    only_if_cached: bool = False

    @classmethod
    def parse(cls, value: object) -> Directives:
        """Check `extensions["pywats_cache"]`. Raises ConfigurationError that names an unknown or bad directive."""
        if not isinstance(value, Mapping):
            raise ConfigurationTypeError(f"extensions[{EXTENSION!r}] must be a dict of directives, not {shown(value)}")
        unknown = [name for name in value if name not in _CHECKS]
        if unknown:
            raise ConfigurationError(
                f"extensions[{EXTENSION!r}] must hold only {', '.join(_CHECKS)}, not {shown(unknown[0])}"
            )
        return cls(
            **{name: _CHECKS[name](f"extensions[{EXTENSION!r}][{name!r}]", given) for name, given in value.items()}
        )


def _optional_key(name: str, value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ConfigurationTypeError(f"{name} must be a string, not {shown(value)}")
    return value


_CHECKS: dict[str, Any] = {
    "bypass": flag,
    "refresh": flag,
    "ttl": optional_seconds,
    "tags": words,
    "key": _optional_key,
    "only_if_cached": flag,
}
