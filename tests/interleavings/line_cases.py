"""The table of cases: each scenario, the code whose lines are watched, and how many schedules there are at least."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

from line_scenarios import (
    cold_readers,
    finish_against,
    folding,
    folding_all,
    grow,
    hit_against_clear,
    hit_against_eviction,
    hit_against_two_writes,
    hit_against_write,
    hit_in_an_outer_storage_against_write,
    hit_of_a_dirtied_entry,
    hit_of_a_dirtied_explicit_tag,
    hit_under_the_lock_against_write,
    hits_near_the_end,
    hits_of_one_entry,
    invalidation,
    landing_against_waiting,
    lookup,
    lookups_after_a_key_was_let_go,
    lookups_of_an_expired_answer,
    lookups_that_waited,
    put,
    read_against_late_write,
    settle_against_overflow,
)
from line_scheduler import codes, explore_lines
from line_worlds import BoundsWorld, ClientWorld, LineWorld, Origin, TransportWorld
from register_world import COLLECTION, ITEM, SIBLING
from sweep_scenarios import (
    sweep_against_a_dirtied_entry,
    sweep_against_a_finish,
    sweep_against_a_softened_entry,
    sweep_against_a_stand_in,
    sweep_against_a_write,
    sweep_against_an_innocent_entry,
    sweep_against_an_unknown_flight,
)

from pywats_cache import MemoryStorage
from pywats_cache.coherence.epochs import Coherence
from pywats_cache.coherence.single_flight import Flight, FlightTable
from pywats_cache.engine.engine import Engine
from pywats_cache.engine.judging import View, judge, judge_fresh
from pywats_cache.storage.bounded_table import BoundedTable
from pywats_cache.storage.eviction import PolicyItems
from pywats_cache.storage.sweep import Sweep
from pywats_cache.storage.tinylfu import Segments, WTinyLFU
from pywats_cache.transport import sync as sync_module
from pywats_cache.transport.fast_path import Door


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
    return codes(
        Engine.found_fresh,
        Engine.why_not_fresh,
        Coherence.last_dirtied,
        Coherence.is_dirtied,
        Coherence.bump,
        Coherence._note,
        Coherence._publish,
    )


def hits_and_bumps() -> Any:
    return checks_and_bumps() | codes(Engine.begin)


def looks_behind_and_bumps() -> Any:
    return the_core_of_checks_and_bumps() | codes(Engine._glanced, judge, View)


def the_core_of_checks_and_bumps() -> Any:
    return codes(
        Engine.found_fresh,
        Engine.why_not_fresh,
        Coherence.last_dirtied,
        Coherence.is_dirtied,
        Coherence._note,
        Coherence._publish,
    )


def codes_of_windows() -> Iterator[Any]:
    yield from (Coherence.settle, Coherence.is_settling, Coherence.bump)


def cold_reads() -> Iterator[Any]:
    yield from (Engine._looked, judge, View, Engine._take_off, Engine._store, Engine._keep)


def transport_codes() -> Any:
    """What lies between the entry of the transport and the origin, but for what only this request knows."""
    return codes(
        Engine.begin,
        Engine.found_fresh,
        Engine.why_not_fresh,
        Engine._looked,
        judge,
        View,
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
        judge,
        View,
        Engine._keep,
        Engine._wrote,
        Coherence.bump,
        Coherence.last_dirtied,
        Coherence.is_dirtied,
        Flight,
        sync_module.SyncCache._fetch,
        sync_module.SyncCache._wait,
        Origin,
    )


def sweeps() -> Any:
    """A sweep, and what checks meanwhile."""
    return codes(
        Coherence.last_dirtied,
        Coherence.is_dirtied,
        Coherence.put_aside,
        Coherence.mark,
        Coherence.forget,
        Sweep._begin,
        Sweep._look,
    )


CASES: dict[str, tuple[Case, int]] = {
    "a hit and a write": (Case(hit_against_write, hits_and_bumps, thorough(2, 3)), 649),
    "a hit and two writes": (Case(hit_against_two_writes, the_core_of_checks_and_bumps, thorough(1, 2)), 100),
    "a dirtied entry and a fold": (
        Case(
            lambda: hit_of_a_dirtied_entry(folding),
            lambda: codes(
                Coherence.last_dirtied,
                Coherence.is_dirtied,
                Coherence.bump,
                Coherence._compact,
                Coherence._compact_table,
                Coherence._raise_floor,
                Coherence._publish,
            ),
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
                Engine.found_fresh,
                Engine.why_not_fresh,
                Engine._store,
                Engine._keep,
                MemoryStorage.clear,
                Coherence.bump_all,
                Coherence.last_dirtied,
                Coherence.is_dirtied,
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
                judge,
                View,
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
        Case(
            settle_against_overflow,
            lambda: codes(
                Coherence.settle,
                Coherence._forget_ended,
                Coherence._compact_table,
                Coherence._settle_all_until,
                Coherence.is_settling,
            ),
            3,
        ),
        140,
    ),
    "two cold readers": (
        Case(
            cold_readers(2),
            lambda: codes(
                Engine._looked, judge, View, Engine._take_off, Engine._store, Engine._keep, FlightTable, Flight
            ),
            thorough(1, 2),
        ),
        100,
    ),
    "three cold readers": (
        Case(
            cold_readers(3),
            lambda: codes(*cold_reads(), Flight),
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
    "a hit in an outer storage and a write": (
        Case(hit_in_an_outer_storage_against_write, looks_behind_and_bumps, thorough(2, 3)),
        100,
    ),
    "a hit under the lock and a write": (
        Case(hit_under_the_lock_against_write, lambda: checks_and_bumps() | codes(Engine._done, View), thorough(2, 3)),
        100,
    ),
    "two hits near the end of one TTL": (
        Case(
            hits_near_the_end,
            lambda: codes(Engine._ahead, judge_fresh, View, Engine._with_refresh, FlightTable),
            thorough(1, 2),
        ),
        30,
    ),
    "two lookups of an expired answer": (
        Case(
            lookups_of_an_expired_answer,
            lambda: codes(Engine.missed_lookup, judge, View, Engine._with_refresh, FlightTable),
            thorough(1, 2),
        ),
        30,
    ),
    "two lookups that waited": (
        Case(lookups_that_waited, lambda: codes(Engine.rejoin_lookup, Engine._count), 1, instructions=True),
        60,
    ),
    "two lookups after their key was let go": (
        Case(
            lookups_after_a_key_was_let_go,
            lambda: codes(Engine.missed_lookup, judge, View, FlightTable),
            thorough(1, 2),
        ),
        30,
    ),
    "two lookups and a write through a client": (
        Case(lambda: ClientWorld(f"GET {ITEM}", f"GET {ITEM}", f"PUT {ITEM}"), lookup_codes, 1),
        1000,
    ),
    "a dirtied entry and a fold that reaches all": (
        Case(
            lambda: hit_of_a_dirtied_entry(folding_all),
            lambda: codes(
                Coherence.last_dirtied,
                Coherence.is_dirtied,
                Coherence._compact_table,
                Coherence._raise_floor,
            ),
            3,
        ),
        100,
    ),
    "a dirtied explicit tag and a bundle": (
        Case(
            hit_of_a_dirtied_explicit_tag,
            lambda: codes(Coherence.last_dirtied, Coherence.is_dirtied, Coherence._compact_table),
            3,
        ),
        100,
    ),
    "a dirtied entry and a sweep": (Case(sweep_against_a_dirtied_entry, sweeps, thorough(2, 3)), 100),
    "an innocent entry and a sweep": (Case(sweep_against_an_innocent_entry, sweeps, thorough(2, 3)), 100),
    "a write and a sweep": (
        Case(sweep_against_a_write, lambda: sweeps() | codes(Coherence.bump, Coherence._note), thorough(2, 3)),
        100,
    ),
    "a finish and a sweep": (
        Case(sweep_against_a_finish(), lambda: sweeps() | codes(Engine._keep, MemoryStorage.put), thorough(2, 3)),
        100,
    ),
    "a dirtied finish and a sweep": (
        Case(
            sweep_against_a_finish(dirtied=True),
            lambda: sweeps() | codes(Engine._keep, MemoryStorage.put),
            thorough(2, 3),
        ),
        100,
    ),
    "a flight that no table knows and a sweep": (
        Case(sweep_against_an_unknown_flight, lambda: sweeps() | codes(Engine._keep), thorough(2, 3)),
        100,
    ),
    "a softened entry and a sweep": (
        Case(
            sweep_against_a_softened_entry,
            lambda: sweeps() | codes(Coherence.is_softened, Coherence.last_softened),
            thorough(2, 3),
        ),
        100,
    ),
    "what a fetch may fall back on and a sweep": (Case(sweep_against_a_stand_in, sweeps, 1), 10),
}
