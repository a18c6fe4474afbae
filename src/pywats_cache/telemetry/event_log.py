"""What happened lately, apart from hits: kept to be looked at, and written to the debug log.

Hits are only counted, which keeps them cheap. `log_hits=True` and `record=` make an engine that tells of them too.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from ..support.showing import printable
from .outcome import EXTENSION

if TYPE_CHECKING:
    from ..support.http_types import HttpRequest, HttpResponse
    from .outcome import CacheOutcome

__all__ = ["Event", "Journal"]

logger: logging.Logger = logging.getLogger("pywats_cache.journal")

MOST = 128
_new = tuple.__new__  # the constructor of a NamedTuple costs twice as much


class Event(NamedTuple):
    """One request, or one invalidation (`status="invalidation"`), or a failure (`"error"`, the kind as reason).

    - `reason`: a `Reason` of a request that got an answer; otherwise another word.
    - `at`: seconds of wall time, at its end; `took`: seconds.
    - `key`: the digest of the answer; None where there is none.
    """

    at: float
    method: str
    status: str
    reason: str
    rule: str
    key: str | None
    took: float


class Journal:
    """The last events, and the debug log. Appending to a bounded deque needs no lock."""

    def __init__(self) -> None:
        self.recent: deque[Event] = deque(maxlen=MOST)

    def answered(self, request: HttpRequest, response: HttpResponse, took: float) -> None:
        """A request got its answer by another way than as a plain hit."""
        outcome: CacheOutcome | None = response.extensions.get(EXTENSION)
        if outcome is not None:
            status, reason, _, _, key, _, rule = outcome
            self.note(request.method, status, reason, rule or "", key, took)

    def failed(self, request: HttpRequest, error: BaseException, took: float) -> None:
        """A request got no answer."""
        self.note(request.method, "error", type(error).__name__, "", None, took)

    def invalidated(self, reason: str, rule: str = "") -> None:
        """Something was made invalid: by a `write`, a call of `invalidate` (`soft`) or `clear`, or by a status code."""
        self.note("", "invalidation", reason, rule, None, 0.0)

    def note(self, method: str, status: str, reason: str, rule: str, key: str | None, took: float) -> None:
        """Keep an event, and log it. No URL, header or body is in it."""
        self.recent.append(_new(Event, (time.time(), method, status, reason, rule, key, took)))
        if logger.isEnabledFor(logging.DEBUG):
            told = {
                "cache_method": method,
                "cache_status": status,
                "cache_reason": reason,
                "cache_rule": rule,
                "cache_key": key,
                "cache_seconds": took,
            }
            what = printable(f"{method} {status}" if method else status)
            rule = printable(rule or "none")
            logger.debug("%s: %s (rule %s, %.1f ms)", what, reason, rule, took * 1000.0, extra=told)
