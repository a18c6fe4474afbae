"""Who fetches a key for all processes, as locks of byte ranges: taken in 2 µs, and let go by a process that dies.

The file `<path>-locks` is never large. Byte ranges far beyond its end are locked (`F_OFD_SETLK`, Linux), one place for
each key and three beside it. A lock says no more than that it is held. It counts for as many seconds as a claim lasts,
from when it was seen first; then others pass a leader that is slow, and take the place beside it. What else there is
to know stands in a small table in the file, of which most is empty:

- of a claim, until when it counts, if that is sooner or later; and whether its fetch is over, so that only the commit
  of its record is waited for;
- of a key whose answers turned out not to be shared, until when everyone fetches it at once.

The table is a hint. Two keys may share a place in it, and a power loss may empty it: what that costs is one more fetch,
or one wait until the leader lets go. Times are of the monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

import errno
import os
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

from ...errors import StorageError
from ...support.fork import close_before_fork
from ..shared.backend import OPEN
from .claims import MAX_CLAIM
from .files import BINARY, found_in_place
from .store_files import LOCKS_BEGIN, NotOursError, locks_state

if sys.platform == "linux":
    import fcntl

__all__ = ["ARE_THERE", "NO_LOCKS", "LockClaims"]

ARE_THERE: bool = sys.platform == "linux" and hasattr(fcntl, "F_OFD_SETLK")
"""Whether this system has locks that belong to an open file: those of POSIX are lost when any copy of it is closed."""
NO_LOCKS = frozenset({errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})
"""What a file system says that has none."""
RUNGS = 4
"""Places beside each other for one key; more leaders that are slow at the same time are passed without a claim."""
HINTS = 1 << 14
UNKNOWN_SECONDS = 5.0
FORGET_SECONDS = 0.5
"""After so long without a look a lock that is held is taken for another one."""
CHECK = 0.25
"""Seconds between two looks at whether the file is still that of the other processes."""
_FIRST_PLACE = 1 << 40
_TURN = _FIRST_PLACE - 1
TURN_PAUSE = 0.0005
_HINT = struct.Struct("<Qd")
_FLOCK = struct.Struct("hhqqi4x")
_IS_OPEN, _IS_FETCHED = 1 << 63, 1 << 62
_PLACE = _IS_FETCHED - 1
_NOTHING = (0, 0.0)


class LockClaims:
    """The claims of the store at `path`; see `Rows`. Raises StorageError, or OSError where there are no such locks.

    Guarded by `_lock`, which a finalizer may take again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._opened: os.stat_result | None = None
        self._checked_until = float("-inf")
        self._held: dict[int, str] = {}
        self._seen: dict[int, tuple[float, float, float]] = {}
        """Locks that others hold: the end that was said, and when that was seen at first and at last, by place."""
        self._seconds = UNKNOWN_SECONDS
        self._lock = threading.RLock()
        self._count = 0
        close_before_fork(self)

    def claim(self, key: str, seconds: float, *, beside: bool = False) -> str | None:
        """The right to fetch `key` for all; `beside` another one that counts, if there is one."""
        base = _place(key)
        with self._lock:
            descriptor, self._seconds = self._open(), seconds
            hints = _hints(descriptor, base)
            now = time.monotonic()
            if hints and not beside and hints.get(base, _NOTHING)[0] == _IS_OPEN and _is_ahead(hints[base][1], now):
                return OPEN
            for place in range(base, base + RUNGS):
                if place in self._held or not _set(descriptor, fcntl.F_WRLCK, place):
                    if beside or self._is_over(descriptor, place, now):
                        continue
                    return None
                if hints:
                    if not beside and self._counts_from(place + 1, descriptor, base, now):
                        _set(descriptor, fcntl.F_UNLCK, place)
                        return None
                    if place in hints:  # of a process that died
                        _write_hint(descriptor, place, 0.0)
                self._count += 1
                token = self._held[place] = f"{place}.{self._count}"
                if place != base:
                    _write_hint(descriptor, place, now + seconds)  # else who takes the first place would not look here
                return token
        return OPEN

    def is_claimed(self, key: str) -> bool:
        """Whether somebody has the right, or had it a moment ago."""
        base = _place(key)
        with self._lock:
            return self._counts_from(base, self._open(), base, time.monotonic())

    def prolong(self, key: str, token: str, seconds: float) -> None:
        """Let the right end then."""
        self._say(token, seconds, 0)

    def fetched(self, token: str) -> None:
        """Say that the fetch is over, and only its record is still to be committed."""
        self._say(token, UNKNOWN_SECONDS, _IS_FETCHED)

    def _say(self, token: str, seconds: float, mark: int) -> None:
        place = _place_of(token)
        with self._lock:
            if self._held.get(place) == token:
                _write_hint(self._open(), place, time.monotonic() + seconds, mark)

    def is_fetched(self, key: str) -> bool:
        """Whether a record of `key` is about to be committed."""
        base = _place(key)
        with self._lock:
            descriptor, now = self._open(), time.monotonic()
            return any(
                mark == _IS_FETCHED and now < until and (place in self._held or _is_locked(descriptor, place))
                for place, (mark, until) in _hints(descriptor, base).items()
            )

    def release(self, key: str, token: str, open_for: float) -> None:
        """Give the right back."""
        place = _place_of(token)
        with self._lock:
            if self._held.get(place) != token:
                return
            descriptor, base = self._open(), _place(key)
            if self._held.pop(place, None) is None:  # it was opened anew just now
                return
            if place in _hints(descriptor, base):
                _write_hint(descriptor, place, 0.0)
            if open_for:
                _write_hint(descriptor, base, time.monotonic() + open_for, _IS_OPEN)
            _set(descriptor, fcntl.F_UNLCK, place)

    def _counts_from(self, first: int, descriptor: int, base: int, now: float) -> bool:
        """Whether a claim counts among the places from `first` on."""
        places = range(first, base + RUNGS)
        if self._held.keys().isdisjoint(places) and not _is_locked(descriptor, first, len(places)):
            return False
        return any(
            (place in self._held or _is_locked(descriptor, place)) and not self._is_over(descriptor, place, now)
            for place in places
        )

    def _is_over(self, descriptor: int, place: int, now: float) -> bool:
        """Whether the claim whose lock is held does not count any more.

        Where an end is said it must be seen twice: at first one may see what was said of a claim before.
        """
        mark, until = _hint(descriptor, place)
        if mark != _IS_OPEN and _is_ahead(until, now):
            self._seen.pop(place, None)
            return False
        until = 0.0 if mark == _IS_OPEN else until
        seen, since, last = self._seen.get(place, (until, now, now))
        if seen != until or now - last > FORGET_SECONDS:
            since = now
        if len(self._seen) >= HINTS:
            self._seen.clear()
        self._seen[place] = until, since, now
        return now > since if until else now - since >= self._seconds

    @contextmanager
    def turn(self, seconds: float) -> Iterator[None]:
        """Exclude the writers of other processes, if they end within so many seconds; SQLite excludes them anyway."""
        until, taken = time.monotonic() + seconds, None
        try:
            while (taken := self._take_turn()) is None and time.monotonic() < until:
                time.sleep(TURN_PAUSE)
        except (OSError, StorageError):
            pass
        try:
            yield
        finally:
            with self._lock:
                if taken is not None and taken == self._descriptor:
                    _set(taken, fcntl.F_UNLCK, _TURN)

    def _take_turn(self) -> int | None:
        """The descriptor by which the turn was taken."""
        with self._lock:  # or a claim made by another thread meanwhile is of a file that this one opens anew
            descriptor = self._open()
            return descriptor if _set(descriptor, fcntl.F_WRLCK, _TURN) else None

    def _open(self) -> int:
        """The descriptor of the file, opened if need be. `_lock` is held."""
        now = time.monotonic()
        if self._descriptor is not None:
            if now < self._checked_until:
                return self._descriptor
            if found_in_place(self._path, self._opened) is not None:
                self._checked_until = now + CHECK
                return self._descriptor
            self.close()
        if locks_state(self._path) == "unknown":
            raise NotOursError(f"{self._path.name} is no file of this cache")
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | BINARY, 0o600)
        try:
            self._opened = os.fstat(descriptor)
            if not self._opened.st_size:
                os.pwrite(descriptor, LOCKS_BEGIN, 0)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor, self._checked_until = descriptor, now + CHECK
        return descriptor

    def close(self) -> None:
        """Let go of everything, and close the file; the next use opens it again."""
        with self._lock:
            descriptor, self._descriptor = self._descriptor, None
            self._held.clear()
            self._seen.clear()
            if descriptor is not None:
                os.close(descriptor)

    def __del__(self) -> None:
        if getattr(self, "_descriptor", None) is not None:
            self.close()

    # ── forks ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _before_fork(self) -> None:
        pass

    def _after_fork_in_parent(self) -> None:
        pass

    def _after_fork_in_child(self) -> None:
        # The locks are the parent's. With a copy of its descriptor here, they would outlive it.
        self._lock = threading.RLock()
        self.close()


