"""What the hits of each rule came to, whatever became of the entries that answered."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .entry import StoredResponse

__all__ = ["RuleTally", "Tally"]

MAX_RULES = 256
"""Rules told apart; more are counted under OTHER_RULES."""
OTHER_RULES = "(other)"


class RuleTally:
    """Of one rule: how often its entries answered, the seconds of fetching that saved, and what it holds now."""

    __slots__ = ("entries", "hits", "saved_seconds", "size_bytes")

    def __init__(self, hits: int = 0, saved_seconds: float = 0.0) -> None:
        self.hits: int = hits
        self.saved_seconds: float = saved_seconds
        self.entries: int = 0
        self.size_bytes: int = 0


class Tally:
    """The hits of entries that are gone; those of the entries there are counted by the entries.

    Guarded by the lock of the storage. So a hit costs one addition, and figures that nobody asks for cost nothing.
    """

    __slots__ = ("_gone",)

    def __init__(self) -> None:
        self._gone: dict[str, RuleTally] = {}

    def left(self, item: Any) -> None:
        """An item left the storage."""
        if isinstance(item, StoredResponse) and item.hits:
            tally = _tally(self._gone, item.rule)
            tally.hits += item.hits
            tally.saved_seconds += item.hits * item.took

    def by_rule(self, items: Iterable[Any]) -> dict[str, RuleTally]:
        """All so far, with the items that are there now. O(items)."""
        rules = {rule: RuleTally(gone.hits, gone.saved_seconds) for rule, gone in self._gone.items()}
        for item in items:
            if item.__class__ is not StoredResponse:
                continue
            tally = rules.get(item.rule) or _tally(rules, item.rule)
            hits = item.hits
            if hits:
                tally.hits += hits
                tally.saved_seconds += hits * item.took
            tally.entries += 1
            tally.size_bytes += item.size
        return rules


def _tally(rules: dict[str, RuleTally], rule: str) -> RuleTally:
    """That of `rule`, or of all beyond the bound."""
    tally = rules.get(rule)
    if tally is None:
        tally = rules.setdefault(rule if len(rules) < MAX_RULES else OTHER_RULES, RuleTally())
    return tally
