"""The simulation itself: that it refuses what Windows refuses, and that what the project meets is it."""

from __future__ import annotations

import asyncio
import mmap
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
import windows_system

import pywats_cache
from pywats_cache.storage.sqlite import database
from pywats_cache.support import clock, fork


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir()
    path = tmp_path / "folder" / "file"
    path.write_bytes(bytes(8192))
    return path


REFUSED: dict[str, Callable[[Path], object]] = {
    "removed": lambda path: path.unlink(),
    "renamed": lambda path: path.rename(path.with_name("other")),
    "replaced": lambda path: os.replace(_another(path), path),
    "cut": lambda path: os.truncate(path, 1),
    "removed with its directory": lambda path: shutil.rmtree(path.parent),
    "renamed with its directory": lambda path: path.parent.rename(path.parent.with_name("moved")),
}


def _another(path: Path) -> Path:
    other = path.with_name("another")
    other.write_bytes(b"")
    return other


@pytest.mark.parametrize("how", REFUSED)
def test_an_open_file_cannot_be(path: Path, how: str) -> None:
    with path.open("rb"), pytest.raises(PermissionError) as caught:
        REFUSED[how](path)
    assert caught.value.winerror in (5, 32)  # type: ignore[attr-defined]
    REFUSED[how](path)  # closed again


@pytest.mark.parametrize("how", REFUSED)
def test_a_mapped_file_cannot_be(path: Path, how: str) -> None:
    with path.open("r+b") as file:
        mapped = mmap.mmap(file.fileno(), 0)
    with pytest.raises(PermissionError):
        REFUSED[how](path)
    with pytest.raises(OSError, match="user-mapped"):
        path.write_bytes(b"")
    mapped.close()
    REFUSED[how](path)


def test_nor_under_another_of_its_names(path: Path) -> None:
    other = path.with_name("other")
    os.link(path, other)
    with path.open("rb"), pytest.raises(PermissionError):
        other.unlink()
    other.unlink()


@pytest.mark.parametrize("how", REFUSED)
def test_nor_what_another_process_has_open(path: Path, how: str) -> None:
    code = f"file = open({str(path)!r}); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(PermissionError):
            REFUSED[how](path)
        process.communicate(b"\n", timeout=60)
    REFUSED[how](path)


def test_a_rename_replaces_nothing(path: Path) -> None:
    other = _another(path)
    with pytest.raises(FileExistsError):
        os.rename(other, path)
    assert path.stat().st_size == 8192


@pytest.mark.parametrize("module", ["os", "sys", "time"])
def test_the_project_meets_its_modules(module: str) -> None:
    assert vars(database).get(module, windows_system) is not sys.__dict__["_real"].modules[module]
    assert database.os is os
    assert (os.name, sys.platform) == ("nt", "win32")


def test_there_are_no_forks_modes_sockets_of_files_or_signals_of_posix() -> None:
    for module, names in {
        os: ("fork", "register_at_fork", "getuid", "fchmod", "O_NOFOLLOW", "O_NONBLOCK"),
        signal: ("SIGKILL", "SIGHUP", "SIGUSR1", "alarm"),
        socket: ("AF_UNIX",),
        time: ("CLOCK_BOOTTIME", "clock_gettime"),
    }.items():
        assert [name for name in names if hasattr(module, name)] == []
    with pytest.raises(ImportError):
        import fcntl  # noqa: F401
    with pytest.raises(OSError, match="no fork"):
        sys.__dict__["_real"].modules["os"].fork()
    assert multiprocessing.get_start_method() == "spawn"
    assert fork.os is os  # so that nothing of it was registered
    assert clock.monotonic is time.monotonic


@pytest.mark.parametrize("tick", [time.time, time.monotonic])
def test_clocks_stand_still_and_then_jump(tick: Callable[[], float]) -> None:
    seen = {tick()}
    until = time.perf_counter() + 0.1
    while time.perf_counter() < until:
        seen.add(tick())
    steps = sorted(seen)
    assert len(steps) <= 9
    assert all(moment % windows_system.STEP == 0 for moment in steps)


def test_a_loop_knows_no_signals_and_no_readers() -> None:
    async def ask() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(NotImplementedError):
            loop.add_signal_handler(signal.SIGTERM, print)
        with pytest.raises(NotImplementedError):
            loop.add_reader(0, print)

    asyncio.run(ask())


def test_processes_that_it_starts_are_simulated_too(tmp_path: Path) -> None:
    code = "from pywats_cache.storage.sqlite import database as d; print(d.os.name, hasattr(d.os, 'fork'))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True, timeout=60)
    assert found.stdout.split() == ["nt", "False"]
    assert pywats_cache.__name__  # imported, and with it all that a name of the root needs
    assert threading.main_thread().is_alive()


def test_a_module_is_imported_by_its_name_as_by_a_statement(path: Path) -> None:
    with pytest.raises(ImportError):
        import_module("fcntl")
    msvcrt = import_module("msvcrt")
    with path.open("r+b") as one, path.open("r+b") as other:
        msvcrt.locking(one.fileno(), msvcrt.LK_NBLCK, 1)
        with pytest.raises(PermissionError):
            msvcrt.locking(other.fileno(), msvcrt.LK_NBLCK, 1)
        msvcrt.locking(one.fileno(), msvcrt.LK_UNLCK, 1)
        msvcrt.locking(other.fileno(), msvcrt.LK_NBLCK, 1)
    assert import_module("os") is os
