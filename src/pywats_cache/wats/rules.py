"""The table of routes as rules of a Controller."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import httpx

from ..errors import ConfigurationError
from ..policy.controller import Bypass, Controller, Read, Rule, Write
from ..support.checks import seconds, text
from ..support.showing import shown, shown_url
from .routes import ROUTES, Route

if TYPE_CHECKING:
    from ..support.durations import Duration

__all__ = ["prefix_of", "server_of", "wats_controller", "wats_rules"]


def wats_rules(cache_ttl: Duration = 300.0, prefix: str = "") -> tuple[Rule, ...]:
    """The rules for a WATS server, no answer kept longer than `cache_ttl` seconds (0: none is kept).

    `prefix` is the path that the server lies under, such as `/wats` behind a proxy.

    Raises ConfigurationError or ConfigurationTypeError for a bad argument.
    """
    ceiling = seconds("cache_ttl", cache_ttl, infinite=True)
    if text("prefix", prefix, "/wats") and not prefix.startswith("/"):
        raise ConfigurationError(f"prefix must be '' or a path such as '/wats', not {shown(prefix)}")
    distinct = {(route.method, _shape(route.path)): route for route in ROUTES}
    return tuple(_rule(route, ceiling, prefix.rstrip("/")) for route in distinct.values())


def wats_controller(
    cache_ttl: Duration = 300.0, *, rules: Iterable[Rule] = (), prefix: str = "", **settings: Any
) -> Controller:
    """The policy for a WATS server; `cache_ttl` (seconds) is the upper limit for the TTL of each route.

    - Routes that no rule names bypass the cache, because the server has GETs that write.
    - Case in paths is ignored, as the server does.
    - Empty answers and `null` are not stored, so that "not found" does not last.
    - A 401 drops all stored answers of the caller's credentials, a 403 those of its path.
    - `rules`: yours; each takes the place of the built-in rule for its route and methods, with its tags, and its TTL
      is not limited by `cache_ttl`.
    - `prefix`: the path that the server lies under, such as `/wats` behind a proxy. A client without `cache_controller`
      takes that of its `base_url`. The patterns of `rules` begin with it, as do the paths of `invalidate`.
    - `settings`: other settings of `Controller`, such as `offline="auto"`.
    """
    ours = Controller(rules).rules  # which checks them
    taken = {(_shape(rule.pattern), method) for rule in ours for method in rule.methods}
    kept = [r for r in wats_rules(cache_ttl, prefix) if not taken.issuperset((_shape(r.pattern), m) for m in r.methods)]
    return Controller(
        (*kept, *ours),
        ttl=seconds("cache_ttl", cache_ttl, infinite=True),
        **{"unmatched": "bypass", "ignore_case": True, "store_empty": False, "drop_on": (401, 403), **settings},
    )


def prefix_of(base_url: str) -> str:
    """The path that a server lies under, as rules have it: '' at the root, and where none can be told."""
    try:
        path = httpx.URL(base_url).raw_path.decode("ascii").partition("?")[0].rstrip("/")
    except (httpx.InvalidURL, ValueError):  # whose text repeats a part of it
        raise ConfigurationError(
            f"base_url must be a URL such as https://wats.example, not {shown_url(base_url)}"
        ) from None
    return path if path.startswith("/") and "*" not in path else ""


def server_of(base_url: str) -> str:
    """An address as the SDK's clients keep it."""
    return base_url.rstrip("/").removesuffix("/api")


def _pattern(path: str) -> str:
    """`path` as a pattern: a segment that is a template only in part (`userName={username}`) becomes one as a whole."""
    return "/".join("*" if "{" in segment[1:] else segment for segment in path.split("/"))


def _shape(path: str) -> str:
    return "/".join("*" if "{" in segment else segment.casefold() for segment in path.split("/"))


def _rule(route: Route, ceiling: float, prefix: str) -> Rule:
    pattern = prefix + _pattern(route.path)
    if route.kind == "read":
        ttl = min(route.ttl, ceiling)
        return Read(pattern, ttl, route.tags, (route.method,), bypass_query=route.bypass_query)
    if route.kind == "write":
        return Write(pattern, (route.method,), route.tags, route.settle)
    return Bypass(pattern, (route.method,))
