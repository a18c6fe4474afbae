"""Packed answers in Redis or Valkey: a hash for each key, which ends with the last of its variants."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from ...errors import StorageError
from ..shared.backend import OPEN, Row, Useless
from ..shared.record_clock import SLACK
from .calls import run
from .names import names_of

__all__ = ["UNASKED", "RedisRows"]

UNASKED = "-"
"""Nothing was claimed, for something is stored."""
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
_FIND = """
for i = 5, #ARGV do redis.call('HDEL', KEYS[1], 'd' .. ARGV[i], 'o' .. ARGV[i]) end
local fields = redis.call('HGETALL', KEYS[1])
if #fields > 0 and ARGV[3] == '0' then return {fields, '-'} end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return {fields, ARGV[1]} end
return {fields, redis.call('GET', KEYS[2]) == ARGV[4] and ARGV[4] or ''}
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


_FINISH = f"""
local function put(KEYS, ARGV) {_PUT} end
local function release(KEYS, ARGV) {_RELEASE} end
local stored = put(KEYS, ARGV)
release({{KEYS[2]}}, {{ARGV[7], ARGV[8], ARGV[9]}})
return stored
"""


class RedisRows:
    """The records at `client`, under the keys that begin with `prefix`. The server's maxmemory is their bound.

    Every method raises StorageError when the server does not answer in time.
    """

    claims_without_io = False
    of_one_machine = False

    def __init__(self, client: Any, prefix: str) -> None:
        self._client = client
        self._names = names = names_of(client, prefix)
        self._name, self._claim = names.row, names.claim
        self._put = client.register_script(_PUT)
        self._prolong = client.register_script(_PROLONG)
        self._release = client.register_script(_RELEASE)
        self._find = client.register_script(_FIND)
        self._finish = client.register_script(_FINISH)

    def _run(self, command: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        return run(self._client, command, *arguments, **named)

    def get(self, key: str) -> list[tuple[str, bytes]]:
        """The variants of `key` and their data."""
        found = self._run(self._client.hgetall, self._name(key))
        if not isinstance(found, dict):
            raise StorageError(f"an answer that is no hash, but a {type(found).__name__}")
        return _variants(found.items())

    def find(
        self, key: str, seconds: float, *, claims: bool = False, useless: Sequence[Useless] = ()
    ) -> tuple[list[tuple[str, bytes]], str | None]:
        """`get` and `claim` in one step, which claims where nothing is stored, or with `claims` in any case.

        What is `useless` is taken out first.
        Returns UNASKED in place of a token where it claimed nothing.
        """
        token = uuid.uuid4().hex
        answer = self._run(
            self._find,
            keys=[self._name(key), self._claim(key)],
            args=[token, int(seconds * 1000), int(claims), OPEN, *(variant for _, variant, _ in useless)],
        )
        try:
            fields, said = answer
            found = _variants(zip(fields[::2], fields[1::2], strict=True))
            said = said.decode()
        except (TypeError, ValueError, AttributeError):
            said = None
        if said not in ("", UNASKED, OPEN, token):
            raise StorageError("an answer that is no record")
        return found, said or None

    def put(self, row: Row, now: float) -> bool:
        """Store `row`, unless what is there began its fetch later, by a clock that can be right."""
        left = int(min(row.expires - now, LONGEST) * 1000)
        if left <= 0:
            return False
        return bool(self._run(self._put, keys=[self._name(row.key)], args=_order(row, now, left)))

    def finish(self, row: Row, now: float, token: str, open_for: float) -> None:
        """`put` and `release` in one step."""
        left = int(min(row.expires - now, LONGEST) * 1000)
        if left <= 0:
            self.release(row.key, token, open_for)
            return
        self._run(
            self._finish,
            keys=[self._name(row.key), self._claim(row.key)],
            args=[*_order(row, now, left), token, OPEN, int(open_for * 1000)],
        )

    def put_all(self, rows: list[Row], now: float, useless: Sequence[Useless] = ()) -> int:
        """`put` for many, after what is `useless` was taken out. Returns how many were stored."""
        self._remove(useless)
        return sum([self.put(row, now) for row in rows])

    def _remove(self, useless: Sequence[Useless]) -> None:
        for key, variant, _ in useless:
            self._run(self._client.hdel, self._name(key), f"d{variant}", f"o{variant}")

    def names(self) -> Iterator[bytes]:
        """The names of all hashes of records, as the server has them."""
        pattern = re.sub(r"([\\*?\[\]])", r"\\\1", self._names.rows) + "*"
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
        name = self._claim(key)
        if self._run(self._client.set, name, token, nx=True, px=int(seconds * 1000)):
            return token
        return OPEN if self._run(self._client.get, name) == OPEN.encode() else None

    def is_claimed(self, key: str) -> bool:
        """Whether another process has the right."""
        return self._run(self._client.get, self._claim(key)) not in (None, OPEN.encode())

    def prolong(self, key: str, token: str, seconds: float) -> None:
        """Let the right end then; see `Rows`."""
        self._run(self._prolong, keys=[self._claim(key)], args=[token, max(1, int(seconds * 1000))])

    def release(self, key: str, token: str, open_for: float) -> None:
        """Give the right back; see `Rows`."""
        self._run(self._release, keys=[self._claim(key)], args=[token, OPEN, int(open_for * 1000)])

    def close(self) -> None:
        """Give the connections back."""
        self._client.connection_pool.disconnect()


def _variants(fields: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, bytes]]:
    return [(name[1:].decode(), data) for name, data in fields if name[:1] == b"d"]


def _order(row: Row, now: float, left: int) -> list[Any]:
    """What the script that stores `row` needs. Those that began their fetch later come later in the order."""
    order = f"{row.epoch:020d}{row.wall:020.6f}"
    return [row.variant, order, row.data, left, MAX_VARIANTS, f"{now + SLACK:020.6f}"]
