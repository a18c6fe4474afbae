"""Stored answers as documents, filtered and sorted: for the service and the command line. No credential, no query."""

from __future__ import annotations

from collections.abc import Sequence
from math import isinf
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError
from ..storage.entry import known_age
from ..support.showing import shown

if TYPE_CHECKING:
    from ..storage.entry import StoredResponse
    from ..storage.store_reader import Seen

__all__ = ["SORTABLE", "entry_document", "listed", "record_document"]

SORTABLE = ("age", "hits", "left", "path", "rule", "saved_seconds", "size")
_ASCENDING = ("age", "left", "path", "rule")


def entry_document(entry: StoredResponse, now: float) -> dict[str, Any]:
    """One answer in memory: where it is from, how old, how large, how often used, and what makes it invalid."""
    return {
        **_document(entry.rule, entry.status, known_age(now - entry.began), entry.ttl, entry.tags),
        "size": entry.size,
        "hits": entry.hits,
        "saved_seconds": entry.hits * entry.took,
        "key": entry.key,
    }


def record_document(seen: Seen) -> dict[str, Any]:
    """One record of a store, which does not know how often it was used, so `hits` and `saved_seconds` are None."""
    record = seen.record
    assert record is not None
    return {
        **_document(record.rule, record.status, seen.age, record.ttl, record.tags),
        "size": seen.size,
        "hits": None,
        "saved_seconds": None,
        "key": record.key,
        "state": seen.state,
    }


def _document(rule: str, status: int, age: float | None, ttl: float, tags: Sequence[str]) -> dict[str, Any]:
    left = None if age is None or isinf(ttl) else ttl - age
    return {
        "rule": rule,
        "path": next((tag[1:] for tag in tags if tag.startswith("=")), ""),
        "status": status,
        "age": age,
        "ttl": None if isinf(ttl) else ttl,
        "left": left,
        "tags": [tag.rsplit("#", 1)[-1] for tag in tags if tag.startswith("#")],
    }


def listed(documents: list[dict[str, Any]], sort: str, match: str, tag: str | None, limit: int) -> dict[str, Any]:
    """Those that match, sorted, at most `limit`, with how many there are.

    - `sort`: one of `SORTABLE`; numbers of use and size come largest first, the others smallest first.
    - `match`: a part of path or rule, whatever its case; `tag`: an explicit tag.

    Raises ConfigurationError for another `sort`.
    """
    if sort not in SORTABLE:
        raise ConfigurationError(f"sort must be one of {', '.join(SORTABLE)}, not {shown(sort)}")
    wanted = match.casefold()
    kept = [
        document
        for document in documents
        if (wanted in document["path"].casefold() or wanted in document["rule"].casefold())
        and (tag is None or tag in document["tags"])
    ]
    kept.sort(key=lambda document: (document[sort] is not None, document[sort]), reverse=sort not in _ASCENDING)
    return {"total": len(documents), "matching": len(kept), "entries": kept[:limit]}
