"""A store in Redis or Valkey, looked at from outside."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from ...errors import MissingStoreError, StorageError
from ...support.showing import shown
from ..shared.patience import waiting
from .ledger import RedisLedger
from .names import check_prefix
from .records import RedisRows
from .storage import client_at, digest_secret

if TYPE_CHECKING:
    from ..shared.backend import Delta

__all__ = ["RedisLook"]

DEADLINE = 5.0
"""Seconds to wait for the server; nobody's request waits for this."""
BATCH = 100


class RedisLook:
    """The store at `url`; `options` are those that the URL adds to redis-py's. See `Look`."""

    kind = "redis"

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        prefix = options.get("prefix", "pywats-cache")
        self._client: Any = client_at(url, DEADLINE)
        check_prefix(self._client, prefix)
        self._rows = RedisRows(self._client, prefix)
        self.rows: Any = self._rows
        self.secret: bytes | None = digest_secret(None)
        try:
            self.delta: Delta = self._ledger(prefix)
        except BaseException:
            self.close()
            raise

    def _ledger(self, prefix: str) -> Delta:
        import redis

        try:
            self._client.ping()
        except (redis.ConnectionError, redis.TimeoutError) as error:
            refused = isinstance(error, redis.AuthenticationError)
            text = "the server refuses the password" if refused else "no server answers"
            raise (StorageError if refused else MissingStoreError)(f"{text} ({type(error).__name__})") from None
        except redis.RedisError as error:
            raise StorageError(f"the server refuses ({type(error).__name__})") from None
        with waiting(DEADLINE):
            delta = RedisLedger(self._client, prefix, 1.0).look()
        if delta is None:
            raise MissingStoreError(f"the server holds no store of the prefix {shown(prefix)}")
        return delta

    def count(self) -> int:
        """Names of records; one may have several variants."""
        return len(self._names())

    def _names(self) -> set[bytes]:
        """SCAN may return a name twice."""
        with waiting(DEADLINE):
            return set(self._rows.names())

    def records(self) -> Iterator[tuple[str, bytes]]:
        """All records that are there from the beginning to the end of this."""
        names = iter(self._names())
        while batch := list(islice(names, BATCH)):
            pipeline = self._client.pipeline(transaction=False)
            for name in batch:
                pipeline.hgetall(name)
            try:
                hashes = pipeline.execute()
            except Exception as error:  # noqa: BLE001 - and not as the cause: see `failure`
                raise StorageError(type(error).__name__) from None
            for fields in hashes:
                yield from ((name[1:].decode(), data) for name, data in fields.items() if name[:1] == b"d")

    def figures(self) -> dict[str, Any]:
        """What bounds the server's memory, where it may be asked."""
        try:
            memory = self._client.info("memory")
        except Exception:  # noqa: BLE001 - a user may be kept from asking
            memory = {}
        return {
            "server_bytes": memory.get("used_memory"),
            "server_max_bytes": memory.get("maxmemory"),
            "server_policy": memory.get("maxmemory_policy"),
        }

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()
