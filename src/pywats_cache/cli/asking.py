"""What every command asks of what it works on, be it a running service or a store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from .output import USAGE, fail

__all__ = ["Asking", "Progress", "Target", "check_field"]

Progress = Callable[[int, int], object]
"""Called with how much is done, and how much there is."""


@dataclass(frozen=True)
class Asking:
    """How a request to a store is made; a service has a client of its own for that.

    - `rules`: `wats`, or module:name of a Controller; "": every GET.
    - `headers`: `Name: value`, none with a credential.
    - `authorize`: ask for the Authorization header where PYWATS_CACHE_AUTHORIZATION does not give it.
    """

    rules: str = ""
    headers: tuple[str, ...] = ()
    authorize: bool = False


def check_field(name: str, value: str) -> None:
    """End the program where `value`, which may be a secret, cannot be a header field's."""
    if not (value.isascii() and value.isprintable()):
        fail(f"{name} must be printable ASCII, on one line: it is sent as a header", USAGE)


class Target(Protocol):
    """What each command asks; the answers are JSON documents. A failure ends the program with a message."""

    name: str
    """Its URL, without a password."""

    def stats(self, progress: Progress) -> dict[str, Any]:
        """Figures."""

    def entries(self, sort: str | None, match: str, tag: str | None, limit: int, progress: Progress) -> dict[str, Any]:
        """What is stored."""

    def explain(self, method: str, url: str, asking: Asking) -> dict[str, Any]:
        """What would happen to a request."""

    def doctor(self, progress: Progress) -> dict[str, Any]:
        """What is wrong."""

    def warm(self, urls: list[str], concurrency: int, asking: Asking, progress: Progress) -> dict[str, Any]:
        """Fetch ahead."""

    def invalidate(self, path: str | None, tags: list[str], soft: bool) -> None:
        """Make invalid."""

    def clear(self) -> int:
        """Forget everything; how many entries that were."""
