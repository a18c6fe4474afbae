"""Connections to Redis: one deadline for all that a call reads, and none is made while somebody waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from pywats_cache.errors import StorageError
from pywats_cache.storage.redis import calls, connections
from pywats_cache.storage.redis.connections import ReadyPool, TimedSocket, make_ready, timed
from pywats_cache.storage.shared import patience
from pywats_cache.storage.shared.patience import waiting

LONG = 30.0


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (patience, connections, calls):
        monkeypatch.setattr(module, "monotonic", clock)
    return clock


class SlowSocket:
    """Sends and gets a piece after the other, each after `seconds`."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.clock, self.seconds = clock, seconds
        self.timeout: float | None = 5.0
        self.pieces = 0

    def gettimeout(self) -> float | None:
        return self.timeout

    def settimeout(self, timeout: float | None) -> None:
        self.timeout = timeout

    def _piece(self) -> None:
        if self.timeout is not None and self.timeout < self.seconds:
            self.clock.now += self.timeout
            raise TimeoutError
        self.clock.now += self.seconds
        self.pieces += 1

    def recv(self, size: int) -> bytes:
        self._piece()
        return b"x"

    def recv_into(self, buffer: Any) -> int:
        self._piece()
        return 1

    def send(self, data: Any) -> int:
        self._piece()
        return 1

    def fileno(self) -> int:
        return 77


@pytest.mark.parametrize("does", ["recv", "recv_into", "send"])
def test_all_that_a_call_reads_or_sends_has_one_deadline(clock: Clock, does: str) -> None:
    slow = SlowSocket(clock, 0.06)
    socket = TimedSocket(slow)
    step: Callable[[], object] = {
        "recv": lambda: socket.recv(10),
        "recv_into": lambda: socket.recv_into(bytearray(10)),
        "send": lambda: socket.sendall(b"0123456789"),
    }[does]

    def steps() -> None:
        while True:
            step()

    began = clock.now
    with pytest.raises(TimeoutError), waiting(0.25):
        steps()
    assert clock.now - began == pytest.approx(0.25)
    assert slow.pieces == 4
    with pytest.raises(TimeoutError), waiting(0.0):
        step()
    # Whoever waits for nobody has the whole time of the connection for each piece.
    slow.seconds = 4.0
    step()
    assert socket.fileno() == 77


def test_a_look_whether_anything_is_there_stays_one(clock: Clock) -> None:
    slow = SlowSocket(clock, 0.06)
    socket = TimedSocket(slow)
    socket.settimeout(0.0)
    with waiting(0.25), pytest.raises(TimeoutError):
        socket.recv(10)
    assert clock.now == 100.0


def test_pauses_grow_up_to_a_bound_and_are_never_the_same() -> None:
    pauses = calls.Pauses()
    grown = [pauses.next() for _ in range(40)]
    for before, after in ((0, 1), (1, 2), (2, 3)):
        assert grown[before] < grown[after]
    assert min(grown) >= calls.FIRST_PAUSE
    assert max(grown) <= 1.5 * calls.LONGEST_PAUSE
    assert len(set(grown)) == len(grown)
    pauses.end()
    assert pauses.next() <= 1.5 * calls.FIRST_PAUSE


# ── the pool ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Server:
    """What the connections below meet; each attempt to connect is written down with the name of its thread."""

    def __init__(self) -> None:
        self.attempts: list[str] = []
        self.error: Exception | None = None
        self.ping: Exception | None = None
        self.may_connect = threading.Event()
        self.may_connect.set()


