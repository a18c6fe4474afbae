"""Policy as values: which requests are cached, for how long, and what a write makes invalid."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from .errors import ConfigurationError, ConfigurationTypeError, flag, seconds, whole, words
from .routes import RouteTable, parse_pattern

__all__ = ["Bypass", "Controller", "Decision", "Partition", "Read", "Rule", "Write"]

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # RFC 9110 §9.2.1
UNSAFE_METHODS = ("POST", "PUT", "PATCH", "DELETE")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 §5.6.2

Partition = Iterable[str] | Callable[[Mapping[str, str]], str]
"""Names of further headers that separate answers, or a function of the request's headers that replaces the rule."""


def _check_methods(value: object) -> tuple[str, ...]:
    methods = tuple(dict.fromkeys(m.upper() for m in words("methods", value)))
    if not methods:
        raise ConfigurationError("methods must name at least one method, not ()")
    for method in methods:
        if not _TOKEN.fullmatch(method):
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

    Raises ConfigurationError or ConfigurationTypeError for anything else.
    """

    pattern: str
    ttl: float | None = None
    tags: tuple[str, ...] = ()
    methods: tuple[str, ...] = ("GET",)
    statuses: tuple[int, ...] = field(default=(200,), kw_only=True)
    bypass_query: tuple[str, ...] = field(default=(), kw_only=True)
    ignore_no_store: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        parse_pattern(self.pattern)
        if self.ttl is not None:
            object.__setattr__(self, "ttl", seconds("ttl", self.ttl, infinite=True))
        object.__setattr__(self, "tags", words("tags", self.tags))
        object.__setattr__(self, "methods", _check_methods(self.methods))
        object.__setattr__(self, "bypass_query", tuple(w.casefold() for w in words("bypass_query", self.bypass_query)))
        if "HEAD" in self.methods:
            raise ConfigurationError("methods of a Read must not name HEAD: it is answered from the stored GET")
        object.__setattr__(self, "statuses", _check_statuses("statuses", self.statuses))
        if not self.statuses or 206 in self.statuses:
            raise ConfigurationError(
                f"statuses must name at least one status, and not 206, which is never stored, not {self.statuses!r}"
            )
        flag("ignore_no_store", self.ignore_no_store)


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


@dataclass(frozen=True, slots=True)
class Decision:
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


class Controller:
    """What is cached, for how long, and what a write dirties. Immutable; share it freely.

    ```python
    Controller(rules=[Read("/api/Process/**", ttl=1800, tags=("process",)),
                      Write("/api/Report/**", dirties=("report",)),
                      Bypass("/api/Production/SerialNumbers/**")], ttl=300.0)
    ```

    A literal path beats a template beats `**`; a write dirties the union of all write rules that match it.

    - `ttl`: seconds an answer stays fresh where no rule says otherwise; 0 stores nothing.
    - `unmatched`: what a GET without a rule does: `"cache"` it for `ttl`, or `"bypass"`.
      An unsafe method without a rule always dirties its implicit path tags (RFC 9111 §4.4).
    - `partition`: header names that separate answers on top of the credentials, or a function
      `headers -> str` that replaces the rule on purpose (a rotating token of the same user).
    - `drop_on`: status codes that end trust: 401 drops what the caller's partition holds, any other that path.
    - `store_empty`: False keeps empty and `null` bodies out of the storage.
    - `ignore_case`: match paths without case.
    - `join_timeout`: seconds a caller waits for another's fetch of the same key before it goes to the server itself.

    Raises ConfigurationError (a ValueError) or ConfigurationTypeError (a TypeError), naming parameter and value;
    two rules with the same pattern and method conflict.
    """

    partition: tuple[str, ...] | Callable[[Mapping[str, str]], str]

    __slots__ = (
        "_default",
        "_is_set_up",
        "_reads",
        "_table",
        "drop_on",
        "ignore_case",
        "join_timeout",
        "partition",
        "rules",
        "store_empty",
        "ttl",
        "unmatched",
    )

    def __init__(
        self,
        rules: Iterable[Rule] = (),
        *,
        ttl: float = 300.0,
        unmatched: Literal["cache", "bypass"] = "cache",
        partition: Partition = (),
        drop_on: Iterable[int] = (),
        store_empty: bool = True,
        ignore_case: bool = False,
        join_timeout: float = 30.0,
    ) -> None:
        self.ttl = seconds("ttl", ttl, infinite=True)
        if unmatched not in ("cache", "bypass"):
            raise ConfigurationError(f"unmatched must be 'cache' or 'bypass', not {unmatched!r}")
        self.unmatched = unmatched
        self.partition = partition if callable(partition) else _check_names(partition)
        self.drop_on = _check_statuses("drop_on", drop_on)
        self.store_empty = flag("store_empty", store_empty)
        self.ignore_case = flag("ignore_case", ignore_case)
        self.join_timeout = seconds("join_timeout", join_timeout)
        if isinstance(rules, (str, bytes)) or not isinstance(rules, Iterable):
            raise ConfigurationTypeError(f"rules must be a list of Read, Write and Bypass, not {rules!r}")
        self.rules = tuple(rules)
        self._table: RouteTable[Rule] = RouteTable(ignore_case=ignore_case)
        self._default = Decision("read", "default", self.ttl)
        self._reads: dict[int, Decision] = {}
        for rule in self.rules:
            if not isinstance(rule, (Read, Write, Bypass)):
                raise ConfigurationTypeError(f"rules must hold Read, Write and Bypass only, not {rule!r}")
            if isinstance(rule, Read):
                self._reads[id(rule)] = self._decide_read(rule)
            for method in rule.methods:
                there = self._table.add(rule.pattern, method, rule)
                if there is not None:
                    raise ConfigurationError(f"rules must not conflict for {method}: {there!r} and {rule!r}")

        self._is_set_up = True

    def __setattr__(self, name: str, value: object) -> None:
        if hasattr(self, "_is_set_up"):
            raise AttributeError(f"a Controller does not change; make a new one with {name}={value!r}")
        super().__setattr__(name, value)

    def decide(self, method: str, path: str) -> Decision:
        """What the rules say of `method` (upper case) and the raw `path` (without query).

        HEAD is decided as the GET it is answered from.
        """
        matches = self._table.find(path, "GET" if method == "HEAD" else method)
        first = matches[0] if matches else None
        if isinstance(first, Bypass):
            return Decision("bypass", first.pattern)
        if isinstance(first, Read):
            return self._reads[id(first)]
        if first is None:
            return self._without_rule(method)
        writes = [rule for rule in matches if isinstance(rule, Write)]
        dirties = tuple(dict.fromkeys(tag for rule in writes for tag in rule.dirties))
        settles = [rule.settle for rule in writes if rule.settle is not None]
        return Decision("write", first.pattern, tags=dirties, settle=max(settles, default=None))

    def _decide_read(self, rule: Read) -> Decision:
        ttl = self.ttl if rule.ttl is None else rule.ttl
        return Decision("read", rule.pattern, ttl, rule.tags, rule.statuses, rule.bypass_query, rule.ignore_no_store)

    def _without_rule(self, method: str) -> Decision:
        if method not in SAFE_METHODS:
            return Decision("write", "default")
        if method in ("GET", "HEAD") and self.unmatched == "cache":
            return self._default
        return Decision("bypass", "unmatched")

    def __repr__(self) -> str:
        return f"Controller({len(self.rules)} rules, ttl={self.ttl!r}, unmatched={self.unmatched!r})"


def _check_names(value: object) -> tuple[str, ...]:
    names = tuple(name.lower() for name in words("partition", value))
    for name in names:
        if not _TOKEN.fullmatch(name):
            raise ConfigurationError(f"partition must hold names of headers such as 'X-Tenant', not {name!r}")
    return names


def _check_statuses(name: str, value: object) -> tuple[int, ...]:
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise ConfigurationTypeError(f"{name} must be a tuple of status codes, not {value!r}")
    result = tuple(whole(name, status, least=200) for status in value)
    for status in result:
        if status > 599:
            raise ConfigurationError(f"{name} must hold status codes from 200 to 599, not {status!r}")
    return result
