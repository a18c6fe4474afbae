"""What holds for the calls of a `with` block: `cache.options(…)` and `cache.outcomes()`.

A block is open in the thread or task that entered it, and in the tasks that this one starts in it: the innermost one
stands in a context variable, and knows the one around it. Leaving a block closes it wherever it is known, so that it
may be left in another context than it was entered in, as async fixtures are.

An engine counts its open blocks. While there are none, a request pays one look at that number and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from threading import Lock
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from ..policy.directives import merged
from ..telemetry.outcome import CacheOutcome

if TYPE_CHECKING:
    from ..storage.memory import MemoryStorage
    from ..support.http_types import HttpResponse

__all__ = ["Noted", "Outcomes", "Scoped", "given_here", "is_scoped", "leave_all", "note"]

EnteredT = TypeVar("EnteredT")


class Scoping(Protocol):
    """What a block needs to know of an engine."""

    storage: MemoryStorage
    open_scopes: int


_innermost: ContextVar[Scope | None] = ContextVar("pywats_cache.scope", default=None)


class Scope:
    """One block that was entered.

    - `engine`: whose calls it is about; None once it is closed.
    - `given`: the directives of its calls, checked; `seen`: where their outcomes go, or None.
    - `outer`: the block around it.
    """

    __slots__ = ("engine", "given", "lock", "outer", "seen")

    def __init__(
        self, engine: Scoping, given: Mapping[str, Any], seen: list[CacheOutcome] | None, outer: Scope | None
    ) -> None:
        self.engine: Scoping | None = engine
        self.given: Mapping[str, Any] = given
        self.seen: list[CacheOutcome] | None = seen
        self.outer: Scope | None = outer
        self.lock: Lock = Lock()


def _current() -> Scope | None:
    """The innermost open block of this thread or task. Those that were closed elsewhere are forgotten."""
    known = scope = _innermost.get()
    while scope is not None and scope.engine is None:
        scope = scope.outer
    if scope is not known:
        _innermost.set(scope)
    return scope


def _open_here(engine: Scoping) -> Iterator[Scope]:
    """The open blocks of `engine`, the innermost first."""
    scope = _current()
    while scope is not None:
        if scope.engine is engine:
            yield scope
        scope = scope.outer


def is_scoped(engine: Scoping) -> bool:
    """Whether the caller is in a block of `engine`."""
    return next(_open_here(engine), None) is not None


def given_here(engine: Scoping) -> dict[str, Any]:
    """The directives that the blocks give to a call made here. An inner block beats those around it."""
    given: dict[str, Any] = {}
    for scope in _open_here(engine):
        given = merged(scope.given, given)
    return given


def leave_all() -> None:
    """Be in no block from here on: work in the background is part of nobody's call."""
    _innermost.set(None)


class Noted:
    """The places in the lists of blocks where the outcome of one call stands. It may change until its body is read."""

    __slots__ = ("_places",)

    def __init__(self) -> None:
        self._places: list[tuple[Scope, int]] = []

    def add(self, scope: Scope, outcome: CacheOutcome) -> None:
        """Let `scope` see `outcome`."""
        with scope.lock:
            if scope.seen is not None:
                self._places.append((scope, len(scope.seen)))
                scope.seen.append(outcome)

    def change(self, response: HttpResponse) -> None:
        """Let the blocks that are still open see what became of `response`."""
        outcome = CacheOutcome.of(response)
        if outcome is not None:
            for scope, place in self._places:
                with scope.lock:
                    if scope.seen is not None:
                        scope.seen[place] = outcome


def note(engine: Scoping, response: Any) -> Noted:
    """Let the blocks that collect outcomes here see that of `response`."""
    noted = Noted()
    outcome = CacheOutcome.of(response)
    if outcome is not None:
        for scope in _open_here(engine):
            noted.add(scope, outcome)
    return noted


class Scoped(Generic[EnteredT]):
    """A block to enter: `with` as often as wanted, one in the other and in several threads, too."""

    def __init__(self, engine: Scoping, given: Mapping[str, Any] | None = None) -> None:
        self._engine = engine
        self._given: Mapping[str, Any] = {} if given is None else given
        self._entered: list[Scope] = []

    def _list(self) -> list[CacheOutcome] | None:
        return None

    def __enter__(self) -> EnteredT:
        seen: Any = self._list()
        scope = Scope(self._engine, self._given, seen, _current())
        with self._engine.storage.lock:
            self._engine.open_scopes += 1
            self._entered.append(scope)
        _innermost.set(scope)
        entered: EnteredT = seen
        return entered

    def __exit__(self, *error: object) -> None:
        scope = self._last_here() or self._entered[-1]  # else it is left in another context
        with self._engine.storage.lock:
            self._entered.remove(scope)
            self._engine.open_scopes -= 1
        with scope.lock:
            scope.engine = scope.seen = None
        _current()

    def _last_here(self) -> Scope | None:
        for scope in _open_here(self._engine):
            if scope in self._entered:
                return scope
        return None

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self._given.items())
        return f"<directives for the calls of a block: {given or 'none'}>"


class Outcomes(Scoped["list[CacheOutcome]"]):
    """A block whose outcomes are collected."""

    def _list(self) -> list[CacheOutcome] | None:
        return []

    def __repr__(self) -> str:
        return "<collects the outcomes of the calls of a block>"
