"""What a user of the server must be allowed to do, and whether this one is.

A right that is needed only now and then, as when a table is full, would be missed long after the start. So each process
tries all of them once, on a key of its own that is gone at once.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any

from .names import names_of

__all__ = ["COMMANDS", "OF_CLUSTERS", "lacking", "missing_rights", "setuser"]

logger: logging.Logger = logging.getLogger("pywats_cache.storage.redis")

_TRIED: dict[str, tuple[str, ...]] = {
    "del": (), "get": (), "hdel": ("f",), "hget": ("f",), "hgetall": (), "hincrby": ("f", "no number"), "hlen": (),
    "hmget": ("f",), "hset": ("f", "v", "f"), "hsetnx": ("f", "v"), "pexpire": ("1",), "pttl": (),
    "set": ("v", "no option"), "unlink": (), "zadd": ("no number", "m"), "zcard": (), "zrange": ("0", "0"),
    "zrangebyscore": ("0", "0"), "zrem": ("m",), "zremrangebyrank": ("0", "0"), "zremrangebyscore": ("0", "0"),
    "zscore": ("m",),
}  # fmt: skip
"""Commands of a key, with arguments that change nothing, or with which the server refuses what would change something:
after it has looked at the rights. What `hsetnx` makes is removed in the same step."""
COMMANDS = tuple(sorted({*_TRIED, "eval", "evalsha", "info", "ping", "publish", "scan", "subscribe", "time"}))
"""All that is sent, by itself or within a script. Another database than 0 needs `select` too."""
OF_CLUSTERS = tuple(sorted({*COMMANDS} - {"publish", "subscribe"} | {"cluster|slots", "spublish", "ssubscribe"}))
"""The same in a cluster."""
_TRY = """
local missing = {}
local function try(name, ...)
    local answer = redis.pcall(name, ...)
    local said = type(answer) == 'table' and answer.err
    if said and (string.find(said, 'NOPERM') or string.find(said, 'permission') or string.find(said, "can't"))
        then missing[#missing + 1] = name end
end
for i = 1, #ARGV - 2 do
    local words = cjson.decode(ARGV[i])
    try(words[1], KEYS[1], unpack(words, 2))
end
redis.pcall('del', KEYS[1])
redis.pcall('pexpire', KEYS[1], 1)
try('info', 'replication')
try('time')
try('ping')
try('scan', '0', 'match', KEYS[1], 'count', '1')
try(ARGV[#ARGV - 1], ARGV[#ARGV], '')
return missing
"""


def setuser(prefix: str, commands: Sequence[str] = COMMANDS) -> str:
    """The line for the server that gives a user these rights and no others, for one `prefix`."""
    granted = " ".join(f"+{name}" for name in commands)
    return f"ACL SETUSER cache reset on >PASSWORD ~{prefix}:* &{prefix}:* {granted}"


def missing_rights(client: Any, prefix: str) -> list[str] | None:
    """The commands that the user of `client` may not send; None: that could not be found out. Blocks for I/O."""
    name = names_of(client, prefix).ledger("rights")
    publish = getattr(client, "publish_command", "publish")
    tried = [json.dumps([command, *arguments]) for command, arguments in _TRIED.items()]
    try:
        script = client.register_script(_TRY)
        missing = [command.decode() for command in script(keys=[name], args=[*tried, publish, name])]
        if not _may_subscribe(client, name):
            missing.append(getattr(client, "subscribe_command", "subscribe"))
    except Exception as error:  # noqa: BLE001 - who cannot ask is told by others
        logger.debug("the rights could not be tried: %s", type(error).__name__)
        return None
    return missing


def _may_subscribe(client: Any, channel: str) -> bool:
    subscription = client.pubsub()
    try:
        subscription.subscribe(channel)
        subscription.get_message(timeout=1.0)
    except Exception as error:
        if type(error).__name__ != "NoPermissionError":
            raise
        return False
    finally:
        subscription.close()
    return True


def lacking(missing: list[str], prefix: str) -> str:
    """What is said of `missing` rights: the consequence, and the line that grants them."""
    channels = f" &{prefix}:*" if any("publish" in name or "subscribe" in name for name in missing) else ""
    grants = " ".join(f"+{name}" for name in missing)
    return (
        f"the user of this process may not {', '.join(missing)}, so it shares less, or later, than it could: "
        f"ACL SETUSER user{channels} {grants}"
    )
