"""After `os.fork()` the child starts with an empty memory, new locks and no flights."""

from __future__ import annotations

import os
import weakref
from typing import Protocol

__all__ = ["renew_in_child"]


class _Renewable(Protocol):
    def _renew(self) -> None: ...


_known: weakref.WeakSet[_Renewable] = weakref.WeakSet()


def renew_in_child(thing: _Renewable) -> None:
    """Call `thing._renew()` in each forked child, while it lives. On a system without fork nothing ever happens."""
    _known.add(thing)


def _renew_all() -> None:
    for thing in list(_known):
        thing._renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
