"""What the hits of each rule came to, whatever became of the entries that answered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .entry import StoredResponse

__all__ = ["RuleTally", "Tally"]

MAX_RULES = 256
"""Rules told apart; what comes on top is counted under OTHER_RULES."""
OTHER_RULES = "(other)"


@dataclass(slots=True)
class RuleTally:
    """Of one rule: how often its entries answered, the seconds of fetching that saved, and what it holds now."""

    hits: int = 0
    saved_seconds: float = 0.0
    entries: int = 0
    size_bytes: int = 0


class Tally:
    """The hits of entries that are gone; those of the entries there are counted by the entries.

    Guarded by the lock of the storage. A hit so costs one addition, and nobody who asks for no figures pays for them.
    """

    __slots__ = ("_gone",)

    def __init__(self) -> None:
        self._gone: dict[str, RuleTally] = {}

    def left(self, item: Any) -> None:
        """An item left the storage."""
        if isinstance(item, StoredResponse) and item.hits:
            _add(self._gone, item)

    def by_rule(self, items: Iterable[Any]) -> dict[str, RuleTally]:
        """All so far, with the items that are there now. O(items)."""
        rules = {rule: RuleTally(gone.hits, gone.saved_seconds) for rule, gone in self._gone.items()}
        for item in items:
            if isinstance(item, StoredResponse):
                tally = _add(rules, item)
                tally.entries += 1
                tally.size_bytes += item.size
        return rules


def _add(rules: dict[str, RuleTally], entry: StoredResponse) -> RuleTally:
    tally = rules.get(entry.rule)
    if tally is None:
        name = entry.rule if len(rules) < MAX_RULES else OTHER_RULES
        tally = rules.setdefault(name, RuleTally())
    tally.hits += entry.hits
    tally.saved_seconds += entry.hits * entry.took
    return tally
