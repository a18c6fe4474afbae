"""What the script of a ledger may answer. Anything else, from a proxy or a server that is not one, is no answer."""

from __future__ import annotations

import json
from math import isfinite
from typing import Any

from ...errors import StorageError

__all__ = ["checked"]

PARTS = 12
"""Generation, epoch, two floors, two tables, windows, what was compacted, floors, and the sizes of three tables."""
HIGHEST = 2.0**53
"""From here on the numbers of scripts are not exact."""


def checked(answer: Any) -> Any:
    """`answer`, if it is one. Raises StorageError."""
    try:
        is_right = isinstance(answer, list) and len(answer) == PARTS and _is_right(answer)
    except (TypeError, ValueError, AttributeError):  # also what is no text
        is_right = False
    if not is_right:
        raise StorageError("the server answered in a form that this package does not know")
    return answer


def _is_right(answer: list[Any]) -> bool:
    return (
        answer[0].decode() != ""
        and all(0 <= int(number) < HIGHEST for number in (*answer[1:4], answer[8]))
        and all(type(size) is int and size >= 0 for size in answer[9:])
        and all(_are_scores(answer[part]) for part in (4, 5, 7))
        and _are_windows(answer[6])
    )


def _are_scores(flat: list[bytes]) -> bool:
    for tag, score in zip(flat[::2], flat[1::2], strict=True):
        tag.decode()
        if not 0.0 <= float(score) < HIGHEST:  # NaN is neither
            return False
    return True


def _are_windows(flat: list[bytes]) -> bool:
    for member, left in zip(flat[::2], flat[1::2], strict=True):
        id, tag, *length = json.loads(member)
        if not (isinstance(id, str) and isinstance(tag, str) and isfinite(float(left))):
            return False
        if length and not (len(length) == 1 and type(length[0]) in (int, float) and isfinite(length[0])):
            return False
    return True
