"""Names that load when they are asked for (PEP 562), and what to say where the extra they need is not installed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

__all__ = ["lazy", "needs"]


def lazy(package: str, modules: Mapping[str, str], *, extra: str | None = None) -> Callable[[str], Any]:
    """The `__getattr__` of `package`, whose names are in these `modules` (`{"watch": ".prometheus"}`).

    Where one of them cannot be imported, the ModuleNotFoundError names the `extra`.
    """

    def load(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            return getattr(import_module(modules[name], package), name)
        except ModuleNotFoundError as error:
            raise (error if extra is None else needs(extra, error)) from None

    return load


def needs(extra: str, error: ModuleNotFoundError) -> ModuleNotFoundError:
    """`error` with the way out: which extra brings the module."""
    if error.name is None or error.name.partition(".")[0] == __package__.partition(".")[0]:
        return error  # a fault of ours, which no extra mends
    return ModuleNotFoundError(f"no module named {error.name!r}: pip install 'pywats-cache[{extra}]'", name=error.name)
