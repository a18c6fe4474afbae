"""`pyWATS` and `AsyncWATS`: what users of the SDK use goes on working."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import pywats as sdk
from pywats import RetryConfig
from pywats.core import async_client as sdk_async
from pywats.core import client as sdk_sync
from pywats.core.exceptions import ConnectionError as WATSConnectionError
from pywats.core.exceptions import (
    EmptyResponseError,
    ErrorMode,
    NotFoundError,
    PyWATSError,
    ServerError,
)
from pywats.core.exceptions import TimeoutError as WATSTimeoutError

from pywats_cache import AsyncWATS, CacheTransport, Controller, MemoryStorage, Read, pyWATS
from pywats_cache.testing import SimulatedWATS
from pywats_cache.wats import AsyncHttpClient, HttpClient, wats_controller
from pywats_cache.wats.http_clients import ThreadHttpClient
from wats_simulator.http import Answer, Request

PRODUCT = "/api/Product/PN-1000"
OURS = ("cache_ttl_seconds", "cache_transport", "cache_storage", "cache_controller", "cache_record")


# Signatures and kinds.


@pytest.mark.parametrize(
    ("ours", "vendors"),
    [
        (pyWATS, sdk.pyWATS),
        (AsyncWATS, sdk.AsyncWATS),
        (HttpClient, sdk_sync.HttpClient),
        (AsyncHttpClient, sdk_async.AsyncHttpClient),
    ],
)
def test_the_signature_is_the_vendors_and_five_more(ours: type, vendors: type) -> None:
    assert issubclass(ours, vendors)
    parameters = inspect.signature(ours).parameters
    for name, parameter in inspect.signature(vendors).parameters.items():
        assert (parameters[name].default, parameters[name].kind) == (parameter.default, parameter.kind)
    assert list(parameters) == [*inspect.signature(vendors).parameters, *OURS]


def test_the_sdk_is_loaded_only_for_its_users() -> None:
    code = "import sys, pywats_cache as p; assert 'pywats' not in sys.modules; p.pyWATS; assert 'pywats' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_clients_are_what_the_sdk_says_they_are(api: pyWATS) -> None:
    assert isinstance(api._http_client, sdk_async.AsyncHttpClient)
    assert type(api.product).__mro__[2].__name__ == "SyncProductServiceWrapper"
    assert api.product is api.product
    assert repr(api) == f"pyWATS(base_url='{api.base_url}')"
    assert api.get_version()
    assert api.test_connection()


# The cache.


def test_cache_of_a_client(api: pyWATS, server) -> None:
    assert isinstance(api.cache, CacheTransport)
    assert api._http_client.cache is api.cache
    assert api._http_client.cache_enabled
    before = api.cache.stats
    api.product.get_product("PN-1000")
    api.product.get_product("PN-1000")
    after = api.cache.stats
    assert (after.misses - before.misses, after.hits - before.hits, after.lookups - before.lookups) == (1, 1, 1)
    api.cache.invalidate("/api/Product")
    api.product.get_product("PN-1000")
    api.cache.invalidate(tags=("product",))
    api.product.get_product("PN-1000")
    api.cache.clear()
    api.product.get_product("PN-1000")
    assert server.count("GET", PRODUCT) == 4


def test_without_a_cache_every_call_is_sent(server) -> None:
    with pyWATS(base_url=server.base_url, token=server.token, enable_cache=False) as api:
        assert api.cache is None
        assert not api._http_client.cache_enabled
        for _ in range(3):
            api.product.get_product("PN-1000")
            api.process.get_processes()
    assert server.request_count == 6


@pytest.mark.anyio
async def test_without_a_cache_async(server) -> None:
    async with AsyncWATS(base_url=server.base_url, token=server.token, enable_cache=False) as api:
        assert api.cache is None
        await api.http_client.clear_cache()
        await api.http_client.invalidate_cache("/api")
        for _ in range(2):
            response = await api.http_client.get(PRODUCT, cache=False)
            await api.product.get_product("PN-1000")
    assert response.is_success
    assert server.request_count == 4


def test_cache_max_size_bounds_the_entries(server) -> None:
    with pyWATS(base_url=server.base_url, token=server.token, cache_max_size=3) as api:
        for number in range(6):
            api.product.get_product(f"PN-100{number}")
        assert api.cache.stats.entries == 3


def test_credentials_are_separated(server) -> None:
    storage = MemoryStorage()
    alice = pyWATS(base_url=server.base_url, token=server.token_for("alice"), cache_storage=storage)
    bob = pyWATS(base_url=server.base_url, token=server.token_for("bob"), cache_storage=storage)
    with alice, bob:
        for api in (alice, bob, alice, bob):
            api.product.get_product("PN-1000")
        assert alice.cache.storage is bob.cache.storage is storage
        assert server.count("GET", PRODUCT) == 2
        assert {request.user for request in server.requests} == {"alice", "bob"}
        # A write of one dirties what the other holds.
        alice.product.update_product(alice.product.get_product("PN-1000"))
        bob.product.get_product("PN-1000")
        assert server.count("GET", PRODUCT) == 3


def test_a_token_changed_on_the_client_is_another_partition(server) -> None:
    with HttpClient(server.base_url, server.token_for("alice")) as client:
        first = client.get(PRODUCT)
        client._headers["Authorization"] = f"Basic {server.token_for('bob')}"
        assert client.get(PRODUCT).raw != first.raw
        assert client.get(PRODUCT).raw != first.raw
    assert server.request_count == 2


def test_401_drops_what_the_caller_holds_and_403_that_path(server) -> None:
    with HttpClient(server.base_url, server.token_for("bob")) as client:
        client.get(PRODUCT)
        client.get("/api/Product/PN-1001")
        server.fail("GET", "/api/Product/PN-1001", status=403)
        assert client.get("/api/Product/PN-1001", cache=False).status_code == 403
        client.get(PRODUCT)
        client.get("/api/Product/PN-1001")
        assert (server.count("GET", PRODUCT), server.count("GET", "/api/Product/PN-1001")) == (1, 3)
        server.revoke("bob")
        assert client.get("/api/Product/Vendors").status_code == 401
        assert client.get(PRODUCT).status_code == 401


def test_nothing_a_caller_does_reaches_the_next(api: pyWATS) -> None:
    product = api.product.get_product("PN-1000")
    expected = pickle.dumps(product)
    product.revisions.clear()
    product.name = "poisoned"
    again = api.product.get_product("PN-1000")
    assert pickle.dumps(again) == expected
    again.name = "poisoned"
    assert pickle.dumps(api.product.get_product("PN-1000")) == expected
    processes = api.process.get_processes()
    processes[0].name = "poisoned"
    processes.clear()
    assert api.process.get_processes()[0].name != "poisoned"
    phases = api.production.get_phases()
    phases[0].name = "poisoned"
    assert api.production.get_phases()[0].name != "poisoned"


def test_a_response_is_the_callers_own(server) -> None:
    with HttpClient(server.base_url, server.token) as client:
        miss = client.get(PRODUCT)
        hit = client.get(PRODUCT)
        assert hit == miss
        assert hit.model_dump() == miss.model_dump()
        assert pickle.loads(pickle.dumps(hit)) == hit.model_copy(deep=True) == miss
        hit.data["partNumber"] = "poisoned"
        hit.headers["x"] = "poisoned"
        hit.status_code = 500
        assert client.get(PRODUCT) == miss


# Errors and life.


@pytest.mark.parametrize("mode", [ErrorMode.STRICT, ErrorMode.LENIENT])
def test_error_modes(mode: ErrorMode, server) -> None:
    with pyWATS(base_url=server.base_url, token=server.token, error_mode=mode) as api:
        assert api.error_mode is mode
        if mode is ErrorMode.STRICT:
            with pytest.raises(NotFoundError):
                api.product.get_product("none")
        else:
            assert api.product.get_product("none") is None
        server.fail("GET", PRODUCT, status=500)
        with pytest.raises(ServerError):
            api.product.get_product("PN-1000")


def test_errors_of_the_network_are_the_sdks() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise {"/c": httpx.ConnectError, "/t": httpx.ReadTimeout, "/p": httpx.RemoteProtocolError}[request.url.path](
            "x"
        )

    client = HttpClient("http://wats.example", "t", cache_transport=CacheTransport(httpx.MockTransport(refuse)))
    client.retry_config = RetryConfig(enabled=False)
    with pytest.raises(WATSConnectionError, match=r"Failed to connect to http://wats\.example: x"):
        client.get("/c")
    with pytest.raises(WATSTimeoutError, match=r"Request timed out after 30\.0s: x"):
        client.get("/t")
    with pytest.raises(PyWATSError, match="HTTP request failed: x"):
        client.get("/p")


def test_a_closed_client_opens_again_with_what_it_holds(server) -> None:
    api = pyWATS(base_url=server.base_url, token=server.token)
    api.product.get_product("PN-1000")
    cache, hits = api.cache, api.cache.stats.hits
    api.close()
    api.close()
    api.product.get_product("PN-1000")
    api.product.get_product("PN-1001")
    assert api.cache is cache
    assert cache.stats.hits == hits + 1
    api.close()
    assert server.request_count == 2


@pytest.mark.anyio
async def test_a_closed_async_client_opens_again(server) -> None:
    api = AsyncWATS(base_url=server.base_url, token=server.token)
    async with api:
        await api.product.get_product("PN-1000")
    async with api:
        await api.product.get_product("PN-1000")
        await api.product.get_product("PN-1001")
    assert server.request_count == 2


def test_a_timeout_set_later_reaches_the_client(server) -> None:
    with pyWATS(base_url=server.base_url, token=server.token, enable_cache=False) as api:
        api.product.get_product("PN-1000")
        api.timeout = 0.02
        assert api.timeout == api._http_client.timeout == 0.02
        server.hang("GET", PRODUCT)
        with pytest.raises(WATSTimeoutError, match=r"after 0\.02s"):
            api.product.get_product("PN-1000")
        server.release()


# Bringing your own.


def test_a_transport_of_ones_own() -> None:
    calls = []

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append(request.headers["authorization"])
        return httpx.Response(200, json={"partNumber": "PN-1000"})

    cache = CacheTransport(httpx.MockTransport(answer), controller=wats_controller(5.0))
    with pyWATS(base_url="http://wats.example", token="t", cache_transport=cache) as api:
        assert api.cache is cache
        api.product.get_product("PN-1000")
        api.product.get_product("PN-1000")
    assert calls == ["Basic t"]
    assert (cache.stats.hits, cache.stats.misses) == (1, 1)


def test_a_controller_of_ones_own(server) -> None:
    controller = Controller([Read("/api/App/Version", ttl=60)], unmatched="bypass")
    with pyWATS(base_url=server.base_url, token=server.token, cache_controller=controller) as api:
        assert api.cache.controller is controller
        api.get_version()
        api.get_version()
    assert server.request_count == 1


@pytest.mark.anyio
async def test_sync_and_async_share_a_storage(server) -> None:
    storage = MemoryStorage()
    with pyWATS(base_url=server.base_url, token=server.token, cache_storage=storage) as sync:
        async with AsyncWATS(base_url=server.base_url, token=server.token, cache_storage=storage) as api:
            product = sync.product.get_product("PN-1000")
            assert await api.product.get_product("PN-1000") == product
            assert server.request_count == 1
            await api.product.update_product(product)
            sync.product.get_product("PN-1000")
            assert server.count("GET", PRODUCT) == 2


class BelowAPath(SimulatedWATS):
    """Behind a proxy, which puts it there."""

    def _respond(self, request: Request) -> Answer:
        assert request.path.startswith("/wats/api/")
        return super()._respond(replace(request, path=request.path.removeprefix("/wats")))


@pytest.mark.parametrize("suffix", ["/wats", "/wats/", "/wats/api"])
def test_a_server_below_a_path_has_the_same_rules(suffix: str) -> None:
    with BelowAPath() as server, pyWATS(base_url=server.base_url + suffix, token=server.token) as api:
        product = api.product.get_product("PN-1000")
        api.product.get_product("PN-1000")
        assert server.count("GET", PRODUCT) == 1
        product.name = "New"
        api.product.update_product(product)
        assert api.product.get_product("PN-1000").name == "New"
        for _ in range(2):
            api.report.get_recent_headers()
        assert server.count("GET", "/api/Report/Query/Header") == 1


def test_environment_proxies_are_honoured_below_the_cache(server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with pyWATS(base_url=server.base_url, token=server.token) as api, pytest.raises(WATSConnectionError):
        api.product.get_product("PN-1000")


def test_the_thread_client_takes_the_sdks_pool() -> None:
    api = pyWATS(base_url="http://wats.example", token="t")
    assert isinstance(api._http_client, ThreadHttpClient)
    pool = api.cache.next_transport.next_transport._pool
    assert (pool._max_connections, pool._max_keepalive_connections, pool._keepalive_expiry) == (100, 20, 30.0)
    api.close()


def test_an_empty_answer_is_the_sdks_error(server) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=b"null")

    cache = CacheTransport(httpx.MockTransport(answer), controller=wats_controller())
    api = pyWATS(base_url="http://wats.example", token="t", cache_transport=cache)
    for _ in range(2):
        with pytest.raises(EmptyResponseError):
            api.product.get_product("PN-1000")
    assert cache.stats.misses == 2


def test_pywats_finds_what_it_warmed(server: SimulatedWATS) -> None:
    with pyWATS(base_url=server.base_url, token=server.token) as api:
        api.cache.warm(["/api/Product/Query"])
        before = api.cache.stats
        api.product.get_products()
        assert (api.cache.stats.hits - before.hits, api.cache.stats.misses - before.misses) == (1, 0)


@pytest.mark.anyio
async def test_async_wats_finds_what_it_warmed(server: SimulatedWATS) -> None:
    async with AsyncWATS(base_url=server.base_url, token=server.token) as api:
        await api.cache.warm(["/api/Product/Query"])
        before = api.cache.stats
        await api.product.get_products()
        assert (api.cache.stats.hits - before.hits, api.cache.stats.misses - before.misses) == (1, 0)


def test_the_command_line_asks_for_the_form_that_the_sdk_asks_for(server: SimulatedWATS, tmp_path: Path) -> None:
    cli = pytest.importorskip("pywats_cache.cli.stored")
    url = f"sqlite:///{tmp_path}/wats.db"
    with pyWATS(base_url=server.base_url, token=server.token, cache_storage=url) as api:
        api.product.get_products()
        sent = api._http_client._headers
    asking = cli.Asking(rules="wats", headers=(), authorize=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(cli.AUTHORIZATION, sent["Authorization"])
        found = cli.Stored(url).explain("GET", f"{server.base_url}/api/Product/Query", asking)
        assert (found["status"], found["reason"]) == ("hit", "fresh")
        other = cli.Asking(rules="wats", headers=("accept: text/csv",), authorize=False)
        assert cli.Stored(url).explain("GET", f"{server.base_url}/api/Product/Query", other)["status"] == "miss"
