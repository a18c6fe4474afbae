"""What the tests of SimulatedWATS send."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from wats_requests import Sender, Wire

from wats_simulator.simulator import SimulatedWATS

PRODUCT = "/api/Product/PN-1000"
LONG = 10.0
"""Seconds after which something is taken not to happen any more."""


class Pauses:
    """What a server waits for: `begun` is set when it begins to, and `end` ends it, however long it should last."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.begun, self.end = threading.Event(), threading.Event()

    def wait(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self.begun.set()
        assert self.end.wait(LONG)


def hanging(server: SimulatedWATS) -> threading.Event:
    """Set once a request to `server` hangs."""
    hangs, original = threading.Event(), server._faults.hanging

    @contextmanager
    def signalling() -> Iterator[threading.Event]:
        with original() as released:
            hangs.set()
            yield released

    server._faults.hanging = signalling  # type: ignore[method-assign]
    return hangs


class InThread:
    """A request made in a thread; `result()` waits for its answer."""

    def __init__(self, server: SimulatedWATS, wire: Wire) -> None:
        self._server = server
        self._wire = wire
        self._outcome: Any = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            with Sender(self._server) as sender:
                self._outcome = sender.send(self._wire)
        except Exception as error:
            self._outcome = error

    def result(self) -> Any:
        self._thread.join(LONG)
        assert not self._thread.is_alive(), "the request was not answered"
        return self._outcome


def get(target: str) -> Wire:
    return Wire("GET", target, b"", "application/json")


def put_product(**fields: Any) -> Wire:
    body = json.dumps({"partNumber": "PN-1000", **fields}).encode()
    return Wire("PUT", "/api/Product", body, "application/json")
