"""Between a stale answer and its refresh in the background: what comes in between, and who never runs it."""

from __future__ import annotations

import asyncio
import gzip
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from held_refreshes import HeldRefreshes

from pywats_cache import Controller, MemoryStorage
from pywats_cache.coherence.single_flight import FlightTable
from pywats_cache.engine import fetching as departures
from pywats_cache.engine.engine import Engine
from pywats_cache.engine.staleness import BACKOFF_FIRST
from pywats_cache.policy.directives import BACKGROUND
from pywats_cache.transport.background import WORKERS

SWR = Controller(ttl=10.0, stale_while_revalidate=60.0)
ETAG = {"headers": {"ETag": '"1"'}}


@pytest.fixture
def stale(cached: Callable[..., Any], clock: Any, origin: Any) -> tuple[Any, HeldRefreshes]:
    """A client that has just been given a stale answer, and the refresh that this has started."""
    origin.reply = ETAG
    client = cached(SWR)
    held = HeldRefreshes(client.cache)
    client.get("/a")
    clock.advance(11)
    assert client.get("/a").extensions["pywats_cache"].status == "stale"
    assert len(held.waiting) == 1
    return client, held


def test_it_validates_what_is_stored(stale: tuple[Any, HeldRefreshes], origin: Any) -> None:
    _, held = stale
    held.go()
    assert origin.requests[1].headers["If-None-Match"] == '"1"'


@pytest.mark.parametrize("how", ["a write", "invalidate"])
def test_what_is_dirtied_in_between_is_not_validated(stale: tuple[Any, HeldRefreshes], origin: Any, how: str) -> None:
    client, held = stale
    if how == "a write":
        client.put("/a")
    else:
        client.cache.invalidate("/a")
    held.go()
    assert origin.requests[-1].method == "GET"
    assert "If-None-Match" not in origin.requests[-1].headers
    again = client.get("/a")
    assert again.extensions["pywats_cache"].status == "hit"
    assert again.text == str(origin.count)


