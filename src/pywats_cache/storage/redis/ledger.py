"""The epoch, the dirtied tags and the open writes of a store among machines, in Redis or Valkey.

One script does every change and every question, so each is one atomic step. The epoch is a pair: a generation and a
number. A new generation begins, and everything older is invalid, when the state is missing (flushed, evicted), when a
table has lost members (evicted), or when the server's replication id is another one: it was restarted, or a replica
took over that may not have everything.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Sequence
from typing import Any

from ...errors import StorageError
from ...support.clock import monotonic
from ...support.showing import printable
from ..shared.backend import LOST, Change, Delta, Known, LaterVersionError
from .feed import Feed

__all__ = ["RedisLedger", "failure"]

SCRIPT = """
local state, dirtied, softened, windows = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local asked = cjson.decode(ARGV[1])
local info = redis.call('INFO', 'replication')
if string.match(info, 'role:(%a+)') ~= 'master' then return redis.error_reply('READONLY not a master') end
local replid = string.match(info, 'master_replid:(%w+)')
local format = redis.call('HGET', state, 'format')
if format and format ~= '1' then return redis.error_reply('LATERVERSION ' .. format) end
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local s = redis.call('HMGET', state, 'generation', 'epoch', 'floor', 'soft', 'replid', 'dirtied', 'softened', 'windows')
local whole = s[1] and s[5] == replid and tonumber(s[6]) == redis.call('ZCARD', dirtied)
    and tonumber(s[7]) == redis.call('ZCARD', softened) and tonumber(s[8]) == redis.call('ZCARD', windows)
local other = asked.generation ~= '' and asked.generation ~= s[1]
local generation, epoch = s[1], tonumber(s[2] or 0)
local floor, soft = tonumber(s[3] or 0), tonumber(s[4] or 0)
local function text(number) return string.format('%.0f', number) end
if asked.look then
    if not s[1] then return {} end
    asked.change, other = false, false
    if not whole then floor, whole = epoch + 1, true end
end
if asked.change or not whole or other then
    if not whole then
        generation = asked.candidate
        epoch = math.max(epoch, math.floor(now * 1000000))
        redis.call('DEL', state, dirtied, softened, windows)
        soft = 0
    end
    if not whole or other then epoch = math.max(epoch, asked.epoch) end
    epoch = epoch + 1
    if asked.all or not whole or other then
        floor = epoch
        redis.call('DEL', dirtied)
    end
    redis.call('ZREMRANGEBYSCORE', windows, '-inf', now)
    if asked.close ~= '' then
        for _, member in ipairs(redis.call('ZRANGE', windows, 0, -1)) do
            if cjson.decode(member)[1] == asked.close then redis.call('ZREM', windows, member) end
        end
    end
    for _, tag in ipairs(asked.open_tags) do
        redis.call('ZADD', windows, now + asked.open_seconds, cjson.encode({asked.open_id, tag}))
    end
    for _, tag in ipairs(asked.dirty) do redis.call('ZADD', dirtied, text(epoch), tag) end
    for _, tag in ipairs(asked.soften) do redis.call('ZADD', softened, text(epoch), tag) end
    if redis.call('ZCARD', dirtied) > asked.max_tags then
        local middle = redis.call('ZRANGE', dirtied, asked.max_tags / 2, asked.max_tags / 2, 'WITHSCORES')[2]
        floor = math.max(floor, tonumber(middle))
        redis.call('ZREMRANGEBYSCORE', dirtied, '-inf', middle)
    end
    if redis.call('ZCARD', softened) > asked.max_tags then
        soft = epoch
        redis.call('DEL', softened)
    end
    redis.call('HSET', state, 'generation', generation, 'epoch', text(epoch), 'floor', text(floor), 'soft', text(soft),
        'replid', replid, 'dirtied', redis.call('ZCARD', dirtied), 'softened', redis.call('ZCARD', softened),
        'windows', redis.call('ZCARD', windows))
    redis.call('PUBLISH', asked.channel, generation .. ' ' .. text(epoch))
