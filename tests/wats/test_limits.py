"""Rate limiter and circuit breaker: below the cache, with the SDK's way of counting."""

from __future__ import annotations

import threading
import time

import anyio
import httpx
import pytest
from pywats import RetryConfig
from pywats.core.circuit_breaker import CircuitBreaker, CircuitBreakerConfig, CircuitBreakerOpenError, CircuitState
from pywats.core.exceptions import ConnectionError as WATSConnectionError
from pywats.core.throttle import RateLimiter

from pywats_cache import AsyncWATS, CacheClient, CacheTransport, Controller, Read, pyWATS
from pywats_cache.engine.steps import Stale
from pywats_cache.policy.directives import BACKGROUND
from pywats_cache.testing import FakeClock
from pywats_cache.transport.background import Threads
from pywats_cache.wats import AsyncHttpClient, AsyncLimitedTransport, HttpClient, LimitedTransport, wats_controller
from pywats_cache.wats.limiting import CALL, Call, PhaseTimeouts
from pywats_cache.wats.sync_bridge import Deadline

PRODUCT = "/api/Product/PN-1000"


def breaker_of(api) -> CircuitBreaker:
    return api._http_client._circuit_breaker


def open_breaker(breaker: CircuitBreaker) -> None:
    for _ in range(breaker.config.failure_threshold):
        breaker._on_failure()
    assert breaker.is_open


class Failing(httpx.BaseTransport):
    """A network that is down, or answers with this status."""

    def __init__(self, status: int | None = None) -> None:
        self.status = status
        self.calls = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.calls += 1
        if self.status is None:
            raise httpx.ConnectError("down", request=request)
        return httpx.Response(self.status, json={"partNumber": "PN-1000"})


def over(network: httpx.BaseTransport, **options) -> pyWATS:
    cache = CacheTransport(network, controller=wats_controller())
    return pyWATS(base_url="http://wats.example", token="t", cache_transport=cache, **options)


def quick(attempts: int) -> RetryConfig:
    return RetryConfig(max_attempts=attempts, base_delay=0.0, jitter=False)


# The breaker.


def test_a_retried_call_is_one_failure() -> None:
    network = Failing()
    api = over(network, retry_config=quick(3))
    with pytest.raises(WATSConnectionError):
        api.product.get_product("PN-1000")
    assert network.calls == 3
    assert breaker_of(api).get_metrics()["failure_count"] == 1
    assert api._http_client.retry_config.stats["total_retries"] == 2


def test_a_5xx_is_no_failure() -> None:
    network = Failing(503)
    api = over(network, retry_config=quick(2))
    for _ in range(10):
        with pytest.raises(Exception, match="503"):
            api.product.get_product("PN-1000")
    assert breaker_of(api).is_closed
    assert breaker_of(api).get_metrics()["failure_count"] == 0


def test_an_open_breaker_reaches_the_user_as_it_is_and_is_not_retried() -> None:
    network = Failing()
    api = over(network, retry_config=quick(3))
    for _ in range(5):
        with pytest.raises(WATSConnectionError):
            api.product.get_product("PN-1000")
    sent = network.calls
    with pytest.raises(CircuitBreakerOpenError, match=r"Circuit breaker for http://wats\.example is OPEN") as caught:
        api.product.get_product("PN-1000")
    assert type(caught.value) is CircuitBreakerOpenError
    assert network.calls == sent


def test_a_hit_is_served_while_the_breaker_is_open(api: pyWATS, server) -> None:
    product = api.product.get_product("PN-1000")
    breaker = breaker_of(api)
    open_breaker(breaker)
    try:
        assert api.product.get_product("PN-1000") == product
        with pytest.raises(CircuitBreakerOpenError):
            api.product.get_product("PN-1001")
    finally:
        breaker.reset()
    assert server.request_count == 1


def test_hits_say_nothing_to_the_breaker(api: pyWATS) -> None:
    api.product.get_product("PN-1000")
    breaker = breaker_of(api)
    breaker._on_failure()
    api.product.get_product("PN-1000")
    api._http_client._storage.clear()
    assert breaker.get_metrics()["failure_count"] == 1, "a success would have set it to 0"
    api.product.get_product("PN-1000")
    assert breaker.get_metrics()["failure_count"] == 0


def test_a_write_stopped_by_the_breaker_dirties_nothing(api: pyWATS) -> None:
    product = api.product.get_product("PN-1000")
    breaker = breaker_of(api)
    open_breaker(breaker)
    try:
        with pytest.raises(CircuitBreakerOpenError):
            api.product.update_product(product)
        assert api.product.get_product("PN-1000") == product
    finally:
        breaker.reset()


