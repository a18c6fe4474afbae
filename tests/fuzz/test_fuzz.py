"""Random calls to a random server: no exception, and no difference from the bare client but those of the list below.

Runs for `PYWATS_CACHE_FUZZ_SECONDS` in all (60). A failure names its case; `PYWATS_CACHE_FUZZ_SEED` says which is the
first.
"""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import httpx
import httpx2
import pytest
from fuzz_cases import calls_of
from fuzz_origin import Origin
from seen_calls import aseen, seen

import pywats_cache
import pywats_cache.httpx2
from pywats_cache import Controller, MemoryStorage, SharedStorage
from pywats_cache.testing import FakeClock

SECONDS = float(os.environ.get("PYWATS_CACHE_FUZZ_SECONDS", "60"))
SEED = os.environ.get("PYWATS_CACHE_FUZZ_SEED")
LIBRARIES = {"httpx": (httpx, pywats_cache), "httpx2": (httpx2, pywats_cache.httpx2)}
MODES = {"ttl": Controller(ttl=60.0), "rfc": Controller(rfc9111=True)}
KINDS = ("sync", "async")
WAYS = [(library, mode, kind) for library in LIBRARIES for mode in MODES for kind in KINDS]

Seen = dict[str, Any]
Call = dict[str, Any]
Allowed = Callable[[str, Call, Seen, Seen], bool]

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
UNSTORED = {b"connection", b"transfer-encoding", b"te", b"upgrade", b"keep-alive", b"trailer", b"proxy-connection"}


def fields(raw: list[tuple[bytes, bytes]], left_out: set[bytes]) -> list[tuple[bytes, bytes]]:
    """The fields in the order of their names, without those."""
    lower = [(name.lower(), value) for name, value in raw]
    return sorted((field for field in lower if field[0] not in left_out), key=lambda field: field[0])


def not_stored(raw: list[tuple[bytes, bytes]], mode: str) -> set[bytes]:
    """The names of fields that a stored response has otherwise; an odd name in Connection names all that is in it."""
    if mode == "ttl":
        return set()
    lists = b",".join(value for name, value in raw if name.lower() == b"connection")
    lists += b",".join(part for name, value in raw if name == b"Cache-Control" for part in value.split(b'"')[1:])
    return {b"age", b"date", *UNSTORED, *(name.lower() for name in TOKEN.findall(lists))}


def is_stored(mode: str, call: Call, bare: Seen, ours: Seen) -> bool:
    if "error" in bare or "error" in ours:
        return False
    left_out = not_stored(bare["headers"][0], mode)
    if fields(bare["headers"][0], left_out) != fields(ours["headers"][0], left_out):
        return False
    if len(bare["history"]) != len(ours["history"]):
        return False
    for (*what, raw, body), (*own, kept, content) in zip(bare["history"], ours["history"], strict=True):
        left_out = not_stored(raw, mode)
        if (what, fields(raw, left_out), body) != (own, fields(kept, left_out), content):
            return False
    return difference(bare, ours).keys() <= {"headers", "history"}


def is_not_modified(mode: str, call: Call, bare: Seen, ours: Seen) -> bool:
    if "error" in bare or "error" in ours or bare["status"][0] // 100 != 2 or ours["status"][0] != 304:
        return False
    asked = {name.lower() for name, _ in call["headers"]}
    said = fields(bare["headers"][0], set())
    own = fields(ours["headers"][0], {b"age", b"date"})
    return bool(asked & {b"if-none-match", b"if-modified-since"}) and all(field in said for field in own)


def is_a_range(mode: str, call: Call, bare: Seen, ours: Seen) -> bool:
    """No more than the outside: the tests of ranges look at which bytes these are."""
    if mode != "rfc" or "error" in bare or "error" in ours or bare["status"][0] != 200:
        return False
    return ours["status"][0] in (206, 416) and any(name.lower() == b"range" for name, _ in call["headers"])


def breaks_off_before_it_is_decoded(mode: str, call: Call, bare: Seen, ours: Seen) -> bool:
    errors = [seen["error"][0].__name__ if "error" in seen else "" for seen in (bare, ours)]
    return errors == ["DecodingError", "ReadError"]


