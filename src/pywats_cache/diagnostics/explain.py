"""Explanations: what would happen to one request and why, and what makes a whole cache useless."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..support.showing import printable

if TYPE_CHECKING:
    from ..engine.classify import Prepared
    from ..engine.engine import Engine
    from ..storage.entry import StoredResponse
    from ..storage.shared.base import SharingStorage
    from ..support.http_types import HttpRequest
    from ..telemetry.outcome import Reason, Status

__all__ = [
    "Explanation",
    "explain",
    "explain_from_memory",
]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What would happen to a request now, and why. No credential and no query is in it.

    - `status`, `reason`: as `CacheOutcome` would give them if the server answered with something that can be stored.
    - `kind`: `read`, `write` or `bypass`; `rule`: the pattern that decided.
    - `key`: the digest that names the answer; `partition`: that of the credentials, "" without any.
    - `tags`: what the answer carries, or what the write would dirty.
    - `stored`: whether there is a stored answer; then `age`, `ttl`, `left` (seconds) and its `validators`.
    - `dirtied_by`: the tag that was dirtied after it was fetched, if any; `softened`: a soft invalidation applies.
    - `settling`: a write to one of the tags may still be taking effect; `in_flight`: a fetch is in progress.
    - `memory_only`: only memory was asked; the storage behind it may know more.
    """

    __module__ = "pywats_cache"

    status: Status
    reason: Reason
    kind: str
    rule: str
    key: str | None
    partition: str
    tags: tuple[str, ...]
    ttl: float | None
    stored: bool = False
    age: float | None = None
    left: float | None = None
    validators: tuple[str, ...] = ()
    dirtied_by: str | None = None
    softened: bool = False
    settling: bool = False
    in_flight: bool = False
    memory_only: bool = False

    def __str__(self) -> str:
        lines = [f"{self.status}: {self.reason}", f"  rule: {printable(self.rule)} ({self.kind})"]
        if self.key is not None:
            lines.append(f"  key: {self.key}, partition {self.partition or '(no credentials)'}")
        if self.stored:
            lines.append(f"  stored: age {self.age:.1f} s, TTL {self.ttl:.1f} s, {self.left:.1f} s left")
            lines.append(f"  validators: {', '.join(self.validators) or 'none'}")
        if self.dirtied_by is not None:
            lines.append(f"  dirtied by a write to {printable(self.dirtied_by)}")
        lines.append(f"  tags: {', '.join(map(printable, self.tags)) or 'none'}")
        if self.memory_only:
            lines.append("  the storage behind the memory was not asked")
        return "\n".join(lines)


def explain(engine: Engine, request: HttpRequest, shared: SharingStorage | None = None) -> Explanation:
    """Say what would happen to `request`. Nothing is sent, counted or changed.

    Where memory has no answer it is looked for in `shared`, where processes share a storage; that blocks for I/O.
    """
    return _explained(engine, request, shared, True)


def explain_from_memory(engine: Engine, request: HttpRequest) -> Explanation:
    """`explain` by what memory knows, of other processes too, without asking anything; the result says so."""
    coherence = engine.storage.coherence
    is_current = coherence.is_current()
    found = coherence.without_io(_explained, engine, request, None, False)
    is_whole = found.kind != "read" or (is_current and found.status != "miss")
    return found if is_whole else replace(found, memory_only=True)


def _explained(engine: Engine, request: HttpRequest, shared: SharingStorage | None, asks: bool) -> Explanation:
    prepared = engine.particular(request, engine.preparer.look(request))
    if prepared.kind not in ("read", "part"):
        return Explanation("bypass", prepared.reason, prepared.kind, prepared.rule, None, "", prepared.tags, None)
    storage, coherence = engine.storage, engine.storage.coherence
    now = engine.clock()
    key = engine.variant(request, prepared.key)
    entry = storage.find(key)
    # A request would find out first what is not known yet, so that is no window.
    held: Reason | None = None
    if coherence.is_settling(prepared.tags, now):
        if coherence.is_out_of_reach:
            held = "storage-error"
        elif asks or coherence.epoch >= 0:
            held = "settling"
    prepared = prepared._replace(reason=engine.why_missed(request, prepared, key))
    status, reason = _fate(engine, prepared, entry, now, held)
    if status == "miss" and shared is not None:
        there = _shared_entry(engine, request, prepared, shared)
        if there is not None and (entry is None or (there.epoch, there.began) > (entry.epoch, entry.began)):
            key, entry = there.key, there
            status, reason = _fate(engine, prepared, entry, now, held)
    details: dict[str, Any] = {}
    if entry is not None:
        age = now - entry.began
        validators = tuple(n.decode() for n in (b"etag", b"last-modified") if any(i[1] == n for i in entry.headers))
        details = {"stored": True, "age": age, "left": entry.ttl - age, "validators": validators}
        tag, epoch = coherence.dirtiest(entry.tags)
        if epoch > entry.epoch:
            details["dirtied_by"] = tag or "invalidate or clear"
        details["softened"] = coherence.softened_since(entry.tags, entry.epoch)
    return Explanation(
        status,
        reason,
        "read",
        prepared.rule,
        key,
        prepared.partition,
        prepared.tags,
        entry.ttl if entry is not None else engine.stated_ttl(prepared),
        settling=held == "settling",
        in_flight=storage.flights.get(key, now) is not None,
        **details,
    )


def _fate(
    engine: Engine, prepared: Prepared, entry: StoredResponse | None, now: float, held: Reason | None
) -> tuple[Status, Reason]:
    """Status and reason of a read for which `entry` is stored; `held`: why nothing new could be stored now."""
    if entry is None:
        return "miss", held or prepared.reason
    age = now - entry.began
    if engine.is_fresh(entry, prepared, age):
        return "hit", "fresh"
    why = engine.why_stale_now(entry, prepared, now)
    return ("stale", why) if why else ("miss", held or engine.why_not_fresh(entry, prepared, age))


def _shared_entry(
    engine: Engine, request: HttpRequest, prepared: Prepared, shared: SharingStorage
) -> StoredResponse | None:
    """The entry for `request` in what processes share, which has its own key; or None."""
    for entry in shared.peek(prepared.key, engine.decode, engine.clock()):
        if entry.key == (engine.variant_by(request, prepared.key, entry.vary) if entry.vary else prepared.key):
            return entry
    return None
