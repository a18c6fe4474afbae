"""How a command is run on a Redis server: with one deadline for all that it takes, and without any exception but one.

What the server refuses is told with what grants it. What it answers is checked by who asked.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from time import monotonic
from typing import Any

from ...errors import StorageError
from ...support.showing import printable
from ..shared.patience import waiting

__all__ = ["Pauses", "begin_anew", "failure", "run", "short"]

IN_VAIN = 0.05
"""Seconds from which on a wait without an answer counts against the server, and not against who had no time left."""
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 2.0
"""Seconds between two attempts to reach a server."""


class Pauses:
    """How long to wait before the next attempt: twice as long each time, up to a bound, and never all at once."""

    __slots__ = ("_next",)

    def __init__(self) -> None:
        self._next = FIRST_PAUSE

    def next(self) -> float:
        """Seconds."""
        pause, self._next = self._next, min(self._next * 2.0, LONGEST_PAUSE)
        return pause * random.uniform(1.0, 1.5)  # noqa: S311 - so that not all come back together

    def end(self) -> None:
        """It worked: the next pause is short again."""
        self._next = FIRST_PAUSE


def run(client: Any, command: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """What `command` of `client` answers, in time. Raises StorageError, with a `remedy` where there is one."""
    with waiting():
        began = monotonic()
        try:
            return command(*arguments, **named)
        except Exception as error:  # noqa: BLE001 - and not as the cause: see `failure`
            if type(error).__name__ == "TimeoutError" and monotonic() - began >= IN_VAIN:
                refuse = getattr(client.connection_pool, "refuse", None)
                if refuse is not None:
                    refuse(error)
            raise failure(error, f"{type(error).__name__}: {short(error)}") from None


def begin_anew(client: Any) -> None:
    """Ask by new connections from now on, also where somebody has just waited in vain."""
    client.connection_pool.disconnect(inuse_connections=False)
    try_again = getattr(client.connection_pool, "try_again", None)
    if try_again is not None:
        try_again()


def failure(error: Exception, text: str) -> StorageError:
    """The StorageError for `error`, to be raised without it as its cause, whose text may repeat a password."""
    made = StorageError(text)
    made.kind = type(error).__name__
    return made


def short(error: Exception) -> str:
    """What the server or the system said, up to what it repeats of a command: that may be the one with the password."""
    return printable(str(error).partition(", with args")[0].partition("@")[0][:200])
