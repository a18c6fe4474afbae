"""Files that others have open: Windows lets nobody rename, replace or remove one until they close it.

A virus scanner, a backup or another process of the same store closes it soon; else what cannot be done now is left,
said by the caller, and tried again later. Elsewhere a PermissionError is final.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["PATIENCE", "patiently", "remove", "remove_left"]

PATIENCE = 0.1
"""Seconds to try again; a request may wait for it."""
PAUSE = 0.005
_left: dict[Path, os.stat_result] = {}
"""What could not be removed, to be tried again."""


def patiently(step: Callable[..., object], *arguments: object) -> None:
    """`step(*arguments)`, tried again for a short while where Windows refuses it. Raises OSError."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            step(*arguments)
        except PermissionError:
            if os.name != "nt" or time.monotonic() >= until:
                raise
            time.sleep(PAUSE)
        else:
            return


def remove(path: Path) -> bool:
    """Remove a file of ours that nobody needs any more. False: it is left, and tried again by `remove_left`.

    Raises OSError where nobody having it open is the reason.
    """
    try:
        patiently(path.unlink, True)
    except PermissionError:
        if os.name != "nt":
            raise
        try:
            _left[path] = path.lstat()
        except OSError:  # gone by now
            return True
        return False
    return True


def remove_left() -> None:
    """Try again to remove what was left; not what somebody has made under its name since."""
    for path, was in list(_left.items()):
        try:
            if os.path.samestat(path.lstat(), was):
                path.unlink()
        except PermissionError:
            continue
        except OSError:
            pass
        _left.pop(path, None)
