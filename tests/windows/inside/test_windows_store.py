"""A SQLite store where no open file can be renamed, removed or cut: nothing fails a request; what is left is said."""

from __future__ import annotations

import contextlib
import gc
import logging
import multiprocessing
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import anyio
import httpx
import pytest
import windows_system

from pywats_cache import AsyncCacheClient, AsyncCacheTransport, CacheClient, CacheTransport, Controller, SharedStorage
from pywats_cache.storage.shared import coherence as shared_coherence
from pywats_cache.storage.shared import write_behind
from pywats_cache.storage.sqlite import database, install_key
from pywats_cache.storage.sqlite import files as store_files
from pywats_cache.storage.sqlite import records as sqlite_records
from pywats_cache.support import files as support_files

WRITES = Controller(ttl=600.0)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that failed is asked again at once."""
    monkeypatch.setattr(shared_coherence, "RETRY", 0.0)
    monkeypatch.setattr(sqlite_records, "PAUSE", 0.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """In a directory that the tests remove, with a space and an umlaut in its name."""
    (tmp_path / "Prüf stand").mkdir()
    return tmp_path / "Prüf stand" / "wats ü.db"


class Server:
    """Answers with how often it was asked."""

    def __init__(self) -> None:
        self.count = 0
        self.transport = httpx.MockTransport(self)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.count += 1
        return httpx.Response(200, text=str(self.count))


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def process(server: Server, path: Path) -> Iterator[Callable[[], httpx.Client]]:
    """Makes a client with a store of its own on the file, as another process has."""
    made: list[Any] = []

    def make() -> httpx.Client:
        transport = CacheTransport(server.transport, controller=WRITES, storage=SharedStorage(path))
        client = httpx.Client(transport=transport, base_url="http://origin")
        client.cache = transport  # type: ignore[attr-defined]
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()
        client.cache.storage.close()


def _use(store: SharedStorage) -> None:
    assert store.memory.coherence.bump(("a",)) > 0
    assert store._rows.totals()[0] >= 0  # type: ignore[attr-defined]


def _made(path: Path) -> None:
    store = SharedStorage(path)
    _use(store)
    store.close()


def _names(path: Path) -> set[str]:
    for behind in [*write_behind._all]:
        behind.close()  # it makes and sets aside too
    return {found.name.removeprefix(path.name) for found in path.parent.iterdir()}


class Scanner:
    """Has a file open, as a virus scanner or a backup has."""

    def __init__(self) -> None:
        self.files: list[IO[bytes]] = []

    def open(self, path: str | Path) -> None:
        self.files.append(Path(path).open("rb"))  # noqa: SIM115 - it stays open

    def close(self) -> None:
        while self.files:
            self.files.pop().close()


@pytest.fixture
def scanner() -> Iterator[Scanner]:
    scanner = Scanner()
    yield scanner
    scanner.close()


# ── closing ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_while_it_is_open_nothing_of_it_can_be_removed(process: Callable[[], httpx.Client], path: Path) -> None:
    client = process()
    client.get("/a")
    client.put("/b")
    for found in path.parent.iterdir():
        if not found.name.endswith("-key"):
            with pytest.raises(PermissionError):
                found.unlink()
    assert client.get("/a").extensions["pywats_cache"].status == "hit"


@pytest.mark.parametrize("kind", ["transport", "client"])
def test_after_close_everything_can_be_removed(server: Server, path: Path, kind: str) -> None:
    url = f"sqlite:///{path}"
    if kind == "client":
        client: Any = CacheClient(controller=WRITES, storage=url, transport=server.transport, base_url="http://origin")
    else:
        transport = CacheTransport(server.transport, controller=WRITES, storage=url)
        client = httpx.Client(transport=transport, base_url="http://origin")
    with client:
        for _ in range(2):
            client.get("/a")
            client.put("/a")
    shutil.rmtree(path.parent)
    assert not path.parent.exists()


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["transport", "client"])
async def test_after_close_everything_can_be_removed_from_an_event_loop(server: Server, path: Path, kind: str) -> None:
    url = f"sqlite:///{path}"
    if kind == "client":
        client: Any = AsyncCacheClient(
            controller=WRITES, storage=url, transport=server.transport, base_url="http://origin"
        )
    else:
        transport = AsyncCacheTransport(server.transport, controller=WRITES, storage=url)
        client = httpx.AsyncClient(transport=transport, base_url="http://origin")
    async with client:
        for _ in range(2):
            await client.get("/a")
            await client.put("/a")
    await anyio.to_thread.run_sync(shutil.rmtree, path.parent)
    assert not path.parent.exists()


def test_a_store_that_was_only_checked_or_dropped_keeps_nothing_open(path: Path) -> None:
    store = SharedStorage(path)
    _use(store)
    del store
    gc.collect()
    shutil.rmtree(path.parent)


# ── set aside ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("part", ["", "-ledger"])
def test_a_damaged_file_that_another_program_has_open_is_left_said_and_set_aside_later(
    process: Callable[[], httpx.Client],
    server: Server,
    path: Path,
    scanner: Scanner,
    part: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    _made(path)
    damaged = path.with_name(path.name + part)
    damaged.write_bytes(b"overwritten" * 1000)
    scanner.open(damaged)
    client = process()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert client.get("/a").status_code == 200
            assert client.put("/w").status_code == 200
    said = "is damaged (it is no database), and cannot be set aside while another process has it open"
    assert [record.getMessage().count(said) for record in caplog.records] == [1]
    assert said in client.cache.storage.memory.trouble  # type: ignore[attr-defined]
    assert any(said in finding.text for finding in client.cache.doctor())  # type: ignore[attr-defined]
    assert damaged.read_bytes() == b"overwritten" * 1000
    assert not any("aside" in name or "draft" in name or "making" in name for name in _names(path))
    scanner.close()
    client.get("/b")
    answer = process().get("/b")
    assert answer.extensions["pywats_cache"].status == "hit"
    assert sum("aside" in name for name in _names(path)) == 1


@pytest.mark.parametrize("held", ["", "-wal", "-shm"])
def test_files_are_set_aside_together_or_not_at_all(path: Path, scanner: Scanner, held: str) -> None:
    file = SharedStorage(path)._records._file
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).write_text(suffix)
    scanner.open(path.with_name(path.name + held))
    before = _names(path)
    with pytest.raises(PermissionError):
        file._rename(f"{path}.aside-x")
    assert _names(path) == before
    scanner.close()
    file._rename(f"{path}.aside-x")
    assert {suffix: path.with_name(f"{path.name}.aside-x{suffix}").read_text() for suffix in ("", "-wal", "-shm")} == {
        "": "",
        "-wal": "-wal",
        "-shm": "-shm",
    }


def test_a_file_of_another_version_in_use_is_left_to_who_uses_it(
    process: Callable[[], httpx.Client], path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _made(path)
    with contextlib.closing(sqlite3.connect(path)) as older:
        older.execute("PRAGMA user_version=1")
        older.execute("SELECT * FROM totals").fetchall()
        before = _names(path)
        client = process()
        assert client.get("/a").status_code == 200
        assert "is of version 1, not 2, and cannot be set aside while another process has it open" in caplog.text
        assert _names(path) >= before
        assert not any("aside" in name for name in _names(path))
        older.execute("UPDATE totals SET clock = 5")
        older.commit()
    assert client.get("/b").status_code == 200
    assert process().get("/b").extensions["pywats_cache"].status == "hit"
    with contextlib.closing(sqlite3.connect(path.with_name(f"{path.name}.aside-version-1"))) as kept:
        assert kept.execute("SELECT clock FROM totals").fetchone() == (5,)


def test_an_empty_file_that_another_program_has_open_is_left_and_used_later(
    process: Callable[[], httpx.Client], path: Path, scanner: Scanner
) -> None:
    path.touch()
    scanner.open(path)
    client = process()
    assert client.get("/a").text == "1"
    assert path.stat().st_size == 0
    scanner.close()
    client.get("/b")
    assert process().get("/b").extensions["pywats_cache"].status == "hit"


# ── made ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _opens(scanner: Scanner, real: Callable[..., int], ending: str) -> Callable[..., int]:
    """`os.open`, behind which the scanner opens every new file that is called so."""

    def opened(path: Any, flags: int, *arguments: Any) -> int:
        descriptor = real(path, flags, *arguments)
        if flags & os.O_CREAT and ending in str(path):
            scanner.open(path)
        return descriptor

    return opened


@pytest.mark.parametrize("ending", ["-key.", ".draft-", ".making"])
def test_what_is_scanned_while_it_is_made_is_made_all_the_same(
    process: Callable[[], httpx.Client],
    path: Path,
    scanner: Scanner,
    ending: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(os, "open", _opens(scanner, os.open, ending))
    # It reads it and closes it, while we try again.
    monkeypatch.setattr(support_files.time, "sleep", lambda _: scanner.close())
    assert process().get("/a").text == process().get("/a").text == "1"
    assert caplog.records == []
    assert not any("draft" in name or "-key." in name or "making" in name for name in _names(path))


@pytest.mark.parametrize("ending", ["-key.", ".draft-", ".making"])
def test_what_is_held_for_longer_is_left_said_and_tried_again(
    process: Callable[[], httpx.Client],
    path: Path,
    scanner: Scanner,
    ending: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(support_files, "PATIENCE", 0.0)
    with monkeypatch.context() as within:
        within.setattr(os, "open", _opens(scanner, os.open, ending))
        client = process()
        for _ in range(2):
            assert client.get("/a").status_code == 200
            assert client.put("/w").status_code == 200
    scanner.close()
    clients = [process(), process()]
    assert clients[0].get("/b").text == clients[1].get("/b").text
    assert clients[1].get("/b").extensions["pywats_cache"].status == "hit"
    support_files.remove_left()
    assert not any("draft" in name or "-key." in name or "making" in name for name in _names(path))


def test_a_mark_that_is_just_being_removed_is_waited_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, refused = os.open, []

    def pending(name: Any, flags: int, *arguments: Any) -> int:
        if str(name).endswith(".making") and len(refused) < 3:
            refused.append(name)
            raise PermissionError(13, "Access is denied", str(name))
        return real(name, flags, *arguments)

    monkeypatch.setattr(os, "open", pending)
    _made(path)
    assert len(refused) == 3


def test_a_mark_of_a_dead_process_that_cannot_be_removed_does_not_hang(path: Path, scanner: Scanner) -> None:
    mark = path.with_name(f"{path.name}.making")
    mark.touch()
    os.utime(mark, (1, 1))
    scanner.open(mark)
    store = SharedStorage(path)
    with pytest.raises(Exception, match="locked: another process makes"):
        store._rows.totals()  # type: ignore[attr-defined]
    scanner.close()
    _use(store)
    store.close()
    assert not mark.exists()


def test_what_was_left_is_not_removed_once_it_is_anothers(path: Path, scanner: Scanner) -> None:
    path.touch()
    scanner.open(path)
    assert support_files.remove(path) is False
    kept = path.with_name("kept")
    scanner.close()
    os.replace(path, kept)  # so that its number is not given to the next one
    path.write_bytes(b"theirs")
    support_files.remove_left()
    assert path.read_bytes() == b"theirs"


def test_of_two_that_make_one_file_the_first_wins(path: Path, scanner: Scanner) -> None:
    drafts = [path.with_name(f"{path.name}.{n}") for n in range(2)]
    for n, draft in enumerate(drafts):
        draft.write_bytes(str(n).encode())
    store_files.put_in_place(drafts[0], path)
    scanner.open(path)
    store_files.put_in_place(drafts[1], path)
    assert path.read_bytes() == b"0"


# ── processes ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _elsewhere(path: Path, pipe: Any) -> None:
    server = Server()
    transport = CacheTransport(server.transport, controller=WRITES, storage=SharedStorage(path))
    with httpx.Client(transport=transport, base_url="http://origin") as client:
        for method, what in iter(pipe.recv, None):
            answer = client.request(method, what)
            pipe.send((answer.text, answer.extensions["pywats_cache"].status, windows_system.is_installed))
    transport.storage.close()


def test_processes_started_by_spawn_share_a_store(process: Callable[[], httpx.Client], path: Path) -> None:
    here, there = multiprocessing.Pipe()
    other = multiprocessing.get_context().Process(target=_elsewhere, args=(path, there))
    other.start()
    with contextlib.closing(here):
        client = process()
        assert client.get("/a").text == "1"
        here.send(("GET", "/a"))
        assert here.recv() == ("1", "hit", True)
        here.send(("PUT", "/a"))
        assert here.recv()[1:] == ("bypass", True)
        assert client.get("/a").extensions["pywats_cache"].status == "miss"
        with pytest.raises(PermissionError):
            path.unlink()
        here.send(None)
        other.join()
    assert other.exitcode == 0
    client.cache.storage.close()  # type: ignore[attr-defined]
    shutil.rmtree(path.parent)


def test_two_that_set_a_damaged_file_aside_at_once_end_with_one_new_one(path: Path) -> None:
    _made(path)
    path.write_bytes(b"overwritten" * 1000)
    stores = [SharedStorage(path), SharedStorage(path)]
    for store in (*stores, *stores):
        _use(store)
    assert sum("aside" in name for name in _names(path)) == 1
    for store in stores:
        store.close()
    assert database.time is time
    assert install_key.os is os


def test_two_set_aside_within_one_tick_of_the_clock_are_both_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database.time, "time_ns", lambda: 1)
    for content in (b"overwritten" * 1000, b"once more" * 1000):
        _made(path)
        path.write_bytes(content)
    _made(path)
    kept = sorted(path.parent.glob("*.aside-*"))
    assert [file.read_bytes()[:4] for file in kept] == [b"over", b"once"]