def without_its_cookie(seen: Seen) -> Seen:
    def stripped(raw: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        return [(name, value) for name, value in raw if name.lower() != b"set-cookie"]

    raw, *others = seen["headers"]
    history = [(*what, stripped(fields), body) for *what, fields, body in seen["history"]]
    return {**seen, "headers": (stripped(raw), *others), "history": history, "cookies": None}


def lost_its_cookie(mode: str, call: Call, bare: Seen, ours: Seen) -> bool:
    if mode != "rfc" or "error" in bare or "error" in ours or ours["cookies"][0]:
        return False
    return is_stored(mode, call, without_its_cookie(bare), without_its_cookie(ours))


ALLOWED: dict[str, Allowed] = {
    # RFC 9111 §5.1: a stored response says its Age; RFC 9110 §6.6.1: who stores one without Date gives it one; §7.6.1,
    # RFC 9111 §5.2.2.4: fields of the connection, and those that no-cache lists, are not stored. A validation puts the
    # fields that it renews beside each other (§3.2).
    "Age, Date, fields of a connection, the order of names": is_stored,
    # A cookie that a response sets is a credential, so it is not kept in a file.
    "a stored response from a file, without its cookie": lost_its_cookie,
    # RFC 9110 §13.1: a condition of the caller is judged by what is stored; the server here knows one spelling only.
    "304 to the caller's own condition": is_not_modified,
    # RFC 9110 §14.2: a range of what is stored is cut from it; the server here knows no ranges.
    "206 or 416 to the caller's own range": is_a_range,
    # A body that is stored is received as a whole before it is decoded, so of two faults the other shows.
    "a body that breaks off and cannot be decoded": breaks_off_before_it_is_decoded,
}
"""Each difference from the bare client that is meant, and why."""


def difference(bare: Seen, ours: Seen) -> dict[str, Any]:
    names = sorted(bare.keys() | ours.keys())
    return {name: (bare.get(name), ours.get(name)) for name in names if bare.get(name) != ours.get(name)}


class Case:
    """The clients of one case, side by side, and what they are asked."""

    def __init__(self, way: tuple[str, str, str], seed: str, directory: str) -> None:
        library, self.mode, kind = way
        self.lib, cache = LIBRARIES[library]
        self.dice = Random(seed)
        self.calls = calls_of(self.dice)
        self.is_async = kind == "async"
        prefix = "Async" if self.is_async else ""
        self.clock = FakeClock()
        self.drops = False
        self.storages: list[SharedStorage] = []
        parts = [{"controller": MODES[self.mode], "clock": self.clock, **self.storage(directory, n)} for n in range(2)]
        self.origins = [Origin(self.lib, seed, self.mode) for _ in range(3)]
        bare, below, ours = (origin.transport for origin in self.origins)
        self.caches = [getattr(cache, f"{prefix}CacheTransport")(below, **parts[0])]
        client = getattr(self.lib, f"{prefix}Client")
        self.clients = [
            client(transport=bare),
            client(transport=self.caches[0]),
            getattr(cache, f"{prefix}CacheClient")(transport=ours, **parts[1]),
        ]
        self.caches.append(self.clients[2].cache)

    def storage(self, directory: str, number: int) -> dict[str, Any]:
        chance = self.dice.random()
        if chance < 0.7:
            return {}
        memory = MemoryStorage(clock=self.clock, max_entries=self.dice.choice((1, 2, 50)), max_bytes=200_000)
        if chance < 0.9:
            return {"storage": memory}
        self.storages.append(SharedStorage(Path(directory) / f"{number}.db", memory=memory))
        return {"storage": self.storages[-1]}

    async def run(self, found: Counter[str]) -> None:
        try:
            for number, call in enumerate(self.calls):
                await self.compare(number, call, found)
            self.add_up()
        finally:
            for client in self.clients:
                await client.aclose() if self.is_async else client.close()
            for storage in self.storages:
                storage.close()

    async def compare(self, number: int, call: dict[str, Any], found: Counter[str]) -> None:
        self.clock.advance(call["wait"])
        bare, *others = [await self.seen(client, call) for client in self.clients]
        for which, ours in zip(("transport", "client"), others, strict=True):
            found["calls"] += 1
            # A client that fails over a cookie or an address after the response has come never closes that.
            self.drops |= "error" in bare and not issubclass(bare["error"][0], self.lib.HTTPError)
            # A refresh in the background may still be under way at the end.
            self.drops |= b"stale-while-revalidate" in repr(bare).encode()
            if ours == bare:
                continue
            reason = next((why for why, allowed in ALLOWED.items() if allowed(self.mode, call, bare, ours)), None)
            assert reason, f"call {number} of {which}: {difference(bare, ours)}\nof {self.calls[: number + 1]}"
            found[reason] += 1

    async def seen(self, client: Any, call: dict[str, Any]) -> Seen:
        options = {name: call[name] for name in ("headers", "follow_redirects", "extensions") if name in call}
        self.explain(client, call, dict(options))
        if call["body"]:
            options |= call["body"](self.is_async)
        if call["method"] == "GET" and call["reading"] == "whole" and call["body"]:
            call = {**call, "reading": "read"}  # client.get takes no body
        given = client, call["method"], call["url"], call["reading"]
        return await aseen(*given, **options) if self.is_async else seen(*given, **options)

    def explain(self, client: Any, call: dict[str, Any], options: dict[str, Any]) -> None:
        options.pop("follow_redirects")
        try:
            asked = [client.build_request(call["method"], call["url"], **options) for _ in self.caches]
        except Exception:
            return  # the call itself is held against the bare client
        for cache, request in zip(self.caches, asked, strict=True):
            cache.explain(request)

    def add_up(self) -> None:
        for cache, client in zip(self.caches, self.clients[1:], strict=True):
            stats, memory = cache.stats, cache._engine.storage
            assert stats.requests == self.origins[0].calls, f"of {client}: {stats}"
            assert self.drops or not memory.flights.open, "no flight stays open"
            assert stats.storage_errors == 0
            assert stats.entries <= memory.max_entries
            assert stats.size_bytes <= memory.max_bytes


@pytest.mark.parametrize("way", WAYS, ids="-".join)
def test_nothing_raises_and_nothing_differs_from_the_bare_client(way: tuple[str, str, str]) -> None:
    end = time.monotonic() + SECONDS / len(WAYS)
    found: Counter[str] = Counter()
    seed = int(SEED) if SEED else int.from_bytes(os.urandom(4), "big")
    while time.monotonic() < end:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:  # a refresh may still write
            try:
                asyncio.run(Case(way, str(seed), directory).run(found))
            except Exception as error:
                raise AssertionError(f"PYWATS_CACHE_FUZZ_SEED={seed} ({'-'.join(way)}): {error!r}") from error
        found["cases"] += 1
        seed += 1
    print(f"\n{'-'.join(way)}: {dict(found)}")
    assert found["cases"]
