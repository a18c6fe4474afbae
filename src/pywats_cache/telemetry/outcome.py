"""What happened to one request, and the codes that say why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ..errors import ConfigurationTypeError
from ..support.showing import shown

if TYPE_CHECKING:
    from typing import Protocol

    class Answered(Protocol):
        """A Response of httpx or httpx2, as far as its outcome is concerned."""

        @property
        def extensions(self) -> Mapping[str, Any]: ...


__all__ = [
    "EXTENSION",
    "REASONS",
    "CacheOutcome",
    "Reason",
    "Status",
    "meaning",
]

EXTENSION = "pywats_cache"

Status = Literal["hit", "stale", "revalidated", "miss", "collapsed", "bypass"]

Reason = Literal[
    "fresh",
    "joined",
    "unknown",
    "expired",
    "dirtied",
    "vary",
    "softened",
    "ahead",
    "while-revalidate",
    "if-error",
    "max-stale",
    "must-revalidate",
    "no-cache",
    "offline",
    "not-modified",
    "refresh",
    "settling",
    "storage-error",
    "join-timeout",
    "not-shared",
    "own-flight",
    "head",
    "only-if-cached",
    "status",
    "no-store",
    "set-cookie",
    "vary-any",
    "stream",
    "too-large",
    "empty",
    "incomplete",
    "undecodable",
    "overtaken",
    "rule-bypass",
    "query-bypass",
    "zero-ttl",
    "caller-bypass",
    "disabled",
    "write",
    "method",
    "range",
    "partial",
    "conditional",
    "precondition",
    "streamed-body",
    "target",
    "upgrade",
]
"""Why a request got what it got: the codes that `REASONS` explains."""

REASONS: dict[Reason, str] = {
    "fresh": "answered from the storage, within its TTL",
    "joined": "answered by another caller's fetch, which was in progress",
    "unknown": "nothing is stored under this key",
    "expired": "what is stored is older than its TTL",
    "dirtied": "a write (or an invalidation) came after the fetch of what is stored",
    "vary": "what is stored was selected by other request headers, which Vary or the rule names (RFC 9111 §4.1)",
    "softened": "a soft invalidation made what is stored stale",
    "ahead": "answered from the storage, within its TTL but close to its end, so a refresh runs",
    "while-revalidate": "past its TTL, served stale while one refresh runs (RFC 5861 §3)",
    "if-error": "past its TTL, served stale because the server failed (RFC 5861 §4)",
    "max-stale": "past its lifetime, served stale because the caller accepts that (max-stale, RFC 9111 §5.2.1.2)",
    "must-revalidate": "what is stored must be validated, but the server cannot be reached: a 504 made by the cache",
    "no-cache": "what is stored says no-cache: it is used only after the server has confirmed it",
    "offline": "past its TTL, served stale: the server is unreachable, or offline='only'; or a 504 made by the cache",
    "not-modified": "past its TTL, and the server said that it is unchanged (304, RFC 9111 §4.3)",
    "refresh": "the caller asked for a new answer: refresh=True, or Cache-Control: no-cache, or max-age",
    "settling": "a write may still be taking effect, so the answer is not stored",
    "storage-error": "the shared storage does not answer, so nothing in it is used and the answer is not stored",
    "join-timeout": "another caller's fetch took too long, so this one went to the server itself",
    "not-shared": "another caller's fetch gave nothing that may be shared, so this one went to the server itself",
    "own-flight": "the fetch in progress is the caller's own (a stream still open), so it went to the server again",
    "head": "a HEAD for which no GET is stored",
    "only-if-cached": "the caller wanted a stored answer or none: a 504 made by the cache (RFC 9111 §5.2.1.7)",
    "status": "not stored: its status code is not one the rule stores",
    "no-store": "not stored: the answer says Cache-Control: no-store",
    "set-cookie": "not stored: the answer sets a cookie",
    "vary-any": "not stored: the answer says Vary: *, or names too many headers",
    "stream": "not stored: an event stream, or another type that is meant to be read as it arrives",
    "too-large": "not stored: larger than the storage's max_entry_bytes, as received or decoded",
    "empty": "not stored: an empty or null body, where the controller says store_empty=False",
    "incomplete": "not stored: the body broke off, was closed early, or has another length than announced",
    "undecodable": "not stored: the body is not what its Content-Encoding says; reading it raises an error",
    "overtaken": "not stored: a write or a later fetch happened in the meantime",
    "rule-bypass": "a rule (or `unmatched='bypass'`) keeps this route out of the cache",
    "query-bypass": "a query parameter of the rule's bypass_query is present",
    "zero-ttl": "the TTL of this route is 0, or (RFC mode) the answer has neither a lifetime nor a validator",
    "caller-bypass": "the caller asked not to use the cache: bypass=True or Cache-Control: no-store",
    "disabled": "the cache is off: PYWATS_CACHE_DISABLED is set",
    "write": "an unsafe method, or a route that a rule calls a write",
    "method": "a method that is neither read nor write",
    "range": "a request for a part (Range)",
    "partial": "a request for a part (Range), answered from the complete stored answer (RFC mode)",
    "conditional": "the caller's own conditional request, which nothing stored can answer",
    "precondition": "the caller's own conditional request, answered from the storage (RFC 9110 §13)",
    "streamed-body": "the request's body is a stream that can be read only once",
    "target": "the request names a target other than its URL (httpx's `target` extension)",
    "upgrade": "a change of protocol, or an event stream",
}
"""Every `CacheOutcome.reason`, with its meaning."""


def meaning(code: str) -> str | None:
    """What a code means; None where it is no reason of a response, but of another event."""
    meanings: dict[Any, str] = REASONS  # a code may be any text
    return meanings.get(code)


class CacheOutcome(NamedTuple):
    """What the cache did with one request: `response.extensions["pywats_cache"]`. Immutable.

    - `status`: exactly one of `hit`, `stale`, `revalidated`, `miss`, `collapsed`, `bypass`.
    - `reason`: a code of `REASONS`: for a miss that could not be stored, why not; else why it was or was not a hit.
    - `age`: seconds since the request that fetched the answer was sent (RFC mode: as RFC 9111 §4.2.3 counts); 0.0 for a
      new one, and None where a wrong clock dated it, so that nobody knows.
    - `ttl`: seconds an answer of this route stays fresh; None where nothing is cached.
    - `key`: a digest that names the stored answer and tells nothing of URL or credentials; None on a bypass.
    - `stored`: whether the answer is in the storage now. For a body of unknown length it turns True at its clean end.
    - `rule`: the pattern of the rule that decided, `default` or `unmatched`.
    """

    status: Status
    reason: Reason
    age: float | None = 0.0
    ttl: float | None = None
    key: str | None = None
    stored: bool = False
    rule: str | None = None

    @classmethod
    def of(cls, response: Answered) -> CacheOutcome | None:
        """What the cache did for `response`, of httpx or httpx2; None if no cache had to do with it.

        Raises ConfigurationTypeError for what is no response.
        """
        extensions = getattr(response, "extensions", None)
        if not isinstance(extensions, Mapping):
            raise ConfigurationTypeError(f"response must be a Response of httpx or httpx2, not {shown(response)}")
        outcome = extensions.get(EXTENSION)
        return outcome if isinstance(outcome, cls) else None


CacheOutcome.__module__ = "pywats_cache"  # mypy takes one in the body for a field
