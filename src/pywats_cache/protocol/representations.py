"""Which form of an answer a request wants: Accept, Accept-Language and their like, spelled in one way.

Only case and white space without a meaning go. Order and weights stay: many servers decide by the order among equals,
and whoever takes two different wishes for one gives somebody the wrong form.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from .fields import OWS, lowered

__all__ = ["DEFAULT_VARY", "wanted"]

DEFAULT_VARY = ("accept", "accept-language")
"""The header fields that separate answers in TTL mode where no rule names others."""

_PREFERENCES = frozenset({"accept", "accept-charset", "accept-encoding", "accept-language"})
_ANYTHING = {"accept": "*/*", "accept-language": "*"}
"""What says the same as no such field (RFC 9110 §12.5.1, §12.5.4)."""
_WITHOUT_CASE = frozenset({"q", "charset"})
"""Parameters whose values have no case; those of others may have (RFC 9110 §8.3.1)."""
_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|[,;=]|[^",;=]+|"', re.DOTALL)


def wanted(name: str, lines: Sequence[str]) -> str | None:
    """What the lines of the field `name` (lower case) ask for; None if it is anything, as without the field.

    RFC 9110 does not say what an empty Accept means, so it is a wish of its own.
    """
    if name not in _PREFERENCES:
        return ", ".join([line.strip(OWS) for line in lines])  # what its value means, case included, is not known
    value = _spelled(",".join(lines))
    return None if value == _ANYTHING.get(name) else value


def _spelled(value: str) -> str:
    pieces: list[str] = []
    for found in _PIECE.findall(value):
        piece = found if found[0] == '"' else found.strip(OWS)
        is_value = len(pieces) > 1 and pieces[-1] == "=" and pieces[-2] not in _WITHOUT_CASE
        if piece:
            pieces.append(piece if piece[0] == '"' or is_value else lowered(piece))
    return "".join(pieces)
