"""SharedStorage while disk, files or power fail: no request does, and nothing old or damaged is served."""

from __future__ import annotations

import logging
import os
import random
import shutil
import sqlite3
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from shared_clients import Make, status

from pywats_cache import Controller, SharedStorage, StorageError, Write
from pywats_cache.storage.shared import base as sharing
from pywats_cache.storage.sqlite import database
from pywats_cache.storage.sqlite import records as sqlite_records
from pywats_cache.storage.store_reader import look_at


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system has no such users")
@pytest.mark.parametrize("kind", ["a directory that is gone", "a file in the place of the directory"])
def test_without_a_usable_directory_requests_succeed_and_it_comes_back(
    process: Make, origin: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    directory = tmp_path / "d"
    directory.mkdir()
    storage = SharedStorage(directory / "c.db")
    directory.rename(tmp_path / "gone")
    if kind.startswith("a file"):
        directory.write_text("")
    client = process(storage=storage)
    assert [client.get("/a").text for _ in range(3)] == ["1", "2", "3"]
    assert client.put("/a").status_code == 200
    assert len(warnings_of(caplog)) == 1
    assert client.cache.stats.storage_errors > 1
    assert client.get("/a").extensions["pywats_cache"].reason == "storage-error"
    if directory.exists():
        directory.unlink()
    directory.mkdir()
    assert [client.get("/a").text for _ in range(3)] == ["6", "6", "6"]
    storage.close()


@pytest.mark.skipif(not Path("/sys").is_dir(), reason="no directory here that nobody can write to, not even root")
def test_a_read_only_directory_costs_no_request(
    process: Make, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: True)  # it was writable when the storage was made
    client = process(storage=SharedStorage("/sys/c.db"))
    assert [client.get("/a").text for _ in range(3)] == ["1", "2", "3"]
    assert client.put("/a").status_code == 200
    assert len(warnings_of(caplog)) == 1


def test_a_full_disk_costs_no_request(process: Make, origin: Any, caplog: pytest.LogCaptureFixture) -> None:
    one, other = process(), process()
    one.get("/a"), other.get("/a")
    for file in (one.cache.storage._ledger._file, one.cache.storage._records._file):
        pages = file.read(lambda connection: connection.execute("PRAGMA page_count").fetchone()[0])
        file.read(lambda connection, pages=pages: connection.execute(f"PRAGMA max_page_count={pages}"))
    origin.reply = lambda request: origin.http.Response(200, text=f"{origin.count} " + "x" * 20_000)
    assert one.get("/b").text.startswith("2 ")
    for n in range(20):
        assert one.put(f"/{'p' * 400}/{n}").status_code == 200
    assert len(warnings_of(caplog)) == 1
    assert "full" in warnings_of(caplog)[0]
    # The bumps that could not be committed: what was stored before is not served, here or there.
    assert other.get("/a").text != "1"
    assert one.get("/a").text != "1"
    assert one.put("/a").status_code == 200
    one.cache.storage.close()
    one.get("/c")
    assert status(one.get("/c")) == "hit"


@pytest.mark.parametrize("failures", range(1, 6))
def test_what_was_found_valid_while_the_ledger_came_back_is_not_valid_when_it_is_gone_again(
    process: Make, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    """The ledger comes back after each of the questions that one hit asks."""
    one, other = process(), process()
    one.get("/tagged")
    ledger, coherence = one.cache.storage._ledger, one.cache.storage.memory.coherence
    left = failures
    pull = ledger.pull

    def fail_at_first(known: Any) -> Any:
        nonlocal left
        left -= 1
        if left >= 0:
            raise StorageError("not now")
        return pull(known)

    monkeypatch.setattr(ledger, "pull", fail_at_first)
    coherence.doubt()
    before = one.get("/tagged").text
    assert other.put("/w").status_code == 200
    left = 1000
    assert one.get("/tagged").text != before


@pytest.mark.parametrize("suffix", ["", "-ledger"])
def test_a_locked_database_holds_up_no_request_for_long(
    process: Make, origin: Any, tmp_path: Path, suffix: str
) -> None:
    one, other = process(), process()
    one.get("/a"), other.get("/a")
    lock = sqlite3.connect(tmp_path / f"c.db{suffix}", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    for request in (lambda: one.get("/b"), lambda: one.put("/a"), lambda: one.get("/a"), lambda: other.get("/a")):
        began = time.monotonic()
        response = request()
        assert time.monotonic() - began < 3.0
        assert response.status_code == 200
    assert other.get("/a").text != "1"
    lock.execute("ROLLBACK")
    lock.close()
    one.get("/c")
    assert status(one.get("/c")) == "hit"
    assert status(other.get("/c")) == "hit"


def test_a_database_locked_for_long_is_not_waited_for_by_each_request(
    process: Make, origin: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_records, "PAUSE", 1000.0)
    client = process()
    client.cache.storage._behind._rest = lambda: False  # it would write at a moment of its own
    client.get("/a")
    client.cache.storage.flush()
    waits: list[tuple[Any, str]] = []
    asked: list[str] = []
    ask = client.cache.storage._records._file.ask
    noted = lambda statement, *parameters: asked.append(statement) or ask(statement, *parameters)  # noqa: E731
    monkeypatch.setattr(client.cache.storage._records._file, "ask", noted)
    for file in (client.cache.storage._records._file, client.cache.storage._records._writer):
        attempt = file._attempt
        noting = lambda begin, work, file=file, attempt=attempt: waits.append((file, begin)) or attempt(begin, work)  # noqa: E731
        monkeypatch.setattr(file, "_attempt", noting)
    lock = sqlite3.connect(tmp_path / "c.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    for n in range(5):
        assert client.get(f"/{n}").status_code == 200
        client.cache.storage.flush()
    lock.close()
    for file in {file for file, _ in waits}:  # where claims are in a table, there is one more
        assert waits.count((file, "BEGIN IMMEDIATE")) <= 1
    assert "BEGIN IMMEDIATE" in {begin for _, begin in waits}
    assert len(asked) >= 5, "each request reads all the same"
    assert process().get("/a").text == "1"


def test_a_tag_that_is_no_text_costs_no_request(process: Make, origin: Any) -> None:
    one, other = process(Controller([Write("/w", dirties=("\ud800",))])), process()
    other.get("/a")
    assert one.put("/w").status_code == 200
    assert other.get("/a").text == "3"  # what cannot be told makes everything invalid
    assert one.get("/b", extensions={"pywats_cache": {"tags": ("\ud800",)}}).status_code == 200


def test_a_corrupt_row_is_never_served(process: Make, origin: Any, tmp_path: Path, caplog: Any) -> None:
    first = process()
    first.get("/a")
    first.cache.storage.flush()
    connection = sqlite3.connect(tmp_path / "c.db")
    (data,) = connection.execute("SELECT data FROM records").fetchone()
    with connection:
        connection.execute("UPDATE records SET data = ?", (data[:-1] + bytes([data[-1] ^ 1]),))
    connection.close()
    client = process()
    assert client.get("/a").text == "2"
    assert "damaged record" in warnings_of(caplog)[0]
    assert process().get("/a").text == "2"


@pytest.mark.parametrize("name", ["c.db", "c.db-ledger", "c.db-epoch"])
@pytest.mark.parametrize("harm", ["removed", "overwritten"])
def test_a_file_lost_between_two_runs_is_made_again(
    process: Make, origin: Any, tmp_path: Path, name: str, harm: str
) -> None:
    first = process()
    first.get("/a")
    first.cache.storage.close()
    if harm == "removed":
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(os.urandom(9000))
    client = process()
    assert client.get("/a").text in ("1", "2")
    client.put("/a")
    assert client.get("/a").text == process().get("/a").text == str(origin.count)


def test_files_removed_in_use_are_made_again(
    process: Make, origin: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (database, sharing):
        monkeypatch.setattr(module, "CHECK", 0.0)  # else it takes a quarter of a second to be noticed
    one, other = process(), process()
    one.get("/a"), other.get("/a")
    for path in list(tmp_path.iterdir()):
        path.unlink()
    assert one.put("/a").status_code == 200
    one.get("/a")
    assert status(one.get("/a")) == "hit"
    other.get("/b")  # notices
    assert other.get("/a").text == one.get("/a").text


def test_a_key_that_cannot_be_had_keeps_records_unshared(
    process: Make, origin: Any, tmp_path: Path, caplog: Any
) -> None:
    SharedStorage(tmp_path / "c.db").memory.coherence.bump(())
    (tmp_path / "c.db-key").write_bytes(b"not a key")
    one, other = process(), process()
    assert [client.get("/a").text for client in (one, other, one)] == ["1", "2", "1"]
    assert "must hold 32 bytes" in warnings_of(caplog)[0]
    one.put("/a")
    assert other.get("/a").text == "4"


def test_after_a_power_loss_at_any_moment_nothing_old_is_served(process: Make, origin: Any, tmp_path: Path) -> None:
    """All files are copied within a step of SQLite's, again and again; each copy is what a machine would find."""
    values: dict[str, int] = {}
    copies: list[tuple[Path, dict[str, int]]] = []
    seed = random.Random(3)
    client = process()
    storage = client.cache.storage

    def server(request: Any) -> Any:
        path = request.url.path
        if request.method == "PUT":
            values[path] = values.get(path, 0) + 1
        return origin.http.Response(200, text=str(values.get(path, 0)))

    def step() -> int:
        if seed.random() < 0.1 and len(copies) < 25:
            copy = tmp_path / f"copy{len(copies)}"
            copy.mkdir()
            for path in tmp_path.iterdir():
                if path.is_file() and not path.name.endswith("-shm"):
                    shutil.copy(path, copy)
            if seed.random() < 0.3:  # the system had not written the mapped page yet
                (copy / "c.db-epoch").write_bytes(bytes(4096))
            copies.append((copy, dict(values)))
        return 0

    origin.reply = server
    client.get("/0")
    for file in (storage._ledger._file, storage._records._file):
        file.read(lambda connection: connection.set_progress_handler(step, 20))
    while len(copies) < 25:
        client.request(seed.choice(["GET", "GET", "PUT"]), f"/{seed.randrange(4)}")
    for file in (storage._ledger._file, storage._records._file):
        file.read(lambda connection: connection.set_progress_handler(None, 20))
    hits = 0
    for copy, held in copies:
        values.clear()
        values.update(held)
        restarted = SharedStorage(copy / "c.db")
        reader = process(storage=restarted)
        for n in range(4):
            response = reader.get(f"/{n}")
            assert response.text == str(held.get(f"/{n}", 0))
            hits += status(response) == "hit"
        restarted.close()
    assert hits > 0


@pytest.mark.skipif(os.name == "nt", reason="no such names under Windows")
@pytest.mark.parametrize("name", ["c[1].db", "c**.db"])
def test_what_was_set_aside_is_found_whatever_the_file_is_called(tmp_path: Path, process: Make, name: str) -> None:
    for _ in range(2):
        storage = SharedStorage(tmp_path / name)
        process(storage=storage).get("/a")
        storage.flush()
        if not list(tmp_path.glob("*aside*")):
            (tmp_path / name).write_bytes(b"overwritten" * 500)
    found = look_at(f"sqlite:///{quote(str(tmp_path / name))}").figures()["set_aside"]
    assert [one.startswith(f"{name}.aside-") for one in found] == [True]
