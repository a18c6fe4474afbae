"""Where the files of a SQLite store are, and whether what is there is this store's.

What exists and is not ours is never renamed, removed or written to. A file is told apart by what is in it:

- a database by the `application_id` in its header: ours, or another program's;
- the mapped file by its size and its zeros, the key by its size, the file of locks by how it begins;
- one that says nothing of itself, such as a database whose header was overwritten, is a damaged one of ours where
  another file of the same store is certainly ours, and somebody else's where none is.

Everything here only looks. A database is asked through SQLite: to open and close it otherwise would release the locks
that this process holds on it (https://www.sqlite.org/howtocorrupt.html, 2.2).
"""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from collections.abc import Callable
from glob import escape
from pathlib import Path, PurePath
from typing import Literal
from urllib.parse import quote

from ...errors import ConfigurationError, StorageError
from ...support.showing import shown, shown_path
from .files import BINARY

__all__ = [
    "DRAFT",
    "EPOCH_BYTES",
    "KEY_BYTES",
    "LEDGER",
    "LOCKS_BEGIN",
    "LOGS",
    "RECORDS",
    "NotOursError",
    "State",
    "beginning",
    "check_store",
    "database_state",
    "epoch_state",
    "has_ours",
    "is_on_network",
    "locks_state",
    "part",
    "resolved",
    "sqlite_uri",
]

RECORDS = 0x7077_6372  # "pwcr"
LEDGER = 0x7077_636C  # "pwcl"
EPOCH_BYTES = 4096
"""One page: less cannot be mapped."""
EPOCH_USED = 24
KEY_BYTES = 32
LOCKS_BEGIN = b"pwc claims\0\0\0\0\0\1"
DRAFT = ".draft-"
"""Between the name of a database and what is random in the name under which it is made."""
LOGS = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a database. It applies one that is left to whatever database comes after it."""
State = Literal["missing", "empty", "ours", "unknown"]
_MAGIC = b"SQLite format 3\0"
_APPLICATION = slice(68, 72)
_ONLY_LOOK = BINARY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)
_ALLOWED = "a file of this cache, an empty one, or a new one"


class NotOursError(StorageError):
    """Under the name of one of our files there is something else; it was left as it is."""


def part(path: Path, suffix: str) -> Path:
    """The file of the store at `path` that ends with `suffix`."""
    return path.with_name(path.name + suffix)


def resolved(path: str | Path) -> Path:
    """`path` as all processes name it: absolute, `~` expanded, no symbolic link in it.

    The names of the other files are made of it, so two names for one file would be two stores. Raises
    ConfigurationError for what names no file.
    """
    if "\0" in str(path):
        raise ConfigurationError(f"path must name {_ALLOWED}, not {shown(str(path))}: a NUL is in no name")
    try:
        expanded = Path(os.path.expanduser(path))
        if expanded.name in ("", ".."):
            raise ConfigurationError(f"path must name a file, not {shown(str(path))}")
        return Path(os.path.realpath(expanded))
    except (OSError, UnicodeError) as error:  # a loop of links under Windows; characters that no name can have
        why = getattr(error, "strerror", None) or type(error).__name__
        raise ConfigurationError(f"path must name {_ALLOWED}, not {shown(str(path))} ({why})") from None


def sqlite_uri(path: Path, how: str) -> str:
    """`path` as a URI that SQLite opens with the parameters `how`; one of a network drive has no host for it."""
    name = path.absolute().as_posix()
    return f"file://{'' if name.startswith('/') else '/'}{quote(os.fsencode(name))}?{how}"


# ── one file ──────────────────────────────────────────────────────────────────────────────────────────────────────


def database_state(path: Path, application: int) -> State:
    """What is under the name of a database of ours. Raises NotOursError for what is certainly somebody else's.

    Raises OSError or sqlite3.OperationalError where it cannot be looked at.
    """
    found = _regular(path)
    if found is None:
        return "missing"
    if _names(path, found) > 1:
        raise NotOursError(
            f"{shown_path(path)} has more than one name (hard links), "
            "each of which would be a store of its own: keep one"
        )
    if not found.st_size:
        return "empty"
    marked = _application_of(path)
    if marked is None:
        return "unknown"
    if marked != application:
        whose = "another file of a store" if marked in (RECORDS, LEDGER) else "another program's SQLite database"
        raise NotOursError(f"{shown_path(path)} is {whose}")
    return "ours"


def epoch_state(path: Path) -> State:
    """The same of the mapped file."""
    found = _regular(path)
    if found is None:
        return "missing"
    if not found.st_size:
        return "empty"
    page = beginning(path, EPOCH_BYTES)
    _no_database(path, page)
    whole = found.st_size == EPOCH_BYTES and not any(page[EPOCH_USED:])
    return "ours" if whole else "unknown"


def _key_state(path: Path) -> State:
    found = _regular(path)
    if found is None:
        return "missing"
    if found.st_size == KEY_BYTES:
        return "ours"
    _no_database(path, beginning(path, len(_MAGIC)))
    return "unknown"


def locks_state(path: Path) -> State:
    """The same of the file whose byte ranges are locked."""
    found = _regular(path)
    if found is None:
        return "missing"
    if not found.st_size:
        return "empty"
    page = beginning(path, len(LOCKS_BEGIN))
    _no_database(path, page)
    return "ours" if page == LOCKS_BEGIN else "unknown"


def has_ours(path: Path) -> bool:
    """Whether a file of the store at `path` is certainly ours, so that one that says nothing of itself is too."""
    for suffix in _STATES:
        try:
            if _STATES[suffix](part(path, suffix)) == "ours":
                return True
        except (StorageError, OSError, sqlite3.Error):
            pass
    return False


def beginning(path: Path, length: int) -> bytes:
    """The first bytes of a file that is no database; follows no link and waits for no pipe. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | _ONLY_LOOK)
    with open(descriptor, "rb") as file:
        return file.read(length)


