"""Connections to a Redis server that are ready when they are asked for, and end with the patience of who uses them.

Who waits for the store (`shared.patience`) makes no connection: a thread of its own makes them, and proves that the
server answers on each. Until that has worked again after a wait in vain, nobody waits for the server. Whoever is not
waiting, such as the thread that listens, connects by itself, as with any pool of redis-py.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from time import monotonic
from typing import Any

import redis
from redis.maint_notifications import MaintNotificationsConfig
from redis.sentinel import SentinelConnectionPool

from ..shared.patience import waits_until
from .calls import Pauses

__all__ = ["ReadyPool", "ReadyPoolOfSentinels", "make_ready", "timed"]

GO_ON = 60.0
"""Seconds after the last question for which a server that does not answer is tried."""


class TimedSocket:
    """A socket that waits no longer than its thread may wait: for all that it reads together, not for each piece."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._timeout: float | None = socket.gettimeout()

    def settimeout(self, timeout: float | None) -> None:
        self._timeout = timeout
        self._socket.settimeout(timeout)

    def _limit(self) -> None:
        until, timeout = waits_until(), self._timeout
        if timeout == 0.0:
            return
        if until is not None:
            left = until - monotonic()
            if left <= 0.0:
                raise TimeoutError("timed out")
            timeout = left if timeout is None else min(timeout, left)
        if timeout != self._socket.gettimeout():
            self._socket.settimeout(timeout)

    def recv(self, size: int, *flags: int) -> bytes:
        self._limit()
        data: bytes = self._socket.recv(size, *flags)
        return data

    def recv_into(self, buffer: Any, *rest: int) -> int:
        self._limit()
        size: int = self._socket.recv_into(buffer, *rest)
        return size

    def sendall(self, data: Any) -> None:
        view = memoryview(data).cast("B")
        while view:
            self._limit()
            view = view[self._socket.send(view) :]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


class _Timed:
    """What is changed in a class of connections. `_connect` is what redis-py's own kinds of connections define."""

    def _connect(self) -> TimedSocket:
        return TimedSocket(super()._connect())  # type: ignore[misc]

    def connect(self) -> None:
        self._refuse_waiting()
        super().connect()  # type: ignore[misc]

    def connect_check_health(self, *arguments: Any, **named: Any) -> None:
        self._refuse_waiting()
        super().connect_check_health(*arguments, **named)  # type: ignore[misc]

    def _refuse_waiting(self) -> None:
        if waits_until() is not None and not self.is_connected:  # type: ignore[attr-defined]
            raise redis.ConnectionError("the connection was lost")


@lru_cache
def timed(kind: type[Any]) -> type[Any]:
    """Connections as `kind` makes them, which whoever waits for the store may use."""
    return type(f"Timed{kind.__name__}", (_Timed, kind), {})


