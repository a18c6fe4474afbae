"""One SQLite file: private, made when needed, set aside when ours and unusable, closed around forks."""

from __future__ import annotations

import os
import random
import sqlite3
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pywats_cache import StorageError
from pywats_cache.storage.shared.backend import LaterVersionError
from pywats_cache.storage.shared.patience import waiting
from pywats_cache.storage.sqlite import database as sqlite_file
from pywats_cache.storage.sqlite.database import SqliteFile

APPLICATION = 0x74657374


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.db"


@pytest.fixture
def make(path: Path, told: list[str]) -> Iterator[Callable[..., SqliteFile]]:
    made: list[SqliteFile] = []

    def make(version: int = 1, patience: float = 0.05, pause: float = 0.0, ours: bool = False) -> SqliteFile:
        made.append(
            SqliteFile(
                path,
                application=APPLICATION,
                version=version,
                schema="CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (1)",
                durable=True,
                patience=patience,
                pause=pause,
                on_aside=told.append,
                is_ours=lambda: ours,
            )
        )
        return made[-1]

    yield make
    for file in made:
        file.close()


def numbers(file: SqliteFile) -> list[int]:
    return [n for (n,) in file.read(lambda connection: connection.execute("SELECT n FROM t").fetchall())]


def add(file: SqliteFile, n: int) -> None:
    file.write(lambda connection: connection.execute("INSERT INTO t VALUES (?)", (n,)))


def asides(path: Path) -> list[str]:
    return sorted(other.name for other in path.parent.iterdir() if ".aside-" in other.name)


def test_it_is_made_with_its_schema_and_kept(make: Callable[..., SqliteFile], told: list[str]) -> None:
    add(make(), 2)
    assert numbers(make()) == [1, 2]
    assert told == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_the_file_and_its_log_are_their_owners_only(make: Callable[..., SqliteFile], path: Path) -> None:
    before = os.umask(0)
    try:
        add(make(), 2)
    finally:
        os.umask(before)
    modes = {other.name: stat.S_IMODE(other.stat().st_mode) for other in path.parent.iterdir()}
    assert modes == dict.fromkeys(["a.db", "a.db-wal", "a.db-shm"], 0o600)


def test_a_commit_is_on_the_disk_when_it_returns(make: Callable[..., SqliteFile]) -> None:
    assert make().read(lambda connection: connection.execute("PRAGMA synchronous").fetchone()) == (2,)
    assert make().read(lambda connection: connection.execute("PRAGMA journal_mode").fetchone()) == ("wal",)


def test_it_waits_for_a_lock_no_longer_than_its_thread_may_wait_for_the_store(make: Callable[..., SqliteFile]) -> None:
    file = make(patience=0.2)

    def waits() -> int:
        return int(file.write(lambda connection: connection.execute("PRAGMA busy_timeout").fetchone()[0]))

    assert waits() == 200
    with waiting(0.0):
        assert waits() == 0
    with waiting(60.0):
        assert waits() == 200
    with waiting(0.1):
        assert 0 <= waits() <= 100
    assert waits() == 200


def test_work_that_fails_is_rolled_back_and_its_error_is_raised(make: Callable[..., SqliteFile]) -> None:
    file = make()

    def fails(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO t VALUES (9)")
        raise LookupError

    with pytest.raises(LookupError):
        file.write(fails)
    assert numbers(file) == [1]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda path: path.write_bytes(b"no database at all, but long enough to look at" * 100), "damaged"),
        (lambda path: _spoil(path, slice(100, 4096)), "damaged"),
        (lambda path: _spoil(path, slice(20, 60)), "damaged"),
        (lambda path: path.write_bytes(_made(path)[:100]), "damaged"),
        (lambda path: _sql(path, f"PRAGMA application_id={APPLICATION}; PRAGMA user_version=0"), "of version 0, not 1"),
    ],
)
def test_what_is_ours_and_cannot_be_used_is_set_aside_untouched(
    make: Callable[..., SqliteFile],
    path: Path,
    told: list[str],
    spoil: Callable[[Path], object],
    reason: str,
) -> None:
    spoil(path)
    before = path.read_bytes()
    assert numbers(make(ours=True)) == [1]
    assert len(told) == 1
    assert reason in told[0]
    (aside,) = asides(path)
    assert (path.parent / aside).read_bytes() == before


