"""For how long a stored response may be of use once its TTL is over."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["NO_USES", "Uses"]


class Uses(NamedTuple):
    """The windows of one stored response, each in seconds past its TTL.

    - `while_revalidate`: it answers while a refresh runs; `if_error`: it stands in for a server that fails; `offline`:
      it stands in for a server that cannot be reached.
    - `revalidate`: the server may be asked whether it is still what it has. Only what has a validator can be.
    """

    while_revalidate: float = 0.0
    if_error: float = 0.0
    offline: float = 0.0
    revalidate: float = 0.0

    @property
    def longest(self) -> float:
        """Seconds past its TTL after which it is of no use to anyone."""
        return max(self)


NO_USES = Uses()