def _regular(path: Path) -> os.stat_result | None:
    """What `path` is, if it is a file; None where nothing is. Raises NotOursError for anything else."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        kind = next((words for is_it, words in _KINDS if is_it(found.st_mode)), "a device")
        raise NotOursError(f"{shown_path(path)} is {kind}")
    return found


def _names(path: Path, found: os.stat_result) -> int:
    """How many names a file has, not counting those under which one of us is making it, or died while doing so."""
    if found.st_nlink < 2:
        return 1
    drafts = 0
    for draft in path.parent.glob(f"{escape(path.name)}{DRAFT}*"):
        try:
            drafts += os.path.samestat(draft.lstat(), found)
        except OSError:
            pass
    # Again: a draft that was removed before it was counted is not counted here either.
    return min(found.st_nlink, path.lstat().st_nlink) - drafts


def _application_of(path: Path) -> int | None:
    """The `application_id` of the database at `path`; None where it is none, or its header is gone."""
    # Immutable: no lock, no log, and nothing is rolled back.
    connection = sqlite3.connect(sqlite_uri(path, "immutable=1"), uri=True)
    try:
        return int(connection.execute("PRAGMA application_id").fetchone()[0])
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        header = beginning(path, 100)  # of what SQLite itself cannot read, nobody holds a lock that counts
        if header[: len(_MAGIC)] != _MAGIC or len(header) < _APPLICATION.stop:
            return None
        return int.from_bytes(header[_APPLICATION], "big", signed=True)
    finally:
        connection.close()


def _no_database(path: Path, page: bytes) -> None:
    if page.startswith(_MAGIC):
        raise NotOursError(f"{shown_path(path)} is a SQLite database")


_STATES: dict[str, Callable[[Path], State]] = {
    "-key": _key_state,
    "-epoch": epoch_state,
    "-locks": locks_state,
    "": lambda path: database_state(path, RECORDS),
    "-ledger": lambda path: database_state(path, LEDGER),
}


# ── the store ─────────────────────────────────────────────────────────────────────────────────────────────────────


def check_store(path: Path) -> None:
    """Raise ConfigurationError unless there is a store at `path`, a `resolved` one, or one can be made there.

    Nothing is made or changed. A disk that cannot be read now is no reason: that is seen again with each request.
    """
    _check_directory(path.parent)
    try:
        _check_length(path)
        states = {suffix: _state_now(part(path, suffix), ask) for suffix, ask in _STATES.items()}
        is_ours = "ours" in states.values()
        for suffix, state in states.items():
            if state == "unknown" and not is_ours:
                raise NotOursError(f"{shown_path(part(path, suffix))} is no file of this cache")
        for suffix in ("", "-ledger"):
            for log in LOGS:
                found = _regular(part(path, suffix + log))
                if found is not None and found.st_size and not is_ours:
                    raise NotOursError(
                        f"{shown_path(part(path, suffix + log))} belongs to a database that is not there"
                    )
    except NotOursError as error:
        raise ConfigurationError(f"path must name {_ALLOWED}: {error}") from None


def _state_now(file: Path, ask: Callable[[Path], State]) -> State | None:
    """The state of `file`; None where the disk does not say."""
    try:
        return ask(file)
    except (OSError, sqlite3.Error) as error:
        if file.exists() and not os.access(file, os.R_OK | os.W_OK):
            raise NotOursError(f"{shown_path(file)} cannot be read and written by this user") from error
        return None


def _check_length(path: Path) -> None:
    try:
        part(path, f"-ledger{DRAFT}{'0' * 16}").lstat()  # the longest of the names
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise NotOursError(f"{shown_path(path.name)} is too long a name") from error


def is_on_network(path: PurePath) -> bool:
    r"""Whether a `resolved` path is `\\server\share\…` of Windows; a drive letter of a share resolves to that."""
    drive = path.drive.replace("/", "\\").upper()
    return drive.startswith("\\\\?\\UNC") or (drive.startswith("\\\\") and drive[2:4] not in ("?\\", ".\\"))


def _check_directory(directory: Path) -> None:
    if is_on_network(directory):
        where = shown_path(directory, "on a share")
        raise ConfigurationError(
            f"path must be on a drive of this machine, not {where}: neither SQLite's locks nor shared memory reach "
            "over a network; redis:// is shared among machines"
        )
    try:
        wrong = None if stat.S_ISDIR(directory.stat().st_mode) else "is no directory"
    except FileNotFoundError:
        wrong = "does not exist"
    except OSError as error:
        wrong = f"cannot be used ({error.strerror})"
    if wrong is None and not os.access(directory, os.W_OK | os.X_OK):
        wrong = "cannot be written to by this user"
    if wrong is not None:
        where = shown_path(directory, "that one")
        raise ConfigurationError(f"path must be in a directory that exists and can be written to: {where} {wrong}")
