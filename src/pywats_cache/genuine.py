"""Whether the steps that a shortcut leaves out are code of the library and of this package, and nobody else's.

A subclass, a tracing tool or a test may put its own in their place: in a class or an instance, at any time, before this
package is imported too. So a step is judged by where its code comes from, not by what stood there at import.
"""

from __future__ import annotations

from types import FunctionType
from typing import Any

__all__ = ["OURS", "is_genuine", "only_these_behind", "reads_plainly"]

OURS = "pywats_cache"


def is_genuine(kind: type[Any], name: str, *packages: str) -> bool:
    """Whether what `kind` has under `name` is a plain function, or property, that one of these packages defines.

    The class that has it and the code itself must be of the same package: `functools.wraps` and wrapt copy the name and
    the module of a function, but not its globals.
    """
    for owner in kind.__mro__:
        if name in owner.__dict__:
            step = owner.__dict__[name]
            if type(step) is property:
                step = step.fget
            if type(step) is not FunctionType or step.__code__.co_name != name:
                return False
            package = _package(owner.__module__)
            return package in packages and _package(step.__globals__.get("__name__")) == package
    return False


def reads_plainly(kind: Any) -> bool:
    """Whether reading an attribute of its instances does nothing else."""
    return kind.__getattribute__ is object.__getattribute__


def only_these_behind(kind: type[Any], *packages: str) -> bool:
    """Whether what our class of `kind` calls by `super()` are classes of these packages and of this one only."""
    allowed = {*packages, OURS, "typing", "builtins"}
    of = [_package(owner.__module__) for owner in kind.__mro__]
    return OURS in of and allowed.issuperset(of[of.index(OURS) :])


def _package(module: Any) -> str:
    return str(module).partition(".")[0]
