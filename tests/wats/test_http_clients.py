"""The HTTP clients, alone and below `pyWATS`: cache control, metrics, traces, retry."""

from __future__ import annotations

import logging
import threading

import anyio
import pytest
from pywats import RetryConfig
from pywats.core.exceptions import PyWATSError

from pywats_cache import AsyncCacheTransport, AsyncWATS, pyWATS
from pywats_cache.wats import AsyncHttpClient, HttpClient

PRODUCT = "/api/Product/PN-1000"


class Metrics:
    """Stands for the SDK's MetricsCollector."""

    def __init__(self) -> None:
        self.requests: list[dict[str, str]] = []
        self.durations: list[float] = []

    class _Labelled:
        def __init__(self, note) -> None:
            self._note = note

        def labels(self, **labels: str):
            self._given = labels
            return self

        def inc(self) -> None:
            self._note(self._given)

        def observe(self, value: float) -> None:
            self._note(value)

    @property
    def http_requests_total(self):
        return self._Labelled(self.requests.append)

    @property
    def http_request_duration_seconds(self):
        return self._Labelled(self.durations.append)


def test_get_with_cache_false_goes_around_the_cache(server) -> None:
    with HttpClient(server.base_url, server.token) as client:
        for _ in range(3):
            client.get(PRODUCT, cache=False)
        assert (client.cache.stats.bypassed, client.cache.stats.entries) == (3, 0)
        assert client.get(PRODUCT).status_code == client.get(PRODUCT, retry=False, headers={"Referer": "x"}).status_code
        with pytest.raises(TypeError, match="json"):
            client.get(PRODUCT, json={})
    assert server.request_count == 4


@pytest.mark.anyio
async def test_the_async_http_client_alone(server) -> None:
    async with AsyncHttpClient(server.base_url, server.token) as client:
        assert client.cache_enabled
        assert isinstance(client.cache, AsyncCacheTransport)
        assert client._make_cache_key("GET", "api/x", {"b": 1, "a": 2}) == "GET:/api/x?a=2&b=1"
        first = await client.get(PRODUCT)
        assert await client.get("api/Product/PN-1000", params={"none": None}) == first
        assert await client.get(PRODUCT, cache=False) == first
        await client.clear_cache()
        assert await client.get(PRODUCT) == first
        await client.invalidate_cache("/api/Asset")
        assert await client.get(PRODUCT) == first
        await client.invalidate_cache("/api/Prod")
        assert await client.get(PRODUCT) == first
        assert server.request_count == 4
        await client.put("/api/Product", data=first.data)
        assert (await client.get(PRODUCT)).raw != first.raw


@pytest.mark.parametrize(
    "pattern", ["/api/Product", "product/pn", "PN-1000", None, "GET:/api/Product/PN-1000", "$top=1"]
)
def test_invalidate_cache_by_substring(pattern: str | None, server) -> None:
    with HttpClient(server.base_url, server.token) as client:
        client.get(PRODUCT)
        client.get("/api/Asset/Types")
        client.invalidate_cache(pattern)
        client.get(PRODUCT)
        client.get("/api/Asset/Types")
        assert server.count("GET", PRODUCT) == 2
        everything = pattern in (None, "$top=1")
        assert server.count("GET", "/api/Asset/Types") == (2 if everything else 1)


def test_invalidate_cache_reaches_an_answer_under_way(server) -> None:
    with HttpClient(server.base_url, server.token) as client, server.hold("GET", PRODUCT, before=False) as gate:
        thread = threading.Thread(target=client.get, args=(PRODUCT,))
        thread.start()
        assert gate.arrived.wait(10)
        client.invalidate_cache("/api/Product")
        gate.release()
        thread.join()
        client.get(PRODUCT)
    assert server.request_count == 2


def test_concurrent_cold_calls_of_threads_are_one_request(api: pyWATS, server) -> None:
    collapsed = api.cache.stats.collapsed
    found = []
    with server.hold("GET", PRODUCT) as gate:
        threads = [threading.Thread(target=lambda: found.append(api.product.get_product("PN-1000"))) for _ in range(8)]
        for thread in threads:
            thread.start()
        assert gate.arrived.wait(10)
    for thread in threads:
        thread.join()
    assert server.request_count == 1
    assert len({id(product) for product in found}) == 8
    assert all(product == found[0] for product in found)
    assert api.cache.stats.collapsed - collapsed <= 7


