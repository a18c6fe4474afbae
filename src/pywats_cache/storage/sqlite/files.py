"""Files that other processes use too: put in place complete at once, and still in place later."""

from __future__ import annotations

import os
from pathlib import Path

from ...support.files import patiently

__all__ = ["BINARY", "found", "found_in_place", "put_in_place"]

BINARY: int = getattr(os, "O_BINARY", 0)
"""Without it Windows turns each byte 10 into two."""


def put_in_place(draft: Path, path: Path) -> None:
    """Make `draft` appear as `path`, complete at once, unless another process has put one there before."""
    if os.name == "nt":  # there a rename never replaces, and a second name of a file that is open could not be removed
        try:
            patiently(os.rename, draft, path)
        except OSError:
            if not path.exists():
                raise
        return
    try:
        # Unlike a rename, a link never replaces what another process has just made.
        os.link(draft, path)
    except FileExistsError:
        pass
    except OSError:  # a file system without links
        if not path.exists():
            os.replace(draft, path)


def found(path: Path) -> os.stat_result | None:
    """What `path` is now; None: nothing, or it cannot be looked at."""
    try:
        return os.stat(path)
    except OSError:
        return None


def found_in_place(path: Path, opened: os.stat_result | None) -> os.stat_result | None:
    """What `path` is now, if that is the file that was `opened`; None if it was removed or replaced, or none was.

    On a file system without file numbers (FAT under Windows) every file counts as the same one. There nobody can
    remove or replace a file that is open or mapped, so it is.
    """
    now = found(path)
    return now if now is not None and opened is not None and os.path.samestat(now, opened) else None
