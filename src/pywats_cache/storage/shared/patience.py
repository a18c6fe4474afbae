"""How long a call may wait for a shared store, in all: 0.3 s, whatever it asks, and however often.

Before a call knows whether it is a hit, it may learn what is new: for `BEFORE` seconds. What it waits for after that,
one thing after the other, is counted together, and ends after `WITHIN` seconds. To wait for a lock that another thread
holds while it waits for the store is to wait for the store.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic

__all__ = ["ALONE", "BEFORE", "WITHIN", "no_call", "one_call", "waiting", "waits_until"]

BEFORE = 0.1
"""Seconds to learn what is new, before a call goes on without the store."""
WITHIN = 0.2
"""Seconds for everything that one call asks the store after that."""
ALONE = 0.25
"""Seconds for what is asked outside of a call: to invalidate, to write behind, to explain."""


class _OneCall:
    """The seconds that one call may still wait. Its threads take turns, so it has no lock."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left: float = WITHIN


_call: ContextVar[_OneCall | None] = ContextVar("pywats_cache_call", default=None)


class _Waits(threading.local):
    until: float | None = None


_waits = _Waits()


@contextmanager
def one_call() -> Iterator[None]:
    """What is waited for within this, here and in the worker threads that are started from here, is counted together.

    A call within another one, as of a transport behind this one, is a part of it.
    """
    if _call.get() is not None:
        yield
        return
    token = _call.set(_OneCall())
    try:
        yield
    finally:
        _call.reset(token)


def no_call() -> None:
    """What this task waits for is no part of the call that began it."""
    _call.set(None)


@contextmanager
def waiting(at_most: float | None = None) -> Iterator[float]:
    """Wait for the store within this, at most so long. Yields until when, on `time.monotonic`.

    Within another one it ends with that.
    """
    until = _waits.until
    if until is not None:
        yield until
        return
    call, began = _call.get(), monotonic()
    left = ALONE if at_most is None else at_most
    _waits.until = until = began + (left if call is None else min(left, call.left))
    try:
        yield until
    finally:
        _waits.until = None
        if call is not None:
            call.left = max(0.0, call.left - (monotonic() - began))


def waits_until() -> float | None:
    """Until when this thread may wait for the store; None: it is within no `waiting`."""
    return _waits.until