def test_a_header_that_names_us_makes_a_damaged_file_ours(
    make: Callable[..., SqliteFile], path: Path, told: list[str]
) -> None:
    _spoil(path, slice(20, 60))
    assert numbers(make()) == [1]
    assert len(told) == 1


def test_an_empty_file_becomes_one_of_ours(make: Callable[..., SqliteFile], path: Path, told: list[str]) -> None:
    path.touch(0o644)
    files = [make(patience=5.0), make(patience=5.0)]
    add(files[0], 2)
    assert numbers(files[1]) == [1, 2]
    assert told == asides(path) == []
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_mark_of_others_is_not_removed(make: Callable[..., SqliteFile], path: Path) -> None:
    mark = path.with_name(f"{path.name}.making")
    mark.write_text("theirs")
    os.utime(mark, (1, 1))
    with pytest.raises(StorageError, match="no file of this cache"):
        numbers(make())
    assert mark.read_text() == "theirs"


def _sql(path: Path, script: str) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()


def _made(path: Path) -> bytes:
    """A file of ours that is in order."""
    _sql(path, f"PRAGMA application_id={APPLICATION}; PRAGMA user_version=1; CREATE TABLE t (n)")
    return path.read_bytes()


def _spoil(path: Path, where: slice) -> None:
    content = bytearray(_made(path))
    content[where] = random.Random(5).randbytes(where.stop - where.start)
    path.write_bytes(content)


