"""Whatever breaks off between the opening of a flight and its request being sent ends the flight."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from every_way import MODES, WAYS, Asking, status
from stale_origins import versioned

from pywats_cache import Controller
from pywats_cache.engine.engine import Engine
from pywats_cache.engine.fetching import Departures
from pywats_cache.engine.staleness import Staleness
from pywats_cache.telemetry.miss_patterns import Diary
from pywats_cache.testing import FakeClock

LONG = 30  # seconds; a test that waits this long has failed
STEPS: dict[str, tuple[type[Any], str]] = {
    "asking about what is stored": (Staleness, "ask"),
    "opening the flight": (Departures, "_take_off"),
    "noting the miss": (Diary, "missed"),
    "beginning": (Engine, "begin"),
}


def broken_once(
    monkeypatch: pytest.MonkeyPatch, cls: type[Any], name: str, error: type[BaseException], *, after: bool
) -> None:
    """The next call of this method raises, before or after its work."""
    method, left = getattr(cls, name), [error]

    def broken(self: Any, *args: Any, **options: Any) -> Any:
        result = method(self, *args, **options) if after or not left else None
        if left:
            raise left.pop()
        return result

    monkeypatch.setattr(cls, name, broken)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("way", WAYS)
def test_the_next_caller_fetches_at_once(
    lib: SimpleNamespace,
    origin: Any,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
    mode: str,
    step: str,
    after: bool,
    error: type[BaseException],
) -> None:
    versioned(origin)
    ask = Asking(lib, origin, way, controller=Controller(ttl=60.0, rfc9111=mode == "rfc"), clock=clock)
    ask()
    clock.advance(61)
    broken_once(monkeypatch, *STEPS[step], error, after=after)
    with pytest.raises(error):
        ask()
    assert len(ask.cache._engine.storage.flights) == 0
    assert status(ask()) == ("revalidated", "not-modified")
    ask.close()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_who_waits_is_handed_over(
    lib: SimpleNamespace,
    origin: Any,
    clock: FakeClock,
    joined: threading.Semaphore,
    monkeypatch: pytest.MonkeyPatch,
    error: type[BaseException],
) -> None:
    versioned(origin)
    ask = Asking(lib, origin, "sync transport", controller=MODES["ttl"], clock=clock)
    ask()
    clock.advance(61)
    original, left, waiting = Staleness.ask, [error], []
    pool = ThreadPoolExecutor(2)

    def broken(self: Any, fetch: Any) -> None:
        if left:
            waiting.extend(pool.submit(ask) for _ in range(2))
            assert all(joined.acquire(timeout=LONG) for _ in range(2))
            raise left.pop()
        original(self, fetch)

    monkeypatch.setattr(Staleness, "ask", broken)
    with pytest.raises(error):
        ask()
    answers = [future.result(LONG) for future in waiting]
    assert {answer.text for answer in answers} == {'version "1"'}
    assert origin.count == 2
    ask.close()
    pool.shutdown()


def test_a_refresh_that_breaks_off_before_it_is_sent_is_followed_by_the_next(
    cached: Callable[..., Any], origin: Any, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    versioned(origin)
    client = cached(Controller(ttl=60.0, stale_while_revalidate=60.0))
    client.get("/a")
    clock.advance(61)
    engine, refreshes = client.cache._engine, []
    monkeypatch.setattr(client.cache._threads, "start", lambda stale: refreshes.append(stale) or True)
    client.get("/a")
    broken_once(monkeypatch, Staleness, "ask", RuntimeError, after=False)
    with pytest.raises(RuntimeError):
        engine.refresh(refreshes[0])
    assert len(engine.storage.flights) == 0
    client.get("/a")
    assert engine.refresh(refreshes[1]) is not None


def test_a_request_that_is_given_up_ends_no_flight_that_another_task_opened_for_it(
    lib: SimpleNamespace, origin: Any
) -> None:
    arrived, opened = asyncio.Event(), asyncio.Event()

    async def reply(request: Any) -> Any:
        arrived.set()
        await opened.wait()
        return lib.http.Response(200, text="x")

    async def share() -> None:
        cache = lib.AsyncCacheTransport(lib.http.MockTransport(reply))
        request = lib.http.Request("GET", "http://origin/a")
        first = asyncio.ensure_future(cache.handle_async_request(request))
        await arrived.wait()
        flights = cache._engine.storage.flights
        second = asyncio.ensure_future(cache.handle_async_request(request))
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        assert len(flights) == 1
        opened.set()
        assert (await first).content == b"x"
        assert len(flights) == 0

    asyncio.run(share())
