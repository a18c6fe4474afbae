"""The nodes of a Redis Cluster, asked as one server is.

redis-py has a client of its own for that, which asks again and again, and learns of changes, in the call: for seconds.
Here each node has a client with connections that are ready (`connections`), a call follows MOVED within its time, and
whatever else a node says of a cluster that changes (ASK, TRYAGAIN, CLUSTERDOWN) is a failure like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

import redis
from redis.commands.core import CoreCommands
from redis.crc import key_slot
from redis.exceptions import ClusterDownError, MovedError

from ..shared.patience import waits_until
from .calls import IN_VAIN
from .cluster_map import ClusterMap, Node
from .names import ClusterNames
from .scripts import Script

__all__ = ["ClusterClient"]

REDIRECTIONS = 3
"""Times that one command follows MOVED."""
_SCRIPTS = ("EVALSHA", "EVAL")
if TYPE_CHECKING:

    class _Commands:
        """All commands of redis-py, whose own types also say what they are in its async clients."""

        def __getattr__(self, name: str) -> Any: ...

else:
    _Commands = CoreCommands


class ClusterClient(_Commands):
    """Sends each command to the node that has the slot of its first key.

    - `make(node)`: a client of one node, which is not connected yet.
    - `arguments`: those of its connections.
    - `remap`: see `ClusterMap`.
    """

    names = ClusterNames
    publish_command = "spublish"
    subscribe_command = "ssubscribe"

    def __init__(
        self,
        seeds: Sequence[Node],
        make: Callable[[Node], Any],
        arguments: dict[str, Any],
        remap: Callable[[Node], Node] | None = None,
    ) -> None:
        self._make = make
        self._clients: dict[Node, Any] = {}
        self.slots: ClusterMap = ClusterMap(seeds, self._ask_slots, self._keep, remap)
        self.connection_pool: _Pools = _Pools(self, arguments)

    def at(self, node: Node) -> Any:
        """The client of `node`."""
        return self._clients.get(node) or self._clients.setdefault(node, self._make(node))

    def clients(self) -> list[Any]:
        """Those that have been used."""
        return list(self._clients.values())

    def register_script(self, script: Any) -> Script:
        """A script whose messages reach those who listen at the node that runs it."""
        return Script(self, script.replace("'PUBLISH'", "'SPUBLISH'"))

    def execute_command(self, *arguments: Any, **options: Any) -> Any:
        """What the node of the first key answers. Raises what redis-py raises."""
        slot = _slot(arguments)
        moved: Exception | None = None
        for _ in range(REDIRECTIONS):
            node = self.slots.owner(slot)
            client, began = self.at(node), monotonic()
            try:
                return client.execute_command(*arguments, **options)
            except MovedError as error:
                moved = error
                self.slots.moved(slot, _named(error, node))
            except (redis.ConnectionError, redis.TimeoutError, ClusterDownError) as error:
                self.slots.doubt(node)
                is_in_vain = waits_until() is not None and monotonic() - began >= IN_VAIN
                if is_in_vain and isinstance(error, redis.TimeoutError):
                    client.connection_pool.refuse(error)
                raise
        assert moved is not None
        raise moved

    def pubsub(self) -> Subscription:
        """What is published at the node of the channel's slot."""
        return Subscription(self)

    def pipeline(self, transaction: bool = False) -> Batch:
        """Commands that are sent together, to each node its own."""
        return Batch(self)

    # ── what concerns no key ──────────────────────────────────────────────────────────────────────────────────────

    def ping(self, **options: Any) -> Any:
        """Whether a node answers that knows the others."""
        self.slots.learn()
        return True

    def info(self, *sections: str, **options: Any) -> Any:
        """What the nodes say of themselves, of memory in all."""
        told = [self.at(node).info(*sections, **options) for node in self.slots.owners()]
        summed = {name: sum(one[name] for one in told) for name in ("used_memory", "maxmemory") if name in told[0]}
        return {**told[0], **summed}

    def scan(self, cursor: Any = 0, **options: Any) -> Any:
        """Some of the names at the nodes, one node after the other, and where to go on; 0: nowhere."""
        nodes, at = cursor or (tuple(self.slots.owners()), 0)
        at, names = self.at(nodes[0]).scan(at, **options)
        nodes = nodes if at else nodes[1:]
        return ((nodes, at) if nodes else 0), names

    def unlink(self, *names: Any) -> int:
        """Remove keys, of any slots."""
        batch = self.pipeline()
        for name in names:
            batch.execute_command("UNLINK", name)
        return sum(batch.execute())

    def close(self) -> None:
        """End all connections; the next command makes new ones."""
        self.connection_pool.disconnect()

    def _ask_slots(self, node: Node, patience: float) -> Any:
        """What `node` answers to `CLUSTER SLOTS`, on a connection of its own."""
        pool = self.at(node).connection_pool
        limits = {"socket_timeout": patience, "socket_connect_timeout": patience}
        connection = pool.connection_class(**{**pool.connection_kwargs, **limits})
        try:
            connection.connect()
            connection.send_command("CLUSTER", "SLOTS")
            return connection.read_response()
        finally:
            connection.disconnect()

    def _keep(self, nodes: set[Node]) -> None:
        """Forget the clients of other nodes."""
        for node in self._clients.keys() - nodes:
            client = self._clients.pop(node, None)
            if client is not None:
                client.connection_pool.disconnect(inuse_connections=False)


