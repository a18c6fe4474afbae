"""Validators, stale answers and refreshes over real sockets."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from loopback import LONG, Exchange, Server

from pywats_cache import CacheOutcome, Controller
from pywats_cache.testing import FakeClock

pytestmark = pytest.mark.anyio
Make = Callable[..., Any]
Outcome = Callable[[Any], CacheOutcome]


class Versions:
    """A resource with an entity-tag, its version."""

    def __init__(self, server: Server) -> None:
        self.version = 1
        self.wait: threading.Event | None = None
        server.on("/a", self)

    def __call__(self, exchange: Exchange) -> None:
        if self.wait is not None:
            assert self.wait.wait(LONG)
        tag = f'"{self.version}"'
        headers = {"ETag": tag, "X-Asked": exchange.seen.headers.get("if-none-match", "-")}
        if exchange.seen.headers.get("if-none-match") == tag:
            exchange.start(304, headers)
        else:
            exchange.send(b"version %d" % self.version, headers=headers)


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(LONG):
        while not condition():
            await anyio.sleep(0.001)


async def test_an_expired_answer_is_validated_and_the_connection_given_back(
    make: Make, server: Server, lib: SimpleNamespace, clock: FakeClock, outcome: Outcome
) -> None:
    resource = Versions(server)
    caller = make(
        cache={"clock": clock, "controller": Controller(ttl=60)},
        limits=lib.http.Limits(max_connections=1),
        timeout=lib.http.Timeout(LONG, pool=LONG),
    )
    await caller.get("/a")
    for _ in range(2):
        clock.advance(60)
        response = await caller.get("/a")
        assert outcome(response)[:2] == ("revalidated", "not-modified")
        assert (response.status_code, response.content) == (200, b"version 1")
        assert "if-none-match" not in response.request.headers, "what the cache asks is not the caller's"
        assert outcome(await caller.get("/a")).status == "hit"
    clock.advance(60)
    resource.version = 2
    response = await caller.get("/a")
    assert (outcome(response).status, response.content) == ("miss", b"version 2")
    assert [seen.headers.get("if-none-match") for seen in server.log] == [None, '"1"', '"1"', '"1"']
    assert server.connections == 1
    stats = caller.cache.stats
    assert (stats.misses, stats.revalidated, stats.hits, stats.requests) == (2, 2, 2, 6)


async def test_a_dirtied_answer_is_not_served_without_the_servers_word(
    make: Make, server: Server, clock: FakeClock
) -> None:
    resource = Versions(server)
    caller = make(cache={"clock": clock, "controller": Controller(stale_while_revalidate=1000, stale_if_error=1000)})
    await caller.get("/a")
    resource.version = 2
    await caller.invalidate("/a")
    assert (await caller.get("/a")).content == b"version 2"


async def test_a_stale_answer_is_served_at_once_while_one_refresh_runs(
    make: Make, server: Server, clock: FakeClock, outcome: Outcome
) -> None:
    resource = Versions(server)
    caller = make(cache={"clock": clock, "controller": Controller(ttl=60, stale_while_revalidate=30)})
    await caller.get("/a")
    clock.advance(61)
    resource.version, resource.wait = 2, threading.Event()
    for _ in range(3):  # the server answers none of them
        response = await caller.get("/a")
        assert (outcome(response).status, response.content) == ("stale", b"version 1")
    await until(lambda: server.count() == 2)
    resource.wait.set()
    await until(lambda: caller.cache.stats.stores == 2)
    response = await caller.get("/a")
    assert (outcome(response).status, response.content) == ("hit", b"version 2")
    assert server.count() == 2


async def test_a_failing_server_is_bridged_within_the_window_only(
    make: Make, server: Server, lib: SimpleNamespace, clock: FakeClock, outcome: Outcome
) -> None:
    server.answers("/a", b"good")
    caller = make(cache={"clock": clock, "controller": Controller(ttl=60, stale_if_error=30)})
    await caller.get("/a")
    clock.advance(61)
    server.answers("/a", b"bad", 503)
    response = await caller.get("/a")
    assert (response.status_code, response.content, outcome(response).status) == (200, b"good", "stale")
    server.on("/a", lambda exchange: exchange.hang_up())
    response = await caller.get("/a")
    assert (response.content, outcome(response).status) == (b"good", "stale")
    clock.advance(30)
    with pytest.raises(lib.http.RemoteProtocolError):
        await caller.get("/a")
