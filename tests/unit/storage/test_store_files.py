"""The files of a SQLite store: what is not ours is refused, and stays as it is; all names of a file are one store."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hishel
import pytest
from shared_clients import Make, snapshot, status

from pywats_cache import ConfigurationError, MemoryStorage, SharedStorage, StorageError
from pywats_cache.storage.sqlite.store_files import LEDGER, RECORDS, NotOursError
from pywats_cache.storage.store_reader import look_at
from pywats_cache.storage.url import check_storage_url, storage_from_url

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")


def _sql(path: Path, script: str) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()


def _hishel(path: Path) -> None:
    storage = hishel.SqliteStorage(database_path=path)
    assert list(storage.get_entries("k")) == []
    storage.close()


def _live_log(path: Path) -> None:
    """A database whose newest rows are in its log, as a program leaves it that was killed."""
    made, connection = path.with_name("live"), None
    connection = sqlite3.connect(made)
    connection.executescript("PRAGMA journal_mode=WAL; CREATE TABLE theirs (x); INSERT INTO theirs VALUES (7)")
    for suffix in ("", "-wal"):
        shutil.copy(f"{made}{suffix}", f"{path}{suffix}")
    connection.close()
    made.unlink()


def _interrupted(path: Path) -> None:
    """A database with a journal to roll back, as a program leaves it that was killed in the middle of a change."""
    _sql(path, "CREATE TABLE theirs (x); INSERT INTO theirs VALUES (7)")
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA cache_size=1")
    connection.execute("BEGIN")
    connection.execute("UPDATE theirs SET x = randomblob(100000)")
    copies = {suffix: Path(f"{path}{suffix}").read_bytes() for suffix in ("", "-journal")}
    connection.execute("ROLLBACK")
    connection.close()
    for suffix, content in copies.items():
        Path(f"{path}{suffix}").write_bytes(content)


def _device(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root makes devices")
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    except OSError:
        pytest.skip("this file system takes no devices")


def _socket(path: Path) -> None:
    os.chdir(path.parent)  # its whole name may be too long for a socket
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path.name)


THEIRS: dict[str, tuple[Callable[[Path], object], str]] = {
    "text": (lambda path: path.write_text("a list"), "no file of this cache"),
    "a database": (lambda path: _sql(path, "CREATE TABLE t (x)"), "another program's SQLite database"),
    "an empty database": (lambda path: _sql(path, "VACUUM"), "another program's"),
    "an application's": (lambda path: _sql(path, "PRAGMA application_id=5; CREATE TABLE records (x)"), "another prog"),
    "with a log": (_live_log, "another program's"),
    "interrupted": (_interrupted, "another program's"),
    "hishel's": (_hishel, "another program's"),
    "a directory": (lambda path: path.mkdir(), "a directory"),
    "a pipe": (lambda path: os.mkfifo(path), "a pipe"),
    "a device": (_device, "a device"),
    "a socket": (_socket, "a socket"),
}
SPECIAL = ("a pipe", "a device", "a socket")
ways = [pytest.param(what, marks=posix) if what in SPECIAL else what for what in THEIRS]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A store that nobody has open."""
    storage = SharedStorage(tmp_path / "c.db")
    _use(storage)
    storage.close()
    return storage.path


def _use(storage: SharedStorage) -> int:
    epoch = storage.memory.coherence.bump(("a",))
    assert epoch > 0
    assert storage._rows.totals()[0] >= 0  # type: ignore[attr-defined]
    return epoch


# ── at construction ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("what", ways)
@pytest.mark.parametrize("part", ["", "-ledger", "-epoch", "-key"])
def test_what_is_not_ours_is_refused_and_stays_as_it_is(tmp_path: Path, what: str, part: str) -> None:
    make, words = THEIRS[what]
    path = tmp_path / f"c.db{part}"
    make(path)
    before = snapshot(tmp_path)
    if part in ("-epoch", "-key") and "another" in words:
        words = "a SQLite database"
    with pytest.raises(ConfigurationError, match=f"path must name a file of this cache.*c.db{part} is {words}"):
        SharedStorage(tmp_path / "c.db")
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("what", ways[1:])  # text is a damaged file of ours there
def test_it_is_refused_beside_files_of_ours_too(kept: Path, what: str) -> None:
    kept.unlink()
    THEIRS[what][0](kept)
    before = snapshot(kept.parent)
    with pytest.raises(ConfigurationError, match="path must name a file of this cache"):
        SharedStorage(kept)
    assert snapshot(kept.parent) == before


