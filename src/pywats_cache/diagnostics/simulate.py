"""What a recorded trace would have come to with other bounds and TTLs, to find out which to set."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError
from ..storage.bounded_table import BoundedTable
from ..storage.eviction import Policy, items_by
from ..support.showing import shown
from ..telemetry.trace_recorder import rotated

__all__ = ["Outcome", "Setting", "read_trace", "simulate"]

_CACHEABLE = frozenset({"hit", "stale", "revalidated", "miss", "collapsed"})


@dataclass(frozen=True, slots=True)
class Setting:
    """What to try: bounds, a TTL in seconds for every answer (None: the TTL each had), and an eviction policy.

    - `policy`: as `MemoryStorage` takes it.
    """

    max_entries: int = 1000
    max_bytes: int = 64 << 20
    ttl: float | None = None
    policy: str | Callable[[], Policy] = "lru"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a setting would have achieved. `saved_seconds` counts what the fetch of each entry took, if known."""

    setting: Setting
    requests: int
    hits: int
    evictions: int
    expired: int
    dirtied: int
    saved_seconds: float
    peak_entries: int
    peak_bytes: int

    @property
    def hit_rate(self) -> float:
        """The fraction of the cacheable requests that would have been hits; 0.0 if there were none."""
        return self.hits / self.requests if self.requests else 0.0


def read_trace(path: Path) -> list[dict[str, Any]]:
    """The lines of a trace, the older half first. Lines cut by rotation or a crash are left out.

    Raises ConfigurationError for a file that is not a trace, OSError for one that cannot be read.
    """
    files = [file for file in (rotated(path), path) if file == path or file.exists()]
    lines: list[dict[str, Any]] = []
    for file in files:
        with file.open(encoding="utf-8", errors="replace") as text:
            if "pywats_cache_trace" not in text.readline():
                raise ConfigurationError(f"{shown(str(file))} is not a trace; one is made by CacheTransport(record=…)")
            lines.extend(_parsed(text))
    return lines


def _parsed(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and event.get("e") in ("q", "s", "d", "c"):
            yield event


@dataclass(slots=True)
class _Known:
    """Of one key: what its last store said."""

    size: int
    ttl: float
    took: float
    tags: tuple[str, ...]


@dataclass(slots=True)
class _Kept:
    size: int
    stored: float
    order: int
    ttl: float
    took: float
    tags: tuple[str, ...]


class _Model:
    """A cache in the real one's table, with TTL and dirtied tags as it has them."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.table: BoundedTable[_Kept] = BoundedTable(setting.max_entries, setting.max_bytes, items_by(setting.policy))
        self.dirty: dict[str, int] = {}
        self.floor = -1
        self.requests = self.hits = self.expired = self.dirtied = 0
        self.saved = 0.0
        self.peak_entries = self.peak_bytes = 0

    def ask(self, key: str, at: float, order: int, known: _Known | None) -> None:
        self.requests += 1
        entry = self.table.items.get(key)
        if entry is not None:
            if self.floor >= entry.order or any(self.dirty.get(tag, -1) >= entry.order for tag in entry.tags):
                self.dirtied += 1
            elif not 0.0 <= at - entry.stored < entry.ttl:
                self.expired += 1
            else:
                self.hits += 1
                self.saved += entry.took
                self.table.items.move_to_end(key)
                return
            self.table.drop(key)
        if known is not None:
            self._store(key, at, order, known)

    def _store(self, key: str, at: float, order: int, known: _Known) -> None:
        table = self.table
        ttl = known.ttl if self.setting.ttl is None else self.setting.ttl
        if ttl > 0 and table.put(key, _Kept(known.size, at, order, ttl, known.took, known.tags)) is not None:
            self.peak_entries = max(self.peak_entries, len(table.items))
            self.peak_bytes = max(self.peak_bytes, table.size_bytes)

    def outcome(self) -> Outcome:
        return Outcome(
            self.setting,
            self.requests,
            self.hits,
            self.table.evictions,
            self.expired,
            self.dirtied,
            self.saved,
            self.peak_entries,
            self.peak_bytes,
        )


def simulate(events: list[dict[str, Any]], settings: Iterable[Setting]) -> Iterator[Outcome]:
    """Replay a trace over each setting. O(requests) each; what was never stored is a miss in all of them.

    Not in the model: settle windows, stale serving and collapsed requests, which count as requests like any other.
    """
    known = _describe(events)
    for setting in settings:
        model = _Model(setting)
        for order, event in enumerate(events):
            kind = event["e"]
            if kind == "q" and event.get("k") is not None and event.get("s") in _CACHEABLE:
                model.ask(event["k"], float(event["t"]), order, known[order])
            elif kind == "d":
                for tag in event["tags"]:
                    model.dirty[tag] = order
            elif kind == "c":
                model.floor = order
        yield model.outcome()


def _describe(events: list[dict[str, Any]]) -> dict[int, _Known | None]:
    """For each request what its answer was, by what was stored of its key before or by the request itself.

    An answer that was stored before the recording began is known by its hits; one that never was is None.
    """
    of_key: dict[str, _Known] = {}
    known: dict[int, _Known | None] = {}
    for order, event in enumerate(events):
        key = event.get("k")
        if key is None:
            continue
        if event["e"] == "s":
            ttl = inf if event.get("ttl") is None else float(event["ttl"])
            of_key[key] = _Known(int(event["n"]), ttl, float(event.get("ms", 0.0)) / 1000.0, tuple(event["tags"]))
        elif event["e"] == "q":
            if key not in of_key and event.get("n") is not None:
                ttl = inf if event.get("ttl") is None else float(event["ttl"])
                of_key[key] = _Known(int(event["n"]), ttl, 0.0, ())
            known[order] = of_key.get(key)
    return known
