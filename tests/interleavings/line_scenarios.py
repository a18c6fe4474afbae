"""What runs against what, line by line, and what must hold afterwards: a world for each schedule."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from types import SimpleNamespace
from typing import Any

import httpx
from line_scheduler import BatonEvent
from line_worlds import LineWorld, in_step
from register_world import COLLECTION, ITEM, SIBLING, request
from step_explorer import Violation

from pywats_cache import Controller, Read
from pywats_cache.coherence.single_flight import SOLITARY_SECONDS, Flight, Landing
from pywats_cache.engine.steps import Fetch, Join, Stale
from pywats_cache.storage.bounded_table import BoundedTable
from pywats_cache.storage.eviction import items_by

# ── a hit against what makes it invalid ───────────────────────────────────────────────────────────────────────────────


def hit_against_write() -> Any:
    world = LineWorld()
    world.warm(ITEM)
    world.writer("/b/y")()  # so that the epoch alone does not say that the entry is valid
    world.operations = [world.read, world.writer()]
    world.check = world.must_not_hit  # type: ignore[assignment]
    return world


def hit_under_the_lock_against_write() -> Any:
    """The plain hit has just failed, as if another's fetch had stored the answer since."""
    world = LineWorld()
    world.warm(ITEM)
    world.writer("/b/y")()
    asked = request("GET", ITEM)
    prepared = world.engine.preparer.prepare(asked)
    world.operations = [lambda: world.engine._cold(asked, prepared, prepared.key, world.clock()), world.writer()]

    def check() -> None:
        world.storage.flights.open.clear()  # of a read that was too late for a hit
        world.must_not_hit()

    world.check = check  # type: ignore[assignment]
    return world


def hit_in_an_outer_storage_against_write() -> Any:
    """Memory has nothing; what is behind it holds a response from before, and answers at each look."""
    world = LineWorld()
    world.warm(ITEM)
    (stored,) = world.storage.table.items.values()
    world.storage.table.clear()
    world.writer("/b/y")()
    world.engine.glance = lambda *_: copy(stored)
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
        if world.engine.found_fresh(entry, prepared, 0.0):
            raise Violation("a dirtied entry was found fresh")

    world.operations = [hit, make(world)]
    world.check = hit  # type: ignore[assignment]
    return world


def folding(world: LineWorld) -> Callable[[], object]:
    world.storage.coherence.max_tags = 2
    world.storage.coherence.sweep = None
    return world.writer("/b/y")


def folding_all(world: LineWorld) -> Callable[[], object]:
    """So many origins that the common floor is raised."""
    coherence = world.storage.coherence
    coherence.max_tags, coherence.sweep = 2, None
    return lambda: coherence.bump(("^x://x/1", "^y://y/1"))


def hit_of_a_dirtied_explicit_tag() -> Any:
    """The explicit tag of the entry is dirtied before anything runs; then a full table puts it into a bundle."""
    world = LineWorld(Controller(rules=[Read(ITEM, tags=("t",))]))
    world.warm(ITEM)
    entry = next(iter(world.storage.table.items.values()))
    coherence = world.storage.coherence
    coherence.max_tags, coherence.sweep = 2, None
    coherence.bump([tag for tag in entry.tags if tag[0] == "#"])

    def hit() -> None:
        if world.engine.found_fresh(entry, world.engine.preparer.prepare(request("GET", ITEM)), 0.0):
            raise Violation("a dirtied entry was found fresh")

    world.operations = [hit, lambda: coherence.bump(("#x://x#1", "#x://x#2"))]
    world.check = hit  # type: ignore[assignment]
    return world


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
        # Of other origins, and longer, so that nothing but the window of all can take over.
        lambda: coherence.settle(("^x://x/1", "^y://y/1"), world.clock(), world.clock() + 100.0),
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


def hits_near_the_end() -> Any:
    world = LineWorld(Controller(ttl=300.0, refresh_ahead=0.5))
    world.warm(ITEM)
    world.clock.advance(200.0)
    steps: list[Any] = []

    def check() -> None:
        if sorted(isinstance(step, Stale) for step in steps) != [False, True]:
            raise Violation(f"two hits near the end of one TTL came to {steps}")

    world.operations = [lambda: steps.append(world.engine.begin(request("GET", ITEM)))] * 2
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


# ── the bounds ────────────────────────────────────────────────────────────────────────────────────────────────────────


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


def put(key: str, size: int) -> Callable[[BoundedTable[Any]], object]:
    return lambda table: table.put(key, SimpleNamespace(size=size))


def grow(key: str, extra: int) -> Callable[[BoundedTable[Any]], object]:
    def operation(table: BoundedTable[Any]) -> None:
        item = table.items.get(key)
        if item is not None:
            table.grow(key, item, extra)

    return operation
