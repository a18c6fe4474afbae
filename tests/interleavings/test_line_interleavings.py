"""The steps that take no lock, and those that do: threads that change places at every line of the real code."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from engine_mutants import plant
from line_scheduler import Baton, BatonEvent, BatonLatch, BatonLock, codes, explore_lines
from register_world import COLLECTION, ITEM, SERVER, SIBLING, World, reading, request
from step_explorer import Violation

from pywats_cache import CacheClient, CacheTransport, Controller, MemoryStorage, Read
from pywats_cache import flights as flights_module
from pywats_cache import sync as sync_module
from pywats_cache.coherence import Coherence, explicit_tag
from pywats_cache.door import Door
from pywats_cache.engine import Engine
from pywats_cache.flights import SOLITARY_SECONDS, Flight, FlightTable, Landing
from pywats_cache.httpx import LIBRARY
from pywats_cache.steps import Fetch, Join, Stale
from pywats_cache.storage.policy import PolicyItems, items_by
from pywats_cache.storage.table import BoundedTable
from pywats_cache.storage.tinylfu import Segments, WTinyLFU

TAGGED = Controller(ttl=300.0, rules=[Read("/t/{id}", tags=("t",))])


@pytest.fixture(autouse=True)
def scheduled_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flights that are made during a test get locks of the scheduler."""
    monkeypatch.setattr(flights_module, "threading", SimpleNamespace(Lock=lambda: BatonLock(plain=True)))


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


class Case:
    """A world for each schedule, the code whose lines are watched, and the bound."""

    def __init__(self, make: Callable[[], Any], watched: Callable[[], Any], preemptions: int, **options: Any) -> None:
        self.make = make
        self.watched = watched
        self.options = {"preemptions": preemptions, **options}

    def explore(self) -> int:
        return explore_lines(self.make, self.watched(), **self.options)


def thorough(usual: int, bound: int) -> int:
    """More preemptions where time does not matter."""
    return bound if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else usual


def checks_and_bumps() -> Any:
    return codes(Engine.is_fresh, Coherence.dirtied_since, Coherence.bump, Coherence._note, Coherence._publish)


def hits_and_bumps() -> Any:
    return checks_and_bumps() | codes(Engine.begin)


def the_core_of_checks_and_bumps() -> Any:
    return codes(Engine.is_fresh, Coherence.dirtied_since, Coherence._note, Coherence._publish)


# ── a hit against what makes it invalid ───────────────────────────────────────────────────────────────────────────────


def hit_against_write() -> Any:
    world = LineWorld()
    world.warm(ITEM)
    world.writer("/b/y")()  # so that the epoch alone does not say that the entry is valid
    world.operations = [world.read, world.writer()]
    world.check = world.must_not_hit  # type: ignore[assignment]
    return world


def hit_against_two_writes() -> Any:
    world = LineWorld()
    world.warm(ITEM)
    world.writer("/b/y")()
    world.operations = [
        world.read,
        world.writer(),
        world.writer(SIBLING),
    ]
    world.check = world.must_not_hit  # type: ignore[assignment]
    return world


def hit_of_a_dirtied_entry(make: Callable[[LineWorld], Callable[[], object]]) -> Any:
    """The entry is dirtied before anything runs; whatever goes on, nobody may get it."""
    world = LineWorld()
    world.warm(ITEM)
    dirty = world.writer()
    dirty()

    def hit() -> None:
        entry = next(iter(world.storage.table.items.values()))
        prepared = world.engine.preparer.prepare(request("GET", ITEM))
        if world.engine.is_fresh(entry, prepared, 0.0):
            raise Violation("a dirtied entry was found fresh")

    world.operations = [hit, make(world)]
    world.check = hit  # type: ignore[assignment]
    return world


def folding(world: LineWorld) -> Callable[[], object]:
    world.storage.coherence.max_tags = 2
    return world.writer("/b/y")


def hit_against_clear() -> Any:
    world = LineWorld()
    world.warm(ITEM)
    late = world.engine.begin(request("GET", COLLECTION))
    assert isinstance(late, Fetch)
    response = httpx.Response(200, content=b"0::")
    world.engine.arrived(late, response)
    world.apply()
    world.operations = [
        world.read,
        lambda: world.engine.finished(late, response, b"0::"),
        world.storage.clear,
    ]

    def check() -> None:
        world.must_not_hit(ITEM)
        world.must_not_hit(COLLECTION)

    world.check = check  # type: ignore[assignment]
    return world