@pytest.mark.parametrize("part", ["-ledger", "-epoch", "-key"])
def test_another_file_of_a_store_is_no_store(kept: Path, part: str) -> None:
    before = snapshot(kept.parent)
    with pytest.raises(ConfigurationError, match="path must name a file of this cache"):
        SharedStorage(kept.with_name(kept.name + part))
    assert snapshot(kept.parent) == before


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
def test_the_log_of_a_database_that_is_elsewhere_is_not_removed(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"c.db{suffix}").write_bytes(b"rows that nobody has anywhere else")
    before = snapshot(tmp_path)
    with pytest.raises(ConfigurationError, match=f"c.db{suffix} belongs to a database that is not there"):
        SharedStorage(tmp_path / "c.db")
    assert snapshot(tmp_path) == before


def test_every_way_to_name_a_storage_refuses_it(
    lib: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _sql(tmp_path / "c.db", "CREATE TABLE t (x)")
    before = snapshot(tmp_path)
    url = f"sqlite:///{(tmp_path / 'c.db').as_posix()}"
    for refused in (
        lambda: lib.CacheTransport(storage=url),
        lambda: lib.AsyncCacheTransport(storage=url),
        lambda: lib.CacheClient(storage=url),
        lambda: lib.AsyncCacheClient(storage=url),
        lambda: check_storage_url(url, "storage"),
    ):
        with pytest.raises(ConfigurationError, match=r"storage sqlite:///.*c\.db: path must .*another program's"):
            refused()
    with pytest.raises(StorageError, match="another program's"):
        look_at(url)
    assert snapshot(tmp_path) == before


def test_an_empty_file_is_a_new_store(process: Make, tmp_path: Path) -> None:
    (tmp_path / "c.db").touch()
    one, other = process(), process()
    assert one.get("/a").text == other.get("/a").text == "1"
    assert [path.name for path in tmp_path.iterdir() if "aside" in path.name] == []
    (tmp_path / "d.db").touch()
    with pytest.raises(StorageError, match="there is no store"):
        look_at(f"sqlite:///{(tmp_path / 'd.db').as_posix()}")


@pytest.mark.parametrize("part", ["", "-ledger"])
def test_a_damaged_file_of_ours_is_set_aside(kept: Path, part: str) -> None:
    path = kept.with_name(kept.name + part)
    for content in (b"overwritten" * 1000, path.read_bytes()[:100], path.read_bytes()[:100] + b"x" * 5000):
        path.write_bytes(content)
        storage = SharedStorage(kept)
        _use(storage)
        storage.close()
        asides = [found for found in kept.parent.glob("*.aside-*") if found.read_bytes() == content]
        assert len(asides) == 1
        assert asides[0].name.startswith(f"{path.name}.aside-")


@pytest.mark.parametrize("known", ["-ledger", "-epoch", "-key"])
def test_one_file_that_is_certainly_ours_tells_that_a_damaged_one_is(kept: Path, known: str) -> None:
    for part in {"-ledger", "-epoch", "-key"} - {known}:
        kept.with_name(kept.name + part).unlink()
    kept.write_bytes(b"overwritten" * 1000)
    storage = SharedStorage(kept)
    _use(storage)
    storage.close()
    assert len(list(kept.parent.glob("c.db.aside-*"))) == 1
    for part in ("-ledger", "-epoch", "-key"):
        kept.with_name(kept.name + part).unlink()
    kept.write_bytes(b"overwritten" * 1000)
    with pytest.raises(ConfigurationError, match="no file of this cache"):
        SharedStorage(kept)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("none/c.db", "path must be in a directory that exists and can be written to: .*none does not exist"),
        ("file/c.db", "file is no directory|file/c.db|cannot be used"),
        ("c\0.db", "a NUL is in no name"),
        ("\ud800.db", "path must name a file of this cache"),
        ("~", "a directory"),
        ("~no-such-user-here/c.db", "~no-such-user-here does not exist"),
        (f"{'n' * 240}.db", "too long a name|cannot be used"),
        (f"{'d' * 300}/c.db", "path must be in a directory"),
    ],
)
def test_a_path_that_cannot_be_one_is_refused(tmp_path: Path, path: str, message: str) -> None:
    (tmp_path / "file").write_text("")
    if path.startswith("n" * 200) and os.name == "nt":
        pytest.skip("another limit there")
    before = snapshot(tmp_path)
    for kind in (str, Path):
        with pytest.raises(ConfigurationError, match=message):
            SharedStorage(kind(path))
    assert snapshot(tmp_path) == before


def test_a_directory_that_cannot_be_written_to_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, int]] = []
    monkeypatch.setattr(os, "access", lambda path, mode: asked.append((path, mode)))
    with pytest.raises(ConfigurationError, match="cannot be written to by this user"):
        SharedStorage(tmp_path / "c.db")
    assert asked == [(tmp_path, os.W_OK | os.X_OK)]
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_this_user_may_not_read_is_refused(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != kept)
    monkeypatch.setattr(
        sqlite3, "connect", lambda *_, **__: (_ for _ in ()).throw(sqlite3.OperationalError("unable to open"))
    )
    with pytest.raises(ConfigurationError, match=r"c\.db cannot be read and written by this user"):
        SharedStorage(kept)


