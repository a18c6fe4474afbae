"""What the misses of an engine had in common, for the doctor."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .outcome import Reason

__all__ = ["MAX_VALUES", "Diary"]

MAX_RULES = 256
MAX_PARAMETERS = 32
MAX_VALUES = 64
MAX_NAME = 64
"""Characters of a parameter's name; longer ones are not told apart."""


class Diary:
    """What the misses of an engine had in common, bounded. Guarded by the storage's lock."""

    __slots__ = ("gaps", "reasons", "rules", "values")

    def __init__(self) -> None:
        self.reasons: Counter[Reason] = Counter()
        self.rules: Counter[str] = Counter()
        self.values: dict[tuple[str, str], tuple[int, set[int]]] = {}
        self.gaps: dict[str, tuple[float, float]] = {}

    def missed(self, rule: str, query: str | None, reason: Reason) -> None:
        """A read was not answered from the storage."""
        self.reasons[reason] += 1
        if rule not in self.rules and len(self.rules) >= MAX_RULES:
            return
        self.rules[rule] += 1
        if not query:
            return
        for part in query.split("&")[:MAX_PARAMETERS]:
            name, _, value = part.partition("=")
            if len(name) > MAX_NAME:
                continue
            if name and (rule, name) not in self.values and len(self.values) < MAX_RULES * 4:
                self.values[rule, name] = (0, set())
            seen, different = self.values.get((rule, name), (0, None))
            if different is not None:
                if len(different) < MAX_VALUES:
                    different.add(hash(value))
                self.values[rule, name] = (seen + 1, different)

    def noted(self, reason: Reason) -> None:
        """Count a reason."""
        self.reasons[reason] += 1

    def expired(self, rule: str, age: float, ttl: float) -> None:
        """What was stored was asked for at this age, past its TTL."""
        if age == age and (rule in self.gaps or len(self.gaps) < MAX_RULES):  # NaN: it is not known
            before = self.gaps.get(rule)
            self.gaps[rule] = (age if before is None else before[0] * 0.8 + age * 0.2, ttl)
