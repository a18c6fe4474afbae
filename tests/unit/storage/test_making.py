"""A process that stands still while it makes a database, and goes on when another one has made it, harms nobody."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pywats_cache import StorageError
from pywats_cache.storage.sqlite.database import SqliteFile
from pywats_cache.storage.sqlite.files import found_in_place

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nobody removes a file there that is open")
LONG_AGO = (1, 1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.db"


@pytest.fixture
def open_file(path: Path) -> Iterator[Callable[[], SqliteFile]]:
    files: list[SqliteFile] = []

    def open_file() -> SqliteFile:
        files.append(
            SqliteFile(
                path,
                application=1,
                version=1,
                schema="CREATE TABLE t (n)",
                durable=False,
                patience=0.05,
                on_aside=pytest.fail,
                is_ours=lambda: False,
            )
        )
        return files[-1]

    yield open_file
    for file in files:
        file.close()


def add(file: SqliteFile) -> None:
    file.write(lambda connection: connection.execute("INSERT INTO t VALUES (1)"))


def rows(file: SqliteFile) -> int:
    count: int = file.read(lambda connection: connection.execute("SELECT count(*) FROM t").fetchone()[0])
    return count


def stopped_maker(open_file: Callable[[], SqliteFile], monkeypatch: pytest.MonkeyPatch) -> int:
    """A process that stops just before it removes the log of a database that was there before. Later it adds a row."""
    real = Path.unlink

    def unlink(self: Path, missing_ok: bool = False) -> None:
        if self.name.endswith("-wal"):
            os.kill(os.getpid(), signal.SIGSTOP)
        real(self, missing_ok)

    child = os.fork()
    if not child:
        try:
            monkeypatch.setattr(Path, "unlink", unlink)
            add(open_file())
            os._exit(0)
        except BaseException:
            os._exit(1)
    assert os.WIFSTOPPED(os.waitpid(child, os.WUNTRACED)[1])
    return child


def seen_by_all(path: Path, open_file: Callable[[], SqliteFile], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows that the process which took over, and a third one, see after all have added one."""
    child = stopped_maker(open_file, monkeypatch)
    os.utime(f"{path}.making", LONG_AGO)
    file = open_file()
    add(file)
    os.kill(child, signal.SIGCONT)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    other = open_file()
    add(other)
    add(file)
    return [rows(file), rows(other), rows(open_file())]


def test_who_took_over_and_who_goes_on_see_the_same(
    path: Path, open_file: Callable[[], SqliteFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = seen_by_all(path, open_file, monkeypatch)
    assert seen[0] == seen[1] == seen[2]


def test_mutant_that_does_not_look_at_the_log_splits_the_store_or_fails(
    path: Path, open_file: Callable[[], SqliteFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SqliteFile, "_is_there", lambda self: found_in_place(self.path, self._opened) is not None)
    try:
        seen = seen_by_all(path, open_file, monkeypatch)
    except StorageError:  # SQLite itself may notice it
        seen = []
    assert len(set(seen)) != 1


def test_a_removed_log_is_noticed_and_the_file_opened_anew(path: Path, open_file: Callable[[], SqliteFile]) -> None:
    file = open_file()
    add(file)
    assert file.is_in_place()
    Path(f"{path}-wal").unlink()
    assert not file.is_in_place()
    assert file.is_replaced()
    add(file)
    assert file.is_in_place()
    assert rows(file) == rows(open_file())
