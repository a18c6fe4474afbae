"""Processes that share a SQLite file: they start, write, fork and die at any moment, and nobody reads anything old."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sharing_world import LONG, Registers, Worker

Start = Callable[..., Worker]


def test_what_one_fetched_another_finds(start: Start, sqlite_url: str, registers: Registers) -> None:
    one, other = start(sqlite_url), start(sqlite_url)
    assert one.get("/a") == other.get("/a") == 0
    assert other.ask("GET", "/a")["status"] == "hit"
    assert registers.fetches["/a"] == 1


def test_a_write_is_seen_by_the_others_at_once(start: Start, sqlite_url: str) -> None:
    one, other = start(sqlite_url), start(sqlite_url)
    for version in range(1, 20):
        other.ask("PUT", "/a")
        assert one.get("/a") == version
        assert other.get("/a") == version
        one, other = other, one


@pytest.mark.skipif(sys.platform == "win32", reason="under Windows links are for administrators only")
def test_a_write_through_a_link_is_seen_by_who_uses_the_file(start: Start, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.db").symlink_to(tmp_path / "real" / "shared.db")
    (tmp_path / "linked").symlink_to(tmp_path / "real", target_is_directory=True)
    names = ("link.db", "real/shared.db", "linked/shared.db")
    workers = [start(f"sqlite:///{tmp_path.as_posix()}/{name}") for name in names]
    for version, worker in enumerate(workers, 1):
        worker.ask("PUT", "/a")
        assert [other.get("/a") for other in workers] == [version] * 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.db", "linked", "real"]


def test_mutant_without_the_bump_at_its_end_a_write_is_missed(start: Start, sqlite_url: str) -> None:
    one, other = start(sqlite_url), start(sqlite_url, "no-intent", "no-bump")
    one.get("/a")
    other.ask("PUT", "/a")
    assert one.get("/a") == 0


def killed_before_its_answer(writer: Worker, registers: Registers) -> None:
    """The server takes the write; its writer is killed before it hears of that."""
    taken, go_on = threading.Event(), threading.Event()

    def wait(method: str, path: str) -> None:
        if method == "PUT":
            taken.set()
            assert go_on.wait(LONG)

    registers.after = wait
    writer.send("PUT", "/a")
    assert taken.wait(LONG)
    writer.kill()
    go_on.set()
    registers.after = lambda method, path: None


def test_a_writer_killed_between_its_write_and_its_bump_leaves_nothing_old(
    start: Start, sqlite_url: str, registers: Registers
) -> None:
    reader, writer = start(sqlite_url), start(sqlite_url)
    assert reader.get("/a") == 0
    killed_before_its_answer(writer, registers)
    assert reader.get("/a") == 1
    assert start(sqlite_url).get("/a") == 1


def test_mutant_without_the_intent_a_killed_writer_leaves_the_old_value(
    start: Start, sqlite_url: str, registers: Registers
) -> None:
    reader, writer = start(sqlite_url), start(sqlite_url, "no-intent")
    assert reader.get("/a") == 0
    killed_before_its_answer(writer, registers)
    assert reader.get("/a") == 0


def test_a_killed_writer_keeps_its_tags_unstored_until_its_lease_ends(
    start: Start, sqlite_url: str, registers: Registers, tmp_path: Path
) -> None:
    reader, writer = start(sqlite_url), start(sqlite_url)
    killed_before_its_answer(writer, registers)
    assert reader.ask("GET", "/a")["reason"] == "settling"
    assert not reader.ask("GET", "/a")["stored"]
    assert reader.ask("GET", "/b")["stored"]
    connection = sqlite3.connect(tmp_path / "shared.db-ledger")
    with connection:
        connection.execute("UPDATE steady SET ends = 0")  # as if its lease had ended
    connection.close()
    reader.ask("PUT", "/c")
    assert reader.ask("GET", "/a")["stored"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_works_with_the_open_store(start: Start, sqlite_url: str, registers: Registers) -> None:
    parent, other = start(sqlite_url), start(sqlite_url)
    assert parent.get("/a") == 0
    assert parent.ask("GET", "/a", "fork")["status"] == "hit"
    parent.ask("PUT", "/a", "fork")
    assert parent.get("/a") == other.get("/a") == 1
    other.ask("PUT", "/a")
    assert parent.get("/a", "fork") == parent.get("/a") == 2
    assert registers.fetches["/a"] == 3


def test_a_spawned_child_works_with_the_store(start: Start, sqlite_url: str) -> None:
    parent = start(sqlite_url)
    assert parent.get("/a") == 0
    assert parent.ask("GET", "/a", "spawn")["status"] == "hit"
    parent.ask("PUT", "/a", "spawn")
    assert parent.get("/a") == 1


@pytest.mark.parametrize("there", ["nothing", "an empty file"])
def test_processes_that_start_at_once_make_one_store(
    sqlite_url: str, registers: Registers, tmp_path: Path, there: str
) -> None:
    if there == "an empty file":
        (tmp_path / "shared.db").touch()
    workers = [Worker(sqlite_url, registers.url, "patient") for _ in range(6)]
    for worker in workers:
        worker.send("GET", "/a")
    for worker in workers:
        worker.ready()
    for worker in workers:
        assert "error" not in worker.receive()
    for version, worker in enumerate(workers, 1):
        worker.ask("PUT", "/a")
        assert {other.get("/a") for other in workers} == {version}
    for worker in workers:
        worker.close()
    assert sorted(path.name for path in tmp_path.iterdir() if "aside" in path.name or "draft" in path.name) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cuts off no mapped file")
@pytest.mark.parametrize("length", [0, 100])
def test_a_mapped_file_that_is_cut_off_kills_nobody_who_looks_first(
    start: Start, sqlite_url: str, tmp_path: Path, length: int
) -> None:
    """`check-always` looks at each request; the product four times a second, so it can be killed within that time."""
    reader, other = start(sqlite_url, "check-always"), start(sqlite_url, "check-always")
    assert reader.get("/a") == other.get("/a") == 0
    os.truncate(tmp_path / "shared.db-epoch", length)
    assert reader.get("/a") == 0
    other.ask("PUT", "/a")
    assert reader.get("/a") == other.get("/a") == 1
    assert reader.ask("GET", "/a")["status"] == "hit"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cuts off no mapped file")
def test_mutant_that_does_not_look_is_killed(start: Start, sqlite_url: str, tmp_path: Path) -> None:
    reader = start(sqlite_url, "check-never")
    reader.get("/a")
    os.truncate(tmp_path / "shared.db-epoch", 0)
    with pytest.raises(EOFError):
        reader.ask("GET", "/a")
    assert reader.process.wait(LONG) == -signal.SIGBUS
