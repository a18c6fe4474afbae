"""`explain` foretells what then happens: status, reason, and whether the server is asked."""

from __future__ import annotations

from typing import Any

from explained_world import a_request, world_of, worlds
from hypothesis import event, given, settings

EXAMPLES = max(400, settings().max_examples * 2)


def state_of(world: Any) -> Any:
    storage = world.transport._engine.storage
    entries = [(key, entry.valid_at, entry.hits) for key, entry in storage.table.items.items()]
    flights = storage.flights
    return entries, dict(flights.open), dict(flights.promised), world.transport.stats, world.origin.asked


@given(worlds())
@settings(max_examples=EXAMPLES)
def test_what_is_explained_is_what_happens(drawn: tuple[dict[str, Any], dict[str, Any]]) -> None:
    place, asked = drawn
    with world_of(place) as world:
        request = a_request(**asked)
        before = state_of(world)
        found = world.explain(request)
        assert state_of(world) == before, "an explanation changes nothing"
        event(f"{found.status}: {found.reason}{', sends' if found.sends else ''}")
        outcome, sent, waited = world.send(request)
        if found.status == "collapsed":
            # What the other's fetch brings is not known yet.
            assert (waited > 0, found.sends) == (True, False)
            assert outcome is None or outcome.status != "collapsed" or (outcome.reason, sent) == ("joined", 0)
            return
        assert waited == 0
        if found.memory_only:
            # The storage behind the memory knew more, or not.
            assert found.sends or not sent
            if outcome is not None and (outcome.status, sent) == ("hit", 0):
                return
        else:
            assert bool(sent) == found.sends
        if world.origin.error is None or not found.sends:
            assert (outcome.status, outcome.reason) == (found.status, found.reason)
        else:
            event(f"down: {outcome and outcome.status}")
