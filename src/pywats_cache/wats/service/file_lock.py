"""One writer of a file at a time, among processes: a lock that ends with its holder."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from ...support.showing import shown_path

__all__ = ["locked"]

PATIENCE = 10.0
_PAUSE = 0.02


_posix: ModuleType | None = None
_windows: ModuleType | None = None
try:
    import fcntl

    _posix = fcntl
except ImportError:
    try:
        import msvcrt

        _windows = msvcrt
    except ImportError:
        pass


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of `path`: the file `….lock` beside it, which stays under Windows. Raises TimeoutError, OSError."""
    lock = path.with_name(path.name + ".lock")
    descriptor = _taken(lock)
    try:
        yield
    finally:
        if os.name == "posix":
            # While it is held: whoever waits for it sees then that it is another file, and takes that.
            with contextlib.suppress(OSError):
                os.unlink(lock)
        os.close(descriptor)


def _taken(lock: Path) -> int:
    until = time.monotonic() + PATIENCE
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
        try:
            if _holds(descriptor) and _is_at(lock, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        if time.monotonic() > until:
            raise TimeoutError(f"another program is changing {shown_path(path_of(lock), 'the file')}: try again")
        time.sleep(_PAUSE)


def path_of(lock: Path) -> Path:
    """The file that a lock is of."""
    return lock.with_name(lock.name.removesuffix(".lock"))


def _holds(descriptor: int) -> bool:
    try:
        if _posix is not None:
            _posix.flock(descriptor, _posix.LOCK_EX | _posix.LOCK_NB)
        elif _windows is not None:
            _windows.locking(descriptor, _windows.LK_NBLCK, 1)
    except OSError:
        return False
    return True


def _is_at(lock: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(lock), os.fstat(descriptor))
    except FileNotFoundError:
        return False
