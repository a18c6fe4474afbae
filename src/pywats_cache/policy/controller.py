"""Policy as a value: which requests are cached, for how long, and what a write makes invalid."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

from ..errors import ConfigurationError, ConfigurationTypeError
from ..protocol.methods import SAFE_METHODS
from ..protocol.paths import plain_path
from ..support.checks import flag, seconds, words
from ..support.showing import shown
from .patterns import RouteTable
from .rules import TOKEN, Bypass, Decision, Read, Rule, Write, check_part, check_statuses

if TYPE_CHECKING:
    from ..support.durations import Duration

__all__ = ["SAFE_METHODS", "Bypass", "Controller", "Decision", "Partition", "Read", "Rule", "Write", "tagging"]

DISCONNECTED_FOR = 3600.0
"""Seconds past its lifetime for which RFC mode serves an answer while the server fails, where nobody says."""

Partition = Iterable[str] | Callable[[Mapping[str, str]], str]
"""Names of further headers that separate answers, or a function of the request's headers that replaces the rule."""


class Controller:
    """What is cached, for how long, and what a write dirties. Immutable; share it freely.

    ```python
    Controller(rules=[Read("/api/Process/**", ttl=1800, tags=("process",)),
                      Write("/api/Report/**", dirties=("report",)),
                      Bypass("/api/Production/SerialNumbers/**")], ttl=300.0)
    ```

    The most specific pattern wins: a literal path, then a template (`{id}`), then `**`. A write dirties the tags of all
    write rules that match it. Wherever seconds are taken, so are a `timedelta`, `"90s"`, `"5m"`, `"2h"` and `"1d"`.

    - `ttl`: seconds an answer stays fresh where no rule says otherwise; 0 stores nothing.
    - `unmatched`: what happens to a GET without a rule: `"cache"` stores it for `ttl`, `"bypass"` does not.
      A write without a rule still dirties everything at and below its path, and its collection (RFC 9111 §4.4).
    - `partition`: header names that separate answers in addition to the credentials, or a function
      `headers -> str` that replaces the credentials on purpose (a rotating token of the same user).
    - `drop_on`: status codes that drop stored answers: 401 all of the caller's credentials, others those of the path.
    - `store_empty`: False keeps empty and `null` bodies out of the storage.
    - `ignore_case`: ignore case when rules are matched against paths.
    - `join_timeout`: seconds a caller waits for another's fetch of the same key before it goes to the server itself.
    - `stale_while_revalidate`, `stale_if_error`, `refresh_ahead`: as in `Read`, for routes whose rule does not say;
      `stale_if_error=None` means 0, in RFC mode an hour, which RFC 9111 §4.2.4 allows while the server fails.
    - `offline`: `"auto"` serves what is stored, up to `offline_for` seconds after its TTL, while the server cannot be
      reached, and asks it at most every `down_for` seconds; `"only"` never uses the network (what is not stored, and
      every write, gets a 504 made by the cache); None: errors reach the caller.
    - `jitter`: the largest fraction of the TTL (0 to 1) by which an entry's is shortened at random, so that entries
      stored together do not expire together.
    - `cache_status`: the name of this cache in a `Cache-Status` response header (RFC 9211); None: no header.
    - `rfc9111`: True follows the headers of answers and requests, as a private cache of RFC 9111 does, instead of TTLs.
      Of `ttl`, here and in rules, only 0 matters then: such a route bypasses the cache. Rules still say what to tag,
      bypass and dirty, and `partition` applies; the windows for stale answers apply where an answer neither sets nor
      forbids one. `statuses`, `ignore_no_store`, `negative_ttl`, `adaptive`, `vary` and `jitter` have no effect.
      Coherence does not change: a write of unknown outcome, a 5xx included, still dirties.

    What a write dirtied, an unknown outcome included, is never served stale.

    Raises ConfigurationError (a ValueError) or ConfigurationTypeError (a TypeError), naming parameter and value;
    two rules with the same pattern and method conflict.
    """

    __module__ = "pywats_cache"

    __slots__ = (
        "_default",
        "_is_set_up",
        "_reads",
        "_table",
        "cache_status",
        "down_for",
        "drop_on",
        "ignore_case",
        "jitter",
        "join_timeout",
        "offline",
        "offline_for",
        "partition",
        "refresh_ahead",
        "rfc9111",
        "rules",
        "stale_if_error",
        "stale_while_revalidate",
        "store_empty",
        "ttl",
        "unmatched",
    )

    def __init__(
        self,
        rules: Iterable[Rule] = (),
        *,
        ttl: Duration = 300.0,
        unmatched: Literal["cache", "bypass"] = "cache",
        partition: Partition = (),
        drop_on: Iterable[int] = (),
        store_empty: bool = True,
        ignore_case: bool = False,
        join_timeout: Duration = 30.0,
        stale_while_revalidate: Duration = 0.0,
        stale_if_error: Duration | None = None,
        offline: Literal["auto", "only"] | None = None,
        offline_for: Duration = 86400.0,
        down_for: Duration = 5.0,
        refresh_ahead: float | None = None,
        jitter: float = 0.0,
        cache_status: str | None = None,
        rfc9111: bool = False,
    ) -> None:
        self.rfc9111: Final[bool] = flag("rfc9111", rfc9111)
        self.ttl: Final[float] = seconds("ttl", ttl, infinite=True)
        if unmatched not in ("cache", "bypass"):
            raise ConfigurationError(f"unmatched must be 'cache' or 'bypass', not {shown(unmatched)}")
        self.unmatched: Final[Literal["cache", "bypass"]] = unmatched
        self.partition: Final[tuple[str, ...] | Callable[[Mapping[str, str]], str]] = (
            partition if callable(partition) else _check_names(partition)
        )
        self.drop_on: Final[tuple[int, ...]] = check_statuses("drop_on", drop_on)
        self.store_empty: Final[bool] = flag("store_empty", store_empty)
        self.ignore_case: Final[bool] = flag("ignore_case", ignore_case)
        self.join_timeout: Final[float] = seconds("join_timeout", join_timeout)
        self.stale_while_revalidate: Final[float] = seconds(
            "stale_while_revalidate", stale_while_revalidate, infinite=True
        )
        if stale_if_error is None:
            stale_if_error = DISCONNECTED_FOR if rfc9111 else 0.0
        self.stale_if_error: Final[float] = seconds("stale_if_error", stale_if_error, infinite=True)
        if offline not in (None, "auto", "only"):
            raise ConfigurationError(f"offline must be 'auto', 'only' or None, not {shown(offline)}")
        self.offline: Final[Literal["auto", "only"] | None] = offline
        self.offline_for: Final[float] = seconds("offline_for", offline_for, infinite=True)
        self.down_for: Final[float] = seconds("down_for", down_for)
        self.refresh_ahead: Final[float | None] = (
            None if refresh_ahead is None else check_part("refresh_ahead", refresh_ahead)
        )
        self.jitter: Final[float] = check_part("jitter", jitter)
        if cache_status is not None and (not isinstance(cache_status, str) or not TOKEN.fullmatch(cache_status)):
            raise ConfigurationError(f"cache_status must be a token such as 'pywats-cache', not {shown(cache_status)}")
        self.cache_status: Final[str | None] = cache_status
        if isinstance(rules, (str, bytes)) or not isinstance(rules, Iterable):
            raise ConfigurationTypeError(f"rules must be a list of Read, Write and Bypass, not {shown(rules)}")
        self.rules: Final[tuple[Rule, ...]] = tuple(rules)
        self._table: RouteTable[Rule] = RouteTable(ignore_case=ignore_case)
        self._default = self._decide_read(Read("/**"), "default")
        self._reads: dict[int, Decision] = {}
        for rule in self.rules:
            if not isinstance(rule, (Read, Write, Bypass)):
                raise ConfigurationTypeError(f"rules must hold Read, Write and Bypass only, not {shown(rule)}")
            if isinstance(rule, Read):
                self._reads[id(rule)] = self._decide_read(rule, rule.pattern)
            for method in rule.methods:
                there = self._table.add(rule.pattern, method, rule)
                if there is not None:
                    raise ConfigurationError(f"rules must not conflict for {method}: {there!r} and {rule!r}")

        self._is_set_up = True

    def __setattr__(self, name: str, value: object) -> None:
        if hasattr(self, "_is_set_up"):
            raise AttributeError(f"a Controller does not change; make a new one with {name}={value!r}")
        super().__setattr__(name, value)

    def __reduce__(self) -> tuple[Callable[[], Controller], tuple[()]]:
        # Made anew of its parameters, for other processes and copies: what is worked out from the rules names objects.
        return partial(type(self), **{name: getattr(self, name) for name in Controller.__slots__ if name[0] != "_"}), ()

    def decide(self, method: str, path: str) -> Decision:
        """What the rules say of `method` (upper case) and the raw `path` (without query).

        HEAD is decided as the GET it is answered from. Many servers take `//a/` for `/a`, so what is a write without
        extra slashes is one with them, and tags and settle window are those of both spellings.
        """
        decision = self._decide(method, path)
        plain = plain_path(path)
        if plain == path:
            return decision
        for spelling in (plain, plain + "/") if path.endswith("/") else (plain,):
            if spelling != path:
                decision = _widened(decision, self._decide(method, spelling))
        return decision

    def decide_anywhere(self, method: str) -> Decision:
        """What the rules say of `method` where the path cannot be told: a write if it may be one, of all tags."""
        writes = [rule for rule in self.rules if isinstance(rule, Write) and method in rule.methods]
        if method in SAFE_METHODS and not writes:
            return Decision("bypass", "unmatched")
        settles = [rule.settle for rule in writes if rule.settle is not None]
        tags = tuple(dict.fromkeys(tag for rule in writes for tag in rule.dirties))
        return Decision("write", "default", tags=tags, settle=max(settles, default=None))

    def _decide(self, method: str, path: str) -> Decision:
        matches = self._table.find(path, "GET" if method == "HEAD" else method)
        if not matches:
            return self._without_rule(method)
        first = matches[0]
        if isinstance(first, Bypass):
            return Decision("bypass", first.pattern)
        if isinstance(first, Read):
            return self._reads[id(first)]
        writes = [rule for rule in matches if isinstance(rule, Write)]
        dirties = tuple(dict.fromkeys(tag for rule in writes for tag in rule.dirties))
        settles = [rule.settle for rule in writes if rule.settle is not None]
        return Decision("write", first.pattern, tags=dirties, settle=max(settles, default=None))

    def _decide_read(self, rule: Read, label: str) -> Decision:
        def own(name: str) -> Any:
            value = getattr(rule, name)
            return getattr(self, name) if value is None else value

        return Decision(
            "read",
            label,
            own("ttl"),
            rule.tags,
            rule.statuses,
            rule.bypass_query,
            rule.ignore_no_store,
            stale_while_revalidate=own("stale_while_revalidate"),
            stale_if_error=own("stale_if_error"),
            offline_for=own("offline_for") if self.offline else 0.0,
            negative_ttl=rule.negative_ttl,
            adaptive=rule.adaptive,
            refresh_ahead=own("refresh_ahead"),
            vary=() if self.rfc9111 else rule.vary,
        )

    def _without_rule(self, method: str) -> Decision:
        if method not in SAFE_METHODS:
            return Decision("write", "default")
        if method in ("GET", "HEAD") and self.unmatched == "cache":
            return self._default
        return Decision("bypass", "unmatched")

    def __repr__(self) -> str:
        mode = ", rfc9111=True" if self.rfc9111 else ""
        return f"Controller({len(self.rules)} rules, ttl={self.ttl!r}, unmatched={self.unmatched!r}{mode})"