class ReadyPool(redis.ConnectionPool):
    """Connections for those who wait for the store, each used by one thread at a time. Guarded by `_turn`."""

    def reset(self) -> None:
        """Begin with no connection: at first, and in a forked child."""
        self._ready: list[Any] = []
        self._lent: dict[Any, int] = {}
        self._era = 0
        """Grows with each `disconnect`: what was connected before it is not used again."""
        self._turn = threading.Condition()
        self._maker: threading.Thread | None = None
        self._waiting = 0
        self._refusal: Exception | None = None
        """Why nobody waits: set by who waited in vain, and when no connection can be made."""
        self._try_at = self._asked = float("-inf")
        self._pauses = Pauses()
        super().reset()

    def get_connection(self, *ignored: Any, **options: Any) -> Any:
        """A connection; for who waits, one that is ready. Raises ConnectionError or TimeoutError, in time."""
        until = waits_until()
        if until is None:
            return super().get_connection()
        self._checkpid()
        with self._turn:
            while True:
                self._asked = monotonic()
                if self._refusal is not None:
                    self._start()
                    raise _again(self._refusal)
                while self._ready:
                    connection = self._ready.pop()
                    if _is_idle(connection):
                        self._lent[connection] = self._era
                        return connection
                    connection.disconnect()
                self._waiting += 1
                try:
                    self._start()
                    in_time = self._turn.wait(max(0.0, until - self._asked))
                finally:
                    self._waiting -= 1
                if not in_time and not self._ready and self._refusal is None:
                    raise redis.TimeoutError("no connection was made in time")

    def release(self, connection: Any) -> None:
        """Take it back."""
        with self._turn:
            if connection in self._lent:
                era = self._lent.pop(connection)
                if connection.is_connected and self._refusal is None and era == self._era:
                    self._ready.append(connection)
                    self._pauses.end()
                    self._turn.notify()
                    return
                connection.disconnect()
                if self._waiting:
                    self._start()  # there is room for another one
                return
        super().release(connection)

    def refuse(self, error: Exception) -> None:
        """Somebody waited in vain: nobody waits before the server has answered on a new connection."""
        with self._turn:
            self._refusal = _again(error)
            self._try_at = monotonic() + self._pauses.next()
            ready, self._ready = self._ready, []
            self._start()
            self._turn.notify_all()
        for connection in ready:
            connection.disconnect()

    def try_again(self) -> None:
        """Let those who wait now have a connection, if one can be made in time."""
        with self._turn:
            self._refusal, self._try_at = None, float("-inf")
            self._turn.notify_all()

    def disconnect(self, inuse_connections: bool = True) -> None:
        """As in the base class. What is asked next makes new ones."""
        super().disconnect(inuse_connections)
        with self._turn:
            self._era += 1
            ready, self._ready = self._ready, []
            lent = list(self._lent) if inuse_connections else []
        for connection in (*ready, *lent):
            connection.disconnect()

    def close(self) -> None:
        """End all connections, and the thread that makes them; the next use begins anew."""
        self.disconnect()
        with self._turn:
            self._asked = float("-inf")
            self._turn.notify_all()

    # ── the thread ────────────────────────────────────────────────────────────────────────────────────────────────

    def _start(self) -> None:
        if self._maker is None:
            self._maker = threading.Thread(target=self._run, name="pywats-cache-connect", daemon=True)
            self._maker.start()
        else:
            self._turn.notify_all()

    def _is_wanted(self) -> bool:
        if self._refusal is not None:
            return monotonic() < self._asked + GO_ON
        there = len(self._ready) + len(self._lent)
        return self._waiting > len(self._ready) and there < self.max_connections

    def _run(self) -> None:
        while True:
            with self._turn:
                while self._is_wanted() and (pause := self._try_at - monotonic()) > 0.0:
                    self._turn.wait(pause)
                if not self._is_wanted():
                    self._maker = None
                    return
                era = self._era
            try:
                connection = self._made()
            except Exception as error:  # noqa: BLE001 - whatever it is, those who wait are told
                with self._turn:
                    self._refusal = _again(error)
                    self._try_at = monotonic() + self._pauses.next()
                    self._turn.notify_all()
                continue
            with self._turn:
                is_current = era == self._era
                if is_current:
                    self._refusal = None
                    self._ready.append(connection)
                    self._turn.notify()
            if not is_current:
                connection.disconnect()

    def _made(self) -> Any:
        connection = self.connection_class(**self.connection_kwargs)
        try:
            connection.connect()
            connection.send_command("PING")
            connection.read_response()
        except redis.exceptions.NoPermissionError:
            pass  # that is an answer
        except BaseException:
            connection.disconnect()
            raise
        return connection


def _is_idle(connection: Any) -> bool:
    """Whether it may be used: the server has not closed it, and sent nothing that nobody waits for."""
    try:
        return connection.is_connected and not connection.can_read()
    except (redis.RedisError, OSError):
        return False


def _again(error: Exception) -> Exception:
    """The same error, without what raised it: each caller gets one of its own."""
    try:
        return type(error)(*error.args)
    except Exception:  # noqa: BLE001 - one with arguments of its own
        return redis.ConnectionError(str(error))


class ReadyPoolOfSentinels(ReadyPool, SentinelConnectionPool):
    """The same, to the primary that sentinels name whenever a connection is made."""


def make_ready(client: Any) -> Any:
    """`client`, whose pool is a ready one from now on, if it was an ordinary one."""
    pool = client.connection_pool
    if type(pool) not in (redis.ConnectionPool, SentinelConnectionPool):
        return client
    arguments = {
        name: value
        for name, value in pool.connection_kwargs.items()
        if not name.startswith(_NOTICES) and name != "connection_pool"
    }
    arguments["connection_class"] = timed(pool.connection_class)
    arguments["max_connections"] = pool.max_connections
    # They would only cost round trips when a connection is made: a lost one is made anew anyway.
    arguments["maint_notifications_config"] = MaintNotificationsConfig(enabled=False)
    if type(pool) is redis.ConnectionPool:
        client.connection_pool = ReadyPool(**arguments)
    else:
        kind: Any = ReadyPoolOfSentinels  # redis-py says nothing of its types
        client.connection_pool = kind(pool.service_name, pool.sentinel_manager, **arguments)
    return client


_NOTICES = ("maint_notifications", "orig_", "oss_cluster")
"""What redis-py adds to the arguments of connections for announced maintenance."""