end
local since = '(' .. text(asked.generation == generation and asked.epoch or -1)
local left = {}
local open = redis.call('ZRANGEBYSCORE', windows, '(' .. string.format('%.6f', now), '+inf', 'WITHSCORES')
for i = 1, #open, 2 do
    left[#left + 1] = cjson.decode(open[i])[2]
    left[#left + 1] = string.format('%.6f', tonumber(open[i + 1]) - now)
end
return {generation, text(epoch), text(floor), text(soft),
    redis.call('ZRANGEBYSCORE', dirtied, since, '+inf', 'WITHSCORES'),
    redis.call('ZRANGEBYSCORE', softened, since, '+inf', 'WITHSCORES'), left}
"""
MAX_TAGS = 4096


class RedisLedger:
    """The ledger at `client` (of redis-py, with a deadline on its sockets) under the keys that begin with `prefix`.

    `pull` and `change` raise StorageError when the server does not answer in time. Safe from any thread and in a child
    of a fork.
    """

    def __init__(self, client: Any, prefix: str, max_lag: float) -> None:
        # The braces keep the keys of a ledger on one node of a cluster.
        self._keys = [f"{prefix}:{{ledger}}:{name}" for name in ("state", "dirtied", "softened", "windows")]
        self._channel = f"{prefix}:bumps"
        self._script = client.register_script(SCRIPT)
        self.feed: Feed = Feed(client, self._channel, max_lag)
        self._renewable = (client, max_lag)
        self._owed = 0
        self._paid = 0

    def renew(self) -> None:
        """In a forked child: nothing is known, and the thread of the parent is not there."""
        client, max_lag = self._renewable
        self.feed = Feed(client, self._channel, max_lag)

    def __del__(self) -> None:
        self.feed.end_soon()

    def cells(self) -> Sequence[int]:
        """The cells that the server's pushes keep."""
        self.feed.start()
        return self.feed.cells

    def pull(self, known: Known) -> Delta:
        """What is new. What this process could not tell the others before, it tells them first."""
        return self._ask(None, known) if self._owed == self._paid else self.change(Change(), known)

    def change(self, change: Change, known: Known) -> Delta:
        """Commit `change`, and tell all listeners, also what could not be told before."""
        owed = self._owed
        delta = self._ask(change if owed == self._paid else change._replace(all=True), known)
        self._paid = owed
        return delta

    def look(self) -> Delta | None:
        """The whole ledger, which is not changed; None if there is none. What `pull` would drop is invalid in it."""
        return _delta(self._answer(None, Known(None, -1), look=True), 0)

    def lose(self) -> bool:
        """A change may not have reached the server: this process owes everyone a full invalidation."""
        self._owed += 1
        return False

    def is_in_place(self) -> bool:
        """Whether other processes use the same ledger: only the server knows, and says so when asked."""
        return True

    def _ask(self, change: Change | None, known: Known) -> Delta:
        feed = self.feed
        doubts, asked, lost = feed.doubts, monotonic(), feed.cells[LOST]
        delta = _delta(self._answer(change, known), lost)
        assert delta is not None
        feed.learned(delta, asked, doubts)
        return delta

    def _answer(self, change: Change | None, known: Known, *, look: bool = False) -> Any:
        told = change or Change()
        question = {
            "look": look,
            "change": change is not None,
            "candidate": uuid.uuid4().hex,
            "generation": known.generation or "",
            "epoch": known.epoch,
            "all": told.all,
            "close": told.close or "",
            "open_id": told.open.id if told.open else "",
            "open_tags": list(told.open.tags) if told.open else [],
            "open_seconds": told.open.seconds if told.open else 0,
            "dirty": list(told.dirty),
            "soften": list(told.soften),
            "max_tags": MAX_TAGS,
            "channel": self._channel,
        }
        try:
            return self._script(keys=self._keys, args=[json.dumps(question)])
        except Exception as error:  # noqa: BLE001 - and not as the cause: see `failure`
            later = re.match(r"LATERVERSION (\w{1,9})", str(error))
            if later is not None:
                found = f"its ledger is of format {later[1]}, not 1"
                raise LaterVersionError(f"{found}: a later pywats-cache wrote it") from None
            raise failure(error, f"{type(error).__name__}: {_short(error)}") from None

    def close(self) -> None:
        """End the subscription; the next use begins it again."""
        self.feed.stop()
        self.feed.doubt()


def _delta(answer: Any, lost: int) -> Delta | None:
    """What the script said; None: nothing is there. Raises StorageError for an answer of another shape."""
    if not answer:
        return None
    try:
        generation, epoch, floor, soft = (part.decode() for part in answer[:4])
        return Delta(
            generation,
            int(epoch),
            int(floor),
            int(soft),
            lost,
            [(tag, int(float(score))) for tag, score in _pairs(answer[4])],
            [(tag, int(float(score))) for tag, score in _pairs(answer[5])],
            [(tag, float(left)) for tag, left in _pairs(answer[6])],
        )
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        raise failure(error, f"{type(error).__name__}: {_short(error)}") from None


def _pairs(flat: list[bytes]) -> list[tuple[str, str]]:
    return [(flat[i].decode(), flat[i + 1].decode()) for i in range(0, len(flat), 2)]


def failure(error: Exception, text: str) -> StorageError:
    """The StorageError for `error`, to be raised without it as its cause, whose text may repeat a password."""
    made = StorageError(text)
    made.kind = type(error).__name__
    return made


def _short(error: Exception) -> str:
    """What the server or the system said, up to what it repeats of a command: that may be the one with the password."""
    return printable(str(error).partition(", with args")[0].partition("@")[0][:200])