@pytest.mark.anyio
async def test_concurrent_cold_calls_of_tasks_are_one_request(server) -> None:
    found = []

    async def call(api: AsyncWATS) -> None:
        found.append(await api.product.get_product("PN-1000"))

    server.latency = 0.05
    async with AsyncWATS(base_url=server.base_url, token=server.token) as api, anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(call, api)
    assert server.request_count == 1
    assert len({id(product) for product in found}) == 50
    assert api.cache.stats.collapsed == 49


def test_a_post_that_reads_is_keyed_by_its_body(server) -> None:
    with HttpClient(server.base_url, server.token) as client:
        for _ in range(2):
            client.post("/api/App/DynamicYield", data={"partNumber": "PN-1000"})
            client.post("/api/App/DynamicYield", data={"partNumber": "PN-1003"})
        assert client.cache.stats.lookups == 2
    assert server.request_count == 2


def test_empty_answers_and_errors_are_not_kept(server) -> None:
    with HttpClient(server.base_url, server.token) as client:
        for _ in range(2):
            assert client.get("/api/Product/none").status_code == 404
        assert client.cache.stats.entries == 0
    assert server.request_count == 2


def test_metrics_count_what_was_sent(server) -> None:
    metrics = Metrics()
    client = HttpClient(server.base_url, server.token, metrics_collector=metrics)
    client.get(PRODUCT)
    client.get(PRODUCT)
    client.client.event_hooks["request"].append(lambda request: None)  # no lookup any more: the transport answers
    client.get(PRODUCT)
    client.get(PRODUCT, cache=False)
    client.post("/api/App/DynamicYield", data={})
    client.close()
    assert metrics.requests == [
        {"method": "GET", "endpoint": PRODUCT, "status": "200"},
        {"method": "GET", "endpoint": PRODUCT, "status": "200"},
        {"method": "POST", "endpoint": "/api/App/DynamicYield", "status": "200"},
    ]
    assert len(metrics.durations) == 3


def test_traces_tell_of_what_was_sent(server) -> None:
    with HttpClient(server.base_url, server.token) as client, client.capture_traces() as outer:
        client.get(PRODUCT, params={"a": 1})
        with client.capture_traces() as inner:
            client.get(PRODUCT, params={"a": 1})
            client.post("/api/App/DynamicYield", data={"partNumber": "PN-1000"})
    assert [trace["method"] for trace in outer] == ["GET", "POST"]
    assert [trace["json"] for trace in inner] == [{"partNumber": "PN-1000"}]
    assert set(outer[0]) == {
        *("method", "url", "params", "json", "content", "status_code", "duration_ms", "response_bytes", "attempt")
    }
    assert outer[0]["url"] == f"{server.base_url}{PRODUCT}"


@pytest.mark.anyio
async def test_traces_of_the_async_client(server) -> None:
    async with AsyncHttpClient(server.base_url, server.token) as client, client.capture_traces() as traces:
        await client.get(PRODUCT)
        await client.get(PRODUCT)
    assert [trace["attempt"] for trace in traces] == [1]
    assert "content" not in traces[0]


def test_retry_counts_and_logs_as_the_sdk(server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="pywats")
    retry = RetryConfig(max_attempts=3, base_delay=0.0, jitter=False)
    with pyWATS(base_url=server.base_url, token=server.token, retry_config=retry) as api:
        server.fail("GET", PRODUCT, status=503, times=2)
        assert api.product.get_product("PN-1000")
        assert api.retry_config is api._http_client.retry_config is retry
        assert retry.stats["total_retries"] == 2
    assert f"Retry 2/3 for GET {PRODUCT} after 0.00s (HTTP 503)" in caplog.text


@pytest.mark.anyio
async def test_async_retry(server) -> None:
    retry = RetryConfig(max_attempts=2, base_delay=0.0, jitter=False)
    async with AsyncWATS(base_url=server.base_url, token=server.token, retry_config=retry) as api:
        server.fail("GET", PRODUCT, status=503)
        assert await api.product.get_product("PN-1000")
        server.drop("GET", "/api/Product/PN-1001")
        with pytest.raises(PyWATSError, match="HTTP request failed"):
            await api.product.get_product("PN-1001")
    assert retry._total_retries == 1


@pytest.mark.anyio
async def test_what_cannot_be_sent_is_the_same_error_if_the_cache_is_mounted_anew_meanwhile(server) -> None:
    async with AsyncHttpClient(server.base_url, server.token) as client:
        old = await client._get_client()

        async def opened():
            return old

        client._client = client._mounted = client._storage = None
        client._start(client._options)  # as a reload of the service does
        client._opened = opened
        with pytest.raises(PyWATSError, match="not JSON serializable"):
            await client.post("/api/Product", data={"a": object()})
        await old.aclose()
