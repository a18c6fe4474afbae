"""Fixtures of the tests with real threads and tasks."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from pywats_cache.flights import Flight


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch) -> threading.Semaphore:
    """Released once for each caller that waits for another's flight."""
    waiting = threading.Semaphore(0)
    original = Flight.on_landing

    def on_landing(self: Flight, wake: Callable[[], object]) -> None:
        original(self, wake)
        waiting.release()

    monkeypatch.setattr(Flight, "on_landing", on_landing)
    return waiting