def test_a_page_damaged_while_it_is_open_sets_it_aside(
    make: Callable[..., SqliteFile], path: Path, told: list[str]
) -> None:
    file = make()
    file.write(lambda connection: connection.execute("INSERT INTO t SELECT randomblob(3000) FROM t, t, t"))
    file.close()
    content = bytearray(path.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    path.write_bytes(content)
    assert numbers(file) == [1]
    assert len(told) == 1


def test_a_removed_file_is_made_again(make: Callable[..., SqliteFile], path: Path) -> None:
    file = make()
    add(file, 2)
    path.unlink()
    assert numbers(file) == [1]


def test_a_file_put_in_place_while_it_is_opened_is_not_taken_for_what_was_opened(
    make: Callable[..., SqliteFile], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers(make())
    file, other = make(), make()

    def connect_too_late(where: Path) -> sqlite3.Connection:
        monkeypatch.undo()
        connection = file._connect(where)
        path.rename(path.with_name("gone"))
        add(other, 2)
        return connection

    monkeypatch.setattr(file, "_connect", connect_too_late)
    add(file, 3)
    assert numbers(make()) == numbers(other) == [1, 2, 3]


@pytest.mark.skipif(os.name == "nt", reason="Windows replaces no open file")
def test_a_good_file_that_took_the_place_of_a_damaged_one_is_not_set_aside(
    make: Callable[..., SqliteFile], path: Path, monkeypatch: pytest.MonkeyPatch, told: list[str]
) -> None:
    path.write_bytes(b"no database")
    file, other = make(ours=True), make(ours=True)

    def looked_too_early(where: Path, application: int) -> str:
        monkeypatch.undo()
        state = sqlite_file.database_state(where, application)
        add(other, 2)
        return state

    monkeypatch.setattr(sqlite_file, "database_state", looked_too_early)
    add(file, 3)
    assert numbers(file) == numbers(other) == [1, 2, 3]
    assert len(asides(path)) == 1


def test_a_file_of_a_later_version_is_refused_and_left_as_it_is(
    make: Callable[..., SqliteFile], path: Path, told: list[str]
) -> None:
    add(make(version=3), 2)
    for _ in range(2):
        for step in (numbers, lambda file: add(file, 3)):
            with pytest.raises(LaterVersionError, match="of version 3, not 1: a later pywats-cache wrote it"):
                step(make())
    assert numbers(make(version=3)) == [1, 2]
    assert told == asides(path) == []


@pytest.mark.parametrize("reads", [True, False])
def test_a_file_that_a_later_version_migrates_while_it_is_open_is_refused_too(
    make: Callable[..., SqliteFile], path: Path, reads: bool
) -> None:
    file = make()
    add(file, 2)
    _sql(path, "PRAGMA user_version=2")
    with pytest.raises(LaterVersionError, match="of version 2, not 1"):
        numbers(file) if reads else add(file, 3)
    assert numbers(make(version=2)) == [1, 2]


@pytest.mark.skipif(os.name == "nt", reason="Windows renames no open file")
def test_versions_that_take_turns_do_not_fill_the_disk(
    make: Callable[..., SqliteFile], path: Path, told: list[str]
) -> None:
    add(make(), 2)
    assert numbers(make(version=2)) == [1]
    path.unlink()
    add(make(), 2)
    assert numbers(make(version=2)) == [1]
    assert len(told) == 2
    kept = {name.removesuffix("-wal").removesuffix("-shm") for name in asides(path)}
    assert kept == {"a.db.aside-version-1"}


def test_a_file_replaced_during_a_write_fails_that_write(make: Callable[..., SqliteFile], path: Path) -> None:
    file = make()
    numbers(file)

    def replaced(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO t VALUES (2)")
        path.rename(path.with_name("gone"))

    with pytest.raises(StorageError, match="replaced"):
        file.write(replaced)


def test_another_process_lock_is_waited_for_with_a_bound(make: Callable[..., SqliteFile], path: Path) -> None:
    file = make(patience=0.05)
    numbers(file)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    with pytest.raises(StorageError, match="locked"):
        add(file, 2)
    assert time.monotonic() - began < 2.0
    assert numbers(file) == [1]
    other.execute("ROLLBACK")
    other.close()
    add(file, 2)
    assert numbers(file) == [1, 2]


def test_after_one_that_waited_in_vain_no_write_waits_for_a_while(make: Callable[..., SqliteFile], path: Path) -> None:
    file = make(pause=1000.0)
    numbers(file)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError, match="database is locked"):
        add(file, 2)
    other.execute("ROLLBACK")
    other.close()
    with pytest.raises(StorageError, match="locked a moment ago"):
        add(file, 2)
    assert numbers(file) == [1]
    file._locked_until = time.monotonic()
    add(file, 2)


def test_what_is_no_text_fails_like_anything_else(make: Callable[..., SqliteFile]) -> None:
    file = make()
    with pytest.raises(StorageError, match="surrogates not allowed"):
        file.write(lambda connection: connection.execute("INSERT INTO t VALUES (?)", ("\ud800",)))
    assert numbers(file) == [1]


def test_a_directory_that_is_not_there_yet_fails_until_it_is(
    make: Callable[..., SqliteFile], path: Path, tmp_path: Path
) -> None:
    file = make()
    file.path = tmp_path / "later" / "a.db"
    with pytest.raises(StorageError):
        numbers(file)
    (tmp_path / "later").mkdir()
    assert numbers(file) == [1]


def test_a_second_use_by_the_same_thread_within_the_first_is_refused(make: Callable[..., SqliteFile]) -> None:
    file = make()
    with pytest.raises(StorageError, match="signal"):
        file.write(lambda connection: numbers(file))
    assert numbers(file) == [1]


@pytest.mark.parametrize("there", ["nothing", "an empty file"])
def test_many_who_make_it_at_once_agree(
    path: Path, make: Callable[..., SqliteFile], told: list[str], there: str
) -> None:
    if there == "an empty file":
        path.touch()
    files = [make(patience=5.0) for _ in range(6)]
    start = threading.Barrier(6)
    problems: list[BaseException] = []

    def work(n: int) -> None:
        start.wait()
        try:
            add(files[n], 10 + n)
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert sorted(numbers(files[0])) == [1, *range(10, 16)]
    assert told == []


def test_a_fork_finds_it_closed(make: Callable[..., SqliteFile]) -> None:
    file = make()
    numbers(file)
    file._before_fork()
    assert file._connection is None
    file._after_fork_in_parent()
    assert numbers(file) == [1]


def test_a_connection_that_a_fork_caught_in_use_is_left_alone_in_the_child(make: Callable[..., SqliteFile]) -> None:
    file = make()

    def forks(connection: sqlite3.Connection) -> sqlite3.Connection:
        file._before_fork()
        assert file._connection is connection
        file._after_fork_in_child()
        connection.execute("SELECT 1")  # not closed
        return connection

    file.read(forks).close()
    with pytest.raises(StorageError, match="fork"):
        numbers(file)
