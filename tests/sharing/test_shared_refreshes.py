"""Refreshes in the background where answers are also kept behind the memory: by this process, or for others too."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hishel
import httpx
import pytest
from held_refreshes import HeldRefreshes
from sharing_world import LONG

from pywats_cache import CacheTransport, Controller, MemoryStorage, SharedStorage, TieredStorage
from pywats_cache.storage.shared.record_format import FORMAT
from pywats_cache.testing import FakeClock

AHEAD = Controller(ttl=10.0, refresh_ahead=0.5)
SWR = Controller(ttl=300.0, stale_while_revalidate=600.0, join_timeout=LONG)


class Process:
    """A client with a storage of its own, as a process has. Its refreshes run when the test says so."""

    def __init__(self, storage: Any, controller: Controller, serve: Callable[[httpx.Request], httpx.Response]) -> None:
        self.clock = FakeClock()
        # Where processes wait for each other, seconds pass.
        clock = self.clock if controller is AHEAD else None
        self.cache = CacheTransport(httpx.MockTransport(serve), storage=storage, controller=controller, clock=clock)
        self.client = httpx.Client(transport=self.cache, base_url="http://origin")
        self.memory = self.cache._engine.storage
        self.refreshes = HeldRefreshes(self.cache)

    def refresh(self) -> None:
        self.refreshes.go()

    def get(self) -> tuple[str, str, str]:
        response = self.client.get("/a")
        outcome = response.extensions["pywats_cache"]
        return response.text, outcome.status, outcome.reason

    def expire(self) -> None:
        """What this process has in memory is past its TTL; what is in the store is as old as it is."""
        for entry in self.memory.table.items.values():
            entry.began -= 301.0
            entry.fetched -= 301.0


class Origin:
    """Answers with a number that grows."""

    def __init__(self) -> None:
        self.count = 0
        self.lock = threading.Lock()
        self.asked, self.go = threading.Event(), threading.Event()
        self.go.set()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        with self.lock:
            self.count += 1
            number = self.count
        self.asked.set()
        assert self.go.wait(LONG)
        return httpx.Response(200, text=str(number))


@pytest.fixture
def origin() -> Origin:
    return Origin()


@pytest.fixture
def process(tmp_path: Path, origin: Origin) -> Iterator[Callable[..., Process]]:
    """Makes a process: `process(controller, tiered=False)`."""
    made: list[Process] = []
    outer = hishel.SqliteStorage(database_path=tmp_path / "tiered.db")

    def make(controller: Controller, *, tiered: bool = False) -> Process:
        storage: Any = TieredStorage(MemoryStorage(), outer) if tiered else SharedStorage(tmp_path / "shared.db")
        made.append(Process(storage, controller, origin))
        return made[-1]

    yield make
    for one in made:
        one.client.close()
    outer.close()  # what is given to a transport is not closed by it


@pytest.mark.parametrize("tiered", [True, False])
def test_an_early_refresh_asks_the_server_although_the_store_has_what_memory_has(
    process: Callable[..., Process], origin: Origin, tiered: bool
) -> None:
    one = process(AHEAD, tiered=tiered)
    one.get()
    one.clock.advance(6)
    assert one.get() == ("1", "hit", "ahead")
    one.refresh()
    assert origin.count == 2
    assert one.get() == ("2", "hit", "fresh")


@pytest.mark.parametrize("tiered", [True, False])
def test_what_comes_from_the_store_is_refreshed_early_too(
    process: Callable[..., Process], origin: Origin, tiered: bool
) -> None:
    one = process(AHEAD, tiered=tiered)
    one.get()
    for entry in list(one.memory.table.items.values()):
        one.memory.drop(entry)
    one.clock.advance(6)
    assert one.get() == ("1", "hit", "fresh")
    assert one.cache.stats.tier_hits == 1
    assert one.get() == ("1", "hit", "ahead")
    one.refresh()
    assert (origin.count, one.get()) == (2, ("2", "hit", "fresh"))


def test_a_refresh_that_another_process_has_done_sends_nothing_and_counts_as_nothing(
    process: Callable[..., Process], origin: Origin
) -> None:
    one, other = process(SWR), process(SWR)
    one.get()
    one.expire()
    other.client.get("/a", extensions={"pywats_cache": {"refresh": True}})
    assert one.get() == ("1", "stale", "while-revalidate")
    one.refresh()
    assert origin.count == 2
    stats = one.cache.stats
    assert (stats.misses, stats.stale, stats.hits, stats.tier_hits) == (1, 1, 0, 0)
    assert one.get() == ("2", "hit", "fresh")


def test_one_process_refreshes_for_all(process: Callable[..., Process], origin: Origin) -> None:
    one, other = process(SWR), process(SWR)
    for each in (one, other):
        each.get()
        each.expire()
        each.get()
    rows = one.cache.storage._rows
    keys = [FORMAT + entry.key for entry in one.memory.table.items.values()]
    # Else it is fresh there, by the real clock.
    rows.put_all([], time.time(), [(key, *found) for key in keys for found in rows.get(key)])
    origin.asked.clear(), origin.go.clear()
    first, second = threading.Thread(target=one.refresh), threading.Thread(target=other.refresh)
    waits = threading.Event()
    look = other.cache.storage._look

    def noting(*arguments: Any) -> Any:
        found, waiting = look(*arguments)
        if waiting:
            waits.set()
        return found, waiting

    other.cache.storage._look = noting
    first.start()
    assert origin.asked.wait(LONG)
    second.start()
    assert waits.wait(LONG)
    origin.go.set()
    first.join(LONG), second.join(LONG)
    assert origin.count == 2
    assert one.get() == other.get() == ("2", "hit", "fresh")


def test_of_an_early_refresh_too_one_process_asks(process: Callable[..., Process], origin: Origin) -> None:
    one, other = process(AHEAD), process(AHEAD)
    for each in (one, other):
        each.get()
        each.clock.advance(6)
        for entry in each.memory.table.items.values():
            entry.ahead = 0.0
        assert each.get()[2] == "ahead"
    one.refresh()
    other.refresh()
    assert origin.count == 2