class Connection(redis.Connection):
    """A connection to a `Server`, without a socket."""

    def __init__(self, server: Server, **arguments: Any) -> None:
        self.server = server
        self.connected = self.is_dirty = False
        super().__init__(**arguments)

    @property
    def is_connected(self) -> bool:
        return self.connected

    def connect(self) -> None:
        if self.connected:
            return
        self.server.attempts.append(threading.current_thread().name)
        assert self.server.may_connect.wait(LONG)
        if self.server.error is not None:
            raise self.server.error
        self.connected = True

    def disconnect(self, *ignored: Any, **options: Any) -> None:
        self.connected = False

    def can_read(self, timeout: float = 0) -> bool:
        return self.is_dirty

    def send_command(self, *command: Any, **options: Any) -> None:
        pass

    def read_response(self, *ignored: Any, **options: Any) -> Any:
        if self.server.ping is not None:
            raise self.server.ping
        return b"PONG"


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def pool(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[ReadyPool]:
    monkeypatch.setattr(calls, "FIRST_PAUSE", 0.0)
    monkeypatch.setattr(calls, "LONGEST_PAUSE", 0.0)
    pool = ReadyPool(connection_class=timed(Connection), server=server)
    yield pool
    pool.close()


def has_no_thread(pool: ReadyPool) -> bool:
    maker = pool._maker
    if maker is not None:
        maker.join(LONG)
    return pool._maker is None


def test_who_waits_makes_no_connection(pool: ReadyPool, server: Server) -> None:
    with waiting(LONG):
        first, second = pool.get_connection(), pool.get_connection()
        assert first is not second
        pool.release(first)
        assert pool.get_connection() is first
    assert server.attempts == ["pywats-cache-connect"] * 2
    assert has_no_thread(pool)
    pool.release(second)
    with waiting(LONG):
        second.disconnect()
        with pytest.raises(redis.ConnectionError, match="lost"):
            second.connect()
        with pytest.raises(redis.ConnectionError, match="lost"):
            second.connect_check_health()
    other = pool.get_connection()  # as the thread of the feed does
    assert server.attempts[2:] == ["MainThread"]
    pool.release(other)


def test_a_connection_that_was_closed_or_has_something_to_say_is_not_used(pool: ReadyPool, server: Server) -> None:
    with waiting(LONG):
        first, second = pool.get_connection(), pool.get_connection()
        for connection in (first, second):
            pool.release(connection)
        first.is_dirty = True
        second.disconnect()
        third = pool.get_connection()
    assert third not in (first, second)
    assert not first.is_connected
    pool.release(third)


def test_a_connection_that_another_thread_gives_back_is_waited_for(pool: ReadyPool, server: Server) -> None:
    with waiting(LONG):
        first = pool.get_connection()
    server.may_connect.clear()
    got: list[Any] = []

    def ask() -> None:
        with waiting(LONG):
            got.append(pool.get_connection())

    thread = threading.Thread(target=ask)
    thread.start()
    while not pool._waiting:
        pass
    pool.release(first)
    thread.join(LONG)
    assert got == [first]
    server.may_connect.set()
    pool.release(first)


def test_no_more_connections_are_made_than_are_allowed(pool: ReadyPool, server: Server) -> None:
    pool.max_connections = 1
    with waiting(LONG):
        first = pool.get_connection()
    with waiting(0.01), pytest.raises(redis.TimeoutError, match="no connection"):
        pool.get_connection()
    assert has_no_thread(pool)
    assert len(server.attempts) == 1
    got: list[Any] = []

    def ask() -> None:
        with waiting(LONG):
            got.append(pool.get_connection())

    thread = threading.Thread(target=ask)
    thread.start()
    while not pool._waiting:
        pass
    first.disconnect()  # its thread waited in vain
    pool.release(first)
    thread.join(LONG)
    assert len(got) == 1
    assert got[0].is_connected


def test_after_a_wait_in_vain_nobody_waits_until_the_server_has_answered(pool: ReadyPool, server: Server) -> None:
    with waiting(LONG):
        first, idle = pool.get_connection(), pool.get_connection()
    pool.release(idle)
    server.may_connect.clear()
    pool.refuse(redis.TimeoutError("Timeout reading from socket"))
    pool.release(first)
    assert not first.is_connected
    assert not idle.is_connected
    for _ in range(3):
        with waiting(LONG), pytest.raises(redis.TimeoutError, match="reading from socket"):
            pool.get_connection()
    server.may_connect.set()
    assert has_no_thread(pool)
    with waiting(LONG):
        assert pool.get_connection().is_connected
    assert server.attempts == ["pywats-cache-connect"] * 3


def test_the_pause_after_a_wait_in_vain_is_over_before_another_attempt(
    pool: ReadyPool, server: Server, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "FIRST_PAUSE", 0.25)
    pool._pauses = calls.Pauses()
    pool.refuse(redis.TimeoutError("in vain"))
    for _ in range(20):
        with waiting(LONG), pytest.raises(redis.TimeoutError):
            pool.get_connection()
    assert server.attempts == []
    clock.now += 1.0
    with waiting(LONG), pytest.raises(redis.TimeoutError):
        pool.get_connection()
    assert has_no_thread(pool)
    assert server.attempts == ["pywats-cache-connect"]


def test_what_the_server_says_when_a_connection_is_made_is_told_to_who_waits(pool: ReadyPool, server: Server) -> None:
    server.error = redis.AuthenticationError("invalid username-password pair")
    with waiting(LONG), pytest.raises(redis.AuthenticationError, match="invalid"):
        pool.get_connection()
    server.error = None
    assert has_no_thread(pool)
    server.ping = redis.exceptions.NoPermissionError("no permissions to run the 'ping' command")
    with waiting(LONG):
        assert pool.get_connection().is_connected


def test_an_error_that_cannot_be_made_again_is_told_by_its_text(pool: ReadyPool, server: Server) -> None:
    class OddError(redis.RedisError):
        def __init__(self, one: str, two: str) -> None:
            super().__init__(one + two)

    server.error = OddError("od", "d")
    with waiting(LONG), pytest.raises(redis.ConnectionError, match="odd"):
        pool.get_connection()


def test_a_forked_child_begins_with_no_connection(pool: ReadyPool, server: Server) -> None:
    with waiting(LONG):
        pool.release(pool.get_connection())
        pool.pid -= 1  # as in a child
        assert pool.get_connection().is_connected
    assert len(server.attempts) == 2


def test_a_connection_that_was_lent_is_not_used_again_after_a_disconnect(pool: ReadyPool, server: Server) -> None:
    with waiting(LONG):
        lent = pool.get_connection()
        pool.disconnect(inuse_connections=False)
        assert lent.is_connected
        pool.release(lent)
        assert pool.get_connection() is not lent
    assert not lent.is_connected


def test_what_was_made_ready_closes_as_before(server: Server) -> None:
    client = redis.Redis(connection_pool=redis.ConnectionPool(connection_class=Connection, server=server))
    make_ready(client)
    pool = client.connection_pool
    assert isinstance(pool, ReadyPool)
    make_ready(client)
    assert client.connection_pool is pool
    with waiting(LONG):
        lent, idle = pool.get_connection(), pool.get_connection()
    pool.release(idle)
    pool.disconnect(inuse_connections=False)
    assert (lent.is_connected, idle.is_connected) == (True, False)
    pool.close()
    assert not lent.is_connected
    assert has_no_thread(pool)


# ── what is told ──────────────────────────────────────────────────────────────────────────────────────────────────


class Refusing:
    """A client's pool that remembers what it was told."""

    def __init__(self) -> None:
        self.refused: list[Exception] = []

    def refuse(self, error: Exception) -> None:
        self.refused.append(error)


def test_only_a_wait_that_was_long_enough_counts_against_the_server(clock: Clock) -> None:
    pool = Refusing()
    client = SimpleNamespace(connection_pool=pool)

    def wait(seconds: float, error: Exception) -> None:
        clock.now += seconds
        raise error

    for seconds, error in (
        (0.2, redis.ConnectionError("closed")),
        (0.01, redis.TimeoutError("no time")),
        (0.2, redis.TimeoutError("in vain")),
    ):
        with pytest.raises(StorageError, match=str(error)) as caught:
            calls.run(client, wait, seconds, error)
        assert caught.value.kind == type(error).__name__
        assert caught.value.__cause__ is None
    assert [str(error) for error in pool.refused] == ["in vain"]
    assert calls.run(client, lambda value: value, 5) == 5
