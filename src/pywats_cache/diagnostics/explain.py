"""Explanations: what would happen to one request and why, and what makes a whole cache useless."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..coherence.tags import is_bundle
from ..engine.judging import View, judge
from ..storage.entry import known_age
from ..support.showing import printable

if TYPE_CHECKING:
    from ..coherence.single_flight import Owner
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
    """What would happen to a request now, if this caller sent it, and why. No credential and no query is in it.

    - `status`, `reason`: as `CacheOutcome` would give them. What only the server knows is left out: they are those of
      a server that answers, with a new 200 that can be stored. So a `miss` may turn out as `revalidated`, as `stale`
      because the server fails, or have the reason why its answer was not stored; and a `collapsed`, which waits for
      another caller's fetch, as what becomes of that.
    - `sends`: whether the server would be asked, by this request or by a refresh that it starts.
    - `kind`: `read`, `write` or `bypass`; `rule`: the pattern that decided.
    - `key`: the digest that names the answer; `partition`: that of the credentials, "" without any.
    - `tags`: what the answer carries, or what the write would dirty.
    - `stored`: whether there is a stored answer; then `age`, `ttl`, `left` (seconds) and its `validators`.
    - `dirtied_by`: the tag that was dirtied after it was fetched, if any; `softened`: a soft invalidation applies.
      `compacted`: that tag stands for writes somewhere below it, because the table of tags was full.
    - `settling`: a write to one of the tags may still be taking effect; `in_flight`: a fetch is in progress.
    - `memory_only`: only memory was asked; the storage behind it may know more.
    """

    __module__ = "pywats_cache"

    status: Status
    reason: Reason
    sends: bool
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
    compacted: bool = False

    def __str__(self) -> str:
        lines = [f"{self.status}: {self.reason}"]
        lines.append(f"  sends to the server: {'yes' if self.sends else 'no'}")
        lines.append(f"  rule: {printable(self.rule)} ({self.kind})")
        if self.key is not None:
            lines.append(f"  key: {self.key}, partition {self.partition or '(no credentials)'}")
        if self.stored:
            if self.age is None or self.left is None:
                lines.append(f"  stored: age unknown, for a clock was wrong; TTL {self.ttl:.1f} s")
            else:
                lines.append(f"  stored: age {self.age:.1f} s, TTL {self.ttl:.1f} s, {self.left:.1f} s left")
            lines.append(f"  validators: {', '.join(self.validators) or 'none'}")
        if self.dirtied_by is not None:
            what = "writes to others of" if is_bundle(self.dirtied_by) else "writes below"
            below = f"{what} (the table of tags was full) " if self.compacted else "a write to "
            lines.append(f"  dirtied by {below}{printable(self.dirtied_by)}")
        lines.append(f"  tags: {', '.join(map(printable, self.tags)) or 'none'}")
        if self.memory_only:
            lines.append("  the storage behind the memory was not asked")
        return "\n".join(lines)


def explain(engine: Engine, request: HttpRequest, who: Owner, shared: SharingStorage | None = None) -> Explanation:
    """Say what would happen to `request`, if `who` sent it. Nothing is sent, counted or changed.

    Where a request would look into `shared`, which processes share, so does this; that blocks for I/O.
    """
    explanation: Explanation = engine.with_news(_explained, engine, request, who, shared)[0]
    return explanation


def explain_from_memory(engine: Engine, request: HttpRequest, who: Owner) -> Explanation:
    """`explain` by what memory knows, of other processes too, without asking anything; the result says so."""
    coherence = engine.storage.coherence
    is_current = coherence.is_current()
    found, looks = coherence.without_io(_explained, engine, request, who, None, True)
    is_whole = not looks and (is_current or found.kind != "read")
    return found if is_whole else replace(found, memory_only=True)


def _explained(
    engine: Engine, request: HttpRequest, who: Owner, shared: SharingStorage | None, in_memory: bool = False
) -> tuple[Explanation, bool]:
    """The explanation, and whether a request would ask what is behind the memory."""
    prepared = engine.particular(request, engine.preparer.look(request))
    storage = engine.storage
    view = View(storage, prepared, engine.variant(request, prepared.key), engine.clock(), lambda: who)
    if in_memory and view.epoch < 0 and view.held == "settling":
        view.held = None  # a request would find out first what is not known yet, so that holds nothing back
    entry = storage.find(view.key)
    verdict = judge(engine, request, prepared, entry, view)
    key, sends = view.key, verdict.sends
    fetches_to_store = verdict.action == "fetch" and view.held is None and prepared.ttl > 0
    looks_further = engine.looks_further(prepared, entry, view, verdict)
    looks = verdict.refresh or looks_further or (fetches_to_store and not prepared.refresh)
    there = _shared_entry(engine, request, prepared, shared, view.now) if looks and shared is not None else None
    if there is not None:
        found = judge(engine, request, prepared, there, View(storage, prepared, there.key, view.now, lambda: who))
        if found.action == "answer" and verdict.action != "answer":
            verdict, sends, entry = found, found.sends, there
        elif found.is_valid and prepared.decision is not None:
            sends = view.now - there.began >= prepared.decision.ahead(there.ttl)
        elif entry is None or (there.epoch, there.fetched) > (entry.epoch, entry.fetched):
            entry = there
            if found.action == verdict.action == "fetch" and not found.drops:
                verdict = found
        key = key if entry is None else entry.key
    if prepared.kind not in ("read", "part") and verdict.action != "answer":
        status, reason = verdict.status, verdict.reason
        return Explanation(status, reason, sends, prepared.kind, prepared.rule, None, "", prepared.tags, None), looks
    explanation = Explanation(
        verdict.status,
        verdict.reason,
        sends,
        "read",
        prepared.rule,
        key,
        prepared.partition,
        prepared.tags,
        engine.stated_ttl(prepared) if entry is None else entry.ttl,
        settling=view.held == "settling",
        in_flight=view.flight is not None,
        **({} if entry is None else _details(engine, entry, view.now)),
    )
    return explanation, looks


def _details(engine: Engine, entry: StoredResponse, now: float) -> dict[str, Any]:
    """What is to be said of a stored answer."""
    coherence, age = engine.storage.coherence, known_age(now - entry.began)
    validators = tuple(n.decode() for n in (b"etag", b"last-modified") if any(i[1] == n for i in entry.headers))
    details: dict[str, Any] = {
        "stored": True,
        "age": age,
        "left": None if age is None else entry.ttl - age,
        "validators": validators,
    }
    tag, epoch = coherence.dirtiest(entry.tags)
    if epoch > entry.clean_at:
        details["dirtied_by"] = tag or "invalidate or clear"
        details["compacted"] = coherence.is_compacted(tag, epoch)
    details["softened"] = coherence.is_softened(entry)
    return details


def _shared_entry(
    engine: Engine, request: HttpRequest, prepared: Prepared, shared: SharingStorage, now: float
) -> StoredResponse | None:
    """The entry for `request` in what processes share, which has its own key; or None."""
    for entry in shared.peek(prepared.key, engine.decode, now):
        if entry.key == (engine.variant_by(request, prepared.key, entry.vary) if entry.vary else prepared.key):
            return entry
    return None
