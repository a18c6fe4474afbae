"""A script at the server, by its digest; whole where the server does not have it yet.

redis-py sends `SCRIPT LOAD` then, which managed services and careful administrators forbid. `EVAL` loads it as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha1
from typing import Any

from redis.exceptions import NoScriptError

__all__ = ["Script"]


class Script:
    """The script `text`, run by `client`: an object with `evalsha` and `eval`."""

    __slots__ = ("_client", "_sha", "_text")

    def __init__(self, client: Any, text: str) -> None:
        self._client = client
        self._text = text
        self._sha = sha1(text.encode(), usedforsecurity=False).hexdigest()

    def __call__(self, keys: Sequence[str] = (), args: Sequence[Any] = ()) -> Any:
        """Its answer. Raises what `client` raises."""
        try:
            return self._client.evalsha(self._sha, len(keys), *keys, *args)
        except NoScriptError:
            return self._client.eval(self._text, len(keys), *keys, *args)
