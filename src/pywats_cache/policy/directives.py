"""What a caller asks of the cache for one request: `extensions={"pywats_cache": {...}}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ConfigurationError, ConfigurationTypeError
from ..support.checks import flag, optional_seconds, words
from ..support.showing import shown
from ..telemetry.outcome import EXTENSION

if TYPE_CHECKING:
    from typing import TypedDict

    from ..support.durations import Duration

    class BlockDirectives(TypedDict, total=False):
        """What `cache.options(…)` takes, for type checkers: see `Directives`."""

        bypass: bool
        refresh: bool
        ttl: Duration | None
        tags: tuple[str, ...]
        only_if_cached: bool
        stale_while_revalidate: Duration | None
        stale_if_error: Duration | None


__all__ = ["BACKGROUND", "DEADLINE", "Directives", "checked", "checked_for_block", "merged"]

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
    - `stale_while_revalidate`, `stale_if_error`: seconds, instead of the rule's: how long past its TTL a stored answer
      may be served while it is revalidated, or where the server fails. With `ttl` they count from the end of that.
    """

    bypass: bool = False
    refresh: bool = False
    ttl: float | None = None
    tags: tuple[str, ...] = ()
    key: str | None = None
    only_if_cached: bool = False
    stale_while_revalidate: float | None = None
    stale_if_error: float | None = None

    @classmethod
    def parse(cls, value: object) -> Directives:
        """Check `extensions["pywats_cache"]`. Raises ConfigurationError that names an unknown or bad directive."""
        return cls(**checked(value))


def checked(value: object) -> dict[str, Any]:
    """The directives in `extensions["pywats_cache"]`, by name. Raises as `Directives.parse` does."""
    if not isinstance(value, Mapping):
        raise ConfigurationTypeError(f"extensions[{EXTENSION!r}] must be a dict of directives, not {shown(value)}")
    unknown = [name for name in value if name not in _CHECKS]
    if unknown:
        raise ConfigurationError(
            f"extensions[{EXTENSION!r}] must hold only {', '.join(_CHECKS)}, not {shown(unknown[0])}"
        )
    return {name: _CHECKS[name](f"extensions[{EXTENSION!r}][{name!r}]", given) for name, given in value.items()}


def checked_for_block(given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `cache.options(…)`, by name. Raises ConfigurationError that names an unknown or bad one."""
    if "key" in given:
        raise ConfigurationError(
            "key must not be given for a block, in which several requests may be sent: give it with one request, as "
            f"extensions={{{EXTENSION!r}: {{'key': …}}}}"
        )
    for name in given:
        if name not in _CHECKS:
            allowed = ", ".join(known for known in _CHECKS if known != "key")
            raise ConfigurationError(f"cache.options must hold only {allowed}, not {shown(name)}")
    return {name: _CHECKS[name](name, value) for name, value in given.items()}


def merged(outer: Mapping[str, Any], inner: Mapping[str, Any]) -> dict[str, Any]:
    """The directives of `outer` and of `inner`, which beats it.

    Of `bypass`, `refresh` and `only_if_cached` each contradicts the others, so one that `inner` gives sets aside what
    `outer` says of all three. Tags add up: one more only makes more invalid.
    """
    both = dict(outer)
    if any(inner.get(name) for name in _EXCLUSIVE):
        for name in _EXCLUSIVE:
            both.pop(name, None)
    both.update(inner)
    if "tags" in outer and "tags" in inner:
        both["tags"] = tuple(dict.fromkeys((*outer["tags"], *inner["tags"])))
    return both


_EXCLUSIVE = ("bypass", "refresh", "only_if_cached")


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
    "stale_while_revalidate": optional_seconds,
    "stale_if_error": optional_seconds,
}
