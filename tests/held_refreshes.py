"""Refreshes that run when a test says so."""

from __future__ import annotations

from typing import Any


class HeldRefreshes:
    """Takes the place of the refreshing threads of a sync transport."""

    def __init__(self, transport: Any) -> None:
        self.waiting: list[Any] = []
        self._run = transport._refresh
        transport._threads = self

    def start(self, stale: Any) -> bool:
        self.waiting.append(stale)
        return True

    def close(self) -> list[Any]:
        return self.waiting

    def go(self) -> None:
        """Run the one that has waited longest."""
        self._run(self.waiting.pop(0))