# ── an answer that comes in against what makes it invalid ─────────────────────────────────────────────────────────────


def finish_against(make: Callable[[LineWorld], Callable[[], object]]) -> Any:
    world = LineWorld()
    fetch = world.engine.begin(request("GET", ITEM))
    response = httpx.Response(200, content=b"0::")
    world.engine.arrived(fetch, response)
    world.operations = [lambda: world.engine.finished(fetch, response, b"0::"), make(world)]
    world.check = world.must_not_hit  # type: ignore[assignment]
    return world


def invalidation(world: LineWorld) -> Callable[[], object]:
    world.apply()
    return lambda: world.engine.invalidate("/a", ())


def read_against_late_write() -> Any:
    """The write's outcome is unknown; the origin applies it after all that runs here."""
    world = LineWorld()
    lose = world.writer(error=httpx.ReadTimeout("no answer"))
    world.operations = [lambda: world.read(early=True), lose]
    world.check = world.must_not_hit  # type: ignore[assignment]
    return world


def settle_against_overflow() -> Any:
    """A window is open; another write makes the table of windows overflow meanwhile."""
    world = LineWorld()
    world.writer(error=httpx.ReadTimeout("no answer"))()
    world.storage.coherence.max_tags = 3

    def in_window() -> None:
        prepared = world.engine.preparer.prepare(request("GET", ITEM))
        if not world.storage.coherence.is_settling(prepared.tags, world.clock()):
            raise Violation("a settle window was overlooked")

    coherence = world.storage.coherence
    world.operations = [
        in_window,
        lambda: coherence.settle(("=b", "^b"), world.clock(), world.clock() + 10.0),
    ]
    world.check = in_window  # type: ignore[assignment]
    return world


# ── flights ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def cold_readers(count: int) -> Callable[[], Any]:
    def make() -> Any:
        world = LineWorld()
        world.operations = [world.read] * count

        def check() -> None:
            if world.fetches != 1:
                raise Violation(f"{world.fetches} origin requests for one cold key")
            if len(world.storage.flights):
                raise Violation("a flight is left in the table")
            if world.engine.stats.requests != count:
                raise Violation(f"{count} requests, but {world.engine.stats}")

        world.check = check  # type: ignore[assignment]
        return world

    return make


def landing_against_waiting() -> Any:
    flight = Flight("k", (), 0, 0.0, (0, None), shared=True, storable=True)
    landed = BatonEvent()

    def wait() -> None:
        flight.on_landing(landed.set)
        landed.wait()

    return SimpleNamespace(operations=[wait, lambda: flight.land(Landing.FAILED)], check=lambda: None)


def hits_of_one_entry(*operations: Callable[[LineWorld], object]) -> Any:
    world = LineWorld()
    world.warm(ITEM)
    before = world.engine.stats.hits
    world.operations = [lambda operation=operation: operation(world) for operation in operations]

    def check() -> None:
        if world.engine.stats.hits != before + 2:
            raise Violation("a hit was not counted")

    world.check = check  # type: ignore[assignment]
    return world


def lookup(world: LineWorld) -> None:
    key, entry = next(iter(world.storage.table.items.items()))
    world.engine.touch(key, entry, lookup=True)


# ── lookups that no hit answers ───────────────────────────────────────────────────────────────────────────────────────


def lookups_of_an_expired_answer() -> Any:
    world = LineWorld(Controller(ttl=300.0, stale_while_revalidate=60.0))
    world.warm(ITEM)
    world.clock.advance(310.0)
    refreshes: list[Stale] = []

    def ask() -> None:
        step = world.look_up(ITEM)
        if isinstance(step, Stale):
            refreshes.append(step)
        else:
            assert step.extensions["pywats_cache"].status == "stale"

    def check() -> None:
        if len(refreshes) != 1:
            raise Violation(f"{len(refreshes)} refreshes of one expired answer")

    world.operations = [ask, ask]
    world.check = check  # type: ignore[assignment]
    return world


