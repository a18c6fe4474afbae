"""The figures of a store as tables."""

from __future__ import annotations

from typing import Any

from .output import count, size, table

__all__ = ["store_tables"]

_STATES = {
    "fresh": "may be served",
    "softened": "softly invalidated: served while refetched",
    "dirtied": "invalidated",
    "expired": "past their TTL",
    "foreign": "of another ledger",
    "unreadable": "cannot be read (damaged, or another digest key)",
}


def store_tables(found: dict[str, Any]) -> list[Any]:
    """What `stats` shows of a store."""
    rows = [("entries", count(found["entries"]) + _of(found.get("max_entries"), count))]
    rows += [
        (f"  {state}", f"{count(found['states'][state])} {_STATES[state]}")
        for state in _STATES
        if state in found["states"]
    ]
    rows.append(("records", size(found["size_bytes"])))
    if "file_bytes" in found:
        rows.append(("files", size(found["file_bytes"]) + _of(found["max_bytes"], size)))
    if found.get("server_bytes") is not None:
        rows.append(("server memory", size(found["server_bytes"]) + _of(found["server_max_bytes"], size)))
    partitions = found["partitions"]
    rows += [
        ("compressed", f"{count(found['compressed_entries'])}, which saves {size(found['saved_bytes'])}"),
        ("credentials", "not told by these rules" if partitions is None else f"{count(partitions)} told apart"),
        ("epoch", f"{found['epoch']} of ledger {found['generation'][:8] or '(none yet)'}"),
        ("invalidated", f"{count(found['dirtied_tags'])} tags remembered, {count(found['settling_tags'])} settling"),
    ]
    rules = sorted(found["rules"], key=lambda rule: -rule["entries"])[:15]
    routes = ((rule["rule"], count(rule["entries"]), size(rule["size_bytes"])) for rule in rules)
    return [
        table(f"Store ({found['store']})", ("", ""), rows),
        table("Rules", ("rule", ">entries", ">size"), routes),
        found["note"],
    ]


def _of(bound: float | None, show: Any) -> str:
    return f" of {show(bound)}" if bound else ""
