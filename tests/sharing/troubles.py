"""What goes wrong while the processes of a history read and write: in the store, its server, and on the way there."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import redis
from cluster_world import Cluster, Node, ledger_slot, until
from sharing_world import another_valkey, start_valkey
from valkey_pair import Door, Pair

LONGEST = 1.5
"""Seconds for which something stops: longer than the store's patience, and than any lease."""
Trouble = Callable[[], None]


class Troubles:
    """A thread in which one trouble comes after the other, at random, until `close`."""

    def __init__(self, counts: Counter[str], every: float, seed: int) -> None:
        self.over = threading.Event()
        self.chance = random.Random(seed)
        self.problem: BaseException | None = None
        self._counts = counts
        self._every = every
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()

    def troubles(self) -> dict[str, Trouble]:
        """What may happen, by what it is called."""
        raise NotImplementedError

    def _run(self) -> None:
        found = self.troubles()
        try:
            while not self.over.wait(self.chance.uniform(0.5, 1.5) * self._every):
                name = self.chance.choice(sorted(found))
                found[name]()
                self._counts[name] += 1
        except BaseException as problem:
            self.problem = problem

    def pause(self) -> None:
        """A while, which ends with the history."""
        self.over.wait(self.chance.uniform(0.05, LONGEST))

    def close(self) -> None:
        """End the thread. Raises what went wrong in it."""
        self.over.set()
        self._thread.join()
        if self.problem is not None:
            raise self.problem


class FileTroubles(Troubles):
    """A SQLite store whose files another program locks."""

    def __init__(self, path: Path, counts: Counter[str], every: float, seed: int) -> None:
        super().__init__(counts, every, seed)
        self._path = path

    def troubles(self) -> dict[str, Trouble]:
        return {"records locked": lambda: self._lock(""), "ledger locked": lambda: self._lock("-ledger")}

    def _lock(self, part: str) -> None:
        if not os.path.exists(f"{self._path}{part}"):
            return
        with contextlib.closing(sqlite3.connect(f"{self._path}{part}", isolation_level=None, timeout=60)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            self.pause()
            connection.execute("ROLLBACK")


class ServerTroubles(Troubles):
    """A server behind a door. It is killed and comes back empty, stops, and forgets; connections are held and cut.

    It listens on a socket of the file system, which nobody else takes while it is away, as they could a port.
    """

    def __init__(self, socket: Path, counts: Counter[str], every: float, seed: int) -> None:
        super().__init__(counts, every, seed)
        self._socket = socket
        self._server: Any = self._started()
        self._door = Door(str(socket))
        self.url = f"redis://127.0.0.1:{self._door.port}/0"

    def _started(self) -> Any:
        server = another_valkey(port=0, unix_socket_path=self._socket)
        server.start()
        return server

    def troubles(self) -> dict[str, Trouble]:
        return {
            "server killed": self._kill,
            "server stopped": self._stop,
            "server flushed": self._flush,
            "connections held": self._hold,
            "connections cut": self._door.cut,
        }

    def _kill(self) -> None:
        self._server.terminate()
        self.pause()
        self._server = self._started()

    def _stop(self) -> None:
        with stopped(self._server._process.pid):
            self.pause()

    def _flush(self) -> None:
        with contextlib.closing(redis.Redis(unix_socket_path=str(self._socket))) as client:
            client.flushall()

    def _hold(self) -> None:
        self._door.hold()
        self.pause()
        self._door.lead_to(str(self._socket), drop=self.chance.random() < 0.5)

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._door.close()
            self._server.terminate()


class PairTroubles(Troubles):
    """A primary that fails over to its replica, again and again; one that was killed comes back as an empty replica."""

    def __init__(self, counts: Counter[str], every: float, seed: int) -> None:
        super().__init__(counts, every, seed)
        self._pair = Pair()
        self.url = self._pair.url

    def troubles(self) -> dict[str, Trouble]:
        pair = self._pair
        return {
            "primary killed": lambda: self._fail_over("gone"),
            "primary handed over": lambda: self._fail_over("handed over"),
            "replication cut": pair.link.cut,
            "connections cut": pair.front.cut,
            "connections held": self._hold,
            "primary stopped": self._stop,
        }

    def _fail_over(self, how: str) -> None:
        self._pair.promote(how)
        self.pause()
        self._pair.exchange(start_valkey if how == "gone" else None)

    def _hold(self) -> None:
        self._pair.front.hold()
        self.pause()
        self._pair.front.lead_to(self._pair.ports[0], drop=self.chance.random() < 0.5)

    def _stop(self) -> None:
        with stopped(self._pair.primary._process.pid):
            self.pause()

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._pair.close()


class ClusterTroubles(Troubles):
    """A cluster whose slots move, whose replicas take over, and whose nodes stop, forget and die."""

    def __init__(self, counts: Counter[str], every: float, seed: int) -> None:
        super().__init__(counts, every, seed)
        self._cluster = Cluster()
        self.url = self._cluster.url

    def troubles(self) -> dict[str, Trouble]:
        return {
            "slot of the ledger moved": self._move,
            "replica took over": self._hand_over,
            "owner stopped": self._stop,
            "owner killed": self._kill,
            "node flushed": lambda: self._any().tell("FLUSHALL"),
        }

    def _any(self) -> Node:
        return self.chance.choice([node for node in self._cluster.alive() if node.is_primary])

    def _move(self) -> None:
        owner = self._cluster.owner()
        target = self.chance.choice([node for node in self._cluster.alive() if node.is_primary and node is not owner])
        self._cluster.reshard(ledger_slot(), owner, target)

    def _hand_over(self) -> None:
        replica = self._cluster.replica_of(self._cluster.owner())
        replica.tell("CLUSTER", "FAILOVER")
        until(lambda: replica.is_primary)
        self._cluster.settled()

    def _stop(self) -> None:
        owner = self._cluster.owner()
        assert owner.server._process is not None
        with stopped(owner.server._process.pid):
            self.pause()
        self._cluster.settled()

    def _kill(self) -> None:
        owner = self._cluster.owner()
        replica = self._cluster.replica_of(owner)
        owner.kill()
        until(lambda: replica.is_primary)
        self.pause()
        self._cluster.replace(owner, replica)

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._cluster.close()


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """The process does nothing within this, and ends none of its connections."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
