"""A sweep of the table of invalidated tags against what runs beside it: nothing is missed, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
from line_worlds import LineWorld
from register_world import ITEM, SIBLING, request
from step_explorer import Violation

from pywats_cache.engine.steps import Fetch

OTHER = "/b/y"


def swept_world() -> LineWorld:
    """The table is so full that the next write begins a sweep, looks at all that is stored, and forgets."""
    world = LineWorld()
    world.warm(ITEM)
    world.storage.coherence.max_tags = 4
    return world


def fill(world: LineWorld) -> None:
    world.storage.coherence.bump(("^x://x/1", "=x://x/"))


def sweep(world: LineWorld) -> Callable[[], object]:
    """A write elsewhere, which pays for a whole sweep."""
    return lambda: world.storage.coherence.bump(("^x://x/2", "^x://x/3"))


def swept(world: LineWorld) -> None:
    """The sweep is over."""
    if world.storage._sweep.is_open:
        world.storage._sweep.end()


def found(world: LineWorld, entry: Any) -> bool:
    return bool(world.engine.found_fresh(entry, world.engine.preparer.prepare(request("GET", ITEM)), 0.0))


def sweep_against_a_dirtied_entry() -> Any:
    """Somebody holds an entry that was dirtied; the sweep drops it and forgets why."""
    world = swept_world()
    world.writer()()
    entry = next(iter(world.storage.table.items.values()))

    def hit() -> None:
        if not world.storage.coherence.is_dirtied(entry) or found(world, entry):
            raise Violation("a dirtied entry was found valid")

    world.operations = [hit, sweep(world)]

    def check() -> None:
        swept(world)
        hit()
        if len(world.storage):
            raise Violation("a dirtied entry survived the sweep")

    world.check = check  # type: ignore[assignment]
    return world


def sweep_against_an_innocent_entry() -> Any:
    """Nobody wrote to it, so it is a hit before, during and after the sweep."""
    world = swept_world()
    fill(world)
    entry = next(iter(world.storage.table.items.values()))

    def hit() -> None:
        if not found(world, entry):
            raise Violation("an innocent entry was lost")

    world.operations = [hit, sweep(world)]

    def check() -> None:
        swept(world)
        fill(world)
        hit()

    world.check = check  # type: ignore[assignment]
    return world


def sweep_against_a_write() -> Any:
    world = swept_world()
    fill(world)
    entry = next(iter(world.storage.table.items.values()))
    world.operations = [sweep(world), world.writer()]

    def check() -> None:
        swept(world)
        fill(world)
        world.must_not_hit()
        if found(world, entry):
            raise Violation("a sweep hid a write")

    world.check = check  # type: ignore[assignment]
    return world


def sweep_against_a_finish(*, dirtied: bool = False) -> Callable[[], Any]:
    """A read is under way; its answer is stored if no write covers it."""

    def make() -> Any:
        world = swept_world()
        fetch = world.engine.begin(request("GET", SIBLING))
        assert isinstance(fetch, Fetch)
        response = httpx.Response(200, content=b"0::")
        world.engine.arrived(fetch, response)
        if dirtied:
            world.writer(SIBLING)()
        else:
            fill(world)

        def check() -> None:
            swept(world)
            fill(world)
            answer = world.engine.begin(request("GET", SIBLING))
            if isinstance(answer, httpx.Response) is dirtied:
                raise Violation("an innocent answer was lost" if not dirtied else "a dirtied answer was stored")

        world.operations = [lambda: world.engine.finished(fetch, response, b"0::"), sweep(world)]
        world.check = check  # type: ignore[assignment]
        return world

    return make


def sweep_against_an_unknown_flight() -> Any:
    """Others may not join this read, so no table knows it; a write came, and the sweep forgot which."""
    world = swept_world()
    prepared = world.engine.preparer.prepare(request("GET", SIBLING))
    world.storage.flights.make_solitary(prepared.key, world.clock())
    fetch = world.engine.begin(request("GET", SIBLING))
    assert isinstance(fetch, Fetch)
    assert not fetch.flight.shared
    response = httpx.Response(200, content=b"0::")
    world.engine.arrived(fetch, response)
    world.writer(SIBLING)()

    def check() -> None:
        swept(world)
        answer = world.engine.begin(request("GET", SIBLING))
        if isinstance(answer, httpx.Response):
            raise Violation("a flight older than the horizon was stored")

    world.operations = [lambda: world.engine.finished(fetch, response, b"0::"), sweep(world)]
    world.check = check  # type: ignore[assignment]
    return world


def sweep_against_a_softened_entry() -> Any:
    world = swept_world()
    fill(world)
    entry = next(iter(world.storage.table.items.values()))
    world.storage.coherence.soften(entry.tags[:1])

    def hit() -> None:
        if found(world, entry):
            raise Violation("a softened entry was found fresh")
        if world.storage.coherence.is_dirtied(entry):
            raise Violation("a softened entry counts as dirtied")

    world.operations = [hit, sweep(world)]

    def check() -> None:
        swept(world)
        fill(world)
        hit()

    world.check = check  # type: ignore[assignment]
    return world


def sweep_against_a_stand_in() -> Any:
    """What a fetch may fall back on was evicted meanwhile, and stays as good as it was."""
    world = swept_world()
    fill(world)
    entry = next(iter(world.storage.table.items.values()))
    fetch = world.engine.begin(httpx.Request("GET", request("GET", ITEM).url, headers={"Cache-Control": "no-cache"}))
    assert isinstance(fetch, Fetch)
    assert fetch.stale is entry
    world.storage.drop(entry)

    def check() -> None:
        swept(world)
        if world.storage.coherence.is_dirtied(entry):
            raise Violation("what a fetch may fall back on was lost")

    world.operations = [sweep(world), lambda: world.storage.coherence.is_dirtied(entry)]
    world.check = check  # type: ignore[assignment]
    return world
