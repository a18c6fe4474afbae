"""What a user asks of a cache beside sending requests: options for a block, and the outcomes of its calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..engine.scopes import Outcomes, Scoped
from ..policy.directives import checked_for_block

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from typing_extensions import Unpack

    from ..engine.engine import Engine
    from ..policy.directives import BlockDirectives
    from ..telemetry.outcome import CacheOutcome

__all__ = ["CacheApi"]


class CacheApi:
    """The part of a transport that sync and async ones have in common."""

    _engine: Engine

    def options(self, **directives: Unpack[BlockDirectives]) -> AbstractContextManager[None]:
        """Directives for the calls of a `with` block: `with client.cache.options(refresh=True): …`.

        They are those of `extensions["pywats_cache"]`: `bypass`, `refresh`, `ttl`, `tags`, `only_if_cached`,
        `stale_while_revalidate` and `stale_if_error`. They hold for what this thread or task sends through this cache,
        and the tasks that it starts in the block. What a request says itself beats the block, and an inner block beats
        the outer one; tags add up. A write in a `bypass` block invalidates all the same.

        Raises ConfigurationError or ConfigurationTypeError for an unknown or bad directive, and for `key`, since one
        call may send several requests.
        """
        given: dict[str, Any] = {**directives}
        return Scoped(self._engine, checked_for_block(given))

    def outcomes(self) -> AbstractContextManager[list[CacheOutcome]]:
        """Collect what the cache does with the calls of a block: `with client.cache.outcomes() as seen: …`.

        One `CacheOutcome` for each request that gets an answer, in that order; redirects and retries count too, work in
        the background does not. At the end of the block the list is complete: nothing changes it any more.
        """
        return Outcomes(self._engine)
