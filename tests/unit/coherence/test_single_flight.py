"""Flights: landing once, waking all, and the table."""

from __future__ import annotations

from collections.abc import Hashable

import pytest

from pywats_cache.coherence.single_flight import (
    LOST_SECONDS,
    MAX_SOLITARY,
    SOLITARY_SECONDS,
    Flight,
    FlightTable,
    Landing,
)


def fly(key: str = "k", owner: tuple[int, Hashable] = (1, None)) -> Flight:
    return Flight(key, (), 0, 0.0, owner, shared=True, storable=True)


def test_a_flight_lands_once_and_wakes_every_joiner() -> None:
    flight, woken = fly(), []
    flight.on_landing(lambda: woken.append("one"))
    flight.on_landing(lambda: woken.append("two"))
    assert woken == []
    flight.land(Landing.FAILED)
    assert woken == ["one", "two"]
    flight.land(Landing.ANSWERED)
    assert flight.landing is Landing.FAILED
    assert woken == ["one", "two"]


def test_whoever_comes_after_the_landing_is_woken_at_once() -> None:
    flight, woken = fly(), []
    flight.land(Landing.UNCACHEABLE)
    flight.on_landing(lambda: woken.append(1))
    assert woken == [1]


def test_a_joiner_that_gave_up_is_not_woken() -> None:
    flight, woken = fly(), []

    def one() -> None:
        woken.append("one")

    def two() -> None:
        woken.append("two")

    flight.on_landing(one)
    flight.on_landing(two)
    flight.forget(one)
    flight.forget(one)
    flight.land(Landing.FAILED)
    assert woken == ["two"]


@pytest.mark.parametrize(
    ("leader", "joiner", "held"),
    [
        ((1, None), (1, None), True),
        ((1, None), (2, None), False),
        ((1, 10), (1, 10), True),
        ((1, 10), (1, 11), False),
        ((1, 10), (2, 10), False),
        ((1, None), (1, 10), True),
        ((1, 10), (1, None), True),
    ],
)
def test_nobody_waits_for_himself(leader: tuple[int, Hashable], joiner: tuple[int, Hashable], held: bool) -> None:
    assert fly(owner=leader).is_held_by(joiner) is held


def test_a_flight_removes_only_itself() -> None:
    table, old, new = FlightTable(), fly(), fly()
    table.add(old)
    table.add(new)
    table.remove(old)
    assert table.get("k", 0.0) is new
    table.remove(new)
    assert table.get("k", 0.0) is None
    assert len(table) == 0


def test_a_flight_that_nobody_landed_is_lost_after_a_while() -> None:
    table, flight = FlightTable(), fly()
    table.add(flight)
    assert table.get("k", LOST_SECONDS) is flight
    assert table.get("k", LOST_SECONDS + 1) is None


def test_an_uncacheable_key_is_solitary_for_a_while() -> None:
    table = FlightTable()
    assert not table.is_solitary("k", 100.0)
    table.make_solitary("k", 100.0)
    assert table.is_solitary("k", 100.0)
    assert table.is_solitary("k", 100.0 + SOLITARY_SECONDS - 0.1)
    assert not table.is_solitary("other", 100.0)
    assert not table.is_solitary("k", 100.0 + SOLITARY_SECONDS)


def test_a_clock_set_back_does_not_keep_a_key_solitary() -> None:
    table = FlightTable()
    table.make_solitary("k", 1000.0)
    assert not table.is_solitary("k", 10.0)


def test_solitary_keys_are_bounded() -> None:
    table = FlightTable()
    for n in range(MAX_SOLITARY + 10):
        table.make_solitary(f"k{n}", 0.0)
    assert len(table._solitary) <= MAX_SOLITARY
    assert table.is_solitary(f"k{MAX_SOLITARY + 9}", 0.0)
