"""A clock that stands still for 15 ms, as that of Windows does: no order of events may depend on it."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from pywats_cache import Controller
from pywats_cache.coherence.single_flight import Flight, FlightTable

REFRESH = {"pywats_cache": {"refresh": True}}


def _asks_again(origin: Any, client: Callable[[], Any]) -> Callable[[Any], Any]:
    """What the first request gets was read before, and arrives after, what a second one gets."""

    def reply(request: Any) -> Any:
        number = origin.count
        if number == 1:
            assert client().get("/a", extensions=REFRESH).text == "2"
        return origin.http.Response(200, text=str(number), headers={"Cache-Control": "max-age=60"})

    return reply


@pytest.mark.parametrize("rfc9111", [False, True])
def test_of_two_fetches_in_one_tick_the_later_begun_is_kept(
    cached: Callable[..., Any], origin: Any, rfc9111: bool
) -> None:
    client = cached(Controller(rfc9111=rfc9111))
    origin.reply = _asks_again(origin, lambda: client)
    assert client.get("/a").text == "1"
    again = client.get("/a")
    assert (again.text, again.extensions["pywats_cache"].status) == ("2", "hit")


@pytest.mark.parametrize("rfc9111", [False, True])
def test_so_it_is_for_a_client(lib: SimpleNamespace, origin: Any, clock: Any, rfc9111: bool) -> None:
    options = {"controller": Controller(rfc9111=rfc9111), "transport": origin.transport, "base_url": "http://origin"}
    with lib.CacheClient(clock=clock, **options) as client:
        origin.reply = _asks_again(origin, lambda: client)
        assert client.get("/a").text == "1"
        assert client.get("/a").text == "2"


def test_one_after_the_other_in_one_tick_replaces_it(cached: Callable[..., Any], origin: Any) -> None:
    client = cached()
    for number in range(1, 5):
        assert client.get("/a", extensions=REFRESH).text == client.get("/a").text == str(number)


def _flight(began: float) -> Flight[Any]:
    return Flight("k", (), 0, began, (0, None), shared=False, storable=True)


def test_the_order_of_flights_is_that_in_which_they_are_opened() -> None:
    table: FlightTable[Any] = FlightTable()
    flights = [_flight(began) for began in (5.0, 5.0, 5.0, 5.015625, 5.015625, 1e9, 1e9)]
    for flight in flights:
        table.put_in_order(flight)
    orders = [flight.order for flight in flights]
    assert orders == sorted(set(orders))
    assert all(0.0 <= flight.order - flight.began < 0.001 for flight in flights)


def test_a_clock_that_was_set_back_orders_what_comes_after() -> None:
    table: FlightTable[Any] = FlightTable()
    for began in (1e9, 5.0):
        flight = _flight(began)
        table.put_in_order(flight)
        assert flight.order == began
