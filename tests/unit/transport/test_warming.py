"""Warming: what is not fresh is fetched, a few at a time, and errors stop nothing."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from pywats_cache import ConfigurationError, ConfigurationTypeError, Warmed

LONG = 30


def test_warming_fetches_what_is_not_fresh(lib: SimpleNamespace, origin: Any) -> None:
    with lib.CacheClient(transport=origin.transport, base_url="http://origin") as client:
        client.get("/a")
        seen: list[tuple[int, int]] = []
        result = client.cache.warm(
            ["/a", "/b", client.build_request("GET", "/c")], progress=lambda d, t: seen.append((d, t))
        )
        assert result == Warmed(total=3, fetched=2, fresh=1, failed=0)
        assert seen == [(1, 3), (2, 3), (3, 3)]
        assert client.get("/b").extensions["pywats_cache"].status == "hit"
        assert client.warm(["/b", "/d"]) == Warmed(2, 1, 1, 0)


def test_a_url_is_completed_with_the_headers_of_the_client(lib: SimpleNamespace, origin: Any) -> None:
    with lib.CacheClient(
        transport=origin.transport, base_url="http://origin/api", headers={"Authorization": "Basic x"}
    ) as client:
        client.cache.warm(["a"])
        assert client.get("a").extensions["pywats_cache"].status == "hit"


@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "Text/CSV; q=0.5"])
def test_a_client_finds_what_was_warmed_in_the_form_it_asks_for(
    lib: SimpleNamespace, origin: Any, accept: str | None
) -> None:
    headers = {} if accept is None else {"Accept": accept, "Accept-Language": "de"}
    with lib.CacheClient(transport=origin.transport, base_url="http://origin", headers=headers) as client:
        client.cache.warm(["/a"])
        client.warm(["/b"])
        for path in ("/a", "/b"):
            assert client.get(path).extensions["pywats_cache"].status == "hit"
            assert client.request("GET", path).extensions["pywats_cache"].status == "hit"
    transport = lib.CacheTransport(origin.transport)
    transport.warm(["http://origin/a"], headers=headers)
    with lib.http.Client(transport=transport, headers=headers) as client:
        assert client.get("http://origin/a").extensions["pywats_cache"].status == "hit"


def test_a_bare_transport_takes_absolute_urls_and_headers(lib: SimpleNamespace, origin: Any) -> None:
    transport = lib.CacheTransport(origin.transport)
    transport.warm(["http://origin/a"], headers={"Authorization": "Basic x"})
    assert origin.requests[0].headers["Authorization"] == "Basic x"


def test_errors_are_counted_and_stop_nothing(lib: SimpleNamespace, origin: Any) -> None:
    def reply(request: Any) -> Any:
        if request.url.path == "/down":
            raise lib.http.ConnectError("refused")
        return lib.http.Response(500 if request.url.path == "/broken" else 200, text="x")

    origin.reply = reply
    with lib.CacheClient(transport=origin.transport, base_url="http://origin") as client:
        assert client.cache.warm(["/down", "/broken", "/ok"]) == Warmed(3, 1, 0, 2)


def test_one_url_alone_is_not_taken_apart(lib: SimpleNamespace, origin: Any) -> None:
    with (
        lib.CacheClient(transport=origin.transport) as client,
        pytest.raises(ConfigurationTypeError, match="items must be a list of URLs or requests, not '/a'"),
    ):
        client.warm("/a")


def test_no_more_than_concurrency_run_at_once(lib: SimpleNamespace, origin: Any) -> None:
    both, lock = threading.Barrier(2), threading.Lock()
    running, most = 0, 0

    def reply(request: Any) -> Any:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        both.wait(LONG)
        with lock:
            running -= 1
        return lib.http.Response(200, text="x")

    origin.reply = reply
    with lib.CacheClient(transport=origin.transport, base_url="http://origin") as client:
        assert client.cache.warm([f"/{n}" for n in range(8)], concurrency=2).fetched == 8
    assert most == 2


def test_ctrl_c_begins_nothing_more(lib: SimpleNamespace, origin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shutdown, told = ThreadPoolExecutor.shutdown, threading.Event()

    def tell(pool: ThreadPoolExecutor, *arguments: Any, **options: Any) -> None:
        shutdown(pool, *arguments, **options)
        told.set()

    def reply(request: Any) -> Any:
        if request.url.path == "/1":
            told.wait(LONG)
        return lib.http.Response(200, text="x")

    def progress(done: int, total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(ThreadPoolExecutor, "shutdown", tell)
    origin.reply = reply
    with (
        lib.CacheClient(transport=origin.transport, base_url="http://origin") as client,
        pytest.raises(KeyboardInterrupt),
    ):
        client.cache.warm([f"/{n}" for n in range(8)], concurrency=1, progress=progress)
    assert len(origin.requests) <= 2


@pytest.mark.anyio
async def test_warming_with_tasks(lib: SimpleNamespace, origin: Any) -> None:
    async with lib.AsyncCacheClient(transport=origin.transport, base_url="http://origin") as client:
        assert await client.cache.warm(["/a", "/b", "/a"], concurrency=3) == Warmed(3, 2, 1, 0)
        assert await client.warm(["/a", "/c"]) == Warmed(2, 1, 1, 0)


@pytest.mark.anyio
async def test_tasks_warm_the_form_that_the_client_asks_for(lib: SimpleNamespace, origin: Any) -> None:
    headers = {"Accept": "application/json"}
    async with lib.AsyncCacheClient(transport=origin.transport, base_url="http://origin", headers=headers) as client:
        await client.cache.warm(["/a"])
        await client.warm(["/b"])
        for path in ("/a", "/b"):
            assert (await client.get(path)).extensions["pywats_cache"].status == "hit"


@pytest.mark.anyio
async def test_warming_that_is_cancelled_stops(lib: SimpleNamespace) -> None:
    begun = anyio.Event()

    class Next(lib.http.AsyncBaseTransport):
        async def handle_async_request(self, request: Any) -> Any:
            begun.set()
            await anyio.sleep_forever()

    transport = lib.AsyncCacheTransport(Next())
    async with anyio.create_task_group() as group:
        group.start_soon(transport.warm, ["http://origin/a"])
        await begun.wait()
        group.cancel_scope.cancel()
    assert len(transport.storage.flights) == 0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"concurrency": 0}, ConfigurationError, "concurrency must be a whole number >= 1, not 0"),
        ({"concurrency": True}, ConfigurationTypeError, "concurrency"),
        ({"progress": 5}, ConfigurationTypeError, "progress must be a function"),
    ],
)
def test_bad_input_is_named(lib: SimpleNamespace, origin: Any, options: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        lib.CacheTransport(origin.transport).warm(["http://origin/a"], **options)
