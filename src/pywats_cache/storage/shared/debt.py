"""What a process could not tell the others, and how it makes up for it. No I/O; time comes from outside.

A change that failed may have been committed all the same: its answer was lost, or the server executes it once it can.
So after one nothing that is older may be relied upon, and

- a settle window of a write of unknown outcome is opened as soon as that is possible, for the time that is left of it;
- an announcement is closed: its write was told that nobody knows of it, so nobody else would close it. It may be opened
  even after that, when a command that was given up is executed late, so it is watched for a while.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from .backend import Change, Window

__all__ = ["Debt", "Payment"]

LATE = 120.0
"""Seconds for which an announcement that was given up may still come to be open: as long as any of them lasts."""
MOST = 1024
"""Windows, and ids, that are remembered at most; the oldest ones go."""


class Payment(NamedTuple):
    """What the next change does besides its own; `number`: the failures that it makes up for."""

    all: bool
    close: tuple[str, ...]
    open: tuple[Window, ...]
    number: int


class Debt:
    """What one process owes the others. Not safe from several threads at once.

    - `owed`, `paid`: failures so far, and those that were made up for.
    """

    def __init__(self) -> None:
        self.owed: int = 0
        self.paid: int = 0
        self._open: dict[str, tuple[Window, float]] = {}
        """The windows to be opened, and when they end."""
        self._close: dict[str, float] = {}
        """The ids of windows to be closed, and until when they are watched."""
        self._watched: dict[str, float] = {}
        """The same of those that were closed, and may be opened by a command that is executed late."""
        self._ended: dict[str, float] = {}
        """The same of those that were closed in time. In another ledger somebody may open them again."""
        self._unsettled_until = float("-inf")
        """Until then somebody may open windows of a former ledger."""

    def __bool__(self) -> bool:
        """Whether anything is owed."""
        return self.owed != self.paid or bool(self._close)

    def failed(self, change: Change, now: float) -> None:
        """`change` may not have been committed, or not yet."""
        self.owed += 1
        window = change.open
        if change.close is not None:
            self._close[change.close] = now + LATE
        if window is not None and window.is_announcement:
            self._close[window.id] = now + LATE
        elif window is not None:
            self._open[window.id] = window, now + window.seconds
        _bound(self._close)
        _bound(self._open)

    def payment(self, now: float) -> Payment | None:
        """What is to be done with the next change; None: nothing."""
        self._open = {id: kept for id, kept in self._open.items() if kept[1] > now}
        if not self:
            return None
        open = tuple(window._replace(seconds=end - now) for window, end in self._open.values())
        return Payment(self.owed != self.paid, tuple(self._close), open, self.owed)

    def took(self, payment: Payment) -> None:
        """`payment` was committed."""
        self.paid = max(self.paid, payment.number)
        for window in payment.open:
            self._open.pop(window.id, None)
        for id in payment.close:
            if id in self._close:
                self._watched[id] = self._close.pop(id)
        _bound(self._watched)

    def closed(self, id: str, now: float) -> None:
        """The window `id` was closed in time."""
        self._ended = {ended: until for ended, until in self._ended.items() if until > now}
        table = self._watched if now < self._unsettled_until else self._ended
        table[id] = now + LATE
        _bound(table)

    def watch_all(self, now: float) -> None:
        """The ledger is another one: who does not know that a window of the former one was closed opens it there."""
        self._unsettled_until = now + LATE
        self._watched.update(self._ended)
        self._ended = {}
        _bound(self._watched)

    def remembers(self) -> bool:
        """Whether this process closed windows that somebody may open again in another ledger."""
        return bool(self._ended)

    def is_watching(self, now: float) -> bool:
        """Whether a command that was given up may yet be executed."""
        self._watched = {id: until for id, until in self._watched.items() if until > now}
        return bool(self._watched)

    def saw(self, ids: Iterable[str]) -> None:
        """The windows `ids` are open: one that is watched is to be closed again."""
        if self._watched:
            for id in ids:
                if id in self._watched:
                    self._close[id] = self._watched.pop(id)


def _bound(table: dict[str, Any]) -> None:
    while len(table) > MOST:
        del table[next(iter(table))]
