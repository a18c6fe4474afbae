"""The protocol of a Redis store under simulated faults: nothing is broken, and each repair taken out is found.

Longer: `python noxfile.py -s simulate -- 3600`. One seed: `python tests/simulation/schedules.py --seed N`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from repair_mutants import IN_SMALL_WORLDS, MUTANTS
from schedules import Found, schedule_of, search
from simulated_world import Violation, World, simulated_clock
from small_worlds import every_schedule

SECONDS = 10.0
ENOUGH = 400
"""Schedules from its first seed on that find a mutant."""


@pytest.fixture
def put(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any, str, Any], None]:
    return lambda thing, name, value: monkeypatch.setattr(thing, name, value, raising=False)


def test_nothing_is_broken_in_a_while_of_schedules() -> None:
    schedules, steps = search(SECONDS)
    assert schedules > 50
    assert steps > schedules


def test_nothing_is_broken_in_every_schedule_of_a_small_world_with_each_load_as_a_step() -> None:
    assert every_schedule() > 1000


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_repair_taken_out_is_found(mutant: Any, put: Any) -> None:
    mutant(put)
    with pytest.raises(Found):
        search(60.0, MUTANTS[mutant], ENOUGH, shrinks=False)


@pytest.mark.parametrize("mutant", IN_SMALL_WORLDS, ids=lambda mutant: mutant.__name__)
def test_an_order_of_loads_is_found_in_the_small_world(mutant: Any, put: Any) -> None:
    mutant(put)
    with pytest.raises(Violation, match="R read version"):
        every_schedule()


def test_a_seed_always_makes_the_same_schedule() -> None:
    logs = []
    for _ in range(2):
        with simulated_clock():
            world = World(*schedule_of(7))
            world.run()
            logs.append(world.log)
    assert logs[0] == logs[1] != []