def lookups_that_waited() -> Any:
    """The flight that both wait for has landed."""
    world = LineWorld()
    fetch = world.engine.begin(request("GET", ITEM))
    joins = [world.look_up(ITEM) for world.turn in (1, 2)]
    response = httpx.Response(200, content=b"0::")
    world.engine.arrived(fetch, response)
    world.engine.finished(fetch, response, b"0::")
    before = world.engine.stats

    def check() -> None:
        after = world.engine.stats
        if (after.collapsed, after.lookups) != (before.collapsed + 2, before.lookups + 2):
            raise Violation("a lookup that waited was not counted")

    world.operations = [lambda join=join: world.engine.rejoin_lookup(join) for join in joins]
    world.check = check  # type: ignore[assignment]
    return world


def lookups_after_a_key_was_let_go() -> Any:
    """For a while the key was not collapsed; that is over, and somebody fetches it."""
    world = LineWorld()
    prepared = world.engine.preparer.prepare(request("GET", ITEM))
    world.storage.flights.make_solitary(prepared.key, world.clock())
    world.look_up(ITEM)
    world.clock.advance(SOLITARY_SECONDS)
    flight = Flight(
        prepared.key, prepared.tags, world.storage.coherence.epoch, world.clock(), (9, None), shared=True, storable=True
    )
    world.storage.flights.add(flight)
    joins: list[Any] = []

    def check() -> None:
        if [type(join) for join in joins] != [Join, Join]:
            raise Violation(f"two lookups of one flight came to {joins}")

    world.operations = [lambda: joins.append(world.look_up(ITEM))] * 2
    world.check = check  # type: ignore[assignment]
    return world


def hit_against_eviction(policy: str = "lru") -> Any:
    world = LineWorld()
    world.storage.table.items = items_by(policy)
    world.warm(ITEM)
    world.storage.table.max_entries = 1
    world.operations = [
        world.read,
        lambda: world.read(SIBLING),
    ]

    def check() -> None:
        if len(world.storage) != 1:
            raise Violation("more entries than allowed")
        in_step(world.storage.table.items)

    world.check = check  # type: ignore[assignment]
    return world


# ── the bounds ────────────────────────────────────────────────────────────────────────────────────────────────────────


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


def put(key: str, size: int) -> Callable[[BoundedTable[Any]], object]:
    return lambda table: table.put(key, SimpleNamespace(size=size))


def grow(key: str, extra: int) -> Callable[[BoundedTable[Any]], object]:
    def operation(table: BoundedTable[Any]) -> None:
        item = table.items.get(key)
        if item is not None:
            table.grow(key, item, extra)

    return operation


# ── the whole transport ───────────────────────────────────────────────────────────────────────────────────────────────


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


def transport_codes() -> Any:
    """What lies between the entry of the transport and the origin, but for what only this request knows."""
    return codes(
        Engine.begin,
        Engine.is_fresh,
        Engine._looked,
        Engine._may_join,
        Engine._take_off,
        Engine.rejoin,
        Engine._keep,
        Engine.forwarded,
        Engine._wrote,
        Coherence,
        FlightTable,
        Flight,
        sync_module.SyncCache,
        Origin,
    )


def lookup_codes() -> Any:
    """What a lookup passes that waits, and what it may meet."""
    return codes(
        Door.answer,
        Engine.missed_lookup,
        Engine.rejoin_lookup,
        Engine._brought,
        Engine._may_join,
        Engine._keep,
        Engine._wrote,
        Coherence.bump,
        Coherence.dirtied_since,
        Flight,
        sync_module.SyncCache._fetch,
        sync_module.SyncCache._wait,
        Origin,
    )


