"""Bugs that other caches for httpx had, as cases."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from loopback import LONG, Exchange, Server

from pywats_cache import CacheOutcome, Controller, Read

pytestmark = pytest.mark.anyio
Make = Callable[..., Any]
Outcome = Callable[[Any], CacheOutcome]


async def test_extensions_and_timeouts_are_not_dropped_on_the_way(make: Make, lib: SimpleNamespace) -> None:
    got: list[dict[str, Any]] = []

    def answer(request: Any) -> Any:
        got.append(dict(request.extensions))
        return lib.http.Response(200)

    caller = make("mounted", next=lib.http.MockTransport(answer))
    await caller.get("/a", timeout=3, extensions={"sni_hostname": "sni"})
    assert got == [{"sni_hostname": "sni", "timeout": {"connect": 3, "read": 3, "write": 3, "pool": 3}}]


@pytest.mark.parametrize("encoding", [None, "gzip"])
async def test_an_already_read_body_is_not_lost(make: Make, lib: SimpleNamespace, encoding: str | None) -> None:
    body = gzip.compress(b"body") if encoding else b"body"
    headers = {"Content-Encoding": encoding} if encoding else {}
    caller = make(next=lib.http.MockTransport(lambda request: lib.http.Response(200, headers=headers, content=body)))
    for _ in range(3):
        async with caller.stream("GET", "/a") as stream:
            assert await stream.read() == b"body"
    assert (await caller.get("/a")).content == b"body"


async def test_a_head_is_not_answered_with_a_body(make: Make, server: Server) -> None:
    server.answers("/a", b"body")
    caller = make()
    await caller.get("/a")
    for _ in range(2):
        head = await caller.request("HEAD", "/a")
        assert (head.content, head.headers["content-length"]) == (b"", "4")
    async with caller.stream("HEAD", "/a") as stream:
        assert await stream.all("raw") == []


async def test_gzip_is_not_decoded_twice(make: Make, server: Server) -> None:
    once = gzip.compress(gzip.compress(b"inner"))  # the inner one belongs to the file itself
    server.answers("/a.gz", once, headers={"Content-Encoding": "gzip"})
    caller = make()
    for _ in range(3):
        response = await caller.get("/a.gz")
        assert gzip.decompress(response.content) == b"inner"
        assert response.headers["content-encoding"] == "gzip"


async def test_one_users_answer_is_not_given_to_another(make: Make, server: Server) -> None:
    server.on("/me", lambda exchange: exchange.send(exchange.seen.headers["authorization"].encode()))
    caller = make()
    for user in ("one", "two", "one"):
        assert (await caller.get("/me", headers={"Authorization": user})).text == user


async def test_a_streamed_upload_is_not_consumed_for_a_key(make: Make, server: Server, sync: bool) -> None:
    server.on("/q", lambda exchange: exchange.send(exchange.seen.body))

    def chunks() -> Any:
        yield b"one"

    async def async_chunks() -> Any:
        yield b"one"

    caller = make(cache={"controller": Controller([Read("/q", methods=("POST",))])})
    for _ in range(2):
        response = await caller.request("POST", "/q", content=chunks() if sync else async_chunks())
        assert response.content == b"one"


async def test_a_post_does_not_get_the_answer_of_another_body(make: Make, server: Server) -> None:
    server.on("/q", lambda exchange: exchange.send(exchange.seen.body))
    caller = make(cache={"controller": Controller([Read("/q", methods=("POST",))])})
    for body in (b"one", b"two", b"one", b"two"):
        assert (await caller.request("POST", "/q", content=body)).content == body
    assert server.count() == 2


async def test_a_stampede_on_a_cold_key_is_one_request(make: Make, server: Server, sync: bool) -> None:
    start = threading.Event()

    def answer(exchange: Exchange) -> None:
        assert start.wait(LONG)
        exchange.send(b"once")

    server.on("/a", answer)
    caller = make()
    got: list[bytes] = []

    async def ask() -> None:
        got.append((await caller.get("/a")).content)

    if sync:
        threads = [threading.Thread(target=lambda: got.append(caller.client.get("/a").content)) for _ in range(10)]
        for thread in threads:
            thread.start()
        await until(lambda: server.count() == 1)
        start.set()
        for thread in threads:
            thread.join(LONG)
    else:
        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(ask)
            await until(lambda: server.count() == 1)
            start.set()
    assert got == [b"once"] * 10
    assert server.count() == 1


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(LONG):
        while not condition():
            await anyio.sleep(0)


async def test_a_read_in_flight_during_a_write_is_not_served_after_it(make: Make, server: Server, sync: bool) -> None:
    value = [b"old"]
    reading, go_on = threading.Event(), threading.Event()

    def read(exchange: Exchange) -> None:
        seen = value[0]
        if not reading.is_set():
            reading.set()
            assert go_on.wait(LONG)
        exchange.send(seen)

    def answer(exchange: Exchange) -> None:
        if exchange.seen.method == "PUT":
            value[0] = exchange.seen.body
            exchange.send(b"")
        else:
            read(exchange)

    server.on("/a", answer)
    caller = make()
    early: list[bytes] = []
    if sync:
        thread = threading.Thread(target=lambda: early.append(caller.client.get("/a").content))
        thread.start()
        assert reading.wait(LONG)
        await caller.request("PUT", "/a", content=b"new")
        go_on.set()
        thread.join(LONG)
    else:

        async def ask() -> None:
            early.append((await caller.get("/a")).content)

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            await until(reading.is_set)
            await caller.request("PUT", "/a", content=b"new")
            go_on.set()
    assert early == [b"old"], "a read concurrent with the write may see either"
    for _ in range(2):
        assert (await caller.get("/a")).content == b"new"


async def test_a_mutated_response_does_not_poison_the_next_hit(make: Make, server: Server) -> None:
    server.answers("/a", b'{"list": [1]}', headers={"Content-Type": "application/json"})
    caller = make()
    for _ in range(3):
        response = await caller.get("/a")
        assert response.json() == {"list": [1]}
        assert "x-mine" not in response.headers
        response.json()["list"].append(2)
        response.headers["X-Mine"] = "1"
        response.extensions.clear()


async def test_an_answer_in_another_language_is_not_given(make: Make, server: Server) -> None:
    server.on(
        "/a",
        lambda exchange: exchange.send(
            exchange.seen.headers["accept-language"].encode(), headers={"Vary": "Accept-Language"}
        ),
    )
    caller = make()
    for language in ("de", "en", "de", "en"):
        assert (await caller.get("/a", headers={"Accept-Language": language})).text == language
    assert server.count() == 2


async def test_a_partial_answer_is_not_given_for_the_whole(make: Make, server: Server) -> None:
    def answer(exchange: Exchange) -> None:
        if "range" in exchange.seen.headers:
            exchange.send(b"bo", 206, {"Content-Range": "bytes 0-1/4"})
        else:
            exchange.send(b"body")

    server.on("/a", answer)
    caller = make()
    assert (await caller.get("/a", headers={"Range": "bytes=0-1"})).content == b"bo"
    assert (await caller.get("/a")).content == b"body"
    assert (await caller.get("/a", headers={"Range": "bytes=0-1"})).content == b"bo"


async def test_an_error_answer_does_not_last(make: Make, server: Server) -> None:
    caller = make()
    for status in (404, 500, 401, 429):
        server.answers("/a", b"bad", status)
        assert (await caller.get("/a")).status_code == status
    server.answers("/a", b"good")
    assert (await caller.get("/a")).content == b"good"


@pytest.mark.parametrize("kind", ["client", "mounted"])
async def test_a_hit_neither_blocks_nor_suspends_the_event_loop(
    make: Make, server: Server, sync: bool, kind: str
) -> None:
    if sync:
        caller = make(kind)
        await caller.get("/a")
        server.close()
        assert caller.client.get("/a").text == "1"
        return
    caller = make(kind)
    await caller.get("/a")
    others = []

    async def other() -> None:
        others.append(1)

    async with anyio.create_task_group() as group:
        group.start_soon(other)
        for _ in range(100):
            request = caller.client.build_request("GET", "/a")
            coroutine = caller.cache.handle_async_request(request)
            with pytest.raises(StopIteration):
                coroutine.send(None)
            assert (await caller.get("/a")).text == "1"
        assert others == [], "no hit gave the loop away, so none suspended"
    assert server.count() == 1
