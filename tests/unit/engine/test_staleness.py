"""What is past its TTL: served stale, refreshed behind the caller's back, or gone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from stale_origins import status, unreachable, versioned

from pywats_cache import ConfigurationError, ConfigurationTypeError, Controller, Read

LONG = 30  # seconds; a test that waits this long has failed


class Refreshed:
    """Lets a test wait until the background refreshes of a transport have come to an end."""

    def __init__(self, transport: Any) -> None:
        self.ended = threading.Semaphore(0)
        run = transport._threads._run

        def watched(fetch: Any) -> None:
            run(fetch)
            self.ended.release()

        transport._threads._run = watched

    def wait(self) -> None:
        assert self.ended.acquire(timeout=LONG)


# ── stale-while-revalidate ──────────────────────────────────────────────────────────────────────────────────────────


def test_inside_the_window_a_caller_gets_the_stale_answer_and_one_refresh_runs(
    cached: Any, origin: Any, clock: Any
) -> None:
    client = cached(Controller(ttl=60.0, stale_while_revalidate=30.0))
    refreshed = Refreshed(client.cache)
    client.get("/a")
    clock.advance(61)
    gate = threading.Event()

    def reply(request: Any) -> Any:
        assert gate.wait(LONG)
        return origin.http.Response(200, text="new")

    origin.reply = reply
    for _ in range(5):
        stale = client.get("/a")
        assert (stale.text, *status(stale)) == ("1", "stale", "while-revalidate")
        assert stale.extensions["pywats_cache"].age == 61.0
    gate.set()
    refreshed.wait()
    assert (client.get("/a").text, origin.count) == ("new", 2)
    assert (client.cache.stats.stale, client.cache.stats.misses) == (5, 1)


def test_beyond_the_window_the_caller_waits(cached: Any, origin: Any, clock: Any) -> None:
    client = cached(Controller(ttl=60.0, stale_while_revalidate=30.0))
    client.get("/a")
    clock.advance(90)
    assert client.get("/a").text == "2"


def test_a_refresh_answered_304_is_saved(cached: Any, origin: Any, clock: Any) -> None:
    versioned(origin)
    client = cached(Controller(ttl=60.0, stale_while_revalidate=30.0))
    refreshed = Refreshed(client.cache)
    client.get("/a")
    clock.advance(61)
    client.get("/a")
    refreshed.wait()
    assert status(client.get("/a")) == ("hit", "fresh")
    assert origin.requests[-1].headers["If-None-Match"] == '"1"'


def test_a_refresh_that_fails_keeps_the_stale_answer_and_backs_off(cached: Any, origin: Any, clock: Any) -> None:
    client = cached(Controller(ttl=60.0, stale_while_revalidate=1000.0))
    refreshed = Refreshed(client.cache)
    client.get("/a")
    clock.advance(61)
    unreachable(origin)
    assert status(client.get("/a"))[0] == "stale"
    refreshed.wait()
    assert origin.count == 2
    assert client.get("/a").text == "1"
    assert origin.count == 2  # backing off
    clock.advance(1.5)
    client.get("/a")
    refreshed.wait()
    assert origin.count == 3
    clock.advance(1.5)  # doubled by now
    client.get("/a")
    assert origin.count == 3


def test_what_a_write_dirtied_is_never_served_stale(cached: Any, origin: Any, clock: Any) -> None:
    client = cached(Controller(ttl=60.0, stale_while_revalidate=1000.0, stale_if_error=1000.0, offline="auto"))
    client.get("/a")
    client.put("/a")
    clock.advance(61)
    unreachable(origin)
    with pytest.raises(origin.http.ConnectError):
        client.get("/a")


def test_nothing_is_served_stale_while_a_write_settles(cached: Any, origin: Any, clock: Any) -> None:
    client = cached(Controller(ttl=1.0, stale_if_error=1000.0))

    def reply(request: Any) -> Any:
        if request.method == "PUT":
            raise origin.http.ReadTimeout("lost")
        return origin.http.Response(200, text="old")

    origin.reply = reply
    with pytest.raises(origin.http.ReadTimeout):
        client.put("/a")
    client.get("/a")
    unreachable(origin)
    clock.advance(2)
    with pytest.raises(origin.http.ConnectError):
        client.get("/a")


def test_a_caller_who_wants_a_new_answer_gets_no_stale_one(cached: Any, origin: Any, clock: Any) -> None:
    client = cached(Controller(ttl=60.0, stale_while_revalidate=1000.0, stale_if_error=1000.0))
    client.get("/a")
    clock.advance(61)
    unreachable(origin)
    with pytest.raises(origin.http.ConnectError):
        client.get("/a", extensions={"pywats_cache": {"refresh": True}})


def test_a_closed_transport_refreshes_no_more_and_joins_no_thread(cached: Any, origin: Any, clock: Any) -> None:
    client = cached(Controller(ttl=60.0, stale_while_revalidate=30.0))
    client.get("/a")
    clock.advance(61)
    client.cache._threads.close()
    assert status(client.get("/a"))[0] == "stale"
    assert (origin.count, len(client.cache.storage.flights)) == (1, 0)


def test_a_system_without_another_thread_costs_the_refresh_and_nothing_else(
    cached: Any, origin: Any, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = cached(Controller(ttl=10, stale_while_revalidate=60))
    client.get("/a")
    clock.advance(11)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse_thread)  # as at the end of the interpreter
        assert client.get("/a").extensions["pywats_cache"].status == "stale"
    assert len(client.cache.storage.flights) == 0
    clock.advance(1)  # the back-off is over
    refreshed = threading.Event()
    origin.reply = lambda request: refreshed.set() or origin.http.Response(200, text="new")
    assert client.get("/a").extensions["pywats_cache"].status == "stale"
    assert refreshed.wait(20)


def refuse_thread(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_refreshes_never_keep_the_interpreter_alive(cached: Any, origin: Any, clock: Any) -> None:
    client = cached(Controller(ttl=60.0, stale_while_revalidate=30.0))
    refreshed = Refreshed(client.cache)
    client.get("/a")
    clock.advance(61)
    client.get("/a")
    refreshed.wait()
    workers = [thread for thread in threading.enumerate() if thread.name == "pywats-cache-refresh"]
    assert workers
    assert all(thread.daemon for thread in workers)


@pytest.mark.anyio
async def test_the_async_transport_refreshes_in_a_task_of_the_loop(
    lib: SimpleNamespace, origin: Any, clock: Any
) -> None:
    transport = lib.AsyncCacheTransport(
        origin.transport, controller=Controller(ttl=60.0, stale_while_revalidate=30.0), clock=clock
    )
    async with lib.http.AsyncClient(transport=transport, base_url="http://origin") as client:
        await client.get("/a")
        clock.advance(61)
        assert status(await client.get("/a")) == ("stale", "while-revalidate")
        with anyio.fail_after(LONG):
            while status(await client.get("/a")) != ("hit", "fresh"):
                await anyio.lowlevel.checkpoint()
        assert origin.count == 2


@pytest.mark.anyio
async def test_closing_cancels_a_refresh_under_way(lib: SimpleNamespace, origin: Any, clock: Any) -> None:
    begun, ended = anyio.Event(), anyio.Event()

    class Next(lib.http.AsyncBaseTransport):
        calls = 0

        async def handle_async_request(self, request: Any) -> Any:
            self.calls += 1
            if self.calls > 1:
                begun.set()
                try:
                    await anyio.sleep_forever()
                finally:
                    ended.set()
            return lib.http.Response(200, text="1")

    transport = lib.AsyncCacheTransport(
        Next(), controller=Controller(ttl=60.0, stale_while_revalidate=30.0), clock=clock
    )
    async with lib.http.AsyncClient(transport=transport, base_url="http://origin") as client:
        await client.get("/a")
        clock.advance(61)
        await client.get("/a")
        with anyio.fail_after(LONG):
            await begun.wait()
    with anyio.fail_after(LONG):
        await ended.wait()
    assert len(transport.storage.flights) == 0


# ── soft purge, negative answers, adaptive TTL, jitter, refresh ahead ───────────────────────────────────────────────


def test_a_soft_purge_makes_answers_stale_instead_of_gone(cached: Any, origin: Any) -> None:
    client = cached(Controller(stale_while_revalidate=30.0))
    refreshed = Refreshed(client.cache)
    client.get("/a/b")
    client.cache.invalidate("/a", soft=True)
    assert client.get("/a/b").text == "1"
    refreshed.wait()
    assert client.get("/a/b").text == "2"


def test_a_soft_purge_without_a_stale_window_fetches_anew(cached: Any, origin: Any) -> None:
    client = cached()
    client.get("/a")
    client.cache.invalidate("/a", soft=True)
    response = client.get("/a")
    assert (response.text, *status(response)) == ("2", "miss", "softened")


def test_soft_must_be_a_bool(client: Any) -> None:
    with pytest.raises(ConfigurationTypeError, match="soft must be True or False, not 'yes'"):
        client.cache.invalidate("/a", soft="yes")


@pytest.mark.parametrize("code", [404, 410])
def test_a_negative_answer_is_stored_briefly_where_a_rule_says_so(
    cached: Any, origin: Any, clock: Any, code: int
) -> None:
    client = cached(Controller([Read("/n/**", negative_ttl=5.0)]))
    origin.reply = {"status_code": code}
    client.get("/n/a")
    assert status(client.get("/n/a")) == ("hit", "fresh")
    clock.advance(5)
    assert status(client.get("/n/a"))[0] == "miss"
    client.get("/other")
    assert status(client.get("/other")) == ("miss", "status")


def test_an_adaptive_ttl_grows_while_nothing_changes_and_shrinks_when_it_does(
    cached: Any, origin: Any, clock: Any
) -> None:
    client = cached(Controller([Read("/a", ttl=60.0, adaptive=(30.0, 200.0))]))
    versioned(origin)
    ttls = []
    for _ in range(4):
        response = client.get("/a")
        ttls.append(response.extensions["pywats_cache"].ttl)
        clock.advance(ttls[-1])
    versioned(origin, '"2"')
    for _ in range(2):
        ttls.append(client.get("/a").extensions["pywats_cache"].ttl)
        clock.advance(ttls[-1])
    assert ttls == [60.0, 120.0, 200.0, 200.0, 100.0, 200.0]


def test_jitter_only_shortens(cached: Any, origin: Any) -> None:
    client = cached(Controller(ttl=100.0, jitter=0.2))
    ttls = [client.get(f"/{n}").extensions["pywats_cache"].ttl for n in range(50)]
    assert all(80.0 <= ttl <= 100.0 for ttl in ttls)
    assert len(set(ttls)) > 25


def test_a_hit_close_to_its_end_starts_a_refresh(cached: Any, lib: SimpleNamespace, origin: Any, clock: Any) -> None:
    client = cached(Controller(ttl=100.0, refresh_ahead=0.8))
    refreshed = Refreshed(client.cache)
    client.get("/a")
    clock.advance(79)
    assert status(client.get("/a")) == ("hit", "fresh")
    clock.advance(2)
    assert status(client.get("/a")) == ("hit", "ahead")
    refreshed.wait()
    clock.advance(50)
    assert (client.get("/a").text, origin.count) == ("2", 2)


# ── Cache-Status and bad input ──────────────────────────────────────────────────────────────────────────────────────


def test_cache_status_is_a_header_on_request(cached: Any, origin: Any, clock: Any) -> None:
    client = cached(Controller(ttl=60.0, cache_status="mine"))
    origin.reply = {"headers": {"Cache-Status": "theirs; hit"}}
    assert client.get("/a").headers["Cache-Status"] == "theirs; hit, mine; fwd=uri-miss; stored; detail=unknown"
    clock.advance(10)
    assert client.get("/a").headers["Cache-Status"] == "theirs; hit, mine; hit; ttl=50; detail=fresh"
    assert client.put("/a").headers["Cache-Status"] == "theirs; hit, mine; fwd=method; detail=write"


def test_without_a_name_there_is_no_cache_status(client: Any) -> None:
    assert "Cache-Status" not in client.get("/a").headers


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Controller(offline="never"), "offline must be 'auto', 'only' or None, not 'never'"),
        (lambda: Controller(jitter=1.5), "jitter must be a fraction from 0 to 1, not 1.5"),
        (lambda: Controller(refresh_ahead=-1), "refresh_ahead must be"),
        (lambda: Controller(stale_if_error=float("nan")), "stale_if_error must be"),
        (lambda: Controller(down_for=-1), "down_for must be"),
        (lambda: Controller(cache_status="two words"), "cache_status must be a token"),
        (lambda: Read("/a", adaptive=(5, 1)), r"adaptive must be \(least, most\)"),
        (lambda: Read("/a", adaptive=(0, 1)), "adaptive must be"),
        (lambda: Read("/a", adaptive=5), r"adaptive must be \(least, most\)"),
        (lambda: Read("/a", negative_ttl=-1), "negative_ttl must be"),
        (lambda: Read("/a", offline_for=True), "offline_for must be"),
    ],
)
def test_bad_input_is_named(make: Callable[[], Any], message: str) -> None:
    with pytest.raises((ConfigurationError, ConfigurationTypeError), match=message):
        make()
