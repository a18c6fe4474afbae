"""RFC 9111 as pure questions, for a private cache: may it be stored, how long is it fresh, may it answer this request.

Headers are given as `storability.fields` gives them: names in lower case, the values of the field lines in order. Times
are seconds; `received` is the wall clock when the answer's head came in, as `time.time()`. Nothing here keeps state.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from .cache_control import MAX_DELTA, CacheControl, delta_seconds, parse_cache_control, seconds_of
from .conditional import Items, connection_names, is_essential, validating_tag
from .dates import date_field
from .fields import OWS, listed_names

if TYPE_CHECKING:
    from ..telemetry.outcome import Reason

__all__ = [
    "CACHEABLE_BY_DEFAULT",
    "UNDERSTOOD",
    "Freshness",
    "Use",
    "Wishes",
    "age_field",
    "freshness",
    "has_validator",
    "initial_age",
    "may_use",
    "may_use_on_error",
    "received_age",
    "stored_items",
    "unstorable_by_rfc",
    "wishes",
]

Headers = Mapping[str, list[str]]

HEURISTIC_SHARE = 0.1
"""Of the time since the last modification (RFC 9111 §4.2.2)."""

MAX_HEURISTIC = 86_400.0
"""Seconds a guess may last; beyond a day RFC 7234 asked for a warning, and nobody expects more."""

CACHEABLE_BY_DEFAULT = frozenset({200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501})
"""Statuses that may be stored without explicit freshness (RFC 9110 §15.1); not 206: partial content is not stored."""

UNDERSTOOD = CACHEABLE_BY_DEFAULT | {201, 202, 302, 303, 307, 400, 401, 403, 451, 500, 502, 503, 504}
"""Statuses whose requirements this cache meets, which is what must-understand asks (RFC 9111 §5.2.2.3)."""


def _is_unqualified(directives: CacheControl, name: str) -> bool:
    """Whether a directive speaks of the whole answer: at least once without field names."""
    return any(not value for value in directives.get(name, ()))


def _field_names(directives: CacheControl, name: str) -> frozenset[str]:
    """The field names that a qualified directive lists (RFC 9111 §5.2.2.4), in lower case."""
    return listed_names(value for value in directives.get(name, ()) if value)


# --- What an answer says -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Freshness:
    """What an answer says about its own use, in seconds.

    - `lifetime`: fresh while its age is below; `explicit`: said by the server, not guessed.
    - `validate`: never used without validation (no-cache).
    - `must_revalidate`: never used stale, whoever allows it.
    - `stale_while_revalidate`, `stale_if_error`: the windows after the lifetime (RFC 5861), 0 where there is none.
    - `immutable`: a reload of the caller's does not ask again while it is fresh (RFC 8246).
    """

    lifetime: float
    explicit: bool = True
    validate: bool = False
    must_revalidate: bool = False
    stale_while_revalidate: float = 0.0
    stale_if_error: float = 0.0
    immutable: bool = False


def freshness(status: int, headers: Headers, received: float) -> Freshness:
    """How long an answer is fresh and what it allows afterwards (RFC 9111 §4.2)."""
    directives = parse_cache_control(headers.get("cache-control", ()))
    lifetime, explicit = _lifetime(status, headers, directives, received)
    # §5.2.2.8: proxy-revalidate, like s-maxage, binds shared caches only.
    must_revalidate = "must-revalidate" in directives
    # §5.2.2.4: fields that a qualified no-cache lists are not stored, so the rest may be used; unless the answer
    # cannot be understood without them.
    validate = _is_unqualified(directives, "no-cache") or any(
        is_essential(name) for name in _field_names(directives, "no-cache")
    )
    usable_stale = not must_revalidate and not validate
    return Freshness(
        lifetime,
        explicit,
        validate,
        must_revalidate,
        (seconds_of(directives, "stale-while-revalidate") or 0.0) if usable_stale else 0.0,
        (seconds_of(directives, "stale-if-error") or 0.0) if usable_stale else 0.0,
        "immutable" in directives,
    )


def _lifetime(status: int, headers: Headers, directives: CacheControl, received: float) -> tuple[float, bool]:
    """The freshness lifetime in seconds, and whether it is explicit (RFC 9111 §4.2.1)."""
    # Invalid freshness information makes an answer stale (§4.2.1); it does not make room for a guess.
    max_age = seconds_of(directives, "max-age", invalid=0.0)
    if max_age is not None:
        return max_age, True
    date = date_field(headers, "date", received)
    if date is None:
        date = received  # RFC 9110 §6.6.1
    if "expires" in headers:
        expires = date_field(headers, "expires", received)
        return (0.0 if expires is None else max(0.0, expires - date)), True
    return _heuristic(status, headers, directives, date), False


def _heuristic(status: int, headers: Headers, directives: CacheControl, date: float) -> float:
    """A guess from Last-Modified (RFC 9111 §4.2.2), only where the status or `public` allows one."""
    if status not in CACHEABLE_BY_DEFAULT and "public" not in directives:
        return 0.0
    if "cache-control" not in headers and any("no-cache" in value.lower() for value in headers.get("pragma", ())):
        # §5.4 gives Pragma no meaning in an answer, but a server that sends it there wants no guesses.
        return 0.0
    modified = date_field(headers, "last-modified", date)
    return 0.0 if modified is None else min(MAX_HEURISTIC, max(0.0, date - modified) * HEURISTIC_SHARE)


def received_age(headers: Headers) -> float:
    """The Age field in seconds (RFC 9111 §5.1): the first of several members; 0 if that is not a number."""
    for line in headers.get("age", ())[:1]:
        return delta_seconds(line.split(",")[0].strip(OWS)) or 0.0
    return 0.0


def initial_age(headers: Headers, received: float, delay: float) -> float:
    """The age of an answer when it came in, `delay` seconds after its request was sent (RFC 9111 §4.2.3); never < 0.

    The entry's `began` is then the clock at that moment minus this.
    """
    date = date_field(headers, "date", received)
    # A Date is whole seconds, so the fraction of a second of the wall clock is not age.
    apparent = 0.0 if date is None else max(0.0, math.floor(received) - date)
    return max(apparent, received_age(headers) + max(0.0, delay))


def age_field(age: float) -> str:
    """The value of the Age field that an answer from the cache carries (RFC 9111 §5.1)."""
    return str(int(min(max(0.0, age), MAX_DELTA)))


# --- Storing -------------------------------------------------------------------------------------------------------


def unstorable_by_rfc(status: int, request: Headers, response: Headers, fresh: Freshness) -> Reason | None:
    """Why the answer to a GET is not stored (RFC 9111 §3), as a reason code, or None.

    - `fresh`: what `freshness` says of it.

    Authorization and Set-Cookie do not keep a private cache from storing (§3.5, §7.3), nor do private and s-maxage.
    For a POST ask `methods.usable_for_get` too; nothing else is stored.
    """
    directives = parse_cache_control(response.get("cache-control", ()))
    if "no-store" in parse_cache_control(request.get("cache-control", ())):
        return "caller-bypass"  # §5.2.1.5
    if not 200 <= status < 600 or status in (206, 304):
        return "status"  # §3: not final, or partial, or no answer of its own
    if status == 412 or (status == 416 and "range" in request):
        return "status"  # it answers this request's own condition
    if "must-understand" in directives:
        if status not in UNDERSTOOD:
            return "status"  # §3; where it is understood, no-store does not count (§5.2.2.3)
    elif "no-store" in directives:
        return "no-store"  # §5.2.2.5
    if "*" in listed_names(response.get("vary", ())):
        return "vary-any"  # §4.1: never matches
    if not fresh.explicit and status not in CACHEABLE_BY_DEFAULT and "public" not in directives:
        return "status"  # §3; private allows it, too, but without a lifetime nothing could be done with it
    windows = (fresh.lifetime, fresh.stale_while_revalidate, fresh.stale_if_error)
    if not any(windows) and not has_validator(response):
        return "zero-ttl"
    return None


def has_validator(headers: Headers) -> bool:
    """Whether an answer can be validated."""
    return validating_tag(headers) is not None or date_field(headers, "last-modified") is not None


def stored_items(items: Items) -> list[tuple[bytes, bytes, bytes]]:
    """The header fields that are stored: none of the connection (§3.1), none that no-cache lists (§5.2.2.4)."""
    items = list(items)
    controls = parse_cache_control(value.decode("latin-1") for _, lower, value in items if lower == b"cache-control")
    listed = frozenset(name for name in _field_names(controls, "no-cache") if not is_essential(name))
    dropped = connection_names(items) | listed
    return [item for item in items if item[1].decode("latin-1") not in dropped]


# --- Using ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a request asks of the cache (RFC 9111 §5.2.1), in seconds.

    - `max_stale`: seconds of staleness that the caller accepts, `inf` for any; None: none.
    - `stale_if_error`: the same if the server fails (RFC 5861 §4).
    """

    no_cache: bool = False
    max_age: float | None = None
    min_fresh: float | None = None
    max_stale: float | None = None
    stale_if_error: float = 0.0


