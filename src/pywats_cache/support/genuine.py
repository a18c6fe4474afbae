"""Whether the steps that a shortcut leaves out are code of the library and of this package, and nobody else's.

A subclass, a tracing tool or a test may put its own in their place: in a class or an instance, at any time, before this
package is imported too. So a step is judged by where its code comes from, not by what stood there at import.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable
from types import FunctionType
from typing import Any

__all__ = ["OURS", "is_genuine", "only_these_behind", "reads_plainly", "unchanged"]

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


def unchanged(kind: Any, names: Iterable[str], *behind: tuple[type[Any], str]) -> Callable[[Any], bool]:
    """A function that says whether a class is `kind` and still has exactly what it has now under these names.

    - `behind`: what it calls by `super()`: classes and names.

    To read an attribute of a class costs 13 ns, and up to 200 ns where two of them share a place in the interpreter's
    cache; to read a global variable costs 2 ns. So the names are read as the globals of a function: one for each class
    that has some of them, whose namespace it is given. A class that gets one later has more in its namespace.
    """
    spaces = {owner: _namespace(owner) for owner in kind.__mro__ if _package(owner.__module__) not in _FIXED}
    if not all(isinstance(space, dict) for space in spaces.values()):
        return lambda kind: False  # another interpreter: to judge each time is slow, and right
    owned: dict[Any, list[str]] = {}
    for found, name in (*((kind, name) for name in names), *behind):
        owner = next((owner for owner in found.__mro__ if name in spaces.get(owner, ())), None)
        if owner is not None:
            owned.setdefault(owner, []).append(name)
    others = [
        space
        for owner, space in spaces.items()
        if owner not in owned and (owner.__module__ in _NAMED or _package(owner.__module__) != OURS)
    ]
    same: Callable[[Any], bool] | None = None
    readers = [
        (spaces[owner], its[at : at + _WIDTH]) for owner, its in owned.items() for at in range(0, len(its), _WIDTH)
    ]
    if len(others) > len(readers) or not readers:
        same = _sized(kind, others[len(readers) :])
    for number, (space, its) in enumerate(readers):
        same = _reader(kind, space, its, others[number] if number < len(others) else None, same)
    assert same is not None
    return same


def _sized(judged: Any, spaces: list[dict[str, Any]]) -> Callable[[Any], bool]:
    sizes = [*map(len, spaces)]
    return lambda kind: kind is judged and [*map(len, spaces)] == sizes


def _reader(
    kind: Any, space: dict[str, Any], names: list[str], other: Any, rest: Callable[[Any], bool] | None
) -> Callable[[Any], bool]:
    template, width = next((template, width) for template, width in _TEMPLATES if len(names) <= width)
    wide = names + names[-1:] * (width - len(names))
    code = template.__code__
    in_place = dict(zip(_PLACES, wide, strict=False))
    reading = code.replace(co_names=tuple(in_place.get(name, name) for name in code.co_names))
    given = (kind, len, space, len(space), other, len(other or ()), rest, *(space[name] for name in wide))
    return FunctionType(reading, space, "same", given)


# The functions below get other names in these places, and for globals the namespace of the class that has the names.
_n0 = _n1 = _n2 = _n3 = _n4 = _n5 = _n6 = _n7 = _n8 = _n9 = _n10 = _n11 = None
_WIDTH = 12
_PLACES = [f"_n{number}" for number in range(_WIDTH)]

# fmt: off


def _four(
    kind: Any, judged: Any, sized: Any, space: Any, size: Any, other: Any, its: Any, rest: Any,
    a: Any, b: Any, c: Any, d: Any,
) -> bool:
    try:
        return (
            kind is judged and sized(space) == size and (other is None or sized(other) == its)
            and _n0 is a and _n1 is b and _n2 is c and _n3 is d
            and (rest is None or rest(kind))
        )
    except NameError:  # deleted from the class
        return False


def _eight(
    kind: Any, judged: Any, sized: Any, space: Any, size: Any, other: Any, its: Any, rest: Any,
    a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any, h: Any,
) -> bool:
    try:
        return (
            kind is judged and sized(space) == size and (other is None or sized(other) == its)
            and _n0 is a and _n1 is b and _n2 is c and _n3 is d and _n4 is e and _n5 is f and _n6 is g and _n7 is h
            and (rest is None or rest(kind))
        )
    except NameError:
        return False


def _twelve(
    kind: Any, judged: Any, sized: Any, space: Any, size: Any, other: Any, its: Any, rest: Any,
    a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any, h: Any, i: Any, j: Any, k: Any, m: Any,
) -> bool:
    try:
        return (
            kind is judged and sized(space) == size and (other is None or sized(other) == its)
            and _n0 is a and _n1 is b and _n2 is c and _n3 is d and _n4 is e and _n5 is f
            and _n6 is g and _n7 is h and _n8 is i and _n9 is j and _n10 is k and _n11 is m
            and (rest is None or rest(kind))
        )
    except NameError:
        return False


# fmt: on
_TEMPLATES = ((_four, 4), (_eight, 8), (_twelve, _WIDTH))

_NAMED = frozenset({OURS, f"{OURS}.httpx2", f"{OURS}.wats.http_clients"})
"""Our modules whose classes have a name for others. What is behind those gets no new attribute, for nobody knows it."""
_FIXED = frozenset({"typing", "builtins"})  # nobody changes these classes


def _namespace(kind: type[Any]) -> Any:
    """The dictionary of which `vars` gives a read-only view. Only to be read."""
    return next(iter(gc.get_referents(vars(kind))), None)


def reads_plainly(kind: Any) -> bool:
    """Whether reading an attribute of its instances does nothing else."""
    return kind.__getattribute__ is object.__getattribute__


def only_these_behind(kind: type[Any], *packages: str) -> bool:
    """Whether what our class of `kind` calls by `super()` are classes of these packages and of this one only."""
    allowed = {*packages, OURS, *_FIXED}
    of = [_package(owner.__module__) for owner in kind.__mro__]
    return OURS in of and allowed.issuperset(of[of.index(OURS) :])


def _package(module: Any) -> str:
    return str(module).partition(".")[0]