CASES: dict[str, tuple[Case, int]] = {
    "a hit and a write": (Case(hit_against_write, hits_and_bumps, thorough(2, 3)), 649),
    "a hit and two writes": (Case(hit_against_two_writes, the_core_of_checks_and_bumps, thorough(1, 2)), 100),
    "a dirtied entry and a fold": (
        Case(
            lambda: hit_of_a_dirtied_entry(folding),
            lambda: codes(Coherence.dirtied_since, Coherence.bump, Coherence._fold, Coherence._publish),
            3,
        ),
        1079,
    ),
    "a dirtied entry and a second write": (
        Case(lambda: hit_of_a_dirtied_entry(lambda world: world.writer()), checks_and_bumps, 3),
        1066,
    ),
    "a hit, a finish and a clear": (
        Case(
            hit_against_clear,
            lambda: codes(
                Engine.is_fresh,
                Engine._store,
                Engine._keep,
                MemoryStorage.clear,
                Coherence.bump_all,
                Coherence.dirtied_since,
            ),
            thorough(1, 2),
        ),
        233,
    ),
    "a finish and a write": (
        Case(
            lambda: finish_against(lambda world: world.writer()),
            lambda: checks_and_bumps() | codes(Engine._store, Engine._keep, MemoryStorage.put),
            thorough(2, 3),
        ),
        670,
    ),
    "a finish and an invalidation": (
        Case(
            lambda: finish_against(invalidation),
            lambda: checks_and_bumps() | codes(Engine._store, Engine._keep, MemoryStorage.put, Engine.invalidate),
            2,
        ),
        1183,
    ),
    "a read and a write of unknown outcome": (
        Case(
            read_against_late_write,
            lambda: codes(
                Engine._looked,
                Engine._take_off,
                Engine._store,
                Engine._keep,
                Engine._wrote,
                *codes_of_windows(),
            ),
            thorough(1, 2),
        ),
        100,
    ),
    "a settle window and an overflow of the windows": (
        Case(settle_against_overflow, lambda: codes(Coherence.settle, Coherence.is_settling), 3),
        140,
    ),
    "two cold readers": (
        Case(
            cold_readers(2),
            lambda: codes(Engine._looked, Engine._take_off, Engine._store, Engine._keep, FlightTable, Flight),
            thorough(1, 2),
        ),
        100,
    ),
    "three cold readers": (
        Case(
            cold_readers(3),
            lambda: codes(Engine._looked, Engine._take_off, Engine._store, Engine._keep, Flight),
            1,
        ),
        915,
    ),
    "a landing and a waiter": (Case(landing_against_waiting, lambda: codes(Flight), 3), 56),
    "two hits of one entry": (
        Case(
            lambda: hits_of_one_entry(LineWorld.read, LineWorld.read),
            lambda: codes(Engine.begin),
            1,
            instructions=True,
        ),
        80,
    ),
    "two lookups of one entry": (
        Case(lambda: hits_of_one_entry(lookup, lookup), lambda: codes(Engine.touch), 1, instructions=True),
        30,
    ),
    "a hit and a lookup of one entry": (
        Case(
            lambda: hits_of_one_entry(LineWorld.read, lookup),
            lambda: codes(Engine.begin, Engine.touch),
            1,
            instructions=True,
        ),
        60,
    ),
    "a hit and an eviction": (
        Case(hit_against_eviction, lambda: codes(Engine.begin, BoundedTable.put), thorough(1, 2)),
        31,
    ),
    "two insertions": (Case(lambda: BoundsWorld(put("c", 60), put("d", 70)), lambda: codes(BoundedTable), 3), 936),
    "a hit and an eviction by W-TinyLFU": (
        Case(
            lambda: hit_against_eviction("w-tinylfu"),
            lambda: codes(Engine.begin, BoundedTable.put, PolicyItems, WTinyLFU, Segments),
            1,
        ),
        31,
    ),
    "two insertions by W-TinyLFU": (
        Case(
            lambda: BoundsWorld(put("c", 60), put("d", 70), policy="w-tinylfu"),
            lambda: codes(BoundedTable, PolicyItems, WTinyLFU, Segments),
            thorough(1, 2),
        ),
        100,
    ),
    "an insertion and a replacement": (
        Case(lambda: BoundsWorld(put("a", 65), put("c", 90)), lambda: codes(BoundedTable), 3),
        989,
    ),
    "an insertion and a growing entry": (
        Case(lambda: BoundsWorld(put("b", 50), grow("a", 30)), lambda: codes(BoundedTable), 3),
        143,
    ),
    "a read and a write through the transport": (
        Case(lambda: TransportWorld(f"GET {ITEM}", f"PUT {ITEM}"), transport_codes, thorough(1, 2)),
        124,
    ),
    "two reads and a write through the transport": (
        Case(lambda: TransportWorld(f"GET {ITEM}", f"GET {ITEM}", f"PUT {ITEM}"), transport_codes, 1),
        1539,
    ),
    "a read of the collection and two writes through the transport": (
        Case(lambda: TransportWorld(f"GET {COLLECTION}", f"PUT {ITEM}", f"DELETE {SIBLING}"), transport_codes, 1),
        1129,
    ),
    "two lookups of an expired answer": (
        Case(
            lookups_of_an_expired_answer,
            lambda: codes(Engine.missed_lookup, Engine._with_refresh, FlightTable),
            thorough(1, 2),
        ),
        30,
    ),
    "two lookups that waited": (
        Case(lookups_that_waited, lambda: codes(Engine.rejoin_lookup, Engine._count), 1, instructions=True),
        60,
    ),
    "two lookups after their key was let go": (
        Case(lookups_after_a_key_was_let_go, lambda: codes(Engine.missed_lookup, FlightTable), thorough(1, 2)),
        30,
    ),
    "two lookups and a write through a client": (
        Case(lambda: ClientWorld(f"GET {ITEM}", f"GET {ITEM}", f"PUT {ITEM}"), lookup_codes, 1),
        1000,
    ),
}


