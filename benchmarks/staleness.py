"""An answer past its TTL: served stale while it is refreshed, against a hit; validated by a 304, against a whole fetch.

A refresh is work of the background, so only what the caller pays is counted: the processor time of its own thread, and
with tasks that of the call, which does not suspend.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import httpx

import pywats_cache as ours

from .harness import Case, Goal, Options, Row, async_loop_of, bars, check, compare, interleave, loop_of, perf
from .hits import URL
from .recording import Samples
from .server import Server
from .transports import KB, MB, Origin, Payload

GOAL = Goal("<=", 1.2)
FRESH = ours.Controller(ttl=3600.0)
STALE = ours.Controller(ttl=1e-6, stale_while_revalidate=3600.0)
own = time.thread_time if time.get_clock_info("thread_time").resolution < 1e-6 else perf


def run(options: Options) -> list[Row]:
    return [*_held_sync(options), *_held_async(options), *_started(options), *_validated(options)]


class Held(Origin):
    """Answers one request; each further one waits until the benchmark is over and then fails."""

    def __init__(self, payload: Payload) -> None:
        super().__init__(payload.headers, payload.raw)
        self._over = threading.Event()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if not self.calls:
            return self._answer()
        self.calls += 1
        self._over.wait()
        raise httpx.ConnectError("held back")

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not self.calls:
            return self._answer()
        self.calls += 1
        await asyncio.Event().wait()  # until the transport is closed, which cancels it
        raise AssertionError

    def let_go(self) -> None:
        """Let what waits in a thread fail."""
        self._over.set()


def outcome(response: httpx.Response) -> tuple[str, str]:
    """Return status and reason of an answer."""
    found = response.extensions["pywats_cache"]
    return found.status, found.reason


HELD = "stale answer while a refresh is under way"
HIT, SERVED_STALE = ("hit", "fresh"), ("stale", "while-revalidate")


# ── stale-while-revalidate, one refresh under way all the time ───────────────────────────────────────────────────────


def _held_sync(options: Options) -> list[Row]:
    payload = Payload(KB)
    origins = {name: Held(payload) for name in ("hit", "stale", "hit, `CacheClient`", "stale, `CacheClient`")}
    clients: dict[str, Any] = {}
    for name, origin in origins.items():
        transport = ours.CacheTransport(origin, controller=STALE if name.startswith("stale") else FRESH)
        make = ours.CacheClient if "CacheClient" in name else httpx.Client
        clients[name] = client = make(transport=transport)
        check(client.get(URL).content == payload.content, "the first answer is wrong")
        expected = SERVED_STALE if name.startswith("stale") else HIT
        for _ in range(3):
            again = client.get(URL)
            check(again.content == payload.content and outcome(again) == expected, f"{name}: {outcome(again)}")
    cases = {name: loop_of(_getter(client)) for name, client in clients.items()}
    samples = interleave(options, f"{HELD}, sync", cases, rounds=options.pick(21, 161))
    for name, origin in origins.items():
        check(outcome(clients[name].get(URL)) == (SERVED_STALE if name.startswith("stale") else HIT), "it changed")
        check(origin.calls == (2 if name.startswith("stale") else 1), "more than one refresh ran")
        stats = clients[name]._transport.stats
        check((stats.stale if name.startswith("stale") else stats.hits) == stats.requests - 1, "not all were alike")
    check(clients["hit, `CacheClient`"].cache.stats.lookups > 0, "`CacheClient` did not ask before a Request was built")
    for name, client in clients.items():
        client.close()
        origins[name].let_go()
    return _held_rows(samples, "httpx.Client", "CacheClient")


def _held_async(options: Options) -> list[Row]:
    payload = Payload(KB)
    loop = asyncio.new_event_loop()
    origins = {name: Held(payload) for name in ("hit", "stale", "hit, `AsyncCacheClient`", "stale, `AsyncCacheClient`")}
    clients: dict[str, Any] = {}

    async def fill(client: Any, expected: tuple[str, str], name: str) -> None:
        check((await client.get(URL)).content == payload.content, "the first answer is wrong")
        for _ in range(3):
            again = await client.get(URL)
            check(again.content == payload.content and outcome(again) == expected, f"{name}: {outcome(again)}")
            await asyncio.sleep(0)

    for name, origin in origins.items():
        stale = name.startswith("stale")
        transport = ours.AsyncCacheTransport(origin, controller=STALE if stale else FRESH)
        make = ours.AsyncCacheClient if "CacheClient" in name else httpx.AsyncClient
        clients[name] = client = make(transport=transport)
        loop.run_until_complete(fill(client, SERVED_STALE if stale else HIT, name))
    cases = {name: async_loop_of(loop, _getter(client)) for name, client in clients.items()}
    samples = interleave(options, f"{HELD}, async", cases, rounds=options.pick(21, 161))
    for name, origin in origins.items():
        check(origin.calls == (2 if name.startswith("stale") else 1), "more than one refresh ran")
        stats = clients[name]._transport.stats
        check((stats.stale if name.startswith("stale") else stats.hits) == stats.requests - 1, "not all were alike")
        loop.run_until_complete(clients[name].aclose())
    loop.close()
    return _held_rows(samples, "httpx.AsyncClient", "AsyncCacheClient")


def _held_rows(samples: Samples, plain: str, caching: str) -> list[Row]:
    """Compare each door with its own hit; the caching client's also with a hit of the way its stale answers go."""
    stale = f"stale, `{caching}`"
    detail = {"bars": bars(f"{HELD}, `{plain}` and `{caching}`", samples.medians(), ["stale", stale])}
    return [
        compare(f"{HELD}, `{plain}.get`", samples, "stale", "hit", GOAL, detail=detail),
        compare(f"{HELD}, `{caching}.get`", samples, stale, "hit", GOAL, detail=detail),
        compare(f"{HELD}, `{caching}.get`", samples, stale, f"hit, `{caching}`", GOAL, detail=detail),
    ]


