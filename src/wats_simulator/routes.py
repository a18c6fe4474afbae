"""Every route of the simulated server, and the search for the one that a request means."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote

from . import (
    analytics,
    asset,
    groups,
    inspection,
    lookups,
    product,
    production,
    report,
    rootcause,
    scim,
    serials,
    software,
)
from .call import Route

ROUTES: tuple[Route, ...] = (
    *lookups.ROUTES,
    *product.ROUTES,
    *groups.ROUTES,
    *asset.ROUTES,
    *production.ROUTES,
    *serials.ROUTES,
    *report.ROUTES,
    *analytics.ROUTES,
    *software.ROUTES,
    *rootcause.ROUTES,
    *scim.ROUTES,
    *inspection.ROUTES,
)

_PLACE = re.compile(r"\{(\w+)\}")


class Router:
    """Finds the route of a method and a raw path: without case, literal segments before placeholders."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._literal: dict[tuple[str, str], Route] = {}
        self._templates: dict[tuple[str, int], list[tuple[re.Pattern[str], Route]]] = {}
        # The more of a template is literal, the earlier it is tried.
        for route in sorted(routes, key=lambda route: -len(_PLACE.sub("", route.template))):
            if "{" not in route.template:
                self._literal[(route.method, route.template.casefold())] = route
                continue
            pattern = re.compile(_PLACE.sub(r"(?P<\1>[^/]+)", route.template), re.IGNORECASE)
            bucket = self._templates.setdefault((route.method, route.template.count("/")), [])
            bucket.append((pattern, route))

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """Return the route and its parameters, percent-decoded; None when there is none."""
        path = path.rstrip("/")
        route = self._literal.get((method, path.casefold()))
        if route is None and "%" in path:  # /api/Product/%51uery is /api/Product/Query
            route = self._literal.get((method, "/".join(map(unquote, path.split("/"))).casefold()))
        if route is not None:
            return route, {}
        for pattern, candidate in self._templates.get((method, path.count("/")), ()):
            match = pattern.fullmatch(path)
            if match is not None:
                return candidate, {name: unquote(value) for name, value in match.groupdict().items()}
        return None