def codes_of_windows() -> Iterator[Any]:
    yield from (Coherence.settle, Coherence.is_settling, Coherence.bump)


@pytest.mark.parametrize("name", CASES)
def test_every_schedule_of_the_lines_is_coherent(
    name: str, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    monkeypatch.setattr(sync_module, "threading", SimpleNamespace(Lock=BatonLatch, get_ident=lambda: 0))
    case, at_least = CASES[name]
    schedules = case.explore()
    record_property("schedules", schedules)
    assert schedules >= at_least, "the scheduler must not have lost its schedules"


KILLERS = {
    "the epoch is published before the table is written": "a hit and a write",
    "a check stamps an epoch that it read after the table": "a hit and a write",
    "a fold forgets tags before it raises the floor": "a dirtied entry and a fold",
    "a check reads the floor before the tags": "a dirtied entry and a fold",
    "a tag is taken out before it is set": "a dirtied entry and a second write",
    "a clear dirties after it forgot": "a hit, a finish and a clear",
    "the fence is off: an entry is dated with the epoch at its finish": "a finish and a write",
    "a finish does not look whether a write came in between": "a finish and a write",
    "a write settles after its bump": "a read and a write of unknown outcome",
    "joining or opening a flight takes no lock": "two cold readers",
    "an answer is stored after its flight has left the table": "two cold readers",
    "landing and waiting share no lock": "a landing and a waiter",
    "a hit takes no lock": "two hits of one entry",
    "a lookup takes no lock": "two lookups of one entry",
    "a flight is dated after the settle window was asked": "a read and a write of unknown outcome",
    "the window of all is asked before those of the tags": "a settle window and an overflow of the windows",
    "BoundedTable.put takes no lock": "two insertions",
    "BoundedTable.put evicts after it inserted": "two insertions",
    "BoundedTable.grow takes no lock": "an insertion and a growing entry",
    "a lookup asks for a flight without the lock": "two lookups after their key was let go",
    "a lookup that waited is counted without the lock": "two lookups that waited",
    "a refresh is started without the lock": "two lookups of an expired answer",
    "the transport dirties when nobody can tell any more": (
        "a read of the collection and two writes through the transport"
    ),
}


@pytest.mark.parametrize("name", KILLERS)
def test_mutant_is_found_by_the_schedules_of_lines(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_module, "threading", SimpleNamespace(Lock=BatonLatch, get_ident=lambda: 0))
    plant(monkeypatch, name)
    with pytest.raises(Violation):
        CASES[KILLERS[name]][0].explore()


def test_insertions_without_a_lock_are_found_by_w_tinylfu_too(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, "BoundedTable.put takes no lock")
    with pytest.raises(Violation):
        CASES["two insertions by W-TinyLFU"][0].explore()


def test_every_mutant_is_found_by_a_check() -> None:
    import test_step_interleavings as steps
    from engine_mutants import MUTANTS

    of_their_own = {
        "a bump comes after the answer is visible",
        "a lookup that waited in vain may wait as long again",  # by real threads
    }
    assert {*KILLERS, *steps.KILLERS, *of_their_own} == set(MUTANTS)


def test_explicit_tags_are_fenced_at_every_line() -> None:
    def make() -> Any:
        world = LineWorld(TAGGED)
        for _ in reading("/t/1")(world):
            pass
        tag = explicit_tag("http://origin.example", "t")
        world.apply()
        world.operations = [
            lambda: world.read("/t/1"),
            lambda: world.storage.coherence.bump((tag,)),
        ]
        world.check = lambda: world.must_not_hit("/t/1")  # type: ignore[assignment]
        return world

    assert explore_lines(make, checks_and_bumps(), preemptions=3) > 100