def test_a_disk_that_cannot_be_read_now_is_no_reason_to_refuse(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(
            sqlite3, "connect", lambda *_, **__: (_ for _ in ()).throw(sqlite3.OperationalError("disk I/O error"))
        )
        storage = SharedStorage(kept)
    _use(storage)
    storage.close()


def test_looking_takes_no_lock_of_this_process_away(kept: Path) -> None:
    """POSIX releases all locks of a process on a file when it closes any descriptor of it."""
    if sys.platform != "linux":
        pytest.skip("only Linux lists its locks")
    one = SharedStorage(kept)
    _use(one)

    def locks() -> set[str]:
        mine = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
        inodes = {str(path.stat().st_ino) for path in kept.parent.iterdir()}
        return {" ".join(line[1:]) for line in mine if line[5].rpartition(":")[2] in inodes}

    before = locks()
    assert before
    SharedStorage(kept)
    check_storage_url(f"sqlite:///{kept.as_posix()}", "storage")
    assert locks() == before
    one.close()


# ── in use ────────────────────────────────────────────────────────────────────────────────────────────────────────


@posix
@pytest.mark.parametrize("part", ["", "-ledger", "-epoch"])
@pytest.mark.parametrize("what", ["text", "a database", "a directory", "a pipe", "a link"])
def test_what_others_put_in_its_place_is_left_alone_until_it_is_gone(
    process: Make, tmp_path: Path, part: str, what: str
) -> None:
    one = process()
    one.get("/a")
    one.cache.storage.flush()
    path = tmp_path / f"c.db{part}"
    path.unlink()
    if what == "a link":
        _sql(tmp_path / "other", f"PRAGMA application_id={RECORDS if not part else LEDGER}")
        path.symlink_to(tmp_path / "other")
    else:
        # Made elsewhere: beside a log that is still in use SQLite could not make one.
        THEIRS[what][0](tmp_path / "theirs")
        os.replace(tmp_path / "theirs", path)
    theirs = snapshot(tmp_path)[path.name]
    for n in range(3):
        assert one.put("/a").status_code == 200
        assert one.get("/a").text == str(2 * n + 3)
    assert snapshot(tmp_path)[path.name] == theirs
    assert list(tmp_path.glob("*.aside-*")) == []
    assert one.cache.stats.storage_errors > 0
    if part:
        assert one.get("/b").extensions["pywats_cache"].reason == "storage-error"
    path.rmdir() if what == "a directory" else path.unlink()
    one.get("/c")
    assert status(one.get("/c")) == "hit"
    assert status(process().get("/c")) == "hit"


@posix
def test_what_is_put_in_its_place_and_taken_away_again_has_lost_nothing(kept: Path, process: Make) -> None:
    one = process()
    one.get("/a")
    one.cache.storage.close()
    away = kept.parent / "away"
    away.mkdir()
    kept.rename(away / "kept")
    _sql(kept, "CREATE TABLE t (x)")
    before = snapshot(kept.parent)[kept.name]
    with pytest.raises(NotOursError):
        one.cache.storage._rows.totals()
    assert snapshot(kept.parent)[kept.name] == before
    (away / "kept").replace(kept)
    assert status(process().get("/a")) == "hit"


@posix
def test_a_file_written_over_with_anothers_is_not_renamed(kept: Path) -> None:
    storage = SharedStorage(kept)
    _use(storage)
    theirs = kept.with_name("theirs")
    _sql(theirs, "CREATE TABLE t (x)")
    content = theirs.read_bytes()
    file = storage._records._file

    def damaged(connection: sqlite3.Connection) -> None:
        kept.write_bytes(content)
        raise sqlite3.DatabaseError("database disk image is malformed")

    for work in (damaged, lambda connection: None):
        with pytest.raises(NotOursError):
            file.read(work)
    assert kept.read_bytes() == content
    assert list(kept.parent.glob("*.aside-*")) == []
    storage.close()


# ── names ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def links(tmp_path: Path) -> dict[str, Path]:
    """Names of one file by symbolic links."""
    real, linked = tmp_path / "real", tmp_path / "linked"
    real.mkdir()
    linked.mkdir()
    try:
        (linked / "file.db").symlink_to(real / "c.db")
        (linked / "chain.db").symlink_to("file.db")
        (tmp_path / "directory").symlink_to(real, target_is_directory=True)
    except OSError:
        pytest.skip("this user may make no links")
    return {
        "a link": linked / "file.db",
        "a link to a link": linked / "chain.db",
        "a directory": tmp_path / "directory" / "c.db",
        "a way back": linked / ".." / "real" / "c.db",
        "relative": Path("real") / "c.db",
    }


@pytest.mark.parametrize("first", ["the link", "the file"])
@pytest.mark.parametrize("name", ["a link", "a link to a link", "a directory", "a way back", "relative"])
def test_a_write_through_one_name_is_seen_through_the_other(
    process: Make, tmp_path: Path, links: dict[str, Path], name: str, first: str
) -> None:
    paths = [links[name], tmp_path / "real" / "c.db"]
    if first == "the file":
        paths.reverse()
    storages = [SharedStorage(path) for path in paths]
    assert storages[0].path == storages[1].path == (tmp_path / "real" / "c.db").resolve()
    one, other = (process(storage=storage) for storage in storages)
    assert one.get("/a").text == other.get("/a").text == "1"
    other.put("/a")
    assert one.get("/a").text == "3"
    assert sorted(path.name for path in (tmp_path / "linked").iterdir()) == ["chain.db", "file.db"]
    for storage in storages:
        storage.close()


def test_a_link_is_looked_through_from_outside_too(links: dict[str, Path]) -> None:
    storage = SharedStorage(links["a link"])
    _use(storage)
    storage.close()
    for name in ("a link", "a directory"):
        found = look_at(f"sqlite:///{links[name].as_posix()}")
        assert Path(found.figures()["path"]) == storage.path
        found.close()


def test_a_loop_of_links_is_refused(tmp_path: Path, links: dict[str, Path]) -> None:
    for a, b in (("a.db", "b.db"), ("b.db", "a.db")):
        (tmp_path / a).symlink_to(tmp_path / b)
    before = snapshot(tmp_path)
    for path in (tmp_path / "a.db", tmp_path / "a.db" / "c.db"):
        with pytest.raises(ConfigurationError, match="path must"):
            SharedStorage(path)
    assert snapshot(tmp_path) == before


def test_a_link_to_another_programs_file_is_refused(tmp_path: Path, links: dict[str, Path]) -> None:
    _sql(tmp_path / "real" / "c.db", "CREATE TABLE t (x)")
    before = snapshot(tmp_path / "real")
    with pytest.raises(ConfigurationError, match="another program's"):
        SharedStorage(links["a link"])
    assert snapshot(tmp_path / "real") == before


def test_a_link_to_a_directory_that_is_not_there_is_refused(tmp_path: Path, links: dict[str, Path]) -> None:
    (tmp_path / "dangling.db").symlink_to(tmp_path / "none" / "c.db")
    with pytest.raises(ConfigurationError, match="none does not exist"):
        SharedStorage(tmp_path / "dangling.db")


@pytest.mark.parametrize("part", ["", "-ledger"])
def test_a_file_with_a_second_hard_link_is_refused(kept: Path, part: str) -> None:
    (kept.parent / "other").mkdir()
    os.link(kept.with_name(kept.name + part), kept.parent / "other" / "d.db")
    with pytest.raises(ConfigurationError, match="more than one name"):
        SharedStorage(kept)
    (kept.parent / "other" / "d.db").unlink()
    SharedStorage(kept)


def test_a_file_that_is_being_made_has_one_name_only(kept: Path) -> None:
    os.link(kept, kept.with_name(f"{kept.name}.draft-0123456789abcdef"))  # its maker died before it removed that
    storage = SharedStorage(kept)
    _use(storage)
    storage.close()


@pytest.mark.parametrize("written", ["~/c.db", "sqlite:///~/c.db", "sqlite:///%7E/c.db", "Path"])
def test_a_tilde_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(home))
    if written.startswith("sqlite"):
        storage: Any = storage_from_url(written)
    else:
        storage = SharedStorage(Path("~") / "c.db" if written == "Path" else written)
    assert storage.path == home.resolve() / "c.db"
    _use(storage)
    storage.close()
    assert (home / "c.db").is_file()
    look_at("sqlite:///~/c.db").close()


@posix
def test_the_home_of_a_user_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pwd = pytest.importorskip("pwd")
    me = pwd.getpwuid(os.getuid())
    monkeypatch.setattr(pwd, "getpwnam", lambda name: SimpleNamespace(pw_dir=str(tmp_path)))
    assert SharedStorage(f"~{me.pw_name}/c.db").path == tmp_path.resolve() / "c.db"


def test_a_relative_path_stays_where_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    storage = SharedStorage("c.db", memory=MemoryStorage())
    monkeypatch.chdir(tmp_path / "elsewhere")
    _use(storage)
    storage.close()
    assert list((tmp_path / "elsewhere").iterdir()) == []
