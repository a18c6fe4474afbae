"""Processes over a simulated server, one step after the other as a list of numbers says: the real decisions, no I/O.

What decides is the product's: `LeasedCoherence`, `RedisLedger`, `Feed`, and what they use. Only the server, the clock,
the connections and the order of steps are ours. Each number chooses among the steps that are possible; at each *load*
of the check that every hit makes, and around each command, other steps may come in between.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from server_model import Refused, Server, Tables

from pywats_cache.storage.redis import calls as redis_calls
from pywats_cache.storage.redis import feed as redis_feed
from pywats_cache.storage.redis import ledger as redis_ledger
from pywats_cache.storage.redis import storage as redis_storage
from pywats_cache.storage.redis.feed import Feed
from pywats_cache.storage.redis.ledger import RedisLedger
from pywats_cache.storage.redis.storage import LeasedCoherence
from pywats_cache.storage.shared import coherence as shared_coherence
from pywats_cache.storage.shared import patience
from pywats_cache.storage.shared import windows as shared_windows
from pywats_cache.storage.shared.coherence import UNKNOWN

__all__ = ["FAULTS", "LAG", "SETTLE", "Choices", "Violation", "World", "simulated_clock"]

LAG, SETTLE, LEASE = 1.0, 5.0, 50.0
TAGS = ("a",)
FAULTS = ("command", "lose", "refuse", "failover", "cut", "kill", "clock")
DEPTH = 2
"""Steps within steps."""


class Violation(Exception):
    """A promise is broken."""


class Killed(BaseException):
    """The process is no more."""


class Choices:
    """Numbers that choose; 0, which does nothing unusual, once there are no more of them."""

    def __init__(self, numbers: list[int]) -> None:
        self._numbers = iter(numbers)
        self.are_over = False

    def of(self, most: int) -> int:
        number = next(self._numbers, None)
        if number is None:
            self.are_over = True
            return 0
        return number % most


class Cells(list[int]):
    """Cells whose loads are steps."""

    feed: Any

    def __getitem__(self, which: Any) -> Any:
        self.feed.before_load()
        return super().__getitem__(which)


class SimulatedFeed(Feed):
    """A feed whose thread is the world."""

    process: Process

    def before_load(self) -> None:
        if not self._lock._is_owned():  # type: ignore[attr-defined]
            self.process.world.loads(self.process)

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    @property  # type: ignore[override]
    def until(self) -> float:
        self.before_load()
        return self.__dict__["until"]  # type: ignore[no-any-return]

    @until.setter
    def until(self, value: float) -> None:
        self.__dict__["until"] = value


class Process:
    """One process: its connections, one thread that reads, one that writes, and one that listens.

    - `at`: the server to which its commands go; None: a new connection is to be made.
    - `queue`: what was pushed to it and not taken yet; None: it has no subscription.
    """

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.at: Server | None = None
        self.queue: list[tuple[str, str]] | None = None
        self.is_alive = True
        self.is_cut = False
        self.errors = 0
        self.subscribe_at = 0.0
        self.reads = 0
        self.ledger = RedisLedger(self, "p", LAG, lambda: self.reads)
        feed = self.feed = SimulatedFeed(self, "bumps", LAG, ("state",), self.ledger.make_up, self.ledger._used)
        feed.process = self
        feed.cells = Cells(feed.cells)
        feed.cells.feed = feed
        self.ledger.feed = feed
        self.coherence = LeasedCoherence(self.ledger, self._failed, may_continue=True)
        self.kept: tuple[int, int] | None = None
        """What is stored: the version, and the epoch at which its fetch began."""
        self.reading: tuple[int, int, float] | None = None
        self.writing: Write | None = None
        self.ending: Write | None = None

    def _failed(self, doing: str, error: Exception) -> None:
        self.errors += 1
        if "READONLY" in str(error):
            self.at = None

    # ── as redis-py's client ──────────────────────────────────────────────────────────────────────────────────────

    @property
    def connection_pool(self) -> Any:
        return self

    def disconnect(self, inuse_connections: bool = True) -> None:
        self.at = None

    def register_script(self, text: str) -> Callable[..., Any]:
        if text == redis_feed.ECHO:
            return lambda keys, args: self.world.command(self, lambda server: server.beat(args[0], args[1].decode()))
        return lambda keys, args: self.world.command(self, lambda server: server.ask(args[0], self.world.server_time()))

    # ── the thread that listens ───────────────────────────────────────────────────────────────────────────────────

    def listen(self) -> None:
        """One turn of `Feed._run`."""
        try:
            if self.queue is None:
                self._subscribe()
            elif self._wants_beat():
                self.feed._beat()
            elif self.queue:
                channel, text = self.queue.pop(0)
                if channel in (self.feed._channel, self.feed._echoes):  # not the echoes of others
                    self.feed._take_message("message", channel.encode(), text.encode())
        except Exception as error:
            self.feed._failed(error)
            self.end_subscription()

    def _subscribe(self) -> None:
        server = self.world.front
        if self.is_cut or not server.is_up:
            raise ConnectionError
        self.queue = []
        server.subscribers.append(self.queue)
        self.feed._take_message("subscribe", b"", 1)

    def end_subscription(self) -> None:
        for server in self.world.servers:
            server.subscribers = [queue for queue in server.subscribers if queue is not self.queue]
        self.queue = None
        self.subscribe_at = self.world.now + redis_calls.FIRST_PAUSE

    def may_listen(self) -> bool:
        if not self.is_alive:
            return False
        if self.queue is None:
            return self.world.now >= self.subscribe_at
        return bool(self.queue) or self._wants_beat()

    def _wants_beat(self) -> bool:
        return self.feed.wants_beat(self.world.now, self.feed._used_by())

    # ── the thread that reads ─────────────────────────────────────────────────────────────────────────────────────

    def read(self) -> None:
        """Begin a read: what is stored answers it, or it is fetched in a later step."""
        began = self.world.now
        self.reads += 1
        self.world.loading = self
        try:
            epoch = self.coherence.epoch
        finally:
            self.world.loading = None
        kept = self.kept
        if kept is not None and epoch != UNKNOWN:
            if not self.coherence.without_io(self.coherence.dirtied_since, TAGS, kept[1]):
                self.world.check(self, kept[0], began)
                return
            self.kept = None
        # As the engine does: what begins in a settle window is not kept, and every window begins with a bump.
        if epoch != UNKNOWN and not self.coherence.without_io(self.coherence.is_settling, TAGS, 0.0):
            self.reading = (self.world.version, epoch, began)

    def store(self) -> None:
        """The response is there: keep it, unless a write came in between."""
        assert self.reading is not None
        (version, epoch, _), self.reading = self.reading, None
        self.coherence.refresh()
        no_io = self.coherence.without_io
        if not no_io(self.coherence.dirtied_since, TAGS, epoch):
            self.kept = (version, epoch)


class Write:
    """A write under way, of `process`: announced, applied, ended. It counts for readers from `since` on.

    - `is_told`: nobody may miss it any more: it is in the ledger, or nothing is owed.
    """

    def __init__(self, process: Process) -> None:
        self.process = process
        self.intent: str | None = None
        self.is_applied = False
        self.is_late = False
        self.until = 0.0


class World:
    """All of it. `log` says what was done."""

    def __init__(self, numbers: list[int], processes: int = 2, faults: Collection[str] = FAULTS) -> None:
        self.choices = Choices(numbers)
        self.faults = faults
        self.now = 1000.0
        self.skew = 0.0
        self.log: list[str] = []
        self.servers = [Server("one"), Server("two")]
        self.front = self.servers[0]
        self.replicas(True)
        self.snapshot = Tables()
        self.replids = 0
        self.refusing_since = 0.0
        self.version = 0
        self.sure: list[tuple[float, int]] = []
        """From when on each version counts for readers."""
        self.unsure: list[tuple[Process, int]] = []
        """Versions of which a living process still owes news."""
        self.late: list[Write] = []
        self.zombies: list[tuple[Server, Callable[[Server], Any]]] = []
        self.loading: Process | None = None
        self.depth = 0
        self.states = 0
        _current[:] = [self]
        self.processes = [Process(self, "RWX"[n]) for n in range(processes)]

    def replicas(self, up: bool) -> None:
        one, two = self.servers
        one.link, two.role = (two, "slave") if up else (None, two.role)

    def server_time(self) -> float:
        return self.now + self.skew

    # ── commands ──────────────────────────────────────────────────────────────────────────────────────────────────

    def command(self, process: Process, work: Callable[[Server], Any]) -> Any:
        """Run a command of `process`, with what may become of it."""
        if process.at is None:
            process.at = self.front
        server = process.at
        self.between(process)
        fault = self.choices.of(12) if self.may("command") else 0
        if not process.is_alive:
            raise Killed
        if process.is_cut or not server.is_up or fault == 5:
            process.at = None
            self.log.append(f"{process.name}: a command does not reach the server")
            raise ConnectionError("refused")
        if fault == 6:
            process.at = None
            self.zombies.append((server, work))
            self.log.append(f"{process.name}: a command is given up, and may be executed late")
            raise TimeoutError("late")
        answer = work(server)
        self.between(process)
        if fault == 7:
            process.at = None
            self.log.append(f"{process.name}: the answer to a command is lost")
            raise TimeoutError("lost")
        return answer

    def may(self, fault: str) -> bool:
        return fault in self.faults

    def between(self, process: Process) -> None:
        """Other steps than those of this process's requests, or none."""
        if self.depth < DEPTH and not self.choices.are_over and self.choices.of(3) == 2:
            self.step(but=process)

    def loads(self, process: Process) -> None:
        """A check is about to load something."""
        if self.loading is process and self.depth < DEPTH and not self.choices.are_over and self.choices.of(2):
            self.loading = None
            self.step(but=process)
            self.loading = process

    # ── steps ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def run(self) -> None:
        """All that the numbers say, and then what must be right once all is whole again."""
        try:
            self.warm()
            while not self.choices.are_over:
                self.step()
            self.quiet()
        except Violation as violation:
            raise Violation(f"{violation}\n" + "\n".join(self.log)) from None

    def warm(self) -> None:
        """All have subscribed, and have the same."""
        choices, self.choices = self.choices, Choices([])
        self._live(self.processes, 2 * LAG)
        for process in self.processes:
            self._read(process)
        self._live(self.processes, LAG)
        self.choices = choices

    def step(self, but: Process | None = None) -> None:
        loading, self.loading = self.loading, None  # to look at what is possible is no load
        possible = list(self.possible(but))
        name, step = possible[self.choices.of(len(possible))]
        if self.choices.are_over:
            self.loading = loading
            return
        self.states += 1
        self.log.append(f"{self.now - 1000.0:.2f} {'  ' * self.depth}{name}")
        self.depth += 1
        try:
            step()
        except Killed:
            pass
        finally:
            self.depth -= 1
            self.loading = loading
        self.settle_accounts()

    def possible(self, but: Process | None) -> Iterator[tuple[str, Callable[[], object]]]:
        for seconds in (0.05, 0.4, 1.3):
            yield f"{seconds} s pass", lambda seconds=seconds: self.passes(seconds)  # type: ignore[misc]
        for process in self.processes:
            if process.may_listen():
                yield f"{process.name} listens", process.listen
            if process is but or not process.is_alive:
                continue
            if process.reading is None:
                for _ in range(3):
                    yield f"{process.name} reads", process.read
            else:
                yield f"{process.name} has its response", process.store
            yield from self._writes(process)
        yield from self._faults()

    def _writes(self, process: Process) -> Iterator[tuple[str, Callable[[], object]]]:
        write = process.writing
        if write is None:
            yield f"{process.name} announces a write", lambda: self.begin(process)
        elif not write.is_applied:
            yield f"{process.name}'s write is applied", lambda: self.apply(write)
            yield f"{process.name}'s write times out", lambda: self.time_out(write)
            yield f"{process.name}'s write is refused", lambda: self.refuse(write)
        else:
            yield f"{process.name}'s write returns", lambda: self.end(write)

    def _faults(self) -> Iterator[tuple[str, Callable[[], object]]]:
        one, two = self.servers
        for late in self.late:
            yield "a write that had timed out is applied", lambda late=late: self.apply_late(late)  # type: ignore[misc]
        for number, (server, work) in enumerate(self.zombies):
            yield "a command that was given up is executed", lambda n=number, s=server, w=work: self.execute(n, s, w)  # type: ignore[misc]
        if self.may("lose"):
            yield "the server is flushed", lambda: self.flush()
            yield "a table is evicted", lambda: self.front.tables.windows.clear()
            yield "a snapshot is taken", self.take_snapshot
            yield "the server restarts from its snapshot", self.restart
        if self.may("refuse"):
            yield "the server takes writes, or not", self.refuse_writes
        if self.may("failover"):
            if one.role == "master":
                yield "the replica falls behind", lambda: self.replicas(False)
                yield "the replica takes over", self.promote
            elif two.link is None:
                yield "the old primary is synchronised", self.demote
            for process in self.processes:
                if process.at not in (None, self.front):
                    yield f"{process.name}'s commands go to the new primary", process.disconnect
        if self.may("cut"):
            for process in self.processes:
                yield f"{process.name} is cut off, or not", lambda p=process: self.cut(p)  # type: ignore[misc]
        if self.may("kill") and len([p for p in self.processes if p.is_alive]) > 1:
            yield "the last process is killed", lambda: self.kill(self.processes[-1])
        if self.may("clock"):
            yield "the server's clock jumps", lambda: setattr(self, "skew", self.skew - 60.0 if self.skew else 90.0)

    def passes(self, seconds: float) -> None:
        self.now += seconds
        for write in [write for write in self.late if write.until < self.now]:
            self.late.remove(write)  # it was never applied

    def execute(self, number: int, server: Server, work: Callable[[Server], Any]) -> None:
        del self.zombies[number]
        try:
            if server.is_up:
                work(server)
        except Refused:
            pass

    def refuse_writes(self) -> None:
        server = self.servers[0]
        server.refuses_writes = not server.refuses_writes
        self.refusing_since = self.now

    def flush(self) -> None:
        self.front.tables = Tables()
        self.front._written()

    def take_snapshot(self) -> None:
        self.snapshot = copy.deepcopy(self.front.tables)

    def restart(self) -> None:
        self.replids += 1
        self.front.restart(self.snapshot, f"restarted{self.replids}")
        self.front._written()
        for process in self.processes:
            if process.at is self.front:
                process.at = None
            process.end_subscription()

    def promote(self) -> None:
        """Connections stay where they are: the proxy leads new ones to the one that took over."""
        one, two = self.servers
        one.link, one.role, two.role = None, "slave", "master"
        self.replids += 1
        two.replid = f"promoted{self.replids}"
        self.front = two

    def demote(self) -> None:
        one, two = self.servers
        two.copy_to(one)
        two.link = one

    def cut(self, process: Process) -> None:
        process.is_cut = not process.is_cut
        process.at = None
        if process.is_cut:
            process.end_subscription()

    def kill(self, process: Process) -> None:
        write = process.writing or process.ending
        if write is not None and write.is_applied and write.intent is None:
            # Nobody could be told, before it or after it: a reader is bounded by the TTL then.
            self.unsure.append((process, int(write.until)))
        process.is_alive = False
        process.end_subscription()

    # ── writes ────────────────────────────────────────────────────────────────────────────────────────────────────

    def begin(self, process: Process) -> None:
        write = process.writing = Write(process)
        write.is_applied = True  # no other step of it is possible before it is announced
        write.intent = process.coherence.begin_write(TAGS, LEASE)
        write.is_applied = False

    def apply(self, write: Write) -> None:
        write.is_applied = True
        self.version += 1
        write.until = self.version

    def end(self, write: Write) -> None:
        process = write.process
        process.writing, process.ending = None, write
        process.coherence.finish_write(write.intent, TAGS, 0.0)
        process.ending = None
        self.unsure.append((process, int(write.until)))

    def time_out(self, write: Write) -> None:
        process = write.process
        process.writing = None
        process.coherence.finish_write(write.intent, TAGS, SETTLE)
        write.until = self.now + SETTLE - 2 * LAG
        self.late.append(write)

    def apply_late(self, write: Write) -> None:
        self.late.remove(write)
        self.version += 1
        self.unsure.append((write.process, self.version))

    def refuse(self, write: Write) -> None:
        write.process.writing = None
        write.process.coherence.abandon_write(write.intent)

    # ── what must hold ────────────────────────────────────────────────────────────────────────────────────────────

    def settle_accounts(self) -> None:
        """A write that returned counts from when its process owes nothing; of a late one the window must be open."""
        for process, version in list(self.unsure):
            if process.is_alive and not process.ledger.debt and self._is_sound(process):
                self.unsure.remove((process, version))
                self.sure.append((self.now, version))

    def _is_sound(self, process: Process) -> bool:
        """Whether the process has heard of the ledger that there is, and has opened its windows there."""
        state = self.front.tables.state
        ends = process.ledger._known._ends
        return bool(state) and (
            state["generation"] == process.ledger._known.generation == process.feed.generation
            and state["replid"] == self.front.replid
            and all(
                any(json.loads(member)[:2] == list(name) for member in self.front.tables.windows)
                for name, end in ends.items()
                if end > self.now
            )
        )

    def check(self, process: Process, version: int, began: float) -> None:
        least = max((v for since, v in self.sure if since + LAG < began), default=0)
        if self.front.refuses_writes and process.at is self.front and began > self.refusing_since + LAG:
            raise Violation(f"{process.name} relies on a server that refuses writes")
        if version < least:
            raise Violation(f"{process.name} read version {version} at {began - 1000.0:.2f}, and {least} had returned")

    def quiet(self) -> None:
        """Everything is whole again; some seconds later nobody has anything old, and what can be stored is."""
        self.choices.are_over = True
        self.front.refuses_writes = False
        alive = [process for process in self.processes if process.is_alive]
        for process in alive:
            process.is_cut = False
            if process.writing is not None and process.writing.is_applied:
                self.end(process.writing)
            elif process.writing is not None:
                self.refuse(process.writing)
            process.reading = None
        for server, work in self.zombies:
            try:
                work(server)
            except Refused:
                pass
        self.zombies.clear()
        self._live(alive, 3 * LAG)
        for process in alive:
            if process.ledger.debt:
                raise Violation(f"{process.name} could tell, and has not")
            for _ in range(3):
                self._read(process)
                if not process.coherence.is_out_of_reach:  # else it may keep what it does not use
                    self._check_kept(process)
        for _ in range(2):  # a window counts from when it is seen first
            self._live(alive, SETTLE + LAG)
            for process in alive:
                for _ in range(3):
                    self._read(process)
        for process in alive if all(process.is_alive for process in self.processes) else ():
            if process.kept is None:
                raise Violation(f"{process.name} stores nothing, though no write is under way")
            self._check_kept(process)

    def _read(self, process: Process) -> None:
        process.read()
        if process.reading is not None:
            process.store()
        self.passes(shared_coherence.RETRY)

    def _check_kept(self, process: Process) -> None:
        if process.kept is not None and process.kept[0] != self.version and self._counts(process):
            raise Violation(f"{process.name} keeps version {process.kept[0]} of {self.version}")

    def _counts(self, process: Process) -> bool:
        """Whether the newest version must be known: its process lives, or has told it."""
        return not any(version == self.version for _, version in self.unsure)

    def _live(self, alive: list[Process], seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.passes(LAG / 10)
            for process in alive:
                while process.may_listen():
                    process.listen()
            self.settle_accounts()


_current: list[World] = []


def _clock() -> float:
    world = _current[0]
    now = world.now
    if world.loading is not None:
        world.loads(world.loading)
    return now


@contextmanager
def simulated_clock() -> Iterator[None]:
    """The clock of all modules is that of the world that was made last."""
    modules = (redis_calls, redis_feed, redis_ledger, redis_storage, patience, shared_coherence, shared_windows)
    real = [module.monotonic for module in modules]
    for module in modules:
        module.monotonic = _clock
    try:
        yield
    finally:
        for module, clock in zip(modules, real, strict=True):
            module.monotonic = clock
