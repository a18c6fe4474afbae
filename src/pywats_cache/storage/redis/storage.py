"""Memory in front of a Redis or Valkey server that machines share: `storage="redis://127.0.0.1:6379/0"`."""

from __future__ import annotations

import os
from hashlib import blake2b
from typing import Any, Literal

from ...errors import ConfigurationError, ConfigurationTypeError, StorageError
from ...support.checks import seconds, text
from ...support.clock import monotonic
from ...support.fork import renew_in_child
from ...support.showing import is_host, shown
from ..memory import MemoryStorage
from ..shared.backend import EPOCH, LOST
from ..shared.base import REVALIDATE_FOR, SharingStorage
from ..shared.coherence import SharedCoherence
from .ledger import RedisLedger
from .records import RedisRows

__all__ = ["RedisSharedStorage", "client_at", "digest_secret"]

KEY_VARIABLE = "PYWATS_CACHE_DIGEST_KEY"
DEADLINE = 0.25
"""Seconds to wait for the server at most; then the request goes on without it."""


class LeasedCoherence(SharedCoherence):
    """Relies on what it knows only while the lease of the feed lasts."""

    __slots__ = ("_may_continue", "_redis")

    def __init__(self, ledger: RedisLedger, on_failure: Any, may_continue: bool) -> None:
        self._redis = ledger
        self._may_continue = may_continue
        super().__init__(ledger, on_failure)

    @property
    def epoch(self) -> int:
        """The epoch, of which the local tables know everything up to `max_lag` ago; -1 while they may not."""
        # The lease before the cells: see `shared.lease`.
        if monotonic() < self._redis.feed.until:
            cells = self._cells
            epoch = cells[EPOCH]
            if epoch == self._local and cells[LOST] == self._lost:
                return epoch
        return self.refresh()

    @epoch.setter
    def epoch(self, value: int) -> None:
        """The server says where it begins."""

    def is_current(self) -> bool:
        """Whether `epoch` needs no I/O now. There is no file to look at."""
        if monotonic() >= self._redis.feed.until:
            return False
        cells = self._cells
        return cells[EPOCH] == self._local and cells[LOST] == self._lost

    def begin_write(self, tags: tuple[str, ...], lease: float) -> str | None:
        """Announce a write. Raises StorageError, and it is not sent, if nobody can be told and that was wanted."""
        intent = super().begin_write(tags, lease)
        if intent is None and not self._may_continue:
            error = StorageError("the write was not sent: the other machines cannot be told (on_unreachable='fail')")
            error.request_not_sent = True  # type: ignore[attr-defined]
            raise error
        return intent


class RedisSharedStorage(SharingStorage):
    """Memory first, then the Redis or Valkey server at `url`, shared by machines. Needs the extra `redis`.

    - `url`: as redis-py takes it: `redis://host:6379/0`, `rediss://…` for TLS, `unix:///socket`.
    - `memory`: the hot part; None: a `MemoryStorage()`. It belongs to this storage from now on.
    - `digest_key`: at least 16 characters or bytes, the same on all machines; None: the environment variable
      `PYWATS_CACHE_DIGEST_KEY`. Without either no record is shared, since keys would not agree; what writes dirty is.
    - `max_lag`: seconds by which a process may lag behind another one's write.
    - `on_unreachable`: what becomes of a write while the server cannot be reached: `"continue"` sends it (this process
      stops using the cache and the others are bounded by the TTL until it can tell them), `"fail"` raises StorageError.
    - `prefix`: what the names of all keys begin with, to keep several caches on one server apart.
    - `revalidate_for`: seconds past its TTL for which a response with a validator is kept to be revalidated by a
      conditional request; a day by default.

    Raises ConfigurationError or ConfigurationTypeError for bad arguments, never because the server is away.
    """

    __module__ = "pywats_cache"

    _remedy = "the server must run, take writes, and be reached from here with these credentials"

    def __init__(
        self,
        url: str,
        *,
        memory: MemoryStorage | None = None,
        digest_key: str | bytes | None = None,
        max_lag: float = 1.0,
        on_unreachable: Literal["continue", "fail"] = "continue",
        prefix: str = "pywats-cache",
        revalidate_for: float = REVALIDATE_FOR,
    ) -> None:
        try:
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ImportError:
            raise ConfigurationError("storage redis:// needs redis-py: pip install 'pywats-cache[redis]'") from None
        text("url", url, "redis://127.0.0.1:6379/0")
        text("prefix", prefix, "pywats-cache")
        if on_unreachable not in ("continue", "fail"):
            raise ConfigurationError(f"on_unreachable must be 'continue' or 'fail', not {shown(on_unreachable)}")
        self._max_lag = seconds("max_lag", max_lag, positive=True)
        secret = digest_secret(digest_key)
        client = client_at(url, DEADLINE, retry=Retry(NoBackoff(), 0))
        if client.connection_pool.connection_kwargs.get("decode_responses"):
            raise ConfigurationError("storage must be a URL without decode_responses: what is stored is bytes")
        self._client = client
        self._may_continue = on_unreachable == "continue"
        self._redis = RedisLedger(client, prefix, self._max_lag)
        super().__init__(memory, self._redis, RedisRows(client, prefix), secret, "redis", revalidate_for)
        if secret is None:
            self._warn(f"redis: no answers are shared: give digest_key=, or {KEY_VARIABLE}, the same on all machines")
        renew_in_child(self)

    def _renew(self) -> None:
        self._redis.renew()

    def _failed(self, doing: str, error: Exception) -> None:
        if getattr(error, "kind", "") == "ReadOnlyError":
            # A server that was demoted goes on answering; a new connection finds the one that took over.
            self._client.connection_pool.disconnect(inuse_connections=False)
        super()._failed(doing, error)

    def _new_coherence(self) -> SharedCoherence:
        return LeasedCoherence(self._redis, self._failed, self._may_continue)


def client_at(url: str, timeout: float, **options: Any) -> Any:
    """A client of redis-py for `url`, not connected yet. Raises ConfigurationError that repeats nothing of it."""
    import redis

    try:
        client = redis.Redis.from_url(url, socket_timeout=timeout, socket_connect_timeout=timeout, **options)
        # What redis-py does not know of it finds out with the first connection; this makes one, and opens none.
        client.connection_pool.connection_class(**client.connection_pool.connection_kwargs)
        if not is_host(client.connection_pool.connection_kwargs.get("host", "localhost")):
            raise ValueError
    except Exception:  # noqa: BLE001 - whatever it is, its text may hold a part of the URL
        raise ConfigurationError(
            "storage must be a URL such as redis://127.0.0.1:6379/0, with parameters that redis-py knows"
        ) from None
    return client


def digest_secret(digest_key: str | bytes | None) -> bytes | None:
    """The key of the digests that is made of what the user gave, or of the environment; None without either."""
    if digest_key is None:
        digest_key = os.environ.get(KEY_VARIABLE) or None
    if digest_key is None:
        return None
    if not isinstance(digest_key, (str, bytes)):
        raise ConfigurationTypeError(f"digest_key must be a string or bytes, not a {type(digest_key).__name__}")
    raw = digest_key.encode() if isinstance(digest_key, str) else digest_key
    if len(raw) < 16:
        raise ConfigurationError("digest_key must have at least 16 characters: make one with secrets.token_hex(32)")
    return blake2b(raw, digest_size=32, person=b"pywats-cache").digest()