class _Pools:
    """The connections to all nodes, as far as the store asks for them together."""

    def __init__(self, client: ClusterClient, arguments: dict[str, Any]) -> None:
        self._client = client
        self.connection_kwargs: dict[str, Any] = arguments

    def _each(self) -> list[Any]:
        return [client.connection_pool for client in self._client.clients()]

    def refuse(self, error: Exception) -> None:
        """Somebody waited in vain: for a node, whose own pool knows it, or for the first map."""
        self._client.slots.refuse(error)

    def try_again(self) -> None:
        """Let those who wait now have a connection, if one can be made in time."""
        for pool in self._each():
            pool.try_again()
        self._client.slots.try_again()

    def disconnect(self, inuse_connections: bool = True) -> None:
        """What is asked next asks by new connections, and those nodes that have the slots by then."""
        self._client.slots.doubt_next()
        for pool in self._each():
            pool.disconnect(inuse_connections)


class Subscription:
    """What `PubSub` of redis-py does, by messages that stay at the node which has the slot of their channel.

    It ends when another node has the slot. Raises what redis-py raises.
    """

    def __init__(self, client: ClusterClient) -> None:
        self._client = client
        self._slot = -1
        self._node: Node = ("", 0)
        self._messages: Any = None

    def subscribe(self, *channels: str) -> None:
        """Listen to `channels` of one slot. Blocks for I/O."""
        slots = self._client.slots
        slots.settle()
        self._slot = key_slot(channels[0].encode())
        self._node = slots.owner(self._slot)
        self._messages = self._client.at(self._node).pubsub()
        try:
            self._messages.ssubscribe(*channels)
        except (redis.ConnectionError, redis.TimeoutError):
            slots.doubt(self._node)
            raise

    def get_message(self, timeout: float = 0.0) -> dict[str, Any] | None:
        """The next message, as those who subscribe to one server get it."""
        slots = self._client.slots
        if not slots.is_owner(self._node, self._slot):
            raise redis.ConnectionError("another node has the slot by now")
        try:
            message = self._messages.get_message(timeout=timeout)
        except MovedError as error:
            slots.moved(self._slot, _named(error, self._node))
            raise
        except (redis.ConnectionError, redis.TimeoutError):
            slots.doubt(self._node)
            raise
        if message is None:
            return None
        if message["type"] == "sunsubscribe":
            slots.doubt()
            raise redis.ConnectionError("the node gives the slot away")
        kind = {"ssubscribe": "subscribe", "smessage": "message"}.get(message["type"], message["type"])
        return {**message, "type": kind}

    def close(self) -> None:
        """End the subscription."""
        if self._messages is not None:
            self._messages.close()


class Batch(_Commands):
    """Commands that `execute` sends: together to each node. No request waits for that."""

    def __init__(self, client: ClusterClient) -> None:
        self._client = client
        self._asked: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def execute_command(self, *arguments: Any, **options: Any) -> None:
        """Send it with the others."""
        self._asked.append((arguments, options))

    def execute(self) -> list[Any]:
        """The answers, in order. Raises the first error."""
        asked, self._asked = self._asked, []
        by_node: dict[Node, list[int]] = {}
        for index, (arguments, _) in enumerate(asked):
            by_node.setdefault(self._client.slots.owner(_slot(arguments)), []).append(index)
        answers: list[Any] = [None] * len(asked)
        for node, indices in by_node.items():
            pipeline = self._client.at(node).pipeline(transaction=False)
            for index in indices:
                pipeline.execute_command(*asked[index][0], **asked[index][1])
            for index, answer in zip(indices, pipeline.execute(raise_on_error=False), strict=True):
                answers[index] = answer
        for index, answer in enumerate(answers):
            if isinstance(answer, MovedError):
                answers[index] = self._client.execute_command(*asked[index][0], **asked[index][1])
            elif isinstance(answer, Exception):
                raise answer
        return answers


def _slot(arguments: Iterable[Any]) -> int:
    """The slot of the first key of a command: what follows the command, or the number of a script's keys."""
    name, *rest = arguments
    key = rest[2] if name in _SCRIPTS else rest[0]
    return int(key_slot(key if isinstance(key, bytes) else str(key).encode()))


def _named(error: MovedError, asked: Node) -> Node:
    """The node that an error names: without a host, that of the node which was asked."""
    return error.host or asked[0], int(error.port)
