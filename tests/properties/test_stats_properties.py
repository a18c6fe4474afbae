"""Every call counts in exactly one of the six, whatever happens to it."""

from __future__ import annotations

from typing import Any

import anyio
import httpx
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from pywats_cache import AsyncCacheTransport, Bypass, CacheClient, Controller, MemoryStorage, Read
from pywats_cache.errors import ConfigurationError
from pywats_cache.testing import FakeClock

ENDINGS = st.sampled_from(
    ["ok", "ok", "ok", "no-store", "404", "500", "connect", "timeout", "short", "stream", "torn", "cookie", "empty"]
)
DIRECTIVES = st.one_of(
    st.just({}),
    st.just({}),
    st.fixed_dictionaries(
        {},
        optional={
            "bypass": st.booleans(),
            "refresh": st.booleans(),
            "ttl": st.sampled_from([0.0, 5.0, None]),
            "tags": st.sampled_from([(), ("t",)]),
            "key": st.sampled_from([None, "k"]),
            "only_if_cached": st.booleans(),
        },
    ),
)
CALLS = st.lists(
    st.fixed_dictionaries(
        {
            "method": st.sampled_from(["GET", "GET", "GET", "HEAD", "POST", "PUT", "OPTIONS"]),
            "path": st.sampled_from(["/a", "/a/x", "/b", "/bypass", "/search"]),
            "headers": st.sampled_from(
                [{}, {}, {"Cache-Control": "no-store"}, {"Cache-Control": "max-age=0"}, {"Range": "bytes=0-1"}]
            ),
            "directives": DIRECTIVES,
            "ending": ENDINGS,
            "how": st.sampled_from(["request", "request", "get", "lookup", "stream"]),
            "wait": st.sampled_from([0.0, 0.0, 6.0, -3.0]),
        }
    ),
    max_size=25,
)


class Chunks(httpx.SyncByteStream):
    def __init__(self, breaks: bool) -> None:
        self.breaks = breaks

    def __iter__(self) -> Any:
        yield b"ab"
        if self.breaks:
            raise httpx.ReadError("broken")
        yield b"c"


def make(ending: str) -> httpx.Response:
    if ending == "connect":
        raise httpx.ConnectError("nobody there")
    if ending == "timeout":
        raise httpx.ReadTimeout("no answer")
    if ending == "short":
        return httpx.Response(200, headers={"Content-Length": "5"}, stream=httpx.ByteStream(b"abc"))
    if ending in ("stream", "torn"):
        return httpx.Response(200, stream=Chunks(ending == "torn"))
    headers = {"no-store": {"Cache-Control": "no-store"}, "cookie": {"Set-Cookie": "a=b"}}.get(ending, {})
    status = int(ending) if ending.isdigit() else 200
    return httpx.Response(status, headers=headers, content=b"" if ending == "empty" else b"abc")


@settings(max_examples=300)
@given(calls=CALLS)
def test_the_six_counters_add_up_to_the_calls(calls: list[dict[str, Any]]) -> None:
    clock = FakeClock()
    ending = "ok"
    reached = 0

    def respond(request: httpx.Request) -> httpx.Response:
        nonlocal reached
        reached += 1
        return make(ending)

    controller = Controller(
        rules=[Bypass("/bypass"), Read("/search", methods=("POST",), ttl=50.0)], ttl=10.0, store_empty=False
    )
    client = CacheClient(
        transport=httpx.MockTransport(respond), controller=controller, clock=clock, storage=MemoryStorage(3)
    )
    asked = answered = 0
    seen: dict[str, int] = {}
    for call in calls:
        clock.advance(call["wait"])
        ending = call["ending"]
        url = f"http://o{call['path']}"
        client.cookies.clear()
        if call["how"] == "lookup":
            answered += client.lookup("GET", url) is not None
            continue
        asked += 1
        extensions = {"pywats_cache": call["directives"]} if call["directives"] else {}
        options = {"headers": call["headers"], "extensions": extensions}
        try:
            if call["how"] == "get":
                response = client.get(url, **options)
            elif call["how"] == "stream":
                with client.stream(call["method"], url, **options) as response:
                    next(response.iter_bytes(), None)
            else:
                response = client.request(call["method"], url, **options)
            status = response.extensions["pywats_cache"].status
            seen[status] = seen.get(status, 0) + 1
        except httpx.HTTPError as error:
            event(type(error).__name__)
    stats = client.cache.stats
    assert stats.requests == asked + answered
    assert stats.hits == seen.get("hit", 0) + answered
    assert stats.bypassed >= seen.get("bypass", 0)
    assert stats.misses >= seen.get("miss", 0)
    assert reached <= stats.misses + stats.bypassed
    assert stats.entries == len(client.cache.storage) <= 3
    assert len(client.cache.storage.flights) == 0
    assert 0.0 <= stats.hit_rate <= 1.0


def test_a_request_that_is_refused_for_its_directives_reaches_nobody() -> None:
    client = CacheClient(transport=httpx.MockTransport(lambda request: pytest.fail("sent")))
    with pytest.raises(ConfigurationError):
        client.get("http://o/a", extensions={"pywats_cache": {"unknown": 1}})
    assert client.cache.stats.stores == 0


@settings(max_examples=60)
@given(
    tasks=st.lists(
        st.tuples(
            st.sampled_from(["/a", "/b"]), st.sampled_from(["ok", "no-store", "timeout", "stream"]), st.booleans()
        ),
        min_size=1,
        max_size=8,
    ),
    backend=st.sampled_from(["asyncio", "trio"]),
    turns=st.integers(0, 4),
)
def test_the_counters_add_up_when_callers_are_cancelled(
    tasks: list[tuple[str, str, bool]], backend: str, turns: int
) -> None:
    class Origin(httpx.AsyncBaseTransport):
        def __init__(self) -> None:
            self.gate = anyio.Event()

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await self.gate.wait()
            return make(request.headers["X-Ending"].replace("stream", "ok"))

    async def run() -> AsyncCacheTransport:
        origin = Origin()
        transport = AsyncCacheTransport(origin, controller=Controller(ttl=10.0))
        ended = 0

        async def call(path: str, ending: str, scope: anyio.CancelScope) -> None:
            nonlocal ended
            request = httpx.Request("GET", f"http://o{path}", headers={"X-Ending": ending})
            with scope:
                try:
                    response = await transport.handle_async_request(request)
                    await response.aread()
                except httpx.ReadTimeout:
                    pass
            ended += 1

        with anyio.fail_after(30.0):
            async with anyio.create_task_group() as group:
                scopes = []
                for path, ending, cancelled in tasks:
                    scope = anyio.CancelScope()
                    group.start_soon(call, path, ending, scope)
                    if cancelled:
                        scopes.append(scope)
                await anyio.wait_all_tasks_blocked()
                for scope in scopes:
                    scope.cancel()
                for _ in range(turns):
                    await anyio.lowlevel.checkpoint()
                origin.gate.set()
        assert ended == len(tasks)
        return transport

    transport = anyio.run(run, backend=backend)
    assert transport.stats.requests == len(tasks)
    assert len(transport.storage.flights) == 0