def test_half_open_closes_after_two_successes() -> None:
    network = Failing(200)
    api = over(network)
    breaker = breaker_of(api)
    open_breaker(breaker)
    breaker._last_failure_time = time.time() - 61.0
    api.product.get_product("PN-1000")
    assert breaker.state is CircuitState.HALF_OPEN
    api.product.get_product("PN-1001")
    assert breaker.is_closed


def test_half_open_opens_again_after_a_failure() -> None:
    api = over(Failing())
    breaker = breaker_of(api)
    open_breaker(breaker)
    breaker._last_failure_time = time.time() - 61.0
    with pytest.raises(WATSConnectionError):
        api.product.get_product("PN-1000")
    assert breaker.is_open


def test_a_failure_behind_a_stale_answer_counts() -> None:
    network, clock = Failing(200), FakeClock()
    controller = Controller([Read("/api/Product/{part_number}", ttl=10, stale_if_error=3600)])
    cache = CacheTransport(network, controller=controller, clock=clock)
    api = pyWATS(base_url="http://wats.example", token="t", cache_transport=cache)
    product = api.product.get_product("PN-1000")
    clock.advance(20)
    network.status = None
    for count in range(1, 6):
        assert api.product.get_product("PN-1000") == product
        assert breaker_of(api).get_metrics()["failure_count"] == count
    assert breaker_of(api).is_open
    sent = network.calls
    assert api.product.get_product("PN-1000") == product, "the open breaker is an error behind a stale answer too"
    assert network.calls == sent


def test_a_refresh_that_is_under_way_when_a_call_ends_is_no_failure_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, go = threading.Event(), threading.Event()
    network, clock = Failing(200), FakeClock()
    controller = Controller([Read("/api/Product/{part_number}", ttl=10, stale_while_revalidate=3600)])
    cache = CacheTransport(network, controller=controller, clock=clock)
    api = pyWATS(base_url="http://wats.example", token="t", cache_transport=cache)
    product = api.product.get_product("PN-1000")
    clock.advance(20)
    answer, start = network.handle_request, Threads.start

    def slow(request: httpx.Request) -> httpx.Response:
        asked.set()
        assert go.wait(30)
        return answer(request)

    def start_and_see_it_sent(self: Threads, stale: Stale) -> bool:
        return start(self, stale) and asked.wait(30)

    network.handle_request = slow
    monkeypatch.setattr(Threads, "start", start_and_see_it_sent)
    try:
        assert api.product.get_product("PN-1000") == product
        assert breaker_of(api).get_metrics()["failure_count"] == 0
    finally:
        go.set()


def in_background(network: Failing, breaker: CircuitBreaker, call: Call) -> httpx.Request:
    """What a refresh sends that the answer to a request of `call` has started."""
    given = {CALL: call, BACKGROUND: True, "timeout": PhaseTimeouts({"read": 30.0}, call.deadline)}
    request = httpx.Request("GET", "http://wats.example/a", extensions=given)
    try:
        LimitedTransport(network, breaker=breaker).handle_request(request)
    except httpx.ConnectError:
        pass
    return request


def test_a_refresh_is_a_call_of_its_own() -> None:
    breaker = CircuitBreaker("refresh", CircuitBreakerConfig(failure_threshold=2))
    with Call(None, breaker, deadline=Deadline(30.0)) as call:
        in_background(Failing(), breaker, call)
        assert not call.failed
        assert breaker.get_metrics()["failure_count"] == 1
    assert breaker.get_metrics()["failure_count"] == 1


def test_a_refresh_may_take_longer_than_the_call_that_started_it() -> None:
    breaker, network = CircuitBreaker("refresh"), Failing(200)
    request = in_background(network, breaker, Call(None, breaker, deadline=Deadline(0.0)))
    assert network.calls == 1
    assert request.extensions["timeout"].get("read") == 30.0


