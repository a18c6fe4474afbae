"""Fifty callers ask for one cold key at the same moment: requests the server saw, and round trips until all had it."""

from __future__ import annotations

import asyncio
import statistics
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

import pywats_cache as ours

from . import peers
from .harness import Goal, Options, Row, bars, check, figure, number, perf, span
from .recording import Measured
from .server import Server

CALLERS = 50
GOAL = Goal("<=", 1.5, "round trips, 1 origin request")
Pair = tuple[float, float]
"""Seconds of one cold call alone, and of fifty at once."""
LIMITS = httpx.Limits(max_connections=100)


@dataclass
class Found:
    requests: list[int] = field(default_factory=list)
    trips: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def run(options: Options) -> list[Row]:
    rows = []
    with Server() as server:
        for delay in (0.1,) if options.quick else (0.02, 0.1):
            server.set_delay(delay)
            rows += _threads(options, server, delay)
            rows += _tasks(options, server, delay)
    return rows


def _measure(options: Options, server: Server, subjects: dict[str, Callable[[str, str], Pair]]) -> dict[str, Found]:
    found = {name: Found() for name in subjects}
    for turn in range(options.pick(2, 7)):
        for name, subject in subjects.items():
            server.forget()
            alone, together = subject(f"{server.url}/items/alone-{turn}", f"{server.url}/items/cold-{turn}")
            found[name].requests.append(server.seen().get("GET", 0) - 1)
            found[name].trips.append(together / alone)
            found[name].seconds.append(together)
    return found


def _rows(options: Options, title: str, found: dict[str, Found]) -> list[Row]:
    options.recording.add(title, {name: Measured(of.seconds) for name, of in found.items()})
    rows = []
    for name, of in found.items():
        trips, requests = statistics.median(of.trips), max(of.requests)
        mine = name.startswith("ours")
        sent = f"{requests} request{'' if requests == 1 else 's'}"
        said = f"{sent}, {number(trips)} round trips, {span(statistics.median(of.seconds))}"
        rows.append(
            Row(
                f"{title} ({name})" if mine else title,
                said if mine else "",
                "" if mine else f"{name}: {said}",
                goal=str(GOAL) if mine else "",
                met=(GOAL.met(trips) and requests == 1) if mine else None,
                detail={
                    "requests": of.requests,
                    "round_trips": of.trips,
                    "seconds": of.seconds,
                    **({"figure": figure(of.trips, "one call alone")} if mine else {}),
                    "bars": bars(title, {name: requests}, [name] if mine else [], "requests"),
                },
            )
        )
    return rows


def _threads(options: Options, server: Server, delay: float) -> list[Row]:
    def with_httpx(make: Callable[[], httpx.Client]) -> Callable[[str, str], Pair]:
        def subject(alone: str, cold: str) -> Pair:
            with make() as client:
                return _in_threads(client.get, alone, cold)

        return subject

    def with_requests(alone: str, cold: str) -> Pair:
        with peers.requests_cache_session(workers=CALLERS) as session:
            return _in_threads(session.get, alone, cold)

    net = httpx.HTTPTransport
    subjects = {
        "ours, `CacheTransport`": with_httpx(lambda: httpx.Client(transport=ours.CacheTransport(net(limits=LIMITS)))),
        "ours, `CacheClient`": with_httpx(lambda: ours.CacheClient(limits=LIMITS)),
        "hishel": with_httpx(lambda: httpx.Client(transport=peers.hishel_sync(net(limits=LIMITS)))),
    }
    if peers.has("requests_cache"):
        subjects["requests-cache"] = with_requests
    return _rows(options, f"{CALLERS} cold callers, threads, server {span(delay)}", _measure(options, server, subjects))


def _in_threads(get: Callable[[str], Any], alone: str, cold: str) -> Pair:
    start = perf()
    get(alone)
    one = perf() - start
    gate = threading.Barrier(CALLERS + 1)
    bodies: list[bytes] = []

    def work() -> None:
        gate.wait()
        bodies.append(get(cold).content)

    workers = [threading.Thread(target=work) for _ in range(CALLERS)]
    for worker in workers:
        worker.start()
    gate.wait()
    start = perf()
    for worker in workers:
        worker.join()
    took = perf() - start
    check(len(bodies) == CALLERS and len(set(bodies)) == 1 and b"cold" in bodies[0], "callers got different answers")
    return one, took


def _tasks(options: Options, server: Server, delay: float) -> list[Row]:
    def with_httpx(make: Callable[[], httpx.AsyncClient]) -> Callable[[str, str], Pair]:
        return lambda alone, cold: asyncio.run(_in_tasks(make(), alone, cold))

    net = httpx.AsyncHTTPTransport
    subjects = {
        "ours, `AsyncCacheTransport`": with_httpx(
            lambda: httpx.AsyncClient(transport=ours.AsyncCacheTransport(net(limits=LIMITS)))
        ),
        "ours, `AsyncCacheClient`": with_httpx(lambda: ours.AsyncCacheClient(limits=LIMITS)),
    }
    if peers.has("anysqlite"):
        subjects["hishel"] = with_httpx(
            lambda: httpx.AsyncClient(transport=peers.hishel_async(net(limits=LIMITS)), timeout=30)
        )
    if peers.has("pywats"):
        subjects["SDK"] = lambda alone, cold: asyncio.run(_sdk_tasks(alone, cold))
    return _rows(options, f"{CALLERS} cold callers, tasks, server {span(delay)}", _measure(options, server, subjects))


async def _in_tasks(client: httpx.AsyncClient, alone: str, cold: str) -> Pair:
    async with client:
        start = perf()
        await client.get(alone)
        one = perf() - start
        start = perf()
        answers = await asyncio.gather(*(client.get(cold) for _ in range(CALLERS)))
        took = perf() - start
    check(len({answer.content for answer in answers}) == 1, "callers got different answers")
    return one, took


async def _sdk_tasks(alone: str, cold: str) -> Pair:
    base, _, rest = alone.partition("/items/")
    path = "/items/" + cold.partition("/items/")[2]
    async with peers.sdk_http_client(base) as client:
        start = perf()
        await client.get(f"/items/{rest}")
        one = perf() - start
        start = perf()
        answers = await asyncio.gather(*(client.get(path) for _ in range(CALLERS)))
        took = perf() - start
    check(len({answer.raw for answer in answers}) == 1, "callers got different answers")
    return one, took
