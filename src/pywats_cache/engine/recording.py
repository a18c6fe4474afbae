"""An engine that also tells a recorder of each request; those without one are as fast as ever."""

from __future__ import annotations

import time
from collections.abc import Iterable
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from ..telemetry.outcome import EXTENSION, CacheOutcome, Reason
from ..telemetry.trace_recorder import Recorder
from .steps import Step

if TYPE_CHECKING:
    from ..storage.entry import StoredResponse
    from ..support.http_types import HttpRequest, HttpResponse
    from .engine import Engine
    from .steps import Fetch, Join, Next, Stale

    _Engine = Engine
else:
    _Engine = object

__all__ = ["Recording", "recording_engine"]


class Recording(_Engine):
    """Goes in front of an engine, and tells a recorder of every request, hits and lookups included.

    With `log_hits` the journal is told of hits too. Not in the engine itself, so that those without it are as fast as
    ever.
    """

    def __init__(self, *parts: Any, recorder: Recorder | None, log_hits: bool) -> None:
        super().__init__(*parts)
        self.recorder = recorder
        self.log_hits = log_hits

    def begin(self, request: HttpRequest) -> Next:
        """As the engine's; a hit is told."""
        began = time.perf_counter()
        step = super().begin(request)
        if step.__class__ is self.library.cached_response and not isinstance(step, Step):
            outcome: CacheOutcome = step.extensions[EXTENSION]
            self._tell(request.method, outcome, time.perf_counter() - began)
        return step

    def touch(self, key: str, entry: StoredResponse, *, lookup: bool = False) -> None:
        """As the engine's; a lookup is told."""
        super().touch(key, entry, lookup=lookup)
        if lookup:
            age = self.clock() - entry.began
            outcome = CacheOutcome("hit", "fresh", age, entry.ttl, key, True, entry.rule)
            self._tell("", outcome, 0.0, lookup=True)

    def missed_lookup(self, request: HttpRequest, *found: Any) -> HttpResponse | Stale | Join | None:
        """As the engine's; what is answered at once is told."""
        step = super().missed_lookup(request, *found)
        if step is not None and not isinstance(step, Step):
            self._tell("", step.extensions[EXTENSION], 0.0, lookup=True)
        return step

    def answered_request(
        self, request: HttpRequest, response: HttpResponse, took: float, *, lookup: bool = False
    ) -> None:
        """As the engine's, and recorded."""
        super().answered_request(request, response, took, lookup=lookup)
        outcome = response.extensions.get(EXTENSION)
        if outcome is not None:
            self._record("" if lookup else request.method, outcome, took, lookup=lookup)

    def _tell(self, method: str, outcome: CacheOutcome, took: float, *, lookup: bool = False) -> None:
        if self.log_hits:
            self.journal.note(method, outcome.status, outcome.reason, outcome.rule or "", outcome.key, took)
        self._record(method, outcome, took, lookup=lookup)

    def _record(self, method: str, outcome: CacheOutcome, took: float, *, lookup: bool = False) -> None:
        if self.recorder is None:
            return
        entry = self.storage.find(outcome.key) if outcome.key is not None else None
        line: dict[str, Any] = {
            "e": "q",
            "t": round(time.time(), 4),
            "m": method,
            "s": outcome.status,
            "r": outcome.reason,
            "k": outcome.key,
            "rule": outcome.rule,
            "ms": round(took * 1000.0, 3),
            "n": None if entry is None else entry.size,
            "ttl": _finite(outcome.ttl),
        }
        if lookup:
            line["l"] = 1
        self.recorder.put(line)

    def _keep(self, fetch: Fetch, entry: StoredResponse) -> Reason | None:
        why_not = super()._keep(fetch, entry)
        if why_not is None and self.recorder is not None:
            stored = {
                "e": "s",
                "t": round(time.time(), 4),
                "k": entry.key,
                "n": entry.size,
                "ttl": _finite(entry.ttl),
                "ms": round(entry.took * 1000.0, 3),
                "tags": self._digests(entry.tags),
            }
            self.recorder.put(stored)
        return why_not

    def dirtied(self, tags: Iterable[str] | None, reason: str, rule: str = "") -> None:
        """As the engine's, and recorded."""
        super().dirtied(tags, reason, rule)
        if self.recorder is not None:
            now = round(time.time(), 4)
            self.recorder.put(
                {"e": "c", "t": now} if tags is None else {"e": "d", "t": now, "tags": self._digests(tags)}
            )

    def _digests(self, tags: Iterable[str]) -> list[str]:
        secret = self.storage.secret
        return [blake2b(tag.encode("utf-8", "surrogatepass"), key=secret, digest_size=6).hexdigest() for tag in tags]


def recording_engine(kind: type[Engine], *parts: Any, recorder: Recorder | None, log_hits: bool) -> Engine:
    """An engine of this kind that tells."""
    both: Any = type(f"Recording{kind.__name__}", (Recording, kind), {})
    engine: Engine = both(*parts, recorder=recorder, log_hits=log_hits)
    return engine


def _finite(ttl: float | None) -> float | None:
    return None if ttl is None or ttl == float("inf") else ttl
