"""The rules a controller is made of, and what they come to for one request. Values only."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from .errors import ConfigurationError, ConfigurationTypeError, flag, seconds, whole, words
from .routes import parse_pattern

__all__ = ["SAFE_METHODS", "TOKEN", "Bypass", "Decision", "Read", "Rule", "Write", "check_part", "check_statuses"]

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # RFC 9110 §9.2.1
UNSAFE_METHODS = ("POST", "PUT", "PATCH", "DELETE")
TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 §5.6.2


def _check_methods(value: object) -> tuple[str, ...]:
    methods = tuple(dict.fromkeys(m.upper() for m in words("methods", value)))
    if not methods:
        raise ConfigurationError("methods must name at least one method, not ()")
    for method in methods:
        if not TOKEN.fullmatch(method):
            raise ConfigurationError(f"methods must hold HTTP methods such as 'GET', not {method!r}")
    return methods


@dataclass(frozen=True, slots=True)
class Read:
    """Requests whose answers may be stored: `Read("/api/Process/**", ttl=1800, tags=("process",))`.

    - `pattern`: a path; `{name}` or `*` is any one segment, a last `**` any number of them.
    - `ttl`: seconds an answer stays fresh, counted from when its request was sent; None: the controller's.
    - `tags`: names that a write may dirty, on top of the implicit ones of the path.
    - `methods`: `("POST",)` for a query with its filter in the body: it is keyed by a digest of the body.
    - `statuses`: the status codes that are stored.
    - `bypass_query`: names of query parameters (any case) whose presence bypasses the cache.
    - `ignore_no_store`: store the answer although it says `Cache-Control: no-store`.
    - `stale_while_revalidate`, `stale_if_error`: seconds after its TTL during which an answer is served stale while one
      refresh runs, or when the server fails (RFC 5861); None: the controller's.
    - `offline_for`: seconds after its TTL during which it is served while the server cannot be reached, where the
      controller says `offline`; None: the controller's.
    - `negative_ttl`: seconds a 404 or 410 stays fresh; None: they are not stored.
    - `adaptive`: bounds (least, most) in seconds between which the TTL grows while revalidation says "unchanged" and
      shrinks when it changed; None: the TTL stays as it is.
    - `refresh_ahead`: the part of the TTL (0 to 1) after which a hit starts a refresh; None: the controller's.

    Raises ConfigurationError or ConfigurationTypeError for anything else.
    """

    pattern: str
    ttl: float | None = None
    tags: tuple[str, ...] = ()
    methods: tuple[str, ...] = ("GET",)
    statuses: tuple[int, ...] = field(default=(200,), kw_only=True)
    bypass_query: tuple[str, ...] = field(default=(), kw_only=True)
    ignore_no_store: bool = field(default=False, kw_only=True)
    stale_while_revalidate: float | None = field(default=None, kw_only=True)
    stale_if_error: float | None = field(default=None, kw_only=True)
    offline_for: float | None = field(default=None, kw_only=True)
    negative_ttl: float | None = field(default=None, kw_only=True)
    adaptive: tuple[float, float] | None = field(default=None, kw_only=True)
    refresh_ahead: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        parse_pattern(self.pattern)
        if self.ttl is not None:
            object.__setattr__(self, "ttl", seconds("ttl", self.ttl, infinite=True))
        object.__setattr__(self, "tags", words("tags", self.tags))
        object.__setattr__(self, "methods", _check_methods(self.methods))
        object.__setattr__(self, "bypass_query", tuple(w.casefold() for w in words("bypass_query", self.bypass_query)))
        if "HEAD" in self.methods:
            raise ConfigurationError("methods of a Read must not name HEAD: it is answered from the stored GET")
        object.__setattr__(self, "statuses", check_statuses("statuses", self.statuses))
        if not self.statuses or 206 in self.statuses:
            raise ConfigurationError(
                f"statuses must name at least one status, and not 206, which is never stored, not {self.statuses!r}"
            )
        flag("ignore_no_store", self.ignore_no_store)
        for name in ("stale_while_revalidate", "stale_if_error", "offline_for", "negative_ttl"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, seconds(name, value, infinite=True))
        if self.adaptive is not None:
            object.__setattr__(self, "adaptive", _check_bounds(self.adaptive))
        if self.refresh_ahead is not None:
            object.__setattr__(self, "refresh_ahead", check_part("refresh_ahead", self.refresh_ahead))


@dataclass(frozen=True, slots=True)
class Write:
    """Requests that change data: `Write("/api/Report/**", methods=("POST",), dirties=("report", "unit"))`.

    - `dirties`: tags of stored answers that this write makes invalid, on top of the implicit ones: everything
      below its path, and its collection (the parent path, with any query).
    - `settle`: seconds after the answer during which the server may still be applying the write: reads of the
      dirtied tags are fetched, but neither stored nor joined. None: only when the outcome is unknown.
    """

    pattern: str
    methods: tuple[str, ...] = UNSAFE_METHODS
    dirties: tuple[str, ...] = ()
    settle: float | None = None

    def __post_init__(self) -> None:
        parse_pattern(self.pattern)
        object.__setattr__(self, "methods", _check_methods(self.methods))
        object.__setattr__(self, "dirties", words("dirties", self.dirties))
        if self.settle is not None:
            object.__setattr__(self, "settle", seconds("settle", self.settle))


@dataclass(frozen=True, slots=True)
class Bypass:
    """Requests that the cache leaves alone, neither stored nor dirtying: `Bypass("/api/Auth/**")`."""

    pattern: str
    methods: tuple[str, ...] = ("GET", "HEAD", *UNSAFE_METHODS)

    def __post_init__(self) -> None:
        parse_pattern(self.pattern)
        object.__setattr__(self, "methods", _check_methods(self.methods))


Rule = Read | Write | Bypass


class Decision(NamedTuple):
    """What the rules say of one method and path."""

    kind: Literal["read", "write", "bypass"]
    rule: str
    """The pattern of the rule that decided, or "default" or "unmatched"; bounded, so fit for a metric's label."""
    ttl: float = 0.0
    tags: tuple[str, ...] = ()
    statuses: tuple[int, ...] = (200,)
    bypass_query: tuple[str, ...] = ()
    ignore_no_store: bool = False
    settle: float | None = None
    stale_while_revalidate: float = 0.0
    stale_if_error: float = 0.0
    offline_for: float = 0.0
    negative_ttl: float | None = None
    adaptive: tuple[float, float] | None = None
    refresh_ahead: float | None = None


def check_part(name: str, value: object) -> float:
    """Check that `value` is a part from 0 to 1 and return it as a float."""
    part = seconds(name, value)
    if part > 1:
        raise ConfigurationError(f"{name} must be a part from 0 to 1, not {value!r}")
    return part


def _check_bounds(value: object) -> tuple[float, float]:
    if not isinstance(value, tuple) or len(value) != 2:
        raise ConfigurationTypeError(f"adaptive must be (least, most) in seconds, not {value!r}")
    least, most = seconds("adaptive", value[0], positive=True), seconds("adaptive", value[1], positive=True)
    if least > most:
        raise ConfigurationError(f"adaptive must be (least, most) with least <= most, not {value!r}")
    return least, most


def check_statuses(name: str, value: object) -> tuple[int, ...]:
    """Check that `value` holds status codes from 200 to 599 and return a tuple."""
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise ConfigurationTypeError(f"{name} must be a tuple of status codes, not {value!r}")
    result = tuple(whole(name, status, least=200) for status in value)
    for status in result:
        if status > 599:
            raise ConfigurationError(f"{name} must hold status codes from 200 to 599, not {status!r}")
    return result
