"""What the engine asks a transport to do next."""

from __future__ import annotations

import time
import uuid
from typing import Any

from .flights import Flight
from .outcome import CacheOutcome
from .prepared import Prepared
from .storage.entry import StoredResponse

__all__ = ["Fetch", "Forward", "Join", "Step"]


class Step:
    """Anything but an answer."""

    __slots__ = ()


class Join(Step):
    """Wait until `flight` lands, or until `deadline` (of `time.monotonic`), then ask `engine.rejoin`."""

    __slots__ = ("deadline", "flight", "key", "prepared", "request")

    def __init__(self, request: Any, prepared: Prepared, key: str, flight: Flight, deadline: float) -> None:
        self.request = request
        self.prepared = prepared
        self.key = key
        self.flight = flight
        self.deadline = deadline


class Fetch(Step):
    """Send the request; its answer may be stored and shared."""

    __slots__ = ("flight", "length", "outdated", "prepared", "reason", "request", "sent", "stored", "vary")

    def __init__(self, request: Any, prepared: Prepared, flight: Flight, reason: str) -> None:
        self.request = request
        self.prepared = prepared
        self.flight = flight
        self.reason = reason
        self.length: int | None = None
        """Of the answer's body, as announced."""
        self.vary: tuple[str, ...] = ()
        self.sent = time.perf_counter()
        self.stored: StoredResponse | None = None
        """What the answer became in memory; an outer storage gets it too."""
        self.outdated: list[uuid.UUID] = []
        """Records of an outer storage that nobody can use any more."""


class Forward(Step):
    """Send the request; its answer is the caller's alone."""

    __slots__ = ("outcome", "prepared", "request")

    def __init__(self, request: Any, prepared: Prepared, outcome: CacheOutcome) -> None:
        self.request = request
        self.prepared = prepared
        self.outcome = outcome
