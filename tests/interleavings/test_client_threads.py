"""Real threads that `get` one URL of a client: those who wait do so before httpx builds a request.

Nothing here sleeps or measures time: threads meet at events of the origin and of the flight itself.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from engine_mutants import plant
from gated_callers import BRIEF, SWR, counted, made
from gated_origin import SOON, URL, Origin, await_joiners, broken, statuses, streamed, uncacheable, value

from pywats_cache import CacheClient, Controller, Read
from pywats_cache.testing import FakeClock
from pywats_cache.transport import sync


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


@pytest.mark.parametrize(
    ("reason", "allowed"), [("if-error", {"stale_if_error": 60.0}), ("offline", {"offline": "auto"})]
)
def test_threads_that_wait_for_a_server_that_failed_share_what_was_stored_before(
    reason: str, allowed: dict[str, Any], joined: threading.Semaphore
) -> None:
    clock, origin = FakeClock(), Origin(value, broken)
    client = made(origin, clock=clock, controller=Controller(ttl=10.0, **allowed))
    origin.gate.set()
    client.get(URL)
    origin.arrived.acquire()
    clock.advance(11.0)
    origin.gate.clear()
    with calling(client, origin, joined, 5) as calls:
        origin.gate.set()
        outcomes = [call.result(SOON).extensions["pywats_cache"] for call in calls]
    assert {(outcome.status, outcome.reason) for outcome in outcomes} == {("stale", reason)}
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


def test_many_cold_threads_make_one_origin_request_and_httpx_builds_one(joined: threading.Semaphore) -> None:
    origin = Origin(value)
    client = made(origin)
    with calling(client, origin, joined, 11) as calls:
        origin.gate.set()
        responses = [call.result(SOON) for call in calls]
    assert statuses(responses) == ["collapsed"] * 11 + ["miss"]
    assert {response.content for response in responses} == {b"value"}
    assert origin.requests == 1
    assert counted(client) == (12, 11)
    assert len(client.cache.storage.flights) == 0


def test_a_failed_thread_hands_over_to_one_of_those_who_wait(joined: threading.Semaphore) -> None:
    origin = Origin(broken, value)
    client = made(origin)
    with calling(client, origin, joined, 7) as calls:
        origin.gate.set()
        outcomes = [call.exception(SOON) or call.result() for call in calls]
    assert isinstance(outcomes[0], httpx.ReadError)
    assert all(outcome.content == b"value" for outcome in outcomes[1:])
    assert origin.requests == 2
    assert client.cache.stats.requests == 8


def test_threads_that_wait_for_an_uncacheable_answer_go_at_once_and_not_in_a_queue(joined: threading.Semaphore) -> None:
    together = threading.Barrier(5, timeout=SOON)

    def in_parallel() -> httpx.Response:
        together.wait()  # breaks unless all five are at the origin at the same time
        return uncacheable()

    origin = Origin(uncacheable, in_parallel)
    client = made(origin)
    with calling(client, origin, joined, 5) as calls:
        origin.gate.set()
        responses = [call.result(SOON) for call in calls]
    assert statuses(responses) == ["miss"] * 6
    assert origin.requests == 6
    assert counted(client) == (6, 0)


def test_an_answer_that_only_the_ordinary_way_gives_is_asked_for_once(joined: threading.Semaphore) -> None:
    origin = Origin(lambda: httpx.Response(404))
    client = made(origin, controller=Controller([Read("/a", statuses=(404,))]))
    with calling(client, origin, joined, 4) as calls:
        origin.gate.set()
        responses = [call.result(SOON) for call in calls]
    assert {response.status_code for response in responses} == {404}
    assert statuses(responses) == ["hit"] * 4 + ["miss"]
    assert origin.requests == 1
    assert counted(client) == (5, 0)


def test_a_thread_does_not_wait_for_what_it_is_streaming_itself() -> None:
    origin = Origin(streamed, value)
    origin.gate.set()
    client = made(origin)
    with client.stream("GET", URL) as still_open:
        second = client.get(URL)
        assert second.extensions["pywats_cache"].reason == "own-flight"
        assert second.content == b"value"
        assert still_open.read() == b"value"
    assert counted(client) == (2, 0)


def wait_in_vain(options: dict[str, Any], joined: threading.Semaphore, deadlines: set[float]) -> None:
    origin = Origin(value)
    client = made(origin, **options)
    with calling(client, origin, joined, 1) as (leader, waiter):
        assert origin.arrived.acquire(timeout=SOON), "the waiter never went itself"
        origin.gate.set()
        assert leader.result(SOON).content == b"value"
        outcome = waiter.result(SOON).extensions["pywats_cache"]
    assert (outcome.status, outcome.reason) == ("miss", "join-timeout")
    assert len(deadlines) == 1, "the wait before the request and that after it have one end"
    assert counted(client) == (2, 0)


@pytest.mark.parametrize("options", BRIEF, ids=["read timeout", "join_timeout"])
def test_a_thread_waits_once_and_no_longer_than_it_may(
    options: dict[str, Any], joined: threading.Semaphore, deadlines: set[float]
) -> None:
    wait_in_vain(options, joined, deadlines)


def test_a_wait_that_begins_anew_once_the_request_is_built_is_found(
    joined: threading.Semaphore, deadlines: set[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, "a lookup that waited in vain may wait as long again")
    with pytest.raises(AssertionError, match="one end"):
        wait_in_vain(BRIEF[1], joined, deadlines)


def hook(client: Any) -> None:
    client.event_hooks = {"response": [lambda response: response.extensions.update(hooked=True)]}


def cookie(client: Any) -> None:
    client.cookies.set("session", "1")


def credentials(client: Any) -> None:
    client.auth = ("user", "secret")


@pytest.mark.parametrize("change", [hook, cookie, credentials], ids=lambda change: change.__name__)
def test_what_comes_to_a_client_while_a_thread_waits_is_not_passed_by(
    change: Callable[[Any], None], joined: threading.Semaphore
) -> None:
    origin = Origin(value)
    client = made(origin)
    with calling(client, origin, joined, 1) as (leader, waiter):
        change(client)
        origin.gate.set()
        leader.result(SOON)
        response = waiter.result(SOON)
    assert counted(client) == (2, 0)
    if change is hook:
        assert response.extensions["pywats_cache"].status == "hit"
        assert response.extensions["hooked"]
    else:  # it is another's request now
        assert response.extensions["pywats_cache"].status == "miss"
        assert {"cookie", "authorization"} & set(response.request.headers)


def test_who_waits_at_a_client_that_is_closed_is_refused(joined: threading.Semaphore) -> None:
    origin = Origin(value)
    client = made(origin)
    with calling(client, origin, joined, 1) as (leader, waiter):
        client.close()
        origin.gate.set()
        assert leader.result(SOON).content == b"value"
        with pytest.raises(RuntimeError, match="closed"):
            waiter.result(SOON)


def test_threads_that_meet_an_expired_answer_start_one_refresh() -> None:
    clock, origin = FakeClock(), Origin(value)
    client = made(origin, clock=clock, controller=SWR)
    origin.gate.set()
    client.get(URL)
    assert origin.arrived.acquire(timeout=SOON)
    origin.gate.clear()
    clock.advance(11.0)
    together = threading.Barrier(8, timeout=SOON)

    def ask(_: int) -> httpx.Response:
        together.wait()
        return client.get(URL)

    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(ask, range(8), timeout=SOON))  # answered while the refresh is held
    assert statuses(responses) == ["stale"] * 8
    assert counted(client) == (9, 8)
    assert origin.arrived.acquire(timeout=SOON), "no refresh came"
    origin.gate.set()
    assert origin.requests == 2
    client.close()