def _place(key: str) -> int:
    digest = int.from_bytes(blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
    return _FIRST_PLACE + (digest >> 6) * RUNGS


def _place_of(token: str) -> int:
    return int(token.partition(".")[0])


def _set(descriptor: int, kind: int, place: int) -> bool:
    """Take or give back one byte. False: another open file has it. Raises OSError where there are no such locks."""
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _FLOCK.pack(kind, os.SEEK_SET, place, 1, 0))
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def _is_locked(descriptor: int, place: int, places: int = 1) -> bool:
    """Whether another open file has one of so many places. Of no place, never."""
    if not places:
        return False
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, place, places, 0)
    found = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, asked)
    return bool(_FLOCK.unpack(found)[0] != fcntl.F_UNLCK)


def _offset(place: int) -> int:
    return len(LOCKS_BEGIN) + place % HINTS * _HINT.size


def _hint(descriptor: int, place: int) -> tuple[int, float]:
    """What is said of a place: `_IS_OPEN`, `_IS_FETCHED` or 0, and until when; 0.0: nothing."""
    return _hints(descriptor, place - place % RUNGS).get(place, _NOTHING)


def _hints(descriptor: int, base: int) -> dict[int, tuple[int, float]]:
    """The same of all places of a key of which anything is said."""
    found = os.pread(descriptor, RUNGS * _HINT.size, _offset(base))
    if not found.strip(b"\0"):
        return {}
    whole = found[: len(found) - len(found) % _HINT.size]
    said = ((marked & _PLACE, (marked & ~_PLACE, until)) for marked, until in _HINT.iter_unpack(whole))
    return {place: what for place, what in said if base <= place < base + RUNGS}


def _is_ahead(until: float, now: float) -> bool:
    """Whether `until` is in the future, but not by more than any claim lasts: then it is of before a restart."""
    return now < until <= now + MAX_CLAIM


def _write_hint(descriptor: int, place: int, until: float, mark: int = 0) -> None:
    try:
        os.pwrite(descriptor, _HINT.pack(place | mark, until) if until else bytes(_HINT.size), _offset(place))
    except OSError:  # a full disk; without it the others wait until the lock is given back
        pass
