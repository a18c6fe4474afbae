"""What goes around the cache, and what a write or a withdrawn credential makes invalid."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ..coherence.tags import explicit_tag, subtree_of, subtree_tags
from ..support.collector import Collector
from ..telemetry.outcome import CacheOutcome
from .classify import Prepared
from .core import Core
from .judging import Verdict, View
from .steps import Fetch, Forward

if TYPE_CHECKING:
    from ..support.http_types import HttpRequest, HttpResponse

__all__ = ["Gathered", "Writes", "default_settle", "write_lease"]

Gathered = tuple[Fetch, Collector | None]
"""The fetch that the answer to a write counts as, and what gathers its body; None: the body is there already."""


class Writes(Core):
    """The part of the engine that dirties."""

    def _forward(self, request: HttpRequest, prepared: Prepared, view: View, verdict: Verdict) -> Forward:
        with self.storage.lock:
            self._count(verdict.status)
            self.diary.noted(verdict.reason)
        if prepared.kind == "write":
            self.storage.coherence.saw(prepared.origin)
        outcome = CacheOutcome(verdict.status, verdict.reason, rule=prepared.rule)
        return Forward(request, prepared, outcome, view.epoch, view.now)

    def tells_others_first(self, forward: Forward) -> bool:
        """Whether `announced` must come before the request is sent: a write to what other processes share."""
        return self.blocks and forward.prepared.kind == "write"

    def announced(self, forward: Forward) -> None:
        """Announce a write to the processes that share the storage. Blocks for I/O."""
        lease = write_lease(self._timeout(forward.request))
        coherence = self.storage.coherence
        forward.intent = coherence.begin_write(forward.prepared.tags, lease)
        forward.epoch = coherence.epoch  # what was finished up to here was finished before this write is sent

    def forwarded(self, forward: Forward, response: HttpResponse) -> Gathered | None:
        """The answer to a write or bypass is there, and is returned after this.

        Returns what stores its body, if anything does.
        """
        status = response.status_code
        prepared = forward.prepared
        self.answered(prepared.origin)
        if prepared.kind == "write" and (200 <= status < 400 or status >= 500):
            self._wrote(forward, (*prepared.tags, *self.named(forward, response)), unknown=status >= 500)
        elif forward.intent is not None:
            self.storage.coherence.abandon_write(forward.intent)
        self.distrust(status, prepared)
        self.answers.mark(response, forward.outcome)
        return None

    def named(self, forward: Forward, response: HttpResponse) -> tuple[str, ...]:
        """The tags that the answer to a write says it changed, on top of those of its request."""
        return ()

    def forward_failed(self, forward: Forward, error: BaseException) -> None:
        """A write failed: its outcome is unknown, unless the error proves that nothing was sent."""
        if forward.prepared.kind == "write" and not self._not_sent(error):
            self._wrote(forward, forward.prepared.tags, unknown=True)
        elif forward.intent is not None:
            self.storage.coherence.abandon_write(forward.intent)

    def wrote_elsewhere(self, request: HttpRequest) -> None:
        """A request went around this cache: if it is a write, its outcome is unknown."""
        prepared = self.preparer.prepare(request)
        if "target" in request.extensions:
            prepared = self.preparer.targeted(request, prepared)
        if prepared.kind == "write":
            outcome = CacheOutcome("bypass", prepared.reason, rule=prepared.rule)
            forward = Forward(request, prepared, outcome, self.storage.coherence.epoch, self.clock())
            self._wrote(forward, prepared.tags, unknown=True)

    def _not_sent(self, error: BaseException) -> bool:
        return isinstance(error, self.library.not_sent) or getattr(error, "request_not_sent", False) is True

    def _wrote(self, forward: Forward, tags: tuple[str, ...], *, unknown: bool) -> None:
        """Dirty what the write changed, before anyone sees its answer."""
        prepared = forward.prepared
        assert prepared.decision is not None
        settle = prepared.decision.settle or 0.0
        if unknown:
            settle = max(settle, default_settle(self._timeout(forward.request)))
        coherence = self.storage.coherence
        if coherence.blocks:
            forward.dirtied = coherence.finish_write(forward.intent, tags, settle)  # both in one transaction
        else:
            if settle:
                # First: a read that sees the new epoch must see the window too.
                now = self.now()
                coherence.settle(tags, now, now + settle)
            forward.dirtied = coherence.bump(tags)
        self.dirtied(tags, "write", prepared.rule)
        with self.storage.lock:
            self.storage.invalidations += 1

    def invalidate(self, path: str | None, tags: tuple[str, ...], *, soft: bool = False) -> None:
        """Make a path and all below it, and all that carries one of `tags`, invalid; with `soft` only stale."""
        coherence = self.storage.coherence
        origins = coherence.origins()
        dirty: list[str] = []
        if origins is None:
            coherence.bump_all()
            self.dirtied(None, "invalidate")
        else:
            for origin in origins:
                if path is not None:
                    dirty.extend(subtree_tags(origin, path))
                dirty.extend(explicit_tag(origin, tag) for tag in tags)
            (coherence.soften if soft else coherence.bump)(dirty)
            self.dirtied(dirty, "soft" if soft else "invalidate")
        with self.storage.lock:
            self.storage.invalidations += 1

    def invalidate_paths(self, is_meant: Callable[[str], bool]) -> None:
        """Make invalid what is stored or being fetched under a path that is meant, and all below it.

        `is_meant` gets the path as tags compare it: decoded, without case. O(entries); what only an outer storage still
        holds is not seen.
        """
        storage = self.storage
        with storage.lock:
            carried = {tag for entry in storage.table.items.values() for tag in getattr(entry, "tags", ())}
            carried.update(storage.flights.tags())
        exact = [tag for tag in carried if tag[0] == "=" and is_meant("/" + tag.split("/", 3)[3])]
        if exact:
            tags = [subtree_of(tag) for tag in exact]
            self.storage.coherence.bump(tags)
            self.dirtied(tags, "invalidate")
            with storage.lock:
                storage.invalidations += 1


def default_settle(timeout: Mapping[str, float | None] | None) -> float:
    """Seconds to distrust reads after a write of unknown outcome: the request's timeout, from 5 to 30."""
    given = [value for value in (timeout or {}).values() if value is not None and math.isfinite(value)]
    return min(30.0, max(5.0, *given)) if given else 30.0


def write_lease(timeout: Mapping[str, float | None] | None) -> float:
    """Seconds within which a write that was announced must end: all its timeouts and 30 for queues, 120 at most."""
    given = [value for value in (timeout or {}).values() if value is not None and math.isfinite(value)]
    return min(120.0, 30.0 + sum(given)) if given else 120.0