NO_WISHES = Wishes()


def wishes(request: Headers) -> Wishes:
    """The directives of a request. What is invalid there is read as the stricter: max-age=0, no max-stale."""
    if "cache-control" not in request:
        # §5.4: Pragma counts only without Cache-Control.
        pragma = parse_cache_control(request.get("pragma", ()))
        return Wishes(no_cache=True) if "no-cache" in pragma else NO_WISHES
    directives = parse_cache_control(request["cache-control"])
    max_stale = seconds_of(directives, "max-stale")
    if max_stale is None and None in directives.get("max-stale", ()):
        max_stale = math.inf  # §5.2.1.2: without a value, any staleness
    return Wishes(
        "no-cache" in directives,
        seconds_of(directives, "max-age", invalid=0.0),
        seconds_of(directives, "min-fresh", invalid=float(MAX_DELTA)),
        max_stale,
        seconds_of(directives, "stale-if-error") or 0.0,
    )


class Use(Enum):
    """Whether a stored answer may answer a request (RFC 9111 §4)."""

    FRESH = "fresh"
    STALE = "stale"
    """Stale, and the caller accepts it (max-stale)."""
    REFRESH_BEHIND = "refresh behind"
    """Stale, inside stale-while-revalidate: use it and validate in the background (RFC 5861 §3)."""
    VALIDATE = "validate"
    """Only after the server has said so."""


