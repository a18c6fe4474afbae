"""Worlds whose threads change places at every line: the engine, a bounded table, the transport, a client."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import httpx
from line_scheduler import Baton, BatonEvent, BatonLock
from register_world import ITEM, SERVER, World, request
from step_explorer import Violation

from pywats_cache import CacheClient, CacheTransport, Controller, MemoryStorage
from pywats_cache.engine.steps import Fetch, Join
from pywats_cache.httpx import LIBRARY
from pywats_cache.storage.bounded_table import BoundedTable
from pywats_cache.storage.eviction import PolicyItems, items_by


class LineWorld(World):
    """A world whose locks belong to the scheduler, with operations instead of steps."""

    def __init__(self, controller: Controller | None = None) -> None:
        super().__init__(controller=controller)
        schedule_locks(self.storage)
        self.engine._owner = self._who
        self.operations: list[Callable[[], object]] = []
        self.fetched: list[tuple[Fetch, httpx.Response]] = []

    def _who(self) -> tuple[int, None]:
        return (self.turn if Baton.active is None else Baton.active.current), None

    def read(self, path: str = ITEM, *, early: bool = False) -> None:
        """A whole read; with `early` the origin's value is from before the schedule's writes."""
        asked = request("GET", path)
        step = self.engine.begin(asked)
        while isinstance(step, Join):
            landed = BatonEvent()
            step.flight.on_landing(landed.set)
            landed.wait()
            step = self.engine.rejoin(step)
        if isinstance(step, Fetch):
            self.fetches += 1
            number = 0 if early else len(self.versions) - 1
            response = httpx.Response(200, content=f"{number}::".encode())
            self.engine.arrived(step, response)
            step = self.engine.finished(step, response, response.content)
        assert step.status_code == 200

    def writer(self, path: str = ITEM, **answer: Any) -> Callable[[], None]:
        """What is left of a write that the origin has applied: its answer comes."""
        forward = self.engine.begin(request("PUT", path))
        self.apply()

        def answered() -> None:
            if "error" in answer:
                self.engine.forward_failed(forward, answer["error"])
            else:
                self.engine.forwarded(forward, httpx.Response(200))

        return answered

    def must_not_hit(self, path: str = ITEM, number: int = 1) -> None:
        """A read that begins now never gets a value before `number`."""
        answer = self.engine.begin(request("GET", path))
        if isinstance(answer, httpx.Response) and int(answer.content.split(b":")[0]) < number:
            raise Violation(f"a read after the write got {answer.content!r}")
        if isinstance(answer, Join):
            raise Violation("a flight is left in the table")


def schedule_locks(storage: MemoryStorage) -> None:
    storage.lock = storage.table.lock = BatonLock()  # type: ignore[assignment]
    storage.coherence._lock = BatonLock(plain=True)  # type: ignore[assignment]


def in_step(items: Any) -> None:
    """The policy knows the keys that are there and no others."""
    if isinstance(items, PolicyItems):
        policy: Any = items._policy
        kept = policy._kept
        segments = [*kept.window, *kept.probation, *kept.protected]
        if sorted(segments) != sorted(items):
            raise Violation(f"the policy knows {segments} of {list(items)}")


class BoundsWorld:
    """A table of two entries and 100 bytes; the bounds hold at every line."""

    def __init__(self, *operations: Callable[[BoundedTable[Any]], object], policy: str = "lru") -> None:
        self.table: BoundedTable[Any] = BoundedTable(2, 100, items_by(policy))
        self.table.lock = BatonLock()  # type: ignore[assignment]
        self.first = SimpleNamespace(size=40)
        self.table.put("a", self.first)
        self.table.put("b", SimpleNamespace(size=30))
        self.operations = [lambda operation=operation: operation(self.table) for operation in operations]

    def invariant(self) -> None:
        items = list(self.table.items.values())
        if len(items) > 2 or sum(item.size for item in items) > 100:
            raise Violation(f"out of bounds: {items}")

    def check(self) -> None:
        self.invariant()
        if self.table.size_bytes != sum(item.size for item in self.table.items.values()):
            raise Violation(f"{self.table.size_bytes} bytes counted for {list(self.table.items.values())}")
        in_step(self.table.items)


class Origin(httpx.BaseTransport):
    """A register behind a transport: the value, and when each was applied and confirmed to its writer."""

    def __init__(self, world: TransportWorld) -> None:
        self.world = world

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            self.world.fetches += 1
            return httpx.Response(200, content=f"{len(self.world.versions) - 1}::".encode())
        return httpx.Response(200, content=f"{self.world.apply() and len(self.world.versions) - 1}".encode())


class TransportWorld(World):
    """`CacheTransport` with the scheduler's locks and events; each line is a tick."""

    def __init__(self, *paths: str) -> None:
        super().__init__()
        self.transport = CacheTransport(Origin(self), storage=self.storage, clock=self.clock)
        schedule_locks(self.storage)
        self.engine = self.transport._engine
        self.engine._owner = lambda: ((-1 if Baton.active is None else Baton.active.current), None)
        self.operations = [(lambda path=path: self.ask(path)) for path in paths]

    def invariant(self) -> None:
        self.tick += 1

    def ask(self, what: str) -> None:
        self.begun += 1
        method, path = what.split()
        began = self.tick
        response = self.send(method, path)
        if method == "GET":
            self.got(began, request(method, path), response.read())
        else:
            self.versions[int(response.read())].completed = self.tick
        self.tick += 1

    def send(self, method: str, path: str) -> httpx.Response:
        return self.transport.handle_request(request(method, path))

    def check(self, stuck: Any = ()) -> None:
        super().check([])


class ClientWorld(TransportWorld):
    """The same through a client, whose `get` asks the cache before httpx builds a request."""

    def __init__(self, *paths: str) -> None:
        super().__init__(*paths)
        self.client = CacheClient(transport=self.transport, base_url=SERVER)
        for what in paths:
            if what.startswith("GET"):
                assert self.client.lookup("GET", what.split()[1]) is None

    def send(self, method: str, path: str) -> httpx.Response:
        response = self.client.get(path) if method == "GET" else self.client.put(path)
        self.looked_up += isinstance(response, LIBRARY.looked_up_response)
        return response
