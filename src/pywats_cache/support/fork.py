"""After `os.fork()` the child starts with an empty memory, new locks and no flights, and with no open database."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol

__all__ = ["close_before_fork", "renew_in_child"]


class _Renewable(Protocol):
    def _renew(self) -> None: ...


class _Closable(Protocol):
    def _before_fork(self) -> None: ...
    def _after_fork_in_parent(self) -> None: ...
    def _after_fork_in_child(self) -> None: ...


_known: weakref.WeakSet[_Renewable] = weakref.WeakSet()


def renew_in_child(thing: _Renewable) -> None:
    """Call `thing._renew()` in each forked child, while it lives. On a system without fork nothing ever happens."""
    _known.add(thing)


_closable: weakref.WeakSet[_Closable] = weakref.WeakSet()
_closable_first: weakref.WeakSet[_Closable] = weakref.WeakSet()
_closed: list[_Closable] = []
_one_fork = threading.Lock()
"""Two threads that fork at once would wait for each other's things."""


def close_before_fork(thing: _Closable, *, first: bool = False) -> None:
    """Tell `thing` before and after each fork, while it lives: in its parent, and in the child before all renewals.

    - `first`: before those that it uses, and which would wait for it.
    """
    (_closable_first if first else _closable).add(thing)


def _before_fork() -> None:
    _one_fork.acquire()
    _closed[:] = [*_closable_first, *_closable]
    for thing in _closed:
        thing._before_fork()


def _after_fork_in_parent() -> None:
    for thing in _closed:
        thing._after_fork_in_parent()
    _closed.clear()
    _one_fork.release()


def _renew_all() -> None:
    global _one_fork  # noqa: PLW0603 - the parent's is held, by a thread that is not there
    _one_fork = threading.Lock()
    for closed in _closed:
        closed._after_fork_in_child()
    _closed.clear()
    for thing in list(_known):
        thing._renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_renew_all)
