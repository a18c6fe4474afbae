"""What is shown of a cache, as JSON documents. No credential and no query is in any."""

from __future__ import annotations

from typing import Any

from ..diagnostics.snapshot import Figures
from ..storage.rule_usage import RuleTally

__all__ = ["stats_document", "vendor_document"]


def stats_document(name: str, figures: Figures | None) -> dict[str, Any]:
    """All figures of a cache."""
    if figures is None:
        return {"client": name, "enabled": False}
    stats = figures.stats
    return {
        "client": name,
        "enabled": True,
        "requests": stats.requests,
        **stats._asdict(),
        "hit_rate": stats.hit_rate,
        "saved_seconds": figures.saved_seconds,
        "max_entries": figures.max_entries,
        "max_bytes": figures.max_bytes,
        "evictions_by": figures.evictions,
        "settling_tags": figures.settling,
        "reasons": figures.reasons,
        "failures": figures.failures,
        "rules": [
            {"rule": rule, "fetches": figures.fetches.get(rule, 0), **_tally(figures, rule)}
            for rule in sorted({*figures.rules, *figures.fetches})
        ],
        "origin_seconds": {
            "bounds": list(figures.origin_bounds),
            "counts": list(figures.origin_buckets),
            "sum": figures.origin_seconds,
        },
    }


def _tally(figures: Figures, rule: str) -> dict[str, Any]:
    there = figures.rules.get(rule) or RuleTally()
    return {name: getattr(there, name) for name in ("hits", "saved_seconds", "entries", "size_bytes")}


def vendor_document(figures: Figures | None) -> dict[str, Any]:
    """The statistics as the SDK's service documents them; `hit_rate` is in percent of all requests."""
    if figures is None:
        return {
            "enabled": False, "size": 0, "max_size": 0, "requests": 0, "hits": 0, "misses": 0, "hit_rate": 0.0,
            "evictions": 0,
        }  # fmt: skip
    stats = figures.stats
    hits = stats.hits + stats.stale + stats.collapsed
    misses = stats.misses + stats.revalidated
    return {
        "enabled": True,
        "size": stats.entries,
        "max_size": figures.max_entries,
        "requests": hits + misses,
        "hits": hits,
        "misses": misses,
        "hit_rate": 100.0 * stats.hit_rate,
        "evictions": stats.evictions,
    }
