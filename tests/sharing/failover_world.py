"""Machines that read and write one origin through a server that fails over, and what they may not see then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
from sharing_world import LONG, soon

from pywats_cache import CacheTransport, Controller, RedisSharedStorage

MAX_LAG = 0.5
KEY = "k3y-of-all-the-machines-in-this-test"
Make = Callable[..., Any]


class Origin:
    """Its answers are numbered, so a larger number is a later answer."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.count += 1
        return httpx.Response(200, text=str(self.count))


def machines() -> Iterator[Make]:
    """The body of a fixture: it makes clients with a storage each, as machines have, and one origin."""
    made: list[Any] = []
    origin = Origin()

    def make(url: Any) -> Any:
        storage = RedisSharedStorage(url, digest_key=KEY, max_lag=MAX_LAG)
        transport = CacheTransport(httpx.MockTransport(origin), storage=storage, controller=Controller(ttl=600.0))
        client: Any = httpx.Client(transport=transport, base_url="http://origin")
        client.storage = storage
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()
        client.storage.close()


def read(client: Any, path: str) -> int:
    return int(client.get(path).text)


def is_hit(client: Any, path: str) -> bool:
    return bool(client.get(path).extensions["pywats_cache"].status == "hit")


def rely(reader: Any) -> None:
    """Let `reader` come to have "/a" and a lease from an echo."""
    feed = reader.storage._redis.feed
    read(reader, "/a")
    until = feed.until
    soon(lambda: feed.until > until)
    soon(lambda: is_hit(reader, "/a"))


def written(writer: Any, path: str) -> tuple[int, float]:
    """Write, again until the others could be told. Returns the number of the answer and when it was there."""
    until = time.monotonic() + LONG
    while time.monotonic() < until:
        before = writer.storage.memory.errors
        number = int(writer.put(path).text)
        if writer.storage.memory.errors == before:
            return number, time.monotonic()
    raise AssertionError("the server that took over cannot be reached")


def lags(reader: Any, path: str, write: tuple[int, float]) -> bool:
    """Whether a read that begins more than `MAX_LAG` after `write` still gets something older."""
    number, ended = write
    while True:
        began = time.monotonic()
        if read(reader, path) > number:
            return False
        if began >= ended + MAX_LAG:
            return True
