"""Whether all who use a store have the same digest key: with another one a process finds none of the others' records.

Each process leaves a mark, which is made of its key, in a sorted set with the time of the server. The mark tells no
more of the key than the checksums of the records do.
"""

from __future__ import annotations

import logging
from hashlib import blake2b
from typing import Any

from .calls import run

__all__ = ["DIFFERENT", "KeyAgreement"]

logger: logging.Logger = logging.getLogger("pywats_cache.storage.redis")

KEPT = 3600
"""Seconds for which a mark is kept."""
DIFFERENT = (
    "within the last hour another digest key was used with this store, so its users do not share their responses: "
    "does a key end with a line feed, or was it changed?"
)
_MARK = """
local now = tonumber(redis.call('TIME')[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[2]))
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('PEXPIRE', KEYS[1], tonumber(ARGV[2]) * 1000)
return redis.call('ZCARD', KEYS[1])
"""


class KeyAgreement:
    """Asks the server at `client` about the users of the keys that begin with `prefix`."""

    def __init__(self, client: Any, prefix: str, secret: bytes) -> None:
        self._client = client
        self._mark = client.register_script(_MARK)
        self._name = f"{prefix}:digest-keys"
        self._own = blake2b(b"mark", digest_size=16, key=secret, person=b"pywats-cache").hexdigest()

    def is_kept(self) -> bool | None:
        """Leave a mark. Whether all had the same key within the last hour; None: that could not be found out."""
        try:
            return bool(run(self._client, self._mark, keys=[self._name], args=[self._own, KEPT]) == 1)
        except Exception as error:  # noqa: BLE001 - it is asked again; whatever fails, others report it
            logger.debug("the digest keys were not compared: %s", type(error).__name__)
            return None
