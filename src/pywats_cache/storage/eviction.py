"""Which entry goes next: the interface of a policy, and the dictionary that follows one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, overload, runtime_checkable

from ..errors import ConfigurationError, ConfigurationTypeError
from ..support.showing import shown
from .tinylfu import WTinyLFU

__all__ = ["POLICIES", "Policy", "PolicyItems", "items_by", "policy_named"]

_T = TypeVar("_T")
_D = TypeVar("_D")
_GONE: Any = object()


@runtime_checkable
class Policy(Protocol):
    """Decides in which order keys leave. It knows keys only; the bounds, and what the keys stand for, are the table's.

    - Each method is O(1), amortised, and is called with the table's lock held.
    - That lock is re-entrant, so a signal handler may use the cache in the middle of a method: take things out in one
      step (`pop(key, None)`), never after a look.
    - `used` is on the way of a hit: less than 1 µs. Work that takes longer is for the others.
    """

    @property
    def used(self) -> Callable[[str], object]:
        """A method or function: the key, which is there, answered a request."""

    def added(self, key: str) -> None:
        """`key`, which is not there, will be stored. It must not be the next to go, unless it is alone."""

    def removed(self, key: str) -> None:
        """`key` will leave by another way than `victim`: dropped, expired, or replaced, which adds it again."""

    def victim(self) -> str:
        """Take out the key that goes next. Raises KeyError if there is none."""


class PolicyItems(dict[str, _T]):
    """A dictionary with those methods of `OrderedDict` that the table and a hit use, in the order of a policy."""

    __slots__ = ("_policy", "move_to_end")

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self._policy = policy
        self.move_to_end: Callable[[str], object] = policy.used
        """Not a method of this class: a hit would pay for one call more."""

    # The policy is told first, so that nothing of it runs between a change here and the table's count of bytes.

    def __setitem__(self, key: str, item: _T) -> None:
        self._policy.added(key)
        super().__setitem__(key, item)

    def __delitem__(self, key: str) -> None:
        self.pop(key)

    @overload
    def pop(self, key: str, /) -> _T: ...
    @overload
    def pop(self, key: str, default: _D, /) -> _T | _D: ...
    def pop(self, key: str, *default: Any) -> Any:
        """Take out `key`."""
        if key in self:
            self._policy.removed(key)
        return super().pop(key, *default)

    def popitem(self, last: bool = False) -> tuple[str, _T]:
        """Take out what goes next by the policy. Raises KeyError if there is nothing."""
        try:
            while True:
                key = self._policy.victim()
                item = super().pop(key, _GONE)
                if item is not _GONE:  # else it was taken out in the middle of this, by a signal handler
                    return key, item
        except KeyError:
            return super().popitem()  # whatever the policy believes, the bounds hold

    def clear(self) -> None:
        """Take everything out. The policy may remember what was popular."""
        for key in list(self):
            self._policy.removed(key)
        super().clear()


POLICIES: dict[str, type[Policy] | None] = {"lru": None, "w-tinylfu": WTinyLFU}
"""By name. None: the order of `OrderedDict` itself, which costs a hit nothing on top."""


def policy_named(name: str) -> str:
    """`name`, if it is one of POLICIES. Raises ConfigurationError."""
    if name not in POLICIES:
        raise ConfigurationError(f"policy must be one of {', '.join(map(repr, POLICIES))}, not {shown(name)}")
    return name


def items_by(policy: str | Callable[[], Policy]) -> OrderedDict[str, Any] | PolicyItems[Any]:
    """An empty dictionary in the order of `policy`: a name, or a class or function that makes one.

    Raises ConfigurationError for an unknown name, ConfigurationTypeError for what makes no policy.
    """
    if isinstance(policy, str):
        named = POLICIES[policy_named(policy)]
        return OrderedDict() if named is None else PolicyItems(named())
    # Not an object: a forked child and a second storage need one of their own.
    made = policy() if callable(policy) else None
    if not isinstance(made, Policy):
        raise ConfigurationTypeError(
            f"policy must be one of {', '.join(map(repr, POLICIES))}, or a class or function that makes an object with "
            f"the methods used, added, removed and victim, not {shown(policy)}"
        )
    return PolicyItems(made)
