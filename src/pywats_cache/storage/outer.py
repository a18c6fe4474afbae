"""What is asked of a storage behind the memory: one fetch, as far as that storage needs to know it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from .entry import StoredResponse
from .uses import Uses

__all__ = ["OuterFetch"]


class OuterFetch(Protocol):
    """A fetch under way, which the storage may spare the server, and whose response it keeps.

    - `patience`: seconds to wait while another process fetches the same.
    - `claim`: the right to fetch for all processes; the storage's own.
    - `was_sought`: the storage was just asked for a fresh response, and has none. Its first use ends that.
    - `stored`: what the response became in memory, once it is there; None: nothing to keep.
    """

    patience: float
    claim: str | None
    was_sought: bool
    stored: StoredResponse | None

    @property
    def key(self) -> str:
        """Names the responses of all variants."""

    @property
    def is_shared(self) -> bool:
        """Whether others may wait for this fetch."""

    @property
    def is_uncacheable(self) -> bool:
        """Whether its response turned out to be its caller's alone."""

    def is_spared_by(self, entry: StoredResponse, now: float) -> bool:
        """Whether `entry` answers this fetch's request without the server."""

    def uses(self, revalidate_for: float) -> Callable[[], Uses]:
        """Works out, in any thread, for how long `stored` may be of use once its TTL is over.

        - `revalidate_for`: seconds for which one with a validator is kept to be asked about.
        """
