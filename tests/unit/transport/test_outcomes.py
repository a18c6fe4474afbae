"""`cache.outcomes()` and `CacheOutcome.of(response)`: what happened to the calls of a block, and to one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from types import SimpleNamespace
from typing import Any

import pytest
from every_way import MODES, WAYS, Asking

from pywats_cache import CacheOutcome, ConfigurationTypeError, Controller
from pywats_cache.testing import FakeClock


@pytest.fixture(params=[(way, mode) for way in WAYS for mode in sorted(MODES)], ids=" ".join)
def asking(lib: SimpleNamespace, origin: Any, request: pytest.FixtureRequest) -> Iterator[Asking]:
    way, mode = request.param
    origin.reply = {"headers": {"Cache-Control": "max-age=60"}}
    asking = Asking(lib, origin, way, controller=MODES[mode])
    yield asking
    asking.close()


def shown(seen: list[CacheOutcome]) -> list[tuple[str, str, bool]]:
    return [(outcome.status, outcome.reason, outcome.stored) for outcome in seen]


def test_each_call_of_a_block_has_its_outcome_in_the_order_of_the_answers(asking: Asking) -> None:
    asking.get("/before")
    with asking.cache.outcomes() as seen:
        responses = [asking.get(), asking.get(), asking("PUT"), asking(bypass=True), asking(only_if_cached=True)]
    asking.get("/after")
    assert shown(seen) == [
        ("miss", "unknown", True),
        ("hit", "fresh", True),
        ("bypass", "write", False),
        ("bypass", "caller-bypass", False),
        ("miss", "only-if-cached", False),
    ]
    assert seen == [CacheOutcome.of(response) for response in responses]


def test_a_warm_call_is_seen_too(asking: Asking) -> None:
    """Which a client answers before it builds a request."""
    for _ in range(3):
        asking.get()
    with asking.cache.outcomes() as seen:
        asking.get()
    assert [outcome.status for outcome in seen] == ["hit"]


def test_blocks_in_each_other_see_the_same(asking: Asking) -> None:
    with asking.cache.outcomes() as outer:
        asking.get()
        with asking.cache.options(refresh=True), asking.cache.outcomes() as inner:
            asking.get()
    assert [outcome.reason for outcome in outer] == ["unknown", "refresh"]
    assert inner == outer[1:]


def test_a_redirect_counts_as_a_call_of_its_own(lib: SimpleNamespace, origin: Any) -> None:
    origin.reply = lambda request: (
        lib.http.Response(302, headers={"Location": "/b"}) if request.url.path == "/a" else lib.http.Response(200)
    )
    with (
        lib.CacheClient(transport=origin.transport, follow_redirects=True) as client,
        client.cache.outcomes() as seen,
    ):
        client.get("http://origin/a")
    assert shown(seen) == [("miss", "status", False), ("miss", "unknown", True)]


def test_a_call_without_an_answer_has_no_outcome(lib: SimpleNamespace) -> None:
    def fail(request: Any) -> Any:
        raise lib.http.ConnectError("no")

    with lib.CacheClient(transport=lib.http.MockTransport(fail)) as client, client.cache.outcomes() as seen:
        with pytest.raises(lib.http.ConnectError):
            client.get("http://origin/a")
        assert seen == []


def test_the_outcome_of_a_stream_says_what_became_of_its_body(lib: SimpleNamespace, origin: Any) -> None:
    origin.reply = lambda request: lib.http.Response(200, content=iter((b"a", b"b")))
    with lib.CacheClient(transport=origin.transport) as client, client.cache.outcomes() as seen:
        with client.stream("GET", "http://origin/a") as response:
            assert shown(seen) == [("miss", "unknown", False)]
            response.read()
        assert shown(seen) == [("miss", "unknown", True)]
        with client.stream("GET", "http://origin/b") as response:
            next(response.iter_raw(1))
        assert shown(seen)[1:] == [("miss", "incomplete", False)]


def test_a_list_is_closed_at_the_end_of_its_block(lib: SimpleNamespace, origin: Any) -> None:
    """Also for who still is in a copy of its context, and for a body that is read later."""
    origin.reply = lambda request: lib.http.Response(200, content=iter((b"a", b"b")))
    with lib.CacheClient(transport=origin.transport) as client:
        with client.cache.outcomes() as seen:
            context = copy_context()
            stream = client.send(client.build_request("GET", "http://origin/a"), stream=True)
        stream.read()
        context.run(client.get, "http://origin/b")
    assert shown(seen) == [("miss", "unknown", False)]


def test_threads_in_copies_of_the_context_are_all_seen(lib: SimpleNamespace, origin: Any) -> None:
    with lib.CacheClient(transport=origin.transport) as client, client.cache.outcomes() as seen:
        with ThreadPoolExecutor(4) as pool:
            paths = [f"http://origin/{number}" for number in range(40)]
            done = [pool.submit(copy_context().run, client.get, path) for path in paths]
            found = {CacheOutcome.of(one.result()) for one in done}
        assert len(seen) == 40
        assert set(seen) == found


def test_who_joins_and_who_fetches_are_both_seen(lib: SimpleNamespace) -> None:
    async def main() -> list[tuple[str, str, bool]]:
        is_asked, may_answer = asyncio.Event(), asyncio.Event()

        async def reply(request: Any) -> Any:
            is_asked.set()
            await may_answer.wait()
            return lib.http.Response(200)

        async with lib.AsyncCacheClient(transport=lib.http.MockTransport(reply)) as client:
            with client.cache.outcomes() as seen:
                first = asyncio.ensure_future(client.get("http://origin/a"))
                await is_asked.wait()
                second = asyncio.ensure_future(client.get("http://origin/a"))
                await asyncio.sleep(0)
                may_answer.set()
                await asyncio.gather(first, second)
            return shown(seen)

    assert sorted(asyncio.run(main())) == [("collapsed", "joined", True), ("miss", "unknown", True)]


def test_an_answer_that_stands_in_for_a_broken_body_is_what_is_seen(
    lib: SimpleNamespace, origin: Any, clock: FakeClock
) -> None:
    def broken() -> Iterator[bytes]:
        yield b"a"
        raise lib.http.ReadError("broken")

    policy = Controller(ttl=60.0, stale_if_error=60.0)
    with lib.CacheClient(transport=origin.transport, clock=clock, controller=policy) as client:
        client.get("http://origin/a")
        clock.advance(61.0)
        origin.reply = lambda request: lib.http.Response(200, content=broken())
        with client.cache.outcomes() as seen:
            client.get("http://origin/a")
    assert [(outcome.status, outcome.reason) for outcome in seen] == [("stale", "if-error")]


# ── of one response ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_response_that_no_cache_had_to_do_with_has_no_outcome(lib: SimpleNamespace) -> None:
    assert CacheOutcome.of(lib.http.Response(200)) is None
    assert CacheOutcome.of(lib.http.Response(200, extensions={"pywats_cache": {"refresh": True}})) is None


def test_what_is_no_response_is_refused() -> None:
    not_one: Any = "response"
    with pytest.raises(ConfigurationTypeError, match="response must be a Response of httpx or httpx2, not 'response'"):
        CacheOutcome.of(not_one)
