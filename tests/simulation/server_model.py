"""A Redis-like server as far as a ledger needs it: its two scripts in Python, its subscribers, its replica.

`test_server_model.py` holds the scripts against the real ones on a real Valkey.
"""

from __future__ import annotations

import copy
import json
from typing import Any

__all__ = ["Refused", "Server"]


class Refused(Exception):
    """The server answers that it will not."""


class Tables:
    """The keys of a ledger."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}
        self.dirtied: dict[str, int] = {}
        self.softened: dict[str, int] = {}
        self.windows: dict[str, float] = {}


class Server:
    """One server. Time is given.

    - `replid`: names its history. `role`: "master" or "slave". `link`: the replica that has all that is written here.
    - `writes_always`: each script writes, also where nothing changes. Only a mutant does not.
    - `subscribers`: lists that get what is published, here and at the replica.
    """

    writes_always = True

    def __init__(self, name: str) -> None:
        self.replid = f"{name}0"
        self.role = "master"
        self.tables = Tables()
        self.link: Server | None = None
        self.subscribers: list[list[tuple[str, str]]] = []
        self.refuses_writes = False
        self.is_up = True

    def copy_to(self, other: Server) -> None:
        """Synchronise `other` as a whole: what was published before that, its subscribers do not get."""
        other.tables, other.replid = copy.deepcopy(self.tables), self.replid

    def restart(self, tables: Tables, replid: str) -> None:
        """Come back with these tables."""
        self.tables, self.replid = copy.deepcopy(tables), replid
        self.subscribers.clear()

    def _written(self) -> None:
        if self.link is not None:
            self.copy_to(self.link)

    def _publish(self, channel: str, text: str) -> None:
        for server in (self, self.link):
            for queue in server.subscribers if server is not None else ():
                queue.append((channel, text))

    def _check_writable(self) -> None:
        if self.refuses_writes:
            raise Refused("MISCONF")

    def beat(self, channel: str, text: str) -> list[bytes]:
        """The script ECHO."""
        if self.role != "master":
            raise Refused("READONLY not a master")
        state = self.tables.state
        if state and self.writes_always:
            self._check_writable()
        self._publish(channel, text)
        generation = state.get("generation", "") if state.get("replid") == self.replid else ""
        return [self.replid.encode(), generation.encode(), str(state.get("epoch", 0)).encode()]

    def ask(self, question: str, now: float) -> list[Any]:
        """The script SCRIPT, of tables that are not full."""
        asked = json.loads(question)
        if self.role != "master":
            raise Refused("READONLY not a master")
        t = self.tables
        s = t.state
        counts = (s.get("dirtied"), s.get("softened"), s.get("windows"))
        whole = bool(s) and s["replid"] == self.replid and counts == (len(t.dirtied), len(t.softened), len(t.windows))
        other = asked["generation"] not in ("", s.get("generation"))
        if asked["change"] or not whole or other:
            self._check_writable()
            self._change(asked, now, whole=whole, other=other)
        elif self.writes_always:
            self._check_writable()
        t = self.tables
        s = t.state
        since = max(asked["epoch"], 0) if asked["generation"] == s["generation"] else 0
        left = [
            part
            for member, ends in sorted(t.windows.items(), key=lambda pair: (pair[1], pair[0]))
            for part in (member.encode(), f"{ends - now:.6f}".encode())
        ]
        return [
            s["generation"].encode(),
            str(s["epoch"]).encode(),
            str(s["floor"]).encode(),
            str(s["soft"]).encode(),
            _newer(t.dirtied, since),
            _newer(t.softened, since),
            left,
            [],
            b"0",
            len(t.dirtied),
            len(t.softened),
            len(t.windows),
        ]

    def _change(self, asked: dict[str, Any], now: float, *, whole: bool, other: bool) -> None:
        t = self.tables
        s = t.state
        generation, epoch = s.get("generation"), int(s.get("epoch", 0))
        floor, soft = s.get("floor", 0), s.get("soft", 0)
        if not whole:
            generation = asked["candidate"]
            epoch = max(epoch, int(now * 1_000_000))
            self.tables = t = Tables()
            soft = 0
        if not whole or other:
            epoch = max(epoch, asked["epoch"])
        epoch += 1
        if asked["all"] or not whole or other:
            floor = epoch
            t.dirtied.clear()
        for member in asked["ended"]:
            t.windows.pop(member, None)
        for member, ends in list(t.windows.items()):
            window = json.loads(member)
            if window[0] in asked["close"] or (len(window) < 3 and ends <= now):
                del t.windows[member]
        for id, seconds, tags in asked["open"]:
            for tag in tags:
                t.windows[json.dumps([id, tag, seconds])] = now + seconds
        t.dirtied.update(dict.fromkeys(asked["dirty"], epoch))
        t.softened.update(dict.fromkeys(asked["soften"], epoch))
        t.state = {
            "generation": generation,
            "epoch": epoch,
            "floor": floor,
            "soft": soft,
            "replid": self.replid,
            "dirtied": len(t.dirtied),
            "softened": len(t.softened),
            "windows": len(t.windows),
        }
        self._written()
        if (
            not asked["open"] or not whole
        ):  # nor are changes pushed beyond so many a second; here they are lost at random
            self._publish("bumps", f"{generation} {epoch}")


def _newer(table: dict[str, int], since: int) -> list[bytes]:
    return [
        part
        for tag, epoch in sorted(table.items(), key=lambda pair: (pair[1], pair[0]))
        if epoch > since
        for part in (tag.encode(), str(epoch).encode())
    ]
