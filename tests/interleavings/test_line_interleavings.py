"""The steps that take no lock, and those that do: threads that change places at every line of the real code."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from engine_mutants import plant
from line_cases import CASES, checks_and_bumps
from line_scheduler import BatonLatch, BatonLock, explore_lines
from line_worlds import LineWorld
from register_world import reading
from step_explorer import Violation

from pywats_cache import Controller, Read
from pywats_cache.coherence import single_flight as flights_module
from pywats_cache.coherence.tags import explicit_tag
from pywats_cache.transport import sync as sync_module

TAGGED = Controller(ttl=300.0, rules=[Read("/t/{id}", tags=("t",))])


@pytest.fixture(autouse=True)
def scheduled_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flights that are made during a test get locks of the scheduler."""
    monkeypatch.setattr(flights_module, "threading", SimpleNamespace(Lock=lambda: BatonLock(plain=True)))


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
    "a verdict's epoch is read after the table": "a hit under the lock and a write",
    "what an outer storage has is stamped with an epoch that was read after the table": (
        "a hit in an outer storage and a write"
    ),
    "what an outer storage has answers whatever is dirtied": "a hit in an outer storage and a write",
    "a fold forgets tags before it raises the floor": "a dirtied entry and a fold that reaches all",
    "a check reads the floor before the tags": "a dirtied entry and a fold that reaches all",
    "a compaction forgets tags before it sets those of subtrees": "a dirtied entry and a fold",
    "a check asks for a subtree before what is below it": "a dirtied entry and a fold",
    "a check asks for bundles by what it read before the tags": "a dirtied explicit tag and a bundle",
    "a compaction forgets tags before it says that there are bundles": "a dirtied explicit tag and a bundle",
    "a sweep forgets before it raises the floor": "a dirtied entry and a sweep",
    "a sweep forgets before it has marked all": "an innocent entry and a sweep",
    "a sweep marks what was dirtied": "a dirtied entry and a sweep",
    "a sweep marks with the epoch of the moment": "a write and a sweep",
    "a sweep makes firm what was softened": "a softened entry and a sweep",
    "a sweep does not mark open flights": "a finish and a sweep",
    "a sweep does not mark what a fetch may fall back on": "what a fetch may fall back on and a sweep",
    "a sweep overlooks what is stored meanwhile": "a finish and a sweep",
    "a new table is begun before the old one is put aside": "a dirtied entry and a sweep",
    "a check reads what was put aside before the new table": "a dirtied entry and a sweep",
    "a check reads the mark before the table": "an innocent entry and a sweep",
    "a flight older than the horizon is stored": "a flight that no table knows and a sweep",
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
    "a lookup asks for a flight without the lock": "two lookups of an expired answer",
    "a lookup that waited is counted without the lock": "two lookups that waited",
    "a refresh is started without the lock": "two hits near the end of one TTL",
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