@pytest.mark.anyio
async def test_an_async_refresh_is_a_call_of_its_own() -> None:
    async def down(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("down", request=request)

    breaker = CircuitBreaker("refresh", CircuitBreakerConfig(failure_threshold=2))
    with Call(None, breaker) as call:
        request = httpx.Request("GET", "http://wats.example/a", extensions={CALL: call, BACKGROUND: True})
        with pytest.raises(httpx.ConnectError):
            await AsyncLimitedTransport(httpx.MockTransport(down), breaker=breaker).handle_async_request(request)
        assert not call.failed
        assert breaker.get_metrics()["failure_count"] == 1


def test_a_transport_alone_counts_each_request() -> None:
    breaker = CircuitBreaker("alone", CircuitBreakerConfig(failure_threshold=2))
    network = Failing()
    client = CacheClient(transport=LimitedTransport(network, breaker=breaker))
    for _ in range(2):
        with pytest.raises(httpx.ConnectError):
            client.get("http://wats.example/a")
    with pytest.raises(CircuitBreakerOpenError, match=r"http://wats\.example"):
        client.get("http://wats.example/a")
    assert network.calls == 2


@pytest.mark.anyio
async def test_async_breaker(server) -> None:
    async with AsyncWATS(base_url=server.base_url, token=server.token, retry_enabled=False) as api:
        product = await api.product.get_product("PN-1000")
        open_breaker(breaker_of(api))
        assert await api.product.get_product("PN-1000") == product
        with pytest.raises(CircuitBreakerOpenError) as caught:
            await api.product.get_product("PN-1001")
        assert type(caught.value) is CircuitBreakerOpenError
    assert server.request_count == 1


# The limiter.


def test_only_requests_take_slots(server) -> None:
    limiter = RateLimiter(max_requests=100, window_seconds=60.0)
    with HttpClient(server.base_url, server.token, rate_limiter=limiter) as client:
        for _ in range(5):
            client.get(PRODUCT)
        assert client.rate_limiter is limiter
    assert limiter.stats["total_requests"] == server.request_count == 1


def test_a_sync_request_waits_for_a_slot(server) -> None:
    limiter = RateLimiter(max_requests=1, window_seconds=0.05)
    with HttpClient(server.base_url, server.token, rate_limiter=limiter) as client:
        client.get(PRODUCT)
        client.get("/api/Product/PN-1001")
    assert limiter.stats["total_requests"] == 2
    assert limiter.stats["throttle_count"] >= 1


@pytest.mark.anyio
async def test_an_async_request_waits_without_blocking_the_loop() -> None:
    """The loop goes on during the wait: the slot is freed by a task of the same loop."""
    limiter = RateLimiter(max_requests=1, window_seconds=3600.0)
    limiter.acquire()

    async def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200)

    client = httpx.AsyncClient(transport=AsyncLimitedTransport(httpx.MockTransport(answer), limiter=limiter))
    waited = threading.Event()

    async def free_the_slot() -> None:
        while limiter.stats["throttle_count"] == 0:
            await anyio.sleep(0)
        waited.set()
        limiter.reset()

    with anyio.fail_after(10):
        async with client, anyio.create_task_group() as group:
            group.start_soon(free_the_slot)
            assert (await client.get("http://wats.example/a")).status_code == 200
    assert waited.is_set()
    assert limiter.stats["total_requests"] == 2
    assert limiter.stats["total_wait_time_seconds"] > 0


@pytest.mark.anyio
async def test_a_limiter_of_ones_own_runs_in_a_thread() -> None:
    class Own(RateLimiter):
        def acquire(self, timeout: float | None = None) -> bool:
            self.thread = threading.get_ident()
            return super().acquire(timeout)

    limiter = Own()

    async def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200)

    transport = AsyncLimitedTransport(httpx.MockTransport(answer), limiter=limiter)
    async with httpx.AsyncClient(transport=transport) as client:
        await client.get("http://wats.example/a")
    assert limiter.thread != threading.get_ident()


def test_two_clients_on_one_transport_of_the_users_take_one_slot_each() -> None:
    cache = CacheTransport(Failing(200), controller=wats_controller())
    first, second = (RateLimiter(max_requests=10), RateLimiter(max_requests=10))
    one = HttpClient("http://wats.example", "t", cache_transport=cache, rate_limiter=first)
    two = HttpClient("http://wats.example", "t", cache_transport=one.client.cache, rate_limiter=second)
    one.get(PRODUCT)
    two.get(PRODUCT)
    two.get("/api/Product/PN-1001")
    assert (first.current_usage, second.current_usage) == (1, 1)


@pytest.mark.anyio
async def test_defaults_are_the_vendors() -> None:
    client = AsyncHttpClient("http://wats.example/api/", "t")
    assert client.base_url == "http://wats.example"
    assert client._circuit_breaker.config.failure_threshold == 5
    without = AsyncHttpClient("http://wats.example", "t", enable_circuit_breaker=False, enable_throttling=False)
    assert without._circuit_breaker is None
    assert not without.rate_limiter.enabled