def test_mutant_that_validates_what_was_dirtied_is_found(
    stale: tuple[Any, HeldRefreshes], origin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, held = stale
    client.cache.invalidate("/a")
    monkeypatch.setattr(type(client.cache.storage.coherence), "is_dirtied", lambda self, held, asked=(): False)
    held.go()
    assert "If-None-Match" in origin.requests[-1].headers


def test_a_newer_answer_needs_no_refresh(stale: tuple[Any, HeldRefreshes], origin: Any) -> None:
    client, held = stale
    newer = client.get("/a", extensions={"pywats_cache": {"refresh": True}})
    held.go()
    assert origin.count == 2
    assert client.get("/a").text == newer.text


def test_a_fetch_under_way_needs_no_refresh(stale: tuple[Any, HeldRefreshes], origin: Any) -> None:
    client, held = stale

    def reply(request: Any) -> Any:
        held.go()  # while this one is being answered
        return origin.http.Response(200, text="newer")

    origin.reply = reply
    client.get("/a", extensions={"pywats_cache": {"refresh": True}})
    assert origin.count == 2
    assert client.get("/a").text == "newer"


def test_only_one_is_promised_at_a_time(stale: tuple[Any, HeldRefreshes]) -> None:
    client, held = stale
    for _ in range(3):
        assert client.get("/a").extensions["pywats_cache"].status == "stale"
    assert (len(held.waiting), len(client.cache.storage.flights)) == (1, 1)
    held.go()
    assert len(client.cache.storage.flights) == 0


def test_mutant_that_promises_nothing_starts_several(
    stale: tuple[Any, HeldRefreshes], clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, held = stale
    monkeypatch.setattr(FlightTable, "promise", lambda self, key, by: None)
    held.go()
    clock.advance(11)
    client.get("/a"), client.get("/a")
    assert len(held.waiting) == 2


def test_one_that_breaks_before_it_is_sent_may_be_tried_again(
    stale: tuple[Any, HeldRefreshes], clock: Any, origin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, held = stale

    def broken(self: Engine, stale: Any) -> Any:
        raise RuntimeError("a request that cannot be copied")

    with monkeypatch.context() as patched:
        patched.setattr(Engine, "refresh", broken)
        held.go()
    assert (len(client.cache.storage.flights), origin.count) == (0, 1)
    client.get("/a")
    assert len(held.waiting) == 1


def test_one_whose_start_is_interrupted_may_be_tried_again(
    cached: Callable[..., Any], clock: Any, origin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = cached(SWR)
    client.get("/a")
    clock.advance(11)

    def interrupted(self: threading.Thread) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            client.get("/a")
    assert len(client.cache.storage.flights) == 0
    held = HeldRefreshes(client.cache)
    client.get("/a")
    assert len(held.waiting) == 1


def test_one_that_was_not_begun_is_given_up_with_the_transport(stale: tuple[Any, HeldRefreshes]) -> None:
    client, _ = stale
    client.cache.close()
    assert len(client.cache.storage.flights) == 0


@pytest.mark.anyio
async def test_a_task_that_is_cancelled_before_its_first_line_promises_nothing_more(
    lib: SimpleNamespace, origin: Any, clock: Any, anyio_backend_name: str
) -> None:
    origin.reply = ETAG
    transport = lib.AsyncCacheTransport(origin.transport, controller=SWR, clock=clock)
    async with lib.http.AsyncClient(transport=transport, base_url="http://origin") as client:
        await client.get("/a")
        clock.advance(11)
        assert (await client.get("/a")).extensions["pywats_cache"].status == "stale"
        if anyio_backend_name == "asyncio":
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                if "_refresh" in str(task.get_coro()):
                    task.cancel()
        else:
            await transport._tasks.close()
        with anyio.fail_after(30):
            while len(transport.storage.flights):
                await anyio.lowlevel.checkpoint()
    assert transport._tasks._running == {}


# ── the request of a caller ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", ["while-revalidate", "ahead"])
def test_a_request_that_its_caller_changes_meanwhile_is_refreshed_as_it_was(
    cached: Callable[..., Any], clock: Any, origin: Any, how: str
) -> None:
    origin.reply = lambda request: origin.http.Response(200, text=request.headers["Authorization"])
    client = cached(Controller(ttl=10.0, stale_while_revalidate=60.0, refresh_ahead=0.5))
    held = HeldRefreshes(client.cache)
    request = client.build_request("GET", "/a", headers={"Authorization": "Bearer ann"})
    client.send(request)
    clock.advance(11 if how == "while-revalidate" else 6)
    assert client.send(request).extensions["pywats_cache"].reason == how
    request.headers["Authorization"] = "Bearer bob"
    request.extensions["timeout"] = {"read": 0.001}
    held.go()
    assert origin.requests[-1].headers["Authorization"] == "Bearer ann"
    assert origin.requests[-1].extensions["timeout"]["read"] == 5.0
    request.headers["Authorization"] = "Bearer ann"
    assert client.send(request).text == "Bearer ann"


def test_mutant_that_takes_the_callers_own_request_is_found(
    cached: Callable[..., Any], clock: Any, origin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(departures, "copied", lambda request: request)
    with pytest.raises(AssertionError):
        test_a_request_that_its_caller_changes_meanwhile_is_refreshed_as_it_was(
            cached, clock, origin, "while-revalidate"
        )


def test_a_refresh_tells_nothing_to_who_traces_the_callers_call(
    cached: Callable[..., Any], clock: Any, origin: Any
) -> None:
    client = cached(SWR)
    held = HeldRefreshes(client.cache)
    given = {"trace": lambda name, info: None, "tenant": "7"}
    client.get("/a", extensions=given)
    clock.advance(11)
    client.get("/a", extensions=given)
    held.go()
    first, refresh = (request.extensions for request in origin.requests)
    assert "trace" in first
    assert BACKGROUND not in first
    assert "trace" not in refresh
    assert refresh[BACKGROUND] is True
    assert refresh["tenant"] == "7"


@pytest.mark.parametrize("how", ["directive", "field"])
def test_who_wants_only_what_is_stored_starts_nothing(cached: Callable[..., Any], clock: Any, how: str) -> None:
    client = cached(Controller(ttl=10.0, refresh_ahead=0.5))
    held = HeldRefreshes(client.cache)
    client.get("/a")
    clock.advance(6)
    given: dict[str, Any] = {"extensions": {"pywats_cache": {"only_if_cached": True}}}
    if how == "field":
        given = {"headers": {"Cache-Control": "only-if-cached"}}
    assert client.get("/a", **given).extensions["pywats_cache"].status == "hit"
    assert held.waiting == []
    assert client.get("/a").extensions["pywats_cache"].reason == "ahead"
    assert len(held.waiting) == 1


# ── what cannot be, and what ends a thread ────────────────────────────────────────────────────────────────────────────


def test_nothing_is_sent_while_a_write_may_be_taking_effect(stale: tuple[Any, HeldRefreshes], origin: Any) -> None:
    client, held = stale
    origin.reply = {"status_code": 503}
    client.put("/a")
    held.go()
    assert [request.method for request in origin.requests] == ["GET", "PUT"]
    assert len(client.cache.storage.flights) == 0


def test_one_that_breaks_once_its_flight_is_open_closes_it(
    stale: tuple[Any, HeldRefreshes], origin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, held = stale

    def broken(self: Engine, fetch: Any) -> None:
        raise RuntimeError("a stored answer that cannot be asked about")

    monkeypatch.setattr(Engine, "ask", broken)
    held.go()
    assert (len(client.cache.storage.flights), origin.count) == (0, 1)


class Endless:
    """A body that does not end; counts what was taken of it."""

    def __init__(self) -> None:
        self.taken = 0

    def _next(self) -> bytes:
        self.taken += 1
        if self.taken > 64:
            raise AssertionError("somebody goes on reading")
        return b"x" * (1 << 20)

    def __iter__(self) -> Any:
        while True:
            yield self._next()


class AsyncEndless(Endless):
    """The same for async clients."""

    __iter__ = None

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> bytes:
        return self._next()


IN_VAIN = {
    "a stream of events": {"Content-Type": "text/event-stream"},
    "announced as too large": {"Content-Length": str(1 << 40)},
    "not to be stored": {"Cache-Control": "no-store"},
    "too large, as it turns out": {},
}


@pytest.mark.parametrize("how", IN_VAIN)
def test_a_body_that_cannot_be_stored_is_not_read_to_its_end(
    stale: tuple[Any, HeldRefreshes], origin: Any, how: str
) -> None:
    client, held = stale
    body = Endless()
    origin.reply = lambda request: origin.http.Response(200, headers=IN_VAIN[how], content=body)
    held.go()
    assert body.taken <= 9
    assert len(client.cache.storage.flights) == 0


@pytest.mark.anyio
@pytest.mark.parametrize("how", IN_VAIN)
async def test_an_async_body_that_cannot_be_stored_is_not_read_to_its_end(
    lib: SimpleNamespace, origin: Any, clock: Any, how: str
) -> None:
    origin.reply = ETAG
    body = AsyncEndless()
    transport = lib.AsyncCacheTransport(origin.transport, controller=SWR, clock=clock)
    async with lib.http.AsyncClient(transport=transport, base_url="http://origin") as client:
        await client.get("/a")
        clock.advance(11)
        origin.reply = lambda request: origin.http.Response(200, headers=IN_VAIN[how], content=body)
        assert (await client.get("/a")).extensions["pywats_cache"].status == "stale"
        with anyio.fail_after(30):
            while len(transport.storage.flights) or transport._tasks._running:
                await anyio.lowlevel.checkpoint()
    assert origin.count == 2
    assert body.taken <= 9


def test_a_short_body_that_cannot_be_stored_is_read_so_that_its_connection_lives_on(
    stale: tuple[Any, HeldRefreshes], origin: Any
) -> None:
    _, held = stale
    read: list[bytes] = []

    def body() -> Any:
        yield b"gone"
        read.append(b"gone")

    origin.reply = lambda request: origin.http.Response(404, headers={"Content-Length": "4"}, content=body())
    held.go()
    assert read == [b"gone"]


def test_whatever_a_next_transport_raises_leaves_the_threads_alive(
    cached: Callable[..., Any], clock: Any, origin: Any
) -> None:
    paths = [f"/{number}" for number in range(2 * WORKERS)]
    client = cached(SWR)
    for path in paths:
        client.get(path)
    clock.advance(11)
    ran = threading.Semaphore(0)

    def reply(request: Any) -> Any:
        ran.release()
        raise SystemExit

    origin.reply = reply
    for path in paths:
        client.get(path)
    for _ in paths:
        assert ran.acquire(timeout=30)


FAILED = [429, 408, 500, 503]
ANSWERED_OTHERWISE: dict[str, tuple[int, dict[str, str], bytes]] = {
    "gone": (404, {}, b"gone"),
    "forbidden": (403, {}, b"no"),
    "moved": (302, {"Location": "/b"}, b""),
    "not to be stored": (200, {"Cache-Control": "no-store"}, b"new"),
    "empty": (200, {}, b"null"),
    "too large": (200, {}, b"x" * 4096),
    "too large, decoded": (200, {"Content-Encoding": "gzip"}, gzip.compress(b"x" * 4096)),
}


@pytest.mark.parametrize("status", FAILED)
def test_a_server_that_has_no_answer_now_is_left_in_peace(
    stale: tuple[Any, HeldRefreshes], origin: Any, clock: Any, status: int
) -> None:
    client, held = stale
    origin.reply = {"status_code": status}
    held.go()
    assert client.get("/a").extensions["pywats_cache"].status == "stale"
    assert held.waiting == []
    clock.advance(BACKOFF_FIRST + 0.1)
    assert client.get("/a").extensions["pywats_cache"].status == "stale"
    assert len(held.waiting) == 1
    held.go()
    clock.advance(BACKOFF_FIRST + 0.1)  # doubled by now
    client.get("/a")
    assert held.waiting == []


@pytest.mark.parametrize(
    ("how", "rfc9111"), [*((how, False) for how in ANSWERED_OTHERWISE), ("not to be stored", True)]
)
def test_what_the_server_answers_otherwise_is_not_served_stale_again(
    cached: Callable[..., Any], origin: Any, clock: Any, how: str, rfc9111: bool
) -> None:
    status, headers, content = ANSWERED_OTHERWISE[how]
    fresh_for = {"headers": {"Cache-Control": "max-age=10", "ETag": '"1"'}}
    controller = Controller(ttl=10.0, stale_while_revalidate=60.0, store_empty=False, rfc9111=rfc9111)
    origin.reply = fresh_for
    client = cached(controller, MemoryStorage(max_entry_bytes=2048))
    held = HeldRefreshes(client.cache)
    client.get("/a")
    clock.advance(11)
    assert client.get("/a").extensions["pywats_cache"].status == "stale"
    origin.reply = lambda request: origin.http.Response(status, headers=headers, content=content)
    held.go()
    again = client.get("/a")
    assert (again.status_code, again.extensions["pywats_cache"].status) == (status, "miss")
    assert held.waiting == []
    origin.reply = fresh_for
    assert client.get("/a").extensions["pywats_cache"].stored
    clock.advance(11)
    assert client.get("/a").extensions["pywats_cache"].status == "stale"


# ── a transport that outlives its clients ─────────────────────────────────────────────────────────────────────────────


def test_the_next_client_of_a_transport_has_refreshes_too(lib: SimpleNamespace, origin: Any, clock: Any) -> None:
    asked, others = threading.Semaphore(0), threading.enumerate()

    def reply(request: Any) -> Any:
        asked.release()
        return origin.http.Response(200, text=str(origin.count))

    origin.reply = reply
    transport = lib.CacheTransport(origin.transport, controller=SWR, clock=clock)
    for count in range(3):
        with lib.http.Client(transport=transport, base_url="http://origin") as client:
            assert client.get("/a").text == str(count or 1)
            assert asked.acquire(timeout=30)
        for worker in set(threading.enumerate()) - {*others}:
            worker.join(30)
        clock.advance(11)
    assert origin.count == 3


@pytest.mark.anyio
async def test_the_next_async_client_of_a_transport_has_refreshes_too(
    lib: SimpleNamespace, origin: Any, clock: Any
) -> None:
    transport = lib.AsyncCacheTransport(origin.transport, controller=SWR, clock=clock)
    for count in range(3):
        async with lib.http.AsyncClient(transport=transport, base_url="http://origin") as client:
            assert (await client.get("/a")).text == str(count or 1)
            with anyio.fail_after(30):
                while len(transport.storage.flights):
                    await anyio.lowlevel.checkpoint()
            clock.advance(11)
    assert origin.count == 3
