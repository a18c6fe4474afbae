"""What is written behind the caller's back: many jobs at a time, bounded, and nothing left behind."""

from __future__ import annotations

import gc
import multiprocessing
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pywats_cache import CacheTransport, SharedStorage
from pywats_cache.storage.shared import write_behind
from pywats_cache.storage.shared.write_behind import WriteBehind

LONG = 60.0


class Disk:
    """Does jobs once `go` is set; `begun` is released with each batch."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go = threading.Event()
        self.begun = threading.Semaphore(0)
        self.slices = 0

    def do(self, jobs: list[int]) -> None:
        self.begun.release()
        assert self.go.wait(LONG)
        self.batches.append(jobs)

    def rest(self) -> bool:
        self.slices -= 1
        return self.slices > 0


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def behind(disk: Disk) -> Iterator[WriteBehind[int]]:
    behind = WriteBehind(disk.do, disk.rest)
    yield behind
    disk.go.set()
    behind.close()


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "pywats-cache-store"]


def test_what_comes_while_one_is_done_is_done_at_one_time_and_in_order(disk: Disk, behind: WriteBehind[int]) -> None:
    assert behind.add(0, 1)
    assert disk.begun.acquire(timeout=LONG)
    for n in range(1, 6):
        assert behind.add(n, 1)
    disk.go.set()
    assert behind.flush()
    assert disk.batches == [[0], [1, 2, 3, 4, 5]]


@pytest.mark.parametrize("bound", ["jobs", "bytes"])
def test_a_full_queue_takes_nothing_until_there_is_room(
    disk: Disk, behind: WriteBehind[int], monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    monkeypatch.setattr(write_behind, "MOST_JOBS", 3 if bound == "jobs" else 1000)
    monkeypatch.setattr(write_behind, "MOST_BYTES", 30 if bound == "bytes" else 1000)
    assert [behind.add(n, 10) for n in range(4)] == [True, True, True, False]
    assert not behind.wait_for_room(10, 0.0)
    disk.go.set()
    assert behind.wait_for_room(10, LONG)
    assert behind.add(4, 10)


def test_one_job_that_is_larger_than_the_queue_finds_room_in_an_empty_one(
    disk: Disk, behind: WriteBehind[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_behind, "MOST_BYTES", 30)
    assert behind.add(0, 1000)
    assert not behind.add(1, 1)


def test_no_thread_is_there_before_the_first_job_and_none_after_a_close(disk: Disk, behind: WriteBehind[int]) -> None:
    before = threads()
    disk.go.set()
    for n in range(2):
        behind.add(n, 1)
        assert len(threads()) == len(before) + 1
        behind.close()
        assert threads() == before
    assert disk.batches == [[0], [1]]


def test_an_idle_thread_keeps_nothing_alive(disk: Disk) -> None:
    behind = WriteBehind(disk.do, disk.rest)
    disk.go.set()
    behind.add(0, 1)
    behind.flush()
    thread, gone = behind._queue.thread, weakref.ref(behind)
    assert thread is not None
    del behind
    gc.collect()
    thread.join(LONG)
    assert gone() is None
    assert not thread.is_alive()


def test_where_no_thread_can_be_started_the_caller_does_it(
    disk: Disk, behind: WriteBehind[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread at interpreter shutdown")

    disk.go.set()
    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert behind.add(0, 1)
    assert disk.batches == [[0]]


def test_after_the_exit_handlers_the_caller_does_it(disk: Disk, behind: WriteBehind[int]) -> None:
    disk.go.set()
    behind.end()
    assert behind.add(0, 1)
    assert disk.batches == [[0]]
    assert behind._queue.thread is None


def test_what_is_taken_back_is_not_done(disk: Disk, behind: WriteBehind[int]) -> None:
    behind.add(0, 1)
    assert disk.begun.acquire(timeout=LONG)
    behind.add(1, 1), behind.add(2, 1)
    assert behind.take_back() == [1, 2]
    disk.go.set()
    assert behind.flush()
    assert disk.batches == [[0]]


def test_the_rest_is_done_in_slices_and_jobs_go_first(disk: Disk, behind: WriteBehind[int]) -> None:
    disk.slices = 3
    disk.go.set()
    behind.begin_rest()
    behind.add(0, 1)
    assert behind.flush()
    thread = behind._queue.thread
    assert thread is not None
    while behind._queue.rest is not None:
        thread.join(0.001)
    assert disk.slices == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_waits_for_what_is_queued_and_the_child_begins_with_nothing(
    disk: Disk, behind: WriteBehind[int]
) -> None:
    behind.add(0, 1)
    disk.go.set()
    child = os.fork()
    if child == 0:
        try:
            behind.add(1, 1)
            done = behind.flush()
            os._exit(0 if done and disk.batches == [[0], [1]] else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert disk.batches == [[0]]


# ── the end of a process ──────────────────────────────────────────────────────────────────────────────────────────

STORES = """
import atexit, sys, httpx
from pywats_cache import CacheTransport, SharedStorage
origin = httpx.MockTransport(lambda request: httpx.Response(200, text="1"))
transport = CacheTransport(origin, storage=SharedStorage(sys.argv[1]))
def get(path):
    transport.handle_request(httpx.Request("GET", "http://origin" + path)).read()
if sys.argv[2] == "at exit":
    atexit.register(get, "/a")
if sys.argv[2] == "in between":
    atexit.register(get, "/a")
    get("/b")
    atexit.register(get, "/c")
else:
    get("/a")
if sys.argv[2] == "closed at exit":
    atexit.register(transport.close)
"""


def _is_there(path: Path, name: str = "/a") -> bool:
    storage = SharedStorage(path)
    transport = CacheTransport(httpx.MockTransport(lambda request: httpx.Response(500)), storage=storage)
    response = transport.handle_request(httpx.Request("GET", f"http://origin{name}"))
    storage.close()
    return bool(response.extensions["pywats_cache"].status == "hit")


@pytest.mark.parametrize("how", ["without a close", "at exit", "in between", "closed at exit"])
def test_a_program_that_ends_without_a_close_loses_nothing(tmp_path: Path, how: str) -> None:
    path = tmp_path / "c.db"
    ended = subprocess.run(
        [sys.executable, "-c", STORES, str(path), how], check=True, capture_output=True, text=True, timeout=60
    )
    assert ended.stderr == ""
    for name in ["/a", "/b", "/c"] if how == "in between" else ["/a"]:
        assert _is_there(path, name)


def _store(path: str) -> None:
    storage = SharedStorage(path)
    transport = CacheTransport(httpx.MockTransport(lambda request: httpx.Response(200)), storage=storage)
    transport.handle_request(httpx.Request("GET", "http://origin/a")).read()


METHODS = multiprocessing.get_all_start_methods() if hasattr(os, "fork") else ["spawn"]


@pytest.mark.parametrize("method", METHODS)
def test_a_child_of_multiprocessing_that_ends_without_a_close_loses_nothing(tmp_path: Path, method: str) -> None:
    context: Any = multiprocessing.get_context(method)
    child = context.Process(target=_store, args=(str(tmp_path / "c.db"),))
    child.start()
    child.join(LONG)
    assert child.exitcode == 0
    assert _is_there(tmp_path / "c.db")
