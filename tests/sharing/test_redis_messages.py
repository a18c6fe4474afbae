"""How many messages a process sends to the server: few while it reads, next to none while it does not."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import redis
from sharing_world import soon

from pywats_cache import CacheTransport, Controller, RedisSharedStorage
from pywats_cache.storage.shared.lease import BEAT
from pywats_cache.support.clock import monotonic

MAX_LAG = 1.0
"""Seconds: so many that a beat is in time on a busy machine, too."""
LAGS = 5


@pytest.fixture
def server(valkey: str) -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(valkey)
    yield client
    client.close()


@pytest.fixture
def client(valkey: str) -> Iterator[httpx.Client]:
    storage = RedisSharedStorage(valkey, digest_key="the-same-on-all-machines", max_lag=MAX_LAG)
    transport = CacheTransport(
        httpx.MockTransport(lambda request: httpx.Response(200)), storage=storage, controller=Controller(ttl=600.0)
    )
    with httpx.Client(transport=transport, base_url="http://origin") as client:
        client.storage = storage  # type: ignore[attr-defined]
        client.get("/a")
        soon(lambda: transport.stats.hits if client.get("/a") else 0)
        storage._upkeep.close(20.0)  # it asks once a minute which rights there are
        yield client


def scripts(server: redis.Redis) -> int:
    """Scripts that were run so far. A process whose answers are in memory sends nothing else."""
    found: Any = server.info("commandstats")
    return sum(found.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("evalsha", "eval"))


def during(server: redis.Redis, seconds: float, act: Callable[[], object]) -> int:
    """Messages while `act` is called again and again."""
    before, began = scripts(server), time.monotonic()
    while time.monotonic() < began + seconds:
        act()
        time.sleep(MAX_LAG / 50)
    return scripts(server) - before


def test_a_process_that_reads_sends_at_most_two_messages_in_the_lag(server: redis.Redis, client: httpx.Client) -> None:
    def read() -> None:
        assert client.get("/a").extensions["pywats_cache"].status == "hit"

    assert LAGS / BEAT / 2 < during(server, LAGS * MAX_LAG, read) <= 2 * LAGS + 1


def test_a_process_that_reads_nothing_lets_its_lease_lapse_and_is_never_wrong(
    server: redis.Redis, client: httpx.Client, valkey: str
) -> None:
    feed = client.storage._redis.feed  # type: ignore[attr-defined]
    soon(lambda: feed.until < monotonic())
    assert during(server, LAGS * MAX_LAG, lambda: None) == 0
    other = RedisSharedStorage(valkey, digest_key="the-same-on-all-machines", max_lag=MAX_LAG)
    writer = CacheTransport(httpx.MockTransport(lambda request: httpx.Response(200)), storage=other)
    before = scripts(server)
    writer.handle_request(httpx.Request("PUT", "http://origin/a")).read()
    assert client.get("/a").extensions["pywats_cache"].status == "miss"
    writer.close()
    assert scripts(server) > before
    until = feed.until
    soon(lambda: feed.until > until and client.get("/a"))  # and from then on it beats again
    assert client.get("/a").extensions["pywats_cache"].status == "hit"
