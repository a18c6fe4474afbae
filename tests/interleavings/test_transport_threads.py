"""Real threads that fetch one key: one origin request, hand-over, letting go, patience, no deadlock.

Nothing here sleeps or measures time: threads meet at events of the origin and of the flight itself.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from gated_callers import ask
from gated_origin import SOON, URL, Origin, await_joiners, broken, statuses, streamed, uncacheable, value

from pywats_cache import CacheTransport, Controller


def test_many_cold_threads_make_one_origin_request(joined: threading.Semaphore) -> None:
    origin = Origin(value)
    transport = CacheTransport(origin)
    with ThreadPoolExecutor(12) as pool:
        calls = [pool.submit(ask, transport) for _ in range(12)]
        await_joiners(joined, 11)
        origin.gate.set()
        responses = [call.result(SOON) for call in calls]
    assert origin.requests == 1
    assert statuses(responses) == ["collapsed"] * 11 + ["miss"]
    assert {response.content for response in responses} == {b"value"}
    assert len(transport.storage.flights) == 0


def test_a_failed_thread_hands_over_to_one_of_those_who_wait(joined: threading.Semaphore) -> None:
    origin = Origin(broken, value)
    transport = CacheTransport(origin)
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(ask, transport) for _ in range(8)]
        await_joiners(joined, 7)
        origin.gate.set()
        outcomes = [call.exception(SOON) or call.result() for call in calls]
    failed = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert len(failed) == 1
    assert isinstance(failed[0], httpx.ReadError)
    assert origin.requests == 2
    assert transport.stats.requests == 8


def test_when_every_thread_fails_nobody_waits_for_ever(joined: threading.Semaphore) -> None:
    origin = Origin(broken)
    transport = CacheTransport(origin)
    with ThreadPoolExecutor(6) as pool:
        calls = [pool.submit(ask, transport) for _ in range(6)]
        await_joiners(joined, 5)
        origin.gate.set()
        errors = [call.exception(SOON) for call in calls]
    assert all(isinstance(error, httpx.ReadError) for error in errors)
    assert len(transport.storage.flights) == 0
    assert transport.stats.misses == 6


def test_threads_that_wait_for_an_uncacheable_answer_go_at_once_and_not_in_a_queue(joined: threading.Semaphore) -> None:
    together = threading.Barrier(5, timeout=SOON)

    def in_parallel() -> httpx.Response:
        together.wait()  # breaks unless all five are at the origin at the same time
        return uncacheable()

    origin = Origin(uncacheable, in_parallel)
    transport = CacheTransport(origin)
    with ThreadPoolExecutor(6) as pool:
        calls = [pool.submit(ask, transport) for _ in range(6)]
        await_joiners(joined, 5)
        origin.gate.set()
        responses = [call.result(SOON) for call in calls]
    assert origin.requests == 6
    assert statuses(responses) == ["miss"] * 6


def test_a_thread_waits_no_longer_than_its_own_read_timeout(joined: threading.Semaphore) -> None:
    origin = Origin(value)
    transport = CacheTransport(origin)
    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(ask, transport)
        assert origin.arrived.acquire(timeout=SOON)
        joiner = pool.submit(ask, transport, timeout={"read": 0.01})
        await_joiners(joined, 1)
        assert origin.arrived.acquire(timeout=SOON), "the joiner never went itself"
        origin.gate.set()
        assert leader.result(SOON).extensions["pywats_cache"].status == "miss"
        outcome = joiner.result(SOON).extensions["pywats_cache"]
    assert (outcome.status, outcome.reason) == ("miss", "join-timeout")


def test_a_thread_waits_no_longer_than_the_controller_says(joined: threading.Semaphore) -> None:
    origin = Origin(value)
    transport = CacheTransport(origin, controller=Controller(join_timeout=0.01))
    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(ask, transport)
        assert origin.arrived.acquire(timeout=SOON)
        joiner = pool.submit(ask, transport)
        assert origin.arrived.acquire(timeout=SOON), "the joiner never went itself"
        origin.gate.set()
        assert leader.result(SOON).content == joiner.result(SOON).content == b"value"


def test_a_stream_left_open_by_a_thread_does_not_make_it_wait_for_itself() -> None:
    origin = Origin(streamed, value)
    origin.gate.set()
    transport = CacheTransport(origin)
    request = httpx.Request("GET", URL)
    still_open = transport.handle_request(request)
    second = ask(transport)
    assert second.extensions["pywats_cache"].reason == "own-flight"
    assert second.content == b"value"
    assert still_open.read() == b"value"
    assert len(transport.storage.flights) == 0


def test_a_thread_waits_for_another_ones_open_stream_and_takes_its_end(joined: threading.Semaphore) -> None:
    origin = Origin(streamed)
    origin.gate.set()
    transport = CacheTransport(origin)
    still_open = transport.handle_request(httpx.Request("GET", URL))
    with ThreadPoolExecutor(1) as pool:
        joiner = pool.submit(ask, transport)
        await_joiners(joined, 1)
        assert still_open.read() == b"value"
        response = joiner.result(SOON)
    assert response.extensions["pywats_cache"].status == "collapsed"
    assert response.content == b"value"
    assert origin.requests == 1


def test_a_stream_closed_early_hands_its_flight_over(joined: threading.Semaphore) -> None:
    origin = Origin(streamed)
    origin.gate.set()
    transport = CacheTransport(origin)
    still_open = transport.handle_request(httpx.Request("GET", URL))
    with ThreadPoolExecutor(1) as pool:
        joiner = pool.submit(ask, transport)
        await_joiners(joined, 1)
        still_open.close()
        response = joiner.result(SOON)
    assert response.extensions["pywats_cache"].status == "miss"
    assert origin.requests == 2


def test_without_hand_over_the_same_check_fails(joined: threading.Semaphore, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine_mutants import plant

    plant(monkeypatch, "a failed leader does not wake its joiners")
    origin = Origin(broken, value)
    transport = CacheTransport(origin, controller=Controller(join_timeout=0.05))
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(ask, transport) for _ in range(2)]
        await_joiners(joined, 1)
        origin.gate.set()
        outcomes = [call.exception(SOON) or call.result() for call in calls]
    reasons = [o.extensions["pywats_cache"].reason for o in outcomes if isinstance(o, httpx.Response)]
    assert reasons == ["join-timeout"], "only its patience saved the joiner"
