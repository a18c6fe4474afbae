"""Processes of one machine share a SQLite file: a warm start, one fetch for all, and a write that all see at once."""

from __future__ import annotations

import multiprocessing
import tempfile
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pywats_cache import CacheClient, Controller
from pywats_cache.testing import SimulatedWATS

SPAWN = multiprocessing.get_context("spawn")  # as on Windows: the new process inherits nothing
PRODUCTS = [f"/api/Product/PN-{1000 + number}" for number in range(5)]
PROCESSES, WRITES = 3, 12


@dataclass(frozen=True)
class Answer:
    """What a process got."""

    status: str
    reason: str
    name: str


def serve(pipe: Connection, storage: str, base_url: str, token: str) -> None:
    """The other processes: a client on the shared file that asks what it is told, until it is told None."""
    headers = {"Authorization": f"Basic {token}"}
    # The one line that matters: storage="sqlite:///…", the same in every process.
    with CacheClient(controller=Controller(ttl=600.0), storage=storage, base_url=base_url, headers=headers) as client:
        pipe.send("ready")
        while (order := pipe.recv()) is not None:
            method, path, body = order
            response = client.request(method, path, json=body).raise_for_status()
            outcome = response.extensions["pywats_cache"]
            pipe.send(Answer(outcome.status, outcome.reason, response.json()["name"]))


class Process:
    """One of them, seen from here."""

    def __init__(self, *where: str) -> None:
        self._pipe, theirs = SPAWN.Pipe()
        self._process = SPAWN.Process(target=serve, args=(theirs, *where))
        self._process.start()
        theirs.close()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *error: object) -> None:
        self._pipe.send(None)
        self._process.join()
        self._pipe.close()

    def receive(self) -> Any:
        """The next thing it says."""
        return self._pipe.recv()

    def send(self, method: str, path: str, body: Any = None) -> None:
        """Tell it to ask, without waiting."""
        self._pipe.send((method, path, body))

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        """What it gets."""
        self.send(method, path, body)
        answer: Answer = self.receive()
        return answer


def warm_start(server: SimulatedWATS, where: tuple[str, ...]) -> None:
    print("1. A new process finds what another one fetched, even though that one has ended")
    for name in ("first", "second"):
        before = server.request_count
        with Process(*where) as process:
            process.receive()
            answers = Counter(process.ask("GET", path).status for path in PRODUCTS)
        got = ", ".join(f"{count} {status}" for status, count in answers.items())
        sent = server.request_count - before
        print(f"  {name + ' process:':<17} {got} for {len(PRODUCTS)} products; the server saw {sent} requests")
    assert sent == 0


def one_fetch_for_all(server: SimulatedWATS, processes: list[Process]) -> None:
    print(f"\n2. {len(processes)} processes ask for the same cold product while the server takes its time")
    server.latency = 0.3
    before = server.request_count
    for process in processes:
        process.send("GET", "/api/Product/PN-1010")
    answers = [process.receive() for process in processes]
    server.latency = 0.0
    got = Counter(f"{answer.status} ({answer.reason})" for answer in answers)
    requests = server.request_count - before
    print("  " + ", ".join(f"{count} {what}" for what, count in got.most_common()))
    print(f"  the server saw {requests} request: one process fetched, the others waited for what it brought")
    assert requests == 1


def writes_are_seen_at_once(processes: list[Process]) -> None:
    print(f"\n3. Each process writes in turn; then all the others read. {WRITES} writes")
    path = PRODUCTS[0]
    body = {"partNumber": "PN-1000", "name": ""}
    for process in processes:
        process.ask("GET", path)
    held = Counter(process.ask("GET", path).status for process in processes)
    print(f"  before:  {held['hit']} of {len(processes)} processes hold it in their memory")
    outcomes: Counter[str] = Counter()
    old = 0
    for number in range(WRITES):
        writer = processes[number % len(processes)]
        writer.ask("PUT", "/api/Product", {**body, "name": f"name {number}"})
        for process in processes:
            if process is not writer:
                answer = process.ask("GET", path)
                old += answer.name != f"name {number}"
                outcomes[f"{answer.status} ({answer.reason})"] += 1
    print("  reads:   " + ", ".join(f"{count} {what}" for what, count in outcomes.most_common()))
    print(f"  old answers: {old} of {sum(outcomes.values())}")
    assert old == 0


def what_is_on_disk(folder: Path, token: str) -> None:
    print("\n4. On disk: answers under digests, no credential")
    content = b""
    for file in sorted(folder.iterdir()):
        content += file.read_bytes()
        print(f"  {file.name:<16} {file.stat().st_size / 1024:>6.1f} KB")
    print(f"  the token is {'IN THERE' if token.encode() in content else 'nowhere in them'}")
    assert token.encode() not in content


def main() -> None:
    """Start a server, and processes that share a file."""
    with tempfile.TemporaryDirectory() as name, SimulatedWATS() as server:
        folder = Path(name)
        where = (f"sqlite:///{(folder / 'cache.db').as_posix()}", server.base_url, server.token)
        warm_start(server, where)
        with ExitStack() as stack:
            processes = [stack.enter_context(Process(*where)) for _ in range(PROCESSES)]
            for process in processes:
                process.receive()
            one_fetch_for_all(server, processes)
            writes_are_seen_at_once(processes)
        what_is_on_disk(folder, server.token)


if __name__ == "__main__":
    main()