def _getter(client: Any) -> Callable[[], Any]:
    return lambda: client.get(URL)


# ── stale-while-revalidate, each call starting a refresh ─────────────────────────────────────────────────────────────


def _started(options: Options) -> list[Row]:
    """The dearest case: the one call in a TTL that also starts the refresh, here every one.

    A thread has to be woken for it, which takes the kernel longer than we do, and longest where a processor sleeps. So
    the sync goal goes by a hit that wakes a bare thread and does no more.
    """
    rounds = options.pick(21, 101)
    loop = asyncio.new_event_loop()
    title = "stale answer that starts a refresh each time, `{}.get`"
    sync, tasks = title.format("httpx.Client"), title.format("httpx.AsyncClient")
    jobs: SimpleQueue[bool] = SimpleQueue()
    threading.Thread(target=lambda: [None for _ in iter(jobs.get, False)], daemon=True).start()
    waking = "hit that wakes a thread"
    turns: dict[str, _Turn | _AsyncTurn] = {
        "hit": _Turn(FRESH),
        waking: _Turn(FRESH, then=lambda: jobs.put(True)),
        "stale": _Turn(STALE),
        "hit, `CacheClient`": _Turn(FRESH, make=ours.CacheClient),
        "stale, `CacheClient`": _Turn(STALE, make=ours.CacheClient),
    }
    async_turns: dict[str, _Turn | _AsyncTurn] = {
        "hit": _AsyncTurn(FRESH, loop),
        "stale": _AsyncTurn(STALE, loop),
        "hit, `AsyncCacheClient`": _AsyncTurn(FRESH, loop, make=ours.AsyncCacheClient),
        "stale, `AsyncCacheClient`": _AsyncTurn(STALE, loop, make=ours.AsyncCacheClient),
    }
    samples, async_samples = (
        interleave(options, name, {case: Case(turn.run, own) for case, turn in of.items()}, rounds=rounds)
        for name, of in ((sync, turns), (tasks, async_turns))
    )
    jobs.put(False)
    for turn in (*turns.values(), *async_turns.values()):
        turn.end()
    loop.close()
    return [
        compare(sync, samples, "stale", waking, GOAL),
        compare(sync, samples, "stale", "hit"),
        compare(tasks, async_samples, "stale", "hit", GOAL),
        compare(title.format("CacheClient"), samples, "stale, `CacheClient`", "hit", GOAL),
        compare(title.format("CacheClient"), samples, "stale, `CacheClient`", "hit, `CacheClient`"),
        compare(title.format("AsyncCacheClient"), async_samples, "stale, `AsyncCacheClient`", "hit", GOAL),
        compare(
            title.format("AsyncCacheClient"), async_samples, "stale, `AsyncCacheClient`", "hit, `AsyncCacheClient`"
        ),
    ]


