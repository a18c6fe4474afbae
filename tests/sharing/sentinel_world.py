"""A primary and its replica that three real sentinels watch."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import redis
from sharing_world import LONG, a_port, start_valkey

SERVICE = "the-cache"
COUNT = 3
_CONFIG = """
port {port}
bind 127.0.0.1
dir {directory}
sentinel resolve-hostnames no
sentinel monitor {service} 127.0.0.1 {primary} 2
sentinel down-after-milliseconds {service} 400
sentinel failover-timeout {service} 4000
sentinel parallel-syncs {service} 1
{more}
"""


class Sentinels:
    """`servers`, of which the first one begins as the primary, and sentinels of the same `program`."""

    def __init__(self, program: Path, directory: Path, more: str = "") -> None:
        sync = {"repl-diskless-sync-delay": "0"}
        self.servers = [start_valkey(program, config=sync) for _ in range(2)]
        self.ports = [server.port for server in self.servers]
        self._tell(self.ports[1], "REPLICAOF", "127.0.0.1", self.ports[0])
        self.sentinels: dict[int, subprocess.Popen[bytes]] = {}
        while len(self.sentinels) < COUNT:
            self._start(program, directory, more)
        self.url = f"redis+sentinel://{','.join(f'127.0.0.1:{port}' for port in self.sentinels)}/{SERVICE}/0"
        for port in self.sentinels:
            self._until(lambda port=port: self._knows_all(port))

    def _start(self, program: Path, directory: Path, more: str) -> None:
        port = a_port()
        home = directory / str(port)
        home.mkdir()
        config = home / "sentinel.conf"
        config.write_text(_CONFIG.format(port=port, directory=home, service=SERVICE, primary=self.ports[0], more=more))
        with (home / "log").open("wb") as log:
            process = subprocess.Popen([program, config, "--sentinel"], stdout=log, stderr=log)
        until = time.monotonic() + LONG
        while process.poll() is None:  # it ends if the port is taken
            try:
                self._tell(port, "PING")
            except redis.RedisError:
                assert time.monotonic() < until
            else:
                self.sentinels[port] = process
                return

    def _knows_all(self, port: int) -> bool:
        state = self._tell(port, "SENTINEL", "MASTER", SERVICE)
        pairs = state if isinstance(state, dict) else dict(zip(state[::2], state[1::2], strict=True))
        told = {_text(name): _text(value) for name, value in pairs.items()}
        return told["num-slaves"] == "1" and told["num-other-sentinels"] == str(COUNT - 1)

    @staticmethod
    def _tell(port: int, *command: Any) -> Any:
        with redis.Redis(port=port, socket_timeout=LONG) as admin:
            return admin.execute_command(*command)

    @staticmethod
    def _until(check: Any) -> None:
        until = time.monotonic() + LONG
        while not check():
            assert time.monotonic() < until
            time.sleep(0.01)

    def fail_over(self, how: str) -> None:
        """Let the replica take over.

        - "killed": the primary and the first sentinel are gone, and the others notice.
        - "told": a sentinel is told to, and demotes the old primary a moment later.
        """
        first = next(iter(self.sentinels))
        if how == "killed":
            self._kill(first)
            self.servers[0].terminate()
        else:
            self._tell(first, "SENTINEL", "FAILOVER", SERVICE)
            self._until(lambda: self._tell(self.ports[0], "ROLE")[0] == b"slave")
        self._until(lambda: self._tell(self.ports[1], "ROLE")[0] == b"master")

    def _kill(self, port: int) -> None:
        self.sentinels[port].kill()
        self.sentinels[port].wait(LONG)

    def close(self) -> None:
        for port in self.sentinels:
            self._kill(port)
        for server in self.servers:
            server.terminate()


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
