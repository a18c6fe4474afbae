"""Refreshes in event loops that are closed before these end."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from pywats_cache import Controller

SWR = Controller(ttl=10.0, stale_while_revalidate=60.0)


class Ended:
    """Event loops that are closed with a refresh in them, which nobody has cancelled."""

    def __init__(self, lib: SimpleNamespace, origin: Any, clock: Any) -> None:
        self.origin, self.hangs, self.held = origin, False, asyncio.Event()
        self.transport = lib.AsyncCacheTransport(lib.http.MockTransport(self.serve), controller=SWR, clock=clock)
        self._request = lib.http.Request

    async def serve(self, request: Any) -> Any:
        if self.hangs:
            await self.held.wait()
        return self.origin(request)

    @property
    def flights(self) -> int:
        return len(self.transport.storage.flights)

    def get(self, path: str) -> str:
        """The status of a call in a loop of its own, which runs until the refresh that this starts is sent, or over."""

        async def ask() -> str:
            response = await self.transport.handle_async_request(self._request("GET", f"http://origin{path}"))
            while self.transport.storage.flights.promised or (self.flights and not self.hangs):
                await asyncio.sleep(0)
            status: str = response.extensions["pywats_cache"].status
            return status

        loop = asyncio.new_event_loop()
        try:
            return loop.run_until_complete(ask())
        finally:
            for task in asyncio.all_tasks(loop):
                task._log_destroy_pending = False  # it is meant
            loop.close()


@pytest.fixture
def ended(lib: SimpleNamespace, origin: Any, clock: Any) -> Ended:
    """With `/a` expired, and its refresh in a loop that was closed."""
    ended = Ended(lib, origin, clock)
    ended.get("/a"), ended.get("/b")
    clock.advance(11)
    ended.hangs = True
    assert ended.get("/a") == "stale"
    assert ended.flights == 1
    ended.hangs = False
    return ended


def test_the_end_of_an_event_loop_ends_its_refreshes(ended: Ended, clock: Any, origin: Any) -> None:
    clock.advance(60)  # past the window, so this would wait for the flight
    assert ended.get("/a") == "miss"
    assert (ended.flights, ended.transport._tasks._running) == (0, {})
    clock.advance(11)
    assert ended.get("/a") == "stale"
    assert origin.count == 4


def test_a_refresh_ends_those_of_loops_that_were_closed(ended: Ended, origin: Any) -> None:
    assert ended.get("/b") == "stale"
    assert (ended.flights, ended.transport._tasks._running) == (0, {})
    assert ended.get("/a") == "stale"
    assert origin.count == 4