def _widened(decision: Decision, other: Decision) -> Decision:
    """`decision` of a path as it is spelled, with the tags and settle window of another spelling."""
    tags = tuple(dict.fromkeys((*decision.tags, *other.tags)))
    if decision.kind == "write" == other.kind:
        rule = other.rule if decision.rule == "default" else decision.rule
        settles = [settle for settle in (decision.settle, other.settle) if settle is not None]
        return Decision("write", rule, tags=tags, settle=max(settles, default=None))
    if other.kind == "write":
        return other
    return decision._replace(tags=tags) if decision.kind == "read" == other.kind else decision


def _check_names(value: object) -> tuple[str, ...]:
    names = tuple(name.lower() for name in words("partition", value))
    for name in names:
        if not TOKEN.fullmatch(name):
            raise ConfigurationError(f"partition must hold names of headers such as 'X-Tenant', not {shown(name)}")
    return names


def tagging(controller: Controller) -> tuple[object, ...]:
    """What decides which explicit tags a read carries; equal for all controllers without any."""
    rules = controller.rules
    if not any(isinstance(rule, Read) and rule.tags for rule in rules):
        return ()
    tags = tuple((type(rule), rule.pattern, rule.methods, getattr(rule, "tags", ())) for rule in rules)
    return (controller.unmatched, controller.ignore_case, tags)
