"""The epoch of a shared store as a small memory-mapped file, so that a hit compares integers and asks nothing.

Two cells matter. They are of 64 bits, signed as SQLite's integers are, and aligned, so that one load or store of the
processor moves each whole:

- `EPOCH`: the newest epoch that was, or is about to be, committed. It is written inside the transaction, *before* the
  commit: whoever has seen a write return therefore finds either this cell changed or the write not yet committed.
- `LOST`: a random number that is replaced when a bump could not be committed (disk full, locked for too long). It
  needs no disk block, as the file's are allocated when it is made. While it differs from the one in the database,
  nobody trusts what is stored; see `sqlite_ledger`. Its last bits may say for how many seconds after that nothing may
  be stored: so long a write may yet take effect of which nobody could be told.

`LATEST` is the latest wall time seen, in milliseconds. Only earlier versions use it: they drop all when it goes back.
"""

from __future__ import annotations

import mmap
import os
import secrets
import sys
from math import ceil
from pathlib import Path

from ..shared.backend import LOST
from .files import BINARY, found_in_place
from .store_files import EPOCH_BYTES, beginning

__all__ = ["LATEST", "EpochFile", "lost_in", "seconds_in"]

LATEST = 2
_SECONDS, _MARK = 7, 0xB5E3 << 7
"""Bits of `LOST` that are seconds, since no window lasts longer than 120, and what is before them where they are."""
_MARKED = 0xFFFF << _SECONDS
_OPENED = os.O_RDWR | os.O_CREAT | BINARY | getattr(os, "O_NOFOLLOW", 0)


class EpochFile:
    """`path`, made (mode 0600) if it is not there, mapped until `close`. `cells` is its view as 64-bit integers.

    Raises OSError where it cannot be made or mapped. A forked child shares the mapping, which is what it is for.
    After `close` nothing is open or mapped, and who still reads `cells` gets a ValueError.
    """

    __slots__ = ("_map", "cells", "opened", "path")

    def __init__(self, path: Path) -> None:
        self.path: Path = path
        descriptor = os.open(path, _OPENED, 0o600)
        try:
            self.opened: os.stat_result = os.fstat(descriptor)
            if self.opened.st_size < EPOCH_BYTES:
                # Written, not only sized: a hole needs a block later, and without one to write there kills the process.
                # The random number makes a file that replaces a removed one look like a lost bump.
                os.lseek(descriptor, 0, os.SEEK_SET)
                os.write(descriptor, bytes(8) + _lost(0).to_bytes(8, sys.byteorder) + bytes(EPOCH_BYTES - 16))
            try:
                self._map = mmap.mmap(descriptor, EPOCH_BYTES)
            except ValueError as error:  # somebody has cut it off again just now
                raise OSError(str(error)) from error
        finally:
            os.close(descriptor)
        self.cells: memoryview[int] = memoryview(self._map).cast("q")

    def is_in_place(self) -> bool:
        """Whether `path` is still this file, and whole; if not, other processes look at another one, or none can.

        Ask before reading `cells`: the system kills a process that reads a page that is no longer in the file.
        """
        found = found_in_place(self.path, self.opened)
        return found is not None and found.st_size >= EPOCH_BYTES

    def lose(self, seconds: float = 0.0, committed: int | None = None) -> None:
        """Say to everyone that a bump was lost. On disk too, for the power may go before the system writes it.

        - `seconds`: how long a window is that was lost with it, from when that can be committed.
        - `committed`: the cell as it was when it was committed last: what it says is over.
        """
        before = self.cells[LOST]
        self.cells[LOST] = _lost(max(seconds, 0 if before == committed else seconds_in(before)))
        try:
            self._map.flush()
        except OSError:  # the disk may be what failed; the other processes see it all the same
            pass

    def close(self) -> None:
        """Give the mapping back, and the descriptor that Python keeps with it."""
        self.cells.release()
        self._map.close()


def _lost(seconds: float) -> int:
    number = secrets.randbits(63) & ~_MARKED
    return number if seconds <= 0 else number >> _SECONDS << _SECONDS | _MARK | min(120, ceil(seconds))


def seconds_in(lost: int) -> int:
    """How long nothing may be stored once the bump that was lost is made up for."""
    return lost & ((1 << _SECONDS) - 1) if lost & _MARKED == _MARK else 0


def lost_in(path: Path) -> int | None:
    """The cell `LOST` of the file at `path`, which is neither made nor mapped; None where there is none."""
    try:
        page = beginning(path, EPOCH_BYTES + 1)
    except OSError:
        return None
    return memoryview(page).cast("q")[LOST] if len(page) == EPOCH_BYTES else None