class _Turn:
    """Times calls one by one. A refresh runs before each, so that hits find the processor's caches as cold, too."""

    def __init__(
        self,
        controller: ours.Controller,
        *,
        make: type[httpx.Client] = httpx.Client,
        then: Callable[[], None] = lambda: None,
    ) -> None:
        payload = Payload(KB)
        self.origin, self.other_origin = payload.origin(), payload.origin()
        self.controller = controller
        self.then = then
        self.transport = ours.CacheTransport(self.origin, controller=controller)
        self.other = ours.CacheTransport(self.other_origin, controller=STALE)
        self.client, self.other_client = make(transport=self.transport), httpx.Client(transport=self.other)
        self.client.get(URL), self.other_client.get(URL)

    def run(self, n: int) -> float:
        seconds = 0.0
        for _ in range(n):
            _, _ = self._call(self.other_client, self.other, lambda: None)
            took, answer = self._call(self.client, self.transport, self.then)
            seconds += took
            check(outcome(answer) == (SERVED_STALE if self.controller is STALE else HIT), "an answer is another")
        return seconds

    @staticmethod
    def _call(
        client: httpx.Client, transport: ours.CacheTransport, then: Callable[[], None]
    ) -> tuple[float, httpx.Response]:
        stores = transport.stats.stores
        start = own()
        answer = client.get(URL)
        then()
        took = own() - start
        while transport.controller is STALE and transport.stats.stores == stores:
            time.sleep(0)  # until the refresh is over
        return took, answer

    def end(self) -> None:
        """See that each stale answer started one refresh, and close."""
        _check_refreshes(self.origin, self.transport.stats)
        _check_refreshes(self.other_origin, self.other.stats)
        self.client.close(), self.other_client.close()


class _AsyncTurn:
    """The same in an event loop, where the refresh runs after the call."""

    def __init__(
        self,
        controller: ours.Controller,
        loop: asyncio.AbstractEventLoop,
        *,
        make: type[httpx.AsyncClient] = httpx.AsyncClient,
    ) -> None:
        payload = Payload(KB)
        self.origin, self.other_origin = payload.origin(), payload.origin()
        self.controller = controller
        self.loop = loop
        self.transport = ours.AsyncCacheTransport(self.origin, controller=controller)
        self.other = ours.AsyncCacheTransport(self.other_origin, controller=STALE)
        self.client = make(transport=self.transport)
        self.other_client = httpx.AsyncClient(transport=self.other)
        loop.run_until_complete(self.client.get(URL)), loop.run_until_complete(self.other_client.get(URL))

    def run(self, n: int) -> float:
        return self.loop.run_until_complete(self._run(n))

    async def _run(self, n: int) -> float:
        seconds = 0.0
        for _ in range(n):
            _, _ = await self._call(self.other_client, self.other)
            took, answer = await self._call(self.client, self.transport)
            seconds += took
            check(outcome(answer) == (SERVED_STALE if self.controller is STALE else HIT), "an answer is another")
        return seconds

    @staticmethod
    async def _call(client: httpx.AsyncClient, transport: ours.AsyncCacheTransport) -> tuple[float, httpx.Response]:
        stores = transport.stats.stores
        start = own()
        answer = await client.get(URL)
        took = own() - start
        while transport.controller is STALE and transport.stats.stores == stores:  # noqa: ASYNC110
            await asyncio.sleep(0)  # until the refresh is over
        return took, answer

    def end(self) -> None:
        """See that each stale answer started one refresh, and close."""
        _check_refreshes(self.origin, self.transport.stats)
        _check_refreshes(self.other_origin, self.other.stats)
        self.loop.run_until_complete(self.client.aclose()), self.loop.run_until_complete(self.other_client.aclose())


def _check_refreshes(origin: Origin, stats: ours.CacheStats) -> None:
    check(origin.calls == 1 + stats.stale and stats.misses == 1, "not each stale answer started one refresh")


# ── validation ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _validated(options: Options) -> list[Row]:
    """Compare an expired answer of 1 MB that the server confirms with one that is fetched again."""
    with Server() as server, httpx.Client() as bare, ours.CacheClient(controller=ours.Controller(ttl=1e-6)) as cached:
        tagged, untagged = f"{server.url}/tagged/{MB}", f"{server.url}/untagged/{MB}"
        for url, expected in ((tagged, "revalidated"), (untagged, "miss")):
            first, second = cached.get(url), cached.get(url)
            check(outcome(second)[0] == expected, f"{url} gives {outcome(second)}")
            check(len(first.content) == MB and first.content == second.content, "an answer is wrong")
        cases: dict[str, Case] = {
            "ours, 304": loop_of(lambda: cached.get(tagged), perf),
            "ours, fetched whole": loop_of(lambda: cached.get(untagged), perf),
            "bare client": loop_of(lambda: bare.get(untagged), perf),
        }
        check(len(bare.get(untagged).content) == MB, "the bare client fetches something else")
        server.forget()
        before = cached.cache.stats.revalidated
        title = "expired answer of 1 MB, HTTP on loopback"
        samples = interleave(options, title, cases, rounds=options.pick(11, 81), round_seconds=0.03)
        answered = cached.cache.stats.revalidated - before
        check(server.seen()["304"] == answered > 0, "some were not answered by a 304")
    rows = [compare(title, samples, "ours, 304", other) for other in ("bare client", "ours, fetched whole")]
    for row in rows:
        row.goal = "reported"
    return rows
