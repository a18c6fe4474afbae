"""The metric families: name, type, labels and help of each, and where in the figures its samples are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..diagnostics.snapshot import Figures
from ..telemetry.stats import OUTCOMES

__all__ = ["HISTOGRAM", "OF_CLIENT", "OF_STORAGE", "Family"]

Samples = Iterable[tuple[tuple[str, ...], float]]
_NAMES = {"hits": "hit", "misses": "miss", "bypassed": "bypass"}


@dataclass(frozen=True, slots=True)
class Family:
    """One metric family. `labels` come after `client`, which all have.

    `read` gives, for the figures of one client, the label values and the value of each sample.
    """

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    labels: tuple[str, ...]
    read: Callable[[Figures], Samples]


def _one(read: Callable[[Figures], float]) -> Callable[[Figures], Samples]:
    return lambda figures: [((), read(figures))]


def _stat(name: str) -> Callable[[Figures], Samples]:
    return _one(lambda figures: getattr(figures.stats, name))


def _table(read: Callable[[Figures], Mapping[Any, Any]]) -> Callable[[Figures], Samples]:
    return lambda figures: [((key,), value) for key, value in sorted(read(figures).items())]


def _rules(name: str) -> Callable[[Figures], Samples]:
    def read(figures: Figures) -> Iterator[tuple[tuple[str, ...], float]]:
        for rule, tally in sorted(figures.rules.items()):
            yield (rule,), getattr(tally, name)

    return read


OF_CLIENT: tuple[Family, ...] = (
    Family(
        "pywats_cache_requests",
        "counter",
        "Requests by what the cache did with them; the sum is all of them.",
        ("outcome",),
        lambda f: [((_NAMES.get(name, name),), getattr(f.stats, name)) for name in OUTCOMES],
    ),
    Family(
        "pywats_cache_lookups",
        "counter",
        "Requests that were over before the client built one for httpx: hits, stale answers and joins.",
        (),
        _stat("lookups"),
    ),
    Family(
        "pywats_cache_reasons",
        "counter",
        "Why requests were no hits, or were not stored; one request may count under two reasons.",
        ("reason",),
        _table(lambda f: f.reasons),
    ),
    Family(
        "pywats_cache_fetches",
        "counter",
        "Reads that went to the server, by the rule that decided.",
        ("rule",),
        _table(lambda f: f.fetches),
    ),
    Family(
        "pywats_cache_fetch_failures",
        "counter",
        "Fetches that got no answer.",
        ("cause",),
        _table(lambda f: f.failures),
    ),
    Family(
        "pywats_cache_tier_hits",
        "counter",
        "Hits that an outer storage answered.",
        (),
        _stat("tier_hits"),
    ),
    Family(
        "pywats_cache_remembered_bytes",
        "gauge",
        "Bytes counted for what is remembered of requests beside what is stored.",
        (),
        _stat("remembered_bytes"),
    ),
)
"""Of one client, whatever storage it uses."""

OF_STORAGE: tuple[Family, ...] = (
    Family("pywats_cache_stores", "counter", "Answers stored.", (), _stat("stores")),
    Family(
        "pywats_cache_evictions",
        "counter",
        "Entries that had to go for newer ones, by the bound that was reached.",
        ("cause",),
        _table(lambda f: f.evictions),
    ),
    Family(
        "pywats_cache_expirations", "counter", "Entries dropped because their TTL had ended.", (), _stat("expirations")
    ),
    Family(
        "pywats_cache_invalidations",
        "counter",
        "Writes and invalidations that made something invalid.",
        (),
        _stat("invalidations"),
    ),
    Family(
        "pywats_cache_floors",
        "counter",
        "Origins, or top-level paths, given up as a whole by a full table of invalidated tags.",
        (),
        _stat("floors"),
    ),
    Family("pywats_cache_storage_errors", "counter", "Failures of an outer storage.", (), _stat("storage_errors")),
    Family(
        "pywats_cache_saved_seconds",
        "counter",
        "Seconds of waiting for the server that hits saved, by what the fetch of each entry took.",
        (),
        _one(lambda f: f.saved_seconds),
    ),
    Family("pywats_cache_rule_hits", "counter", "Hits by the rule of the entry.", ("rule",), _rules("hits")),
    Family("pywats_cache_entries", "gauge", "Entries stored now.", (), _stat("entries")),
    Family("pywats_cache_max_entries", "gauge", "Entries at most.", (), _one(lambda f: f.max_entries)),
    Family("pywats_cache_size_bytes", "gauge", "Bytes counted for what is stored now.", (), _stat("size_bytes")),
    Family("pywats_cache_max_bytes", "gauge", "Bytes at most.", (), _one(lambda f: f.max_bytes)),
    Family(
        "pywats_cache_settling_tags",
        "gauge",
        "Tags whose reads are not stored now, because a write may still be taking effect.",
        (),
        _one(lambda f: f.settling),
    ),
)
"""Of one storage; one that several clients share is reported once, under the first of them."""

HISTOGRAM = (
    "pywats_cache_origin_request_seconds",
    "Seconds from sending a fetch to the head of its answer.",
)
