"""A simulated server of its own, and one who sends to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from simulated_wire import Pauses
from wats_requests import Sender

from wats_simulator.simulator import SimulatedWATS


@pytest.fixture(scope="module")
def started() -> Iterator[SimulatedWATS]:
    with SimulatedWATS() as server:
        yield server


@pytest.fixture
def server(started: SimulatedWATS) -> SimulatedWATS:
    started.reset()
    return started


@pytest.fixture
def pauses(server: SimulatedWATS, monkeypatch: pytest.MonkeyPatch) -> Pauses:
    """The latencies of `server`, which a test ends."""
    pauses = Pauses()
    monkeypatch.setattr(server._stopping, "wait", pauses.wait)
    return pauses


@pytest.fixture
def sender(server: SimulatedWATS) -> Iterator[Sender]:
    with Sender(server) as sender:
        yield sender
