"""Real threads and tasks that `get` one URL of a client: those who wait do so before httpx builds a request.

Nothing here sleeps or measures time: threads and tasks meet at events of the origin and of the flight itself.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from gated_origin import (
    SOON,
    URL,
    Origin,
    await_joiners,
    broken,
    value,
)

from pywats_cache import AsyncCacheClient, CacheClient, Controller, sync
from pywats_cache.testing import FakeClock


def made(origin: Origin, **options: Any) -> CacheClient:
    """A client that knows already what the call comes to, so that each of its calls may wait before httpx does."""
    client = CacheClient(transport=origin, **options)
    assert client.lookup("GET", URL) is None
    return client


@contextmanager
def calling(
    client: CacheClient, origin: Origin, joined: threading.Semaphore, count: int
) -> Iterator[list[Future[Any]]]:
    """One thread is at the origin for the URL, `count` others wait for it."""
    with ThreadPoolExecutor(count + 1) as pool:
        calls = [pool.submit(client.get, URL)]
        assert origin.arrived.acquire(timeout=SOON)
        calls += [pool.submit(client.get, URL) for _ in range(count)]
        await_joiners(joined, count)
        yield calls


def counted(client: CacheClient | AsyncCacheClient) -> tuple[int, int]:
    """All requests, and those of them that were over before httpx built one."""
    stats = client.cache.stats
    return stats.requests, stats.lookups


# ── threads ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_threads_that_wait_for_a_server_that_failed_share_what_was_stored_before(joined: threading.Semaphore) -> None:
    clock, origin = FakeClock(), Origin(value, broken)
    client = made(origin, clock=clock, controller=Controller(ttl=10.0, stale_if_error=60.0))
    origin.gate.set()
    client.get(URL)
    origin.arrived.acquire()
    clock.advance(11.0)
    origin.gate.clear()
    with calling(client, origin, joined, 5) as calls:
        origin.gate.set()
        outcomes = [call.result(SOON).extensions["pywats_cache"] for call in calls]
    assert {(outcome.status, outcome.reason) for outcome in outcomes} == {("stale", "if-error")}
    assert origin.requests == 2, "a server in trouble must be asked once, not once for each who waits"
    assert counted(client) == (7, 5)


def test_a_thread_that_waited_says_how_long(joined: threading.Semaphore) -> None:
    origin = Origin(value)
    client = made(origin)
    with calling(client, origin, joined, 1) as (leader, waiter):
        origin.gate.set()
        assert leader.result(SOON).extensions["pywats_cache"].status == "miss"
        response = waiter.result(SOON)
    assert response.extensions["pywats_cache"].status == "collapsed"
    assert response.elapsed > datetime.timedelta(0)


class Interrupting:
    """A lock at which whoever waits is interrupted, as by Ctrl-C."""

    def acquire(self, timeout: float | None = None) -> bool:
        if timeout is not None:
            raise KeyboardInterrupt
        return True

    def release(self) -> None:
        raise AssertionError("who was interrupted must not be woken any more")


def test_an_interrupted_thread_is_counted_and_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync, "threading", SimpleNamespace(Lock=Interrupting, get_ident=threading.get_ident))
    origin = Origin(value)
    client = made(origin)
    with ThreadPoolExecutor(1) as pool:
        leader = pool.submit(client.get, URL)
        assert origin.arrived.acquire(timeout=SOON)
        with pytest.raises(KeyboardInterrupt):
            client.get(URL)
        origin.gate.set()
        assert leader.result(SOON).content == b"value"
    assert counted(client) == (2, 1)
    assert client.cache.stats.misses == 2
    told = [(event.status, event.reason) for event in client.cache._engine.journal.recent]
    assert told == [("error", "KeyboardInterrupt"), ("miss", "unknown")]


def test_a_request_that_waited_in_vain_is_the_callers_to_send_again(joined: threading.Semaphore) -> None:
    origin = Origin(value)
    client = made(origin, timeout=httpx.Timeout(5.0, read=0.01))
    with calling(client, origin, joined, 1) as (leader, waiter):
        assert origin.arrived.acquire(timeout=SOON), "the waiter never went itself"
        origin.gate.set()
        leader.result(SOON)
        response = waiter.result(SOON)
    assert response.extensions["pywats_cache"].reason == "join-timeout"
    assert set(response.request.extensions) == {"timeout"}
