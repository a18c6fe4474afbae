"""The SDK's coroutines in the caller's thread: driver, deadline, retry, correlation id, fluent calls."""

from __future__ import annotations

import asyncio
import threading
import time

import httpx
import pytest
from pywats.core.config import RetryConfig as SyncRetryConfig
from pywats.core.config import SyncConfig
from pywats.core.throttle import RateLimiter
from pywats.pywats import correlation_id_var

from pywats_cache import CacheTransport, pyWATS
from pywats_cache.wats import wats_controller
from pywats_cache.wats.limiting import PhaseTimeouts
from pywats_cache.wats.sync_bridge import CallingWrapper, Deadline, OperationTimeoutError, deadline, run, sleep_here


async def value(result: object) -> object:
    return result


def over(answer, **options) -> pyWATS:
    cache = CacheTransport(httpx.MockTransport(answer), controller=wats_controller())
    return pyWATS(base_url="http://wats.example", token="t", cache_transport=cache, **options)


def product(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={"partNumber": "PN-1000"})


# The driver.


def test_run_returns_or_raises() -> None:
    async def fail() -> None:
        raise KeyError("x")

    assert run(value(5)) == 5
    with pytest.raises(KeyError):
        run(fail())


def test_run_says_what_cannot_run() -> None:
    class Waits:
        def __await__(self):
            yield

    async def wait() -> None:
        await Waits()

    with pytest.raises(RuntimeError, match=r"waits for an event loop; use AsyncWATS"):
        run(wait())


# The deadline.


def test_phases_get_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    limit = Deadline(30.0)
    timeouts = PhaseTimeouts({"connect": 5.0, "read": 60.0, "write": None}, limit)
    assert (timeouts.get("connect"), timeouts.get("read"), timeouts.get("write")) == (5.0, 30.0, 30.0)
    now[0] += 28.0
    assert (timeouts.get("connect"), timeouts.get("read")) == (2.0, 2.0)
    assert not limit.is_over()
    now[0] += 10.0
    assert limit.is_over()
    assert timeouts.get("read") == Deadline.LEAST
    assert isinstance(timeouts, dict)


def test_a_call_ends_at_its_deadline(server) -> None:
    config = SyncConfig(timeout=0.1)
    with pyWATS(base_url=server.base_url, token=server.token, sync_config=config, timeout=30.0) as api:
        server.hang("GET", "/api/Product/PN-1000")
        with pytest.raises(TimeoutError, match=r"Operation timed out after 0\.1s"):
            api.product.get_product("PN-1000")
        server.release()
        assert api._http_client._circuit_breaker.get_metrics()["failure_count"] == 0
        assert deadline.get() is None


def test_a_body_that_trickles_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    class Drops(httpx.SyncByteStream):
        def __iter__(self):
            while True:
                now[0] += 20.0
                yield b" "

    api = over(lambda request: httpx.Response(200, stream=Drops()))
    with pytest.raises(OperationTimeoutError):
        api.product.get_product("PN-1000")


def test_retries_sleep_in_the_callers_thread_up_to_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    naps = []
    monkeypatch.setattr(time, "sleep", naps.append)
    sleep_here(2.0, None)
    sleep_here(2.0, Deadline(100.0))
    with pytest.raises(OperationTimeoutError):
        sleep_here(5.0, Deadline(1.0))
    assert naps[:2] == [2.0, 2.0]
    assert 0.9 < naps[2] <= 1.0


def test_a_limiter_without_a_slot_before_the_deadline_sends_nothing(server) -> None:
    with pyWATS(base_url=server.base_url, token=server.token, timeout=0.5) as api:
        limiter = api._http_client._rate_limiter = RateLimiter(max_requests=1, window_seconds=3600.0)
        product = api.product.get_product("PN-1000")
        with pytest.raises(OperationTimeoutError) as caught:
            api.product.update_product(product)
        assert caught.value.request_not_sent
        assert api.product.get_product("PN-1000") == product, "a write that was not sent dirties nothing"
        assert limiter.stats["total_requests"] == server.request_count == 1


def test_no_timeout_no_deadline() -> None:
    seen = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append((deadline.get(), type(request.extensions["timeout"])))
        return product(request)

    over(answer, sync_config=SyncConfig(timeout=None)).product.get_product("PN-1000")
    assert seen == [(None, dict)]


# What the SDK's wrapper does besides.


def test_calls_run_in_the_callers_thread_and_context() -> None:
    seen = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append((threading.get_ident(), correlation_id_var.get()))
        return product(request)

    api = over(answer)
    api.product.get_product("PN-1000")
    api.product.get_product("PN-1001")
    (thread, first), (_, second) = seen
    assert thread == threading.get_ident()
    assert len(first) == len(second) == 8
    assert first != second
    assert correlation_id_var.get() is None


def test_inside_a_running_loop_too() -> None:
    async def notebook() -> object:
        return over(product).product.get_product("PN-1000").part_number

    assert asyncio.run(notebook()) == "PN-1000"


def test_the_sync_retry_of_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    naps, calls = [], []
    monkeypatch.setattr(time, "sleep", naps.append)

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append(request)
        if len(calls) < 3:
            raise OperationTimeoutError(1.0)
        return product(request)

    config = SyncConfig(retry_enabled=True, retry=SyncRetryConfig(max_retries=3, backoff=2.0))
    assert over(answer, sync_config=config).product.get_product("PN-1000").part_number == "PN-1000"
    assert naps == [2.0, 4.0]


def test_fluent_calls_return_the_wrapper(server) -> None:
    with pyWATS(base_url=server.base_url, token=server.token) as api:
        template = api.product.get_box_build_template("PN-1000", "A")
        assert isinstance(template, CallingWrapper)
        assert template.add_subunit("PN-1002", "B", quantity=2) is template
        assert template.discard() is template
        assert template.parent_part_number == "PN-1000"
        assert repr(template).startswith("Sync(")
        with template as same:
            assert same is template
            template.add_subunit("PN-1002", "B")
        assert server.count("POST", "/api/internal/Product/PostProductRevisionRelation") == 1


def test_a_method_replaced_on_the_service_is_the_one_that_runs() -> None:
    api = over(product)
    assert api.product.get_product("PN-1000").part_number == "PN-1000"
    api.product._async.get_product = lambda part_number: value(part_number)
    assert api.product.get_product("replaced") == "replaced"
    with pytest.raises(AttributeError):
        _ = api.product.no_such_method
    assert api.product.get_product.__doc__ is None or callable(api.product.get_product)
