"""Packed answers in Redis or Valkey: a hash for each key, which ends with the last of its variants."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

from ...errors import StorageError
from ..shared.backend import OPEN, Row, Useless
from ..shared.record_clock import SLACK
from .calls import run

__all__ = ["RedisRows"]

MAX_VARIANTS = 64
LONGEST = 10 * 365 * 86_400.0
"""Seconds for which the server keeps a record that never ends to be of use."""
SCAN = 500
"""Names asked for at one time."""
_PUT = """
local order = redis.call('HGET', KEYS[1], 'o' .. ARGV[1])
if order and order > ARGV[2] and string.sub(order, 21) <= ARGV[6] then return 0 end
if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[5]) * 2 then redis.call('DEL', KEYS[1]) end
redis.call('HSET', KEYS[1], 'd' .. ARGV[1], ARGV[3], 'o' .. ARGV[1], ARGV[2])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[4]) then redis.call('PEXPIRE', KEYS[1], ARGV[4]) end
return 1
"""
_PROLONG = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0
"""
_RELEASE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[3] == '0' then return redis.call('DEL', KEYS[1]) end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""


class RedisRows:
    """The records at `client`, under the keys that begin with `prefix`. The server's maxmemory is their bound.

    Every method raises StorageError when the server does not answer in time.
    """

    claims_without_io = False
    of_one_machine = False

    def __init__(self, client: Any, prefix: str) -> None:
        self._client = client
        self._prefix = prefix
        self._put = client.register_script(_PUT)
        self._prolong = client.register_script(_PROLONG)
        self._release = client.register_script(_RELEASE)

    def _run(self, command: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        return run(self._client, command, *arguments, **named)

    def _name(self, key: str) -> str:
        return f"{self._prefix}:row:{key}"

    def get(self, key: str) -> list[tuple[str, bytes]]:
        """The variants of `key` and their data."""
        found = self._run(self._client.hgetall, self._name(key))
        if not isinstance(found, dict):
            raise StorageError(f"an answer that is no hash, but a {type(found).__name__}")
        return [(name[1:].decode(), data) for name, data in found.items() if name[:1] == b"d"]

    def put(self, row: Row, now: float) -> bool:
        """Store `row`, unless what is there began its fetch later, by a clock that can be right."""
        left = int(min(row.expires - now, LONGEST) * 1000)
        if left <= 0:
            return False
        order = f"{row.epoch:020d}{row.wall:020.6f}"
        latest = f"{now + SLACK:020.6f}"
        arguments = [row.variant, order, row.data, left, MAX_VARIANTS, latest]
        return bool(self._run(self._put, keys=[self._name(row.key)], args=arguments))

    def put_all(self, rows: list[Row], now: float, useless: Sequence[Useless] = ()) -> int:
        """`put` for many, after what is `useless` was taken out. Returns how many were stored."""
        self._remove(useless)
        return sum([self.put(row, now) for row in rows])

    def _remove(self, useless: Sequence[Useless]) -> None:
        for key, variant, _ in useless:
            self._run(self._client.hdel, self._name(key), f"d{variant}", f"o{variant}")

    def names(self) -> Iterator[bytes]:
        """The names of all hashes of records, as the server has them."""
        pattern = re.sub(r"([\\*?\[\]])", r"\\\1", self._name("")) + "*"
        cursor: Any = 0
        while True:
            cursor, names = self._run(self._client.scan, cursor, match=pattern, count=SCAN)
            yield from names
            if not cursor:
                return

    def clear(self) -> None:
        """Take out all records."""
        names = self.names()
        while batch := list(islice(names, SCAN)):
            self._run(self._client.unlink, *batch)

    def claim(self, key: str, seconds: float) -> str | None:
        """The right to fetch `key` for all; see `Rows`."""
        token = uuid.uuid4().hex
        name = f"{self._prefix}:claim:{key}"
        if self._run(self._client.set, name, token, nx=True, px=int(seconds * 1000)):
            return token
        return OPEN if self._run(self._client.get, name) == OPEN.encode() else None

    def is_claimed(self, key: str) -> bool:
        """Whether another process has the right."""
        return self._run(self._client.get, f"{self._prefix}:claim:{key}") not in (None, OPEN.encode())

    def prolong(self, key: str, token: str, seconds: float) -> None:
        """Let the right end then; see `Rows`."""
        self._run(self._prolong, keys=[f"{self._prefix}:claim:{key}"], args=[token, max(1, int(seconds * 1000))])

    def release(self, key: str, token: str, open_for: float) -> None:
        """Give the right back; see `Rows`."""
        self._run(self._release, keys=[f"{self._prefix}:claim:{key}"], args=[token, OPEN, int(open_for * 1000)])

    def close(self) -> None:
        """Give the connections back."""
        self._client.connection_pool.disconnect()
