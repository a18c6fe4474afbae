"""What a shared store holds, counted, and what is wrong with it: for its operator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..storage.compression import is_available
from .doctor import ENOUGH, Finding

if TYPE_CHECKING:
    from ..storage.store_reader import Store

__all__ = ["Survey", "findings", "survey"]

NOT_COUNTED = "hits, misses and time saved are counted by each process that uses the store, not in it"
FULL = 0.95


@dataclass(slots=True)
class Survey:
    """The records of one store, counted.

    - `states`: records by what becomes of them (see `Seen`); `undated`: dated by a wrong clock.
    - `compressed`, `saved_bytes`: records with a compressed body, and what that saves.
    - `partitions`: credentials told apart; only records of rules with `drop_on=(401,)`, as those for WATS, tell theirs.
    - `rules`: by rule, records and bytes.
    """

    store: Store
    states: Counter[str] = field(default_factory=Counter)
    size_bytes: int = 0
    compressed: int = 0
    saved_bytes: int = 0
    undated: int = 0
    partitions: set[str] = field(default_factory=set)
    rules: dict[str, list[int]] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def entries(self) -> int:
        """Records there are, whatever becomes of them."""
        return sum(self.states.values())

    def document(self) -> dict[str, Any]:
        """As JSON. What a store does not know is None, and `note` says so."""
        delta = self.store.delta
        return {
            "store": self.store.kind,
            "note": NOT_COUNTED,
            "entries": self.entries,
            "size_bytes": self.size_bytes,
            "states": dict(self.states),
            "compressed_entries": self.compressed,
            "saved_bytes": self.saved_bytes,
            "partitions": len(self.partitions) or None,
            "generation": delta.generation,
            "epoch": delta.epoch,
            "dirtied_tags": len(delta.dirtied),
            "settling_tags": len(delta.windows),
            "rules": [
                {"rule": rule, "entries": entries, "size_bytes": size}
                for rule, (entries, size) in sorted(self.rules.items())
            ],
            **self.figures,
        }


def survey(store: Store, progress: Callable[[], object] = lambda: None) -> Survey:
    """Count what is in `store`; `progress` is called after each record. O(bytes stored)."""
    made = Survey(store, figures=store.figures())
    for seen in store.entries(progress):
        made.states[seen.state] += 1
        made.size_bytes += seen.size
        if seen.record is None:
            continue
        made.compressed += bool(seen.record.length)
        made.saved_bytes += seen.saved
        made.undated += seen.age is None
        made.partitions.update(tag for tag in seen.record.tags if tag.startswith("@"))
        rule = made.rules.setdefault(seen.record.rule, [0, 0])
        rule[0] += 1
        rule[1] += seen.size
    return made


def findings(made: Survey) -> list[Finding]:
    """What is wrong with the store, the worst first; [] if nothing is."""
    entries, states, figures = made.entries, made.states, made.figures
    found: list[Finding] = []

    def add(code: str, text: str) -> None:
        found.append(Finding(code, text))

    if not made.store.has_key:
        add(
            "no-key", "the digest key is not known here (PYWATS_CACHE_DIGEST_KEY): processes like this share no answers"
        )
    elif states["unreadable"]:
        add("unreadable", f"{states['unreadable']} of {entries} records are damaged, or made with another digest key")
    if made.compressed and not is_available():
        add("no-zstd", f"{made.compressed} records are compressed and cannot be read: install pywats-cache[zstd]")
    for state, words in _UNUSED.items():
        if states[state] >= ENOUGH and states[state] * 2 >= entries:
            add(state, f"{states[state]} of {entries} records are no longer valid: {words}")
    if states["later"]:
        add(
            "later-version",
            f"{states['later']} records are of a later pywats-cache, which are left alone: update this one",
        )
    if made.undated:
        text = f"{made.undated} records are dated later than now, or too long ago: a clock is or was wrong"
        add("clock", f"{text}; they are validated, or served stale where the server cannot be reached")
    for bound, number in (("max_entries", entries), ("max_bytes", figures.get("counted_bytes"))):
        most = figures.get(bound)
        if most and number is not None and number >= FULL * most:
            add("full", f"{number} of {bound}={most}: the least recently used records are evicted")
    if figures.get("set_aside"):
        add(
            "set-aside",
            f"files that could not be used were set aside; remove them: {', '.join(figures['set_aside'])}",
        )
    if figures.get("readable_by_others"):
        add("permissions", f"others may read {', '.join(figures['readable_by_others'])}: chmod 600")
    if figures.get("server_max_bytes") == 0:
        add("no-maxmemory", "the server's maxmemory is not set: only the TTLs bound what is stored")
    elif figures.get("server_max_bytes") and figures.get("server_policy") == "noeviction":
        add("noeviction", "the server's maxmemory-policy is noeviction: when it is full nothing is stored any more")
    return found


_UNUSED = {
    "dirtied": "writes to the same tags come in between",
    "foreign": "they are of another ledger (the server was restarted or flushed, or files were restored from a copy)",
}