def may_use(age: float, fresh: Freshness, wish: Wishes = NO_WISHES) -> Use:
    """Whether a stored answer of this age, selected by method, URL and Vary, may answer."""
    if age < 0 or fresh.validate or wish.no_cache:
        return Use.VALIDATE  # §5.2.2.4, §5.2.1.4
    left = fresh.lifetime - age
    if left > 0:
        # RFC 8246: for an immutable answer max-age=0, the caller's reload, asks nothing; max-age=5 still does.
        too_old = wish.max_age is not None and age > wish.max_age and not (fresh.immutable and wish.max_age == 0)
        too_short = wish.min_fresh is not None and left < wish.min_fresh
        return Use.VALIDATE if too_old or too_short else Use.FRESH  # §5.2.1.1, §5.2.1.3
    if fresh.must_revalidate or wish.min_fresh is not None or (wish.max_age is not None and age > wish.max_age):
        return Use.VALIDATE  # §5.2.2.2: not even with max-stale
    if wish.max_stale is not None and -left <= wish.max_stale:
        return Use.STALE  # §5.2.1.2
    # A caller's max-age without max-stale means: nothing stale (§5.2.1.1).
    if fresh.stale_while_revalidate and -left <= fresh.stale_while_revalidate and wish.max_age is None:
        return Use.REFRESH_BEHIND
    return Use.VALIDATE


def may_use_on_error(age: float, fresh: Freshness, wish: Wishes = NO_WISHES, window: float = 0.0) -> bool:
    """Whether a stored answer may stand in for a server that failed or is unreachable (RFC 9111 §4.2.4, RFC 5861 §4).

    - `window`: seconds of staleness that the cache's own configuration allows where neither side says.
    """
    if age < 0 or fresh.validate or fresh.must_revalidate or wish.no_cache:
        return False  # §5.2.2.2, §5.2.2.4: then the error is the answer
    allowed = max(fresh.stale_if_error or window, wish.stale_if_error)
    return age - fresh.lifetime <= allowed and (wish.max_age is None or age <= wish.max_age) and wish.min_fresh is None
