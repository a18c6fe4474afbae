"""One SQLite file as this package uses it: opened when needed, reopened after a fork, set aside when unusable."""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from ...errors import MissingStoreError, StorageError
from ...support.files import patiently, remove, remove_left
from ...support.fork import close_before_fork
from ...support.showing import shown_path
from ..shared.backend import LaterVersionError
from ..shared.patience import waits_until
from .files import found, found_in_place, put_in_place
from .store_files import DRAFT, LOGS, NotOursError, database_state, sqlite_uri

__all__ = ["SqliteFile", "reading"]

_T = TypeVar("_T")
_orphans: list[sqlite3.Connection] = []
"""Connections that a fork caught in use: in the child they are neither used nor closed, so they are kept."""
MAKING_SECONDS = 10.0
"""After this long the process that makes a database is taken for dead."""
MAKING_PATIENCE = 0.25
LOG_BYTES = 8 << 20
"""How much of the log is kept. SQLite lets it grow to 4 MB between two checkpoints; if it were cut off below that each
time, it would have to grow anew, and to make a growing file durable takes a third longer."""
CHECK = 0.25
"""Seconds between two looks at whether the file is still there, for those who ask often."""
FORK_PATIENCE = 5.0
"""Seconds a fork waits for a statement under way."""


class SqliteFile:
    """The database at `path`, mode 0600, in WAL mode, through one connection that threads take in turn.

    - `application`, `version`: what the file must be. Of ours, one of an earlier version and a damaged one are renamed
      to `<path>.aside-<time or version>` and a new one is made with `schema`; `on_aside` is told the reason. An empty
      file counts as none. One of a later version is its processes' own: every call raises LaterVersionError. Anything
      else is left as it is too: until it is gone, every call raises NotOursError.
    - `is_ours`: asked whether a file that says nothing of itself is one of ours.
    - `durable`: a commit is on the disk when it returns (synchronous=FULL); otherwise the newest may be lost with the
      power, never torn.
    - `patience`: seconds to wait for another process's lock, the bound on what a request can be held up; less where its
      thread may wait less (`shared.patience`).
    - `page_bytes`: of a new file; None: as SQLite has it.
    - `pause`: seconds for which no `write` is tried after one that waited in vain. Else many threads would, one after
      the other.

    `read` and `write` raise StorageError, whatever went wrong; the next call tries again. Before a fork the connection
    is closed and both processes open one of their own when they need it: SQLite's locks do not survive a fork, not
    even for a new connection beside an inherited one. Guarded by `_lock`.
    """

    def __init__(
        self,
        path: Path,
        *,
        application: int,
        version: int,
        schema: str,
        durable: bool,
        patience: float,
        on_aside: Callable[[str], object],
        is_ours: Callable[[], bool],
        page_bytes: int | None = None,
        pause: float = 0.0,
    ) -> None:
        self.path = path
        self._log_path = Path(f"{path}-wal")
        self._application = application
        self._version = version
        self._schema = schema
        self._durable = durable
        self._patience = self._waits = patience
        self._page_bytes = page_bytes
        self._pause = pause
        self._locked_until = float("-inf")
        self._on_aside = on_aside
        self._is_ours = is_ours
        self._was_ours: os.stat_result | None = None
        """The last file that was certainly ours."""
        self._connection: sqlite3.Connection | None = None
        self._asked_until = float("-inf")
        self._opened: os.stat_result | None = None
        self._log: os.stat_result | None = None
        """The log of the open file, once something was asked. A process that was stopped while it made the file, and
        was taken for dead, goes on and removes what is there under that name."""
        self._lock = threading.RLock()
        self._depth = 0
        self._unusable = False
        self._held_for_fork = False
        close_before_fork(self)

    @property
    def lock(self) -> threading.RLock:
        """Held while the file is used; another one in a forked child."""
        return self._lock

    def read(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """`work` within one snapshot."""
        return self._transaction("BEGIN", work)

    def ask(self, statement: str, *parameters: object) -> list[Any]:
        """The rows of one statement that only reads: by itself it is a snapshot, so it needs no transaction.

        Four times a second it is looked at whether the file is still the one at `path`.
        """
        now = time.monotonic()
        with self._lock:
            connection = self._connection
            if connection is not None and now < self._asked_until and not self._depth:
                self._depth += 1
                try:
                    return connection.execute(statement, parameters).fetchall()
                except sqlite3.Error:  # the ordinary way sees to it
                    pass
                finally:
                    self._depth -= 1
            rows = self.read(lambda opened: opened.execute(statement, parameters).fetchall())
            self._asked_until = now + CHECK
            return rows

    def prepare_to_ask(self) -> None:
        """Open the file, or look whether it is still the one at `path`, for `ask_at_once`."""
        with self._lock:
            self.read(lambda opened: None)
            self._asked_until = time.monotonic() + CHECK

    def ask_at_once(self, statement: str, *parameters: object) -> list[Any] | None:
        """The same, where the file is open and was looked at just now, and no other thread uses it; else None."""
        if time.monotonic() >= self._asked_until or not self._lock.acquire(blocking=False):
            return None
        try:
            connection = self._connection
            if connection is None or self._depth:
                return None
            self._depth += 1
            try:
                return connection.execute(statement, parameters).fetchall()
            finally:
                self._depth -= 1
        except sqlite3.Error:  # locked, too: who asks in the usual way sees to it
            return None
        finally:
            self._lock.release()

    def write(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """`work` within a transaction that excludes every other writer, committed when it returns."""
        return self._transaction("BEGIN IMMEDIATE", work)

    def _transaction(self, begin: str, work: Callable[[sqlite3.Connection], _T]) -> _T:
        with self._lock:
            if self._unusable or self._depth:
                raise StorageError("the database is in use across a fork or a signal")
            if begin != "BEGIN" and time.monotonic() < self._locked_until:
                raise StorageError("the database was locked a moment ago")
            self._depth += 1
            try:
                try:
                    return self._attempt(begin, work)
                except sqlite3.DatabaseError as error:
                    if not _is_damage(error):
                        raise
                    self._set_aside(f"is damaged ({error})")
                    return self._attempt(begin, work)
            except StorageError:
                self.close()
                raise
            except (sqlite3.Error, OSError, UnicodeEncodeError) as error:  # the last: a tag that is no text
                if not isinstance(error, sqlite3.OperationalError) or "locked" not in str(error):
                    self.close()  # a new connection may find it in order again
                elif begin != "BEGIN":
                    self._locked_until = time.monotonic() + self._pause
                raise StorageError(f"{type(error).__name__}: {error}") from error
            finally:
                self._depth -= 1

    def _attempt(self, begin: str, work: Callable[[sqlite3.Connection], _T]) -> _T:
        connection = self._open()
        self._limit(connection)
        connection.execute(begin)
        try:
            if self._durable or begin != "BEGIN":  # one that only reads records is told by each of them
                self._check_version(connection)
            result = work(connection)
            connection.execute("COMMIT")
            if self._log is None:
                self._log = found(self._log_path)
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        if begin != "BEGIN" and not self.is_in_place():
            raise sqlite3.OperationalError("the file was replaced while it was written to")
        return result

    def _limit(self, connection: sqlite3.Connection) -> None:
        """Wait for another process's lock no longer than this thread may wait for the store; in steps of 10 ms."""
        until = waits_until()
        left = self._patience if until is None else min(self._patience, max(0.0, until - time.monotonic()))
        left = self._patience if left > 0.95 * self._patience else round(left, 2)
        if left != self._waits:
            connection.execute(f"PRAGMA busy_timeout={int(left * 1000)}")
            self._waits = left

    def _check_version(self, connection: sqlite3.Connection) -> None:
        """Raise LaterVersionError if a later version has migrated the file since it was opened."""
        if connection.execute("PRAGMA user_version").fetchone()[0] > self._version:
            _mismatch(connection, self.path, self._application, self._version)

    def is_in_place(self) -> bool:
        """Whether the open file is the one at `path`, and its log the one beside it; a closed one is not."""
        return self._opened is not None and self._is_there()

    def is_replaced(self) -> bool:
        """Whether a file is open that is no longer the one at `path`."""
        return self._opened is not None and not self._is_there()

    def _is_there(self) -> bool:
        log = self._log
        return found_in_place(self.path, self._opened) is not None and (
            log is None or found_in_place(self._log_path, log) is not None
        )

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and self.is_in_place():
            return self._connection
        self.close()
        # First what is there, then whose it is, then the connection: the other way round, a file put in place in
        # between would be taken for the one that was opened, and what is written be lost.
        try:
            self._opened = self.path.lstat()
        except FileNotFoundError:
            pass
        state = database_state(self.path, self._application)
        if state in ("missing", "empty"):
            self._create()
            return self._open()
        if state == "unknown":
            if not self._may_be_ours():
                raise NotOursError(f"{self.path.name} is no file of this cache")
            self._set_aside("is damaged (it is no database)")
            return self._open()
        connection = self._connection = self._connect(self.path)
        self._waits = self._patience
        if not self.is_in_place():
            return self._open()
        wrong = _mismatch(connection, self.path, self._application, self._version)
        if wrong is not None:
            self._set_aside(*wrong)
            return self._open()
        self._was_ours = self._opened
        connection.execute(f"PRAGMA synchronous={'FULL' if self._durable else 'NORMAL'}")
        connection.execute(f"PRAGMA journal_size_limit={LOG_BYTES}")
        # Some builds of SQLite overwrite what is deleted. That makes an eviction three times as dear, and nothing
        # promises it: see SECURITY.md.
        connection.execute("PRAGMA secure_delete=OFF")
        return connection

    def _may_be_ours(self) -> bool:
        """Whether a file that says nothing of itself is ours: the one that we used, or one beside others of ours."""
        found = self._opened
        if self._was_ours is None:
            return self._is_ours()
        return found is not None and os.path.samestat(found, self._was_ours)

    def _connect(self, path: Path) -> sqlite3.Connection:
        # Statements commit one by one but for our own BEGIN; `timeout` is SQLite's busy timeout.
        return sqlite3.connect(path, timeout=self._patience, isolation_level=None, check_same_thread=False)

    def _create(self) -> None:
        """Make the database under another name and put it in place complete, unless another process was faster.

        Made in place, a process that opens it at the same time would find it half made.
        """
        with self._making():
            if database_state(self.path, self._application) not in ("missing", "empty"):
                return
            # The log of a database that was removed would be taken for that of the new one.
            for suffix in LOGS:
                patiently(Path(f"{self.path}{suffix}").unlink, True)
            draft = self.path.with_name(f"{self.path.name}{DRAFT}{secrets.token_hex(8)}")
            # SQLite takes this mode for the log too.
            os.close(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            try:
                connection = self._connect(draft)
                try:
                    if self._page_bytes is not None:
                        connection.execute(f"PRAGMA page_size={self._page_bytes}")
                    connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
                    connection.executescript(self._schema)
                    connection.execute(f"PRAGMA application_id={self._application}")
                    connection.execute(f"PRAGMA user_version={self._version}")
                    connection.execute("PRAGMA journal_mode=WAL")
                finally:
                    connection.close()
                if database_state(self.path, self._application) == "empty":
                    patiently(os.replace, draft, self.path)
                else:
                    put_in_place(draft, self.path)
            finally:
                remove(draft)

    @contextmanager
    def _making(self) -> Iterator[None]:
        """Exclude other processes while a database is made or set aside; one that died meanwhile excludes nobody."""
        mark = Path(f"{self.path}.making")
        remove_left()  # one of our own, too
        until = time.monotonic() + max(self._patience, MAKING_PATIENCE)
        while True:
            try:
                os.close(os.open(mark, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
                break
            except FileExistsError:
                try:
                    age = time.time() - mark.stat().st_mtime
                except FileNotFoundError:
                    continue
                if not -MAKING_SECONDS < age < MAKING_SECONDS and _remove_mark(mark):
                    continue
                if time.monotonic() > until:
                    raise sqlite3.OperationalError("locked: another process makes the database") from None
            except PermissionError:  # under Windows, of one that is just being removed
                if os.name != "nt" or time.monotonic() > until:
                    raise
            time.sleep(0.002)
        try:
            yield
        finally:
            remove(mark)

    def _set_aside(self, reason: str, mark: str | None = None) -> None:
        """Rename the file; `mark`: the end of its name, under which one more of the kind replaces the last one.

        Raises NotOursError if it has been written over with somebody else's, and StorageError where Windows does not
        let it be renamed because another process has it open. Then it is left whole, and the next call tries again.
        """
        with self._making():
            database_state(self.path, self._application)
            stamp = time.time_ns()
            while os.path.lexists(f"{self.path}.aside-{stamp}"):  # a clock may stand still for 15 ms
                stamp += 1
            aside = f"{self.path}.aside-{mark or stamp}"
            in_place = found_in_place(self.path, self._opened) is not None
            self.close()
            if in_place:  # else another process has done it
                try:
                    self._rename(aside)
                except PermissionError as error:
                    if os.name != "nt":
                        raise
                    why = f"{reason}, and cannot be set aside while another process has it open"
                    left = StorageError(f"{shown_path(self.path.name)} {why}; it was left as it is")
                    left.kind = f"{shown_path(self.path.name)} {why}"
                    raise left from error
        self._on_aside(f"{shown_path(self.path.name)} {reason}; it was set aside and a new one made")

    def _rename(self, aside: str) -> None:
        """All of its files or none. The log first, for the reason given above."""
        renamed: list[str] = []
        try:
            for suffix in ("-wal", "-shm", ""):
                try:
                    os.replace(f"{self.path}{suffix}", f"{aside}{suffix}")
                    renamed.append(suffix)
                except FileNotFoundError:
                    remove(Path(f"{aside}{suffix}"))
        except PermissionError:
            for suffix in reversed(renamed):
                os.replace(f"{aside}{suffix}", f"{self.path}{suffix}")
            raise

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        with self._lock:
            connection, self._connection, self._opened, self._log = self._connection, None, None, None
            if connection is not None:
                try:
                    connection.close()
                except sqlite3.Error:  # what was committed is in the log, and there it stays
                    pass

    def __del__(self) -> None:
        if getattr(self, "_connection", None) is not None:
            self.close()

    # ── forks ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _before_fork(self) -> None:
        self._held_for_fork = self._lock.acquire(timeout=FORK_PATIENCE)
        if self._held_for_fork and not self._depth:
            self.close()

    def _after_fork_in_parent(self) -> None:
        if self._held_for_fork:
            self._held_for_fork = False
            self._lock.release()

    def _after_fork_in_child(self) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._held_for_fork = False
        if self._connection is not None:
            _orphans.append(self._connection)
            self._connection, self._unusable = None, True


@contextmanager
def reading(path: Path, application: int, version: int, patience: float) -> Iterator[sqlite3.Connection]:
    """One snapshot of the database at `path`, to look at: it is not made, set aside or written to.

    Raises MissingStoreError, or StorageError for a file that is damaged, of another version or another program's.
    """
    try:
        if database_state(path, application) in ("missing", "empty"):
            raise MissingStoreError(f"there is no file {shown_path(path)}, or it is empty")
        how = "mode=ro"
        # Who uses it keeps a log beside it. Without one, and where none can be made, nobody is writing.
        if not os.access(path.parent, os.W_OK) and not Path(f"{path}-wal").exists():
            how += "&immutable=1"
        connection = sqlite3.connect(sqlite_uri(path, how), uri=True, timeout=patience)
        try:
            wrong = _mismatch(connection, path, application, version)
            if wrong is not None:
                raise StorageError(f"{shown_path(path)} {wrong[0]}")
            connection.execute("BEGIN")
            yield connection
        finally:
            connection.close()
    except (sqlite3.Error, OSError) as error:
        damaged = isinstance(error, sqlite3.DatabaseError) and _is_damage(error)
        raise StorageError(f"{shown_path(path)} {'is damaged' if damaged else 'cannot be read'} ({error})") from error


def _mismatch(connection: sqlite3.Connection, path: Path, application: int, version: int) -> tuple[str, str] | None:
    """What is wrong with a database of ours of an earlier version, and what marks its kind; None if nothing is.

    Raises LaterVersionError for one of a later version: to set it aside would take it from those who use it.
    """
    marks = tuple(connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
    if marks[0] != application:  # it has been written over since it was looked at
        raise NotOursError("it is another program's SQLite database")
    if marks[1] == version:
        return None
    if marks[1] > version:
        name = shown_path(path.name)
        raise LaterVersionError(f"{name} is of version {marks[1]}, not {version}: a later pywats-cache wrote it")
    # Of one for each version nothing is lost, and processes of two versions that take turns do not fill the disk.
    return f"is of version {marks[1]}, not {version}", f"version-{marks[1]}"


def _remove_mark(mark: Path) -> bool:
    if mark.stat().st_size:
        raise NotOursError(f"{mark.name} is no file of this cache")
    return remove(mark)


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    return type(error) is sqlite3.DatabaseError
