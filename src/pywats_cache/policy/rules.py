"""The rules a controller is made of, and what they come to for one request. Values only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from ..errors import ConfigurationError, ConfigurationTypeError
from ..protocol.fields import TOKEN
from ..protocol.representations import DEFAULT_VARY
from ..support.checks import flag, optional_seconds, seconds, whole, words
from ..support.showing import shown
from .patterns import parse_pattern

if TYPE_CHECKING:
    from ..support.durations import Duration

__all__ = ["TOKEN", "Bypass", "Decision", "Read", "Rule", "Write", "check_part", "check_statuses"]

UNSAFE_METHODS = ("POST", "PUT", "PATCH", "DELETE")


def _check_methods(value: object) -> tuple[str, ...]:
    methods = tuple(dict.fromkeys(m.upper() for m in words("methods", value)))
    if not methods:
        raise ConfigurationError("methods must name at least one method, not ()")
    for method in methods:
        if not TOKEN.fullmatch(method):
            raise ConfigurationError(f"methods must hold HTTP methods such as 'GET', not {shown(method)}")
    return methods


class _Rule:
    """Immutable, and equal by its fields; three frozen dataclasses would double our import time.

    Each field is set once, by the constructor. `Final` tells type checkers, at no cost at run time.
    """

    __slots__ = ("methods", "pattern")

    def __init__(self, pattern: str, methods: tuple[str, ...]) -> None:
        parse_pattern(pattern)
        self.pattern: Final[str] = pattern
        self.methods: Final[tuple[str, ...]] = _check_methods(methods)

    def _fields(self) -> tuple[tuple[str, Any], ...]:
        return tuple((name, getattr(self, name)) for name in (*_Rule.__slots__, *type(self).__slots__))

    def __eq__(self, other: object) -> bool:
        return self._fields() == other._fields() if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash((type(self), self._fields()))

    def __repr__(self) -> str:
        make: Any = type(self)
        plain = dict(make(self.pattern)._fields())
        given = "".join(f", {name}={value!r}" for name, value in self._fields() if value != plain[name])
        return f"{type(self).__name__}({self.pattern!r}{given})"

    def __setattr__(self, name: str, value: object) -> None:
        if hasattr(self, name):
            raise AttributeError(f"a {type(self).__name__} is immutable; make another with another {name}")
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a {type(self).__name__} is immutable")


class Read(_Rule):
    """Requests whose answers may be stored: `Read("/api/Process/**", ttl=1800, tags=("process",))`.

    - `pattern`: a path; `{name}` or `*` stands for one segment, a final `**` for any number of segments.
    - `ttl`: seconds an answer stays fresh, counted from when its request was sent; None: the controller's.
    - `tags`: names by which writes and `invalidate` reach its answers, in addition to their paths.
    - `methods`: `("POST",)` for a query with its filter in the body; a digest of the body is part of the key then.
    - `statuses`: the status codes that are stored.
    - `bypass_query`: names of query parameters (any case) whose presence bypasses the cache.
    - `ignore_no_store`: store the answer even if it says `Cache-Control: no-store`.
    - `stale_while_revalidate`, `stale_if_error`: seconds after its TTL during which an answer is served stale while one
      refresh runs, or when the server fails (RFC 5861); None: the controller's.
    - `offline_for`: seconds after its TTL during which it is served while the server cannot be reached, if the
      controller has `offline`; None: the controller's.
    - `negative_ttl`: seconds a 404 or 410 stays fresh; None: they are not stored.
    - `adaptive`: bounds (least, most) in seconds between which the TTL grows while validation finds the answer
      unchanged, and shrinks when it has changed; None: the TTL is fixed.
    - `refresh_ahead`: the fraction of the TTL (0 to 1) after which a hit starts a refresh; None: the controller's.
    - `vary`: names of request headers (any case): requests that differ in one of them do not share an answer, whether
      or not the server says so by Vary. `()`: only what the server says counts.

    Raises ConfigurationError or ConfigurationTypeError for anything else.
    """

    __module__ = "pywats_cache"

    __slots__ = (
        "adaptive",
        "bypass_query",
        "ignore_no_store",
        "negative_ttl",
        "offline_for",
        "refresh_ahead",
        "stale_if_error",
        "stale_while_revalidate",
        "statuses",
        "tags",
        "ttl",
        "vary",
    )

    def __init__(
        self,
        pattern: str,
        ttl: Duration | None = None,
        tags: tuple[str, ...] = (),
        methods: tuple[str, ...] = ("GET",),
        *,
        statuses: tuple[int, ...] = (200,),
        bypass_query: tuple[str, ...] = (),
        ignore_no_store: bool = False,
        stale_while_revalidate: Duration | None = None,
        stale_if_error: Duration | None = None,
        offline_for: Duration | None = None,
        negative_ttl: Duration | None = None,
        adaptive: tuple[Duration, Duration] | None = None,
        refresh_ahead: float | None = None,
        vary: tuple[str, ...] = DEFAULT_VARY,
    ) -> None:
        super().__init__(pattern, methods)
        words_of_query = words("bypass_query", bypass_query)
        self.ttl: Final[float | None] = optional_seconds("ttl", ttl)
        self.tags: Final[tuple[str, ...]] = words("tags", tags)
        self.statuses: Final[tuple[int, ...]] = check_statuses("statuses", statuses)
        self.bypass_query: Final[tuple[str, ...]] = tuple(word.casefold() for word in words_of_query)
        self.ignore_no_store: Final[bool] = flag("ignore_no_store", ignore_no_store)
        self.stale_while_revalidate: Final[float | None] = optional_seconds(
            "stale_while_revalidate", stale_while_revalidate
        )
        self.stale_if_error: Final[float | None] = optional_seconds("stale_if_error", stale_if_error)
        self.offline_for: Final[float | None] = optional_seconds("offline_for", offline_for)
        self.negative_ttl: Final[float | None] = optional_seconds("negative_ttl", negative_ttl)
        self.adaptive: Final[tuple[float, float] | None] = None if adaptive is None else _check_bounds(adaptive)
        self.refresh_ahead: Final[float | None] = (
            None if refresh_ahead is None else check_part("refresh_ahead", refresh_ahead)
        )
        self.vary: Final[tuple[str, ...]] = _check_vary(vary)
        if "HEAD" in self.methods:
            raise ConfigurationError("methods of a Read must not name HEAD: it is answered from the stored GET")
        if not self.statuses or 206 in self.statuses:
            raise ConfigurationError(
                "statuses must be one or more status codes except 206, which is never stored, "
                f"not {shown(self.statuses)}"
            )


class Write(_Rule):
    """Requests that change data: `Write("/api/Report/**", methods=("POST",), dirties=("report", "unit"))`.

    - `dirties`: tags of stored answers that this write makes invalid, in addition to everything at and below its
      path, and its collection (the parent path, with any query).
    - `settle`: seconds after the answer during which the server may still be applying the write: reads of the
      dirtied tags are fetched, but neither stored nor joined. None: only when the outcome is unknown.
    """

    __module__ = "pywats_cache"

    __slots__ = ("dirties", "settle")

    def __init__(
        self,
        pattern: str,
        methods: tuple[str, ...] = UNSAFE_METHODS,
        dirties: tuple[str, ...] = (),
        settle: Duration | None = None,
    ) -> None:
        super().__init__(pattern, methods)
        self.dirties: Final[tuple[str, ...]] = words("dirties", dirties)
        self.settle: Final[float | None] = None if settle is None else seconds("settle", settle)


class Bypass(_Rule):
    """Requests that do not use the cache, neither stored nor dirtying anything: `Bypass("/api/Auth/**")`."""

    __module__ = "pywats_cache"

    __slots__ = ()

    def __init__(self, pattern: str, methods: tuple[str, ...] = ("GET", "HEAD", *UNSAFE_METHODS)) -> None:
        super().__init__(pattern, methods)


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
    vary: tuple[str, ...] = ()

    def ahead(self, ttl: float) -> float:
        """The age in seconds at which a hit starts a refresh of an answer with this TTL; past it there is no hit."""
        return ttl if self.refresh_ahead is None else ttl * self.refresh_ahead


def check_part(name: str, value: object) -> float:
    """Check that `value` is a fraction from 0 to 1 and return it as a float."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigurationTypeError(f"{name} must be a fraction from 0 to 1, not {shown(value)}")
    if not 0 <= value <= 1:
        raise ConfigurationError(f"{name} must be a fraction from 0 to 1, not {shown(value)}")
    return float(value)


def _check_bounds(value: object) -> tuple[float, float]:
    if not isinstance(value, tuple) or len(value) != 2:
        raise ConfigurationTypeError(f"adaptive must be (least, most) in seconds, not {shown(value)}")
    least, most = seconds("adaptive", value[0], positive=True), seconds("adaptive", value[1], positive=True)
    if least > most:
        raise ConfigurationError(f"adaptive must be (least, most) with least <= most, not {shown(value)}")
    return least, most


def _check_vary(value: object) -> tuple[str, ...]:
    names = sorted({name.lower() for name in words("vary", value)})
    for name in names:
        if name == "*" or not TOKEN.fullmatch(name):
            raise ConfigurationError(
                f"vary must hold names of request headers such as 'Accept', or none, not {shown(name)}"
            )
    return tuple(names)


def check_statuses(name: str, value: object) -> tuple[int, ...]:
    """Check that `value` holds status codes from 200 to 599 and return a tuple."""
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise ConfigurationTypeError(f"{name} must be a tuple of status codes, not {shown(value)}")
    result = tuple(whole(name, status, least=200) for status in value)
    for status in result:
        if status > 599:
            raise ConfigurationError(f"{name} must hold status codes from 200 to 599, not {shown(status)}")
    return result
