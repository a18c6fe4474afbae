"""Processes that share a Valkey: they write, fork and die at any moment, and nobody lags by more than `max_lag`."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from sharing_world import LONG, Registers, Worker, start_valkey

Start = Callable[..., Worker]
MAX_LAG = 0.3


@pytest.fixture
def valkey_url(program: str) -> Iterator[str]:
    server = start_valkey()
    yield f"redis://127.0.0.1:{server.port}/0?max_lag={MAX_LAG}"
    server.stop()


def within_the_lag(worker: Worker, path: str, version: int, *how: str) -> None:
    """`worker` reads at least `version`, at the latest `MAX_LAG` from now."""
    until = time.monotonic() + MAX_LAG
    while True:
        late = time.monotonic() >= until
        if worker.get(path, *how) >= version:
            return
        assert not late


def test_what_one_wrote_the_others_read_within_the_lag(start: Start, valkey_url: str, registers: Registers) -> None:
    one, other = start(valkey_url), start(valkey_url)
    assert one.get("/a") == other.get("/a") == 0
    assert registers.fetches["/a"] == 1
    for version in range(1, 10):
        other.ask("PUT", "/a")
        assert other.get("/a") == version
        within_the_lag(one, "/a", version)
        one, other = other, one


@pytest.mark.parametrize("mutants", [(), ("no-intent",)])
def test_a_writer_killed_between_its_write_and_its_bump_leaves_nothing_old(
    start: Start, valkey_url: str, registers: Registers, mutants: tuple[str, ...]
) -> None:
    reader, writer = start(valkey_url), start(valkey_url, *mutants)
    assert reader.get("/a") == 0
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
    if mutants:
        with pytest.raises(AssertionError):
            within_the_lag(reader, "/a", 1)
    else:
        within_the_lag(reader, "/a", 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_has_connections_of_its_own(start: Start, valkey_url: str) -> None:
    parent, other = start(valkey_url), start(valkey_url)
    assert parent.get("/a") == 0
    assert parent.ask("GET", "/a", "fork")["status"] == "hit"
    parent.ask("PUT", "/a", "fork")
    within_the_lag(parent, "/a", 1)
    other.ask("PUT", "/a")
    within_the_lag(parent, "/a", 2, "fork")
    within_the_lag(parent, "/a", 2)
