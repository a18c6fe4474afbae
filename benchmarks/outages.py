"""The server goes away: how long an answer takes with `offline="auto"`, against a bare client's error or timeout.

A real server answers once and is stopped. Then its port either refuses connections, or accepts them (the system does,
into the backlog) and never answers. Calls come one every few milliseconds, those that ask the server again included;
a hit at the same pace says how much of it is the machine's.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import httpx

import pywats_cache as ours

from .harness import Goal, Options, Row, bars, check, figure, number, perf, span
from .hits import URL
from .recording import Measured
from .server import Server
from .staleness import HIT, outcome
from .transports import KB, Payload

GOAL = Goal("<=", 2.0, "ms (p99)")
KEYS = 20
TTL = 1e-3
LEAST = 240
"""Calls of which the slowest hundredth is more than the one or two that ask the server."""
Way = Literal["connections refused", "connections never answered"]
WAYS: dict[Way, tuple[type[Exception], ...]] = {
    "connections refused": (httpx.ConnectError,),
    "connections never answered": (httpx.TimeoutException,),
}


@dataclass
class Found:
    first: float = 0.0
    """Seconds of the first call after the server went away, which finds that out."""
    seconds: list[float] = field(default_factory=list)
    """Of all calls, the first included."""
    hits: list[float] = field(default_factory=list)
    """Seconds of hits in between."""
    asked: int = 0


class Net(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """The network, and how often it was asked."""

    def __init__(self) -> None:
        self.calls = 0
        self._sync, self._async = httpx.HTTPTransport(), httpx.AsyncHTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.calls += 1
        return self._sync.handle_request(request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.calls += 1
        return await self._async.handle_async_request(request)

    def close(self) -> None:
        self._sync.close()

    async def aclose(self) -> None:
        await self._async.aclose()


def run(options: Options) -> list[Row]:
    return [row for way in WAYS for row in _measure(options, way)]


def timeout(options: Options) -> float:
    """Return the seconds that clients wait for an answer; httpx's default of 5 would make a run long."""
    return 0.25 if options.quick else 0.5


def controller() -> ours.Controller:
    """Return the policy: all that is stored has expired by the next call, and outages are survived."""
    return ours.Controller(ttl=TTL, offline="auto")


@contextmanager
def gone(port: int, way: Way) -> Iterator[None]:
    """Hold the port of a server that was stopped, so that nothing else answers there."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", port))
        if way == "connections never answered":
            holder.listen(128)
        yield


def _measure(options: Options, way: Way) -> list[Row]:
    wait = timeout(options)
    loop = asyncio.new_event_loop()
    net, async_net = Net(), Net()
    client = httpx.Client(transport=ours.CacheTransport(net, controller=controller()), timeout=wait)
    async_client = httpx.AsyncClient(
        transport=ours.AsyncCacheTransport(async_net, controller=controller()), timeout=wait
    )
    with Server() as server:
        port = server.port
        urls = [f"{server.url}/items/{key}" for key in range(KEYS)]
        bodies = {url: client.get(url).content for url in urls}
        for url in urls:
            check(loop.run_until_complete(async_client.get(url)).content == bodies[url], "an answer is wrong")
        check(server.seen() == {"GET": 2 * KEYS}, "the server saw something else")
    check(len(set(bodies.values())) == KEYS, "the keys have one answer")
    time.sleep(2 * TTL)
    with gone(port, way):
        bare = [_bare(url, wait, WAYS[way]) for url in urls[: options.pick(2, 3)]]
        net.calls = async_net.calls = 0
        found = {"`httpx.Client.get`": _calls(options, client, urls, bodies)}
        found["`httpx.AsyncClient.get`"] = loop.run_until_complete(_calls_async(options, async_client, urls, bodies))
        found["`httpx.Client.get`"].asked = net.calls
        found["`httpx.AsyncClient.get`"].asked = async_net.calls
    client.close()
    loop.run_until_complete(async_client.aclose())
    loop.close()
    return [_row(options, f"server away, {way}, {door}", of, bare, WAYS[way]) for door, of in found.items()]


def _bare(url: str, wait: float, errors: tuple[type[Exception], ...]) -> float:
    with httpx.Client(timeout=wait) as client:
        start = perf()
        try:
            client.get(url)
        except errors:
            return perf() - start
    raise AssertionError("the benchmark measures something else: the server is not away")


def _turns(options: Options, urls: list[str]) -> Iterator[tuple[str, float]]:
    """Return URLs in turn, with the pause after each, for a few seconds."""
    end = perf() + options.pick(1, 7)
    pause = 0.001 if options.quick else 0.002
    turns = 0
    while perf() < end or turns < LEAST:
        turns += len(urls)
        yield from ((url, pause) for url in urls)


def _calls(options: Options, client: httpx.Client, urls: list[str], bodies: dict[str, bytes]) -> Found:
    found = Found()
    fresh = httpx.Client(transport=ours.CacheTransport(Payload(KB).origin()))
    fresh.get(URL)
    for url, pause in _turns(options, urls):
        start = perf()
        answer = client.get(url)
        found.seconds.append(perf() - start)
        _check(answer, bodies[url])
        time.sleep(pause)
        start = perf()
        answer = fresh.get(URL)
        found.hits.append(perf() - start)
        check(outcome(answer) == HIT, "a hit is none")
        time.sleep(pause)
    fresh.close()
    found.first = found.seconds[0]
    return found


async def _calls_async(options: Options, client: httpx.AsyncClient, urls: list[str], bodies: dict[str, bytes]) -> Found:
    found = Found()
    fresh = httpx.AsyncClient(transport=ours.AsyncCacheTransport(Payload(KB).origin()))
    await fresh.get(URL)
    for url, pause in _turns(options, urls):
        start = perf()
        answer = await client.get(url)
        found.seconds.append(perf() - start)
        _check(answer, bodies[url])
        await asyncio.sleep(pause)
        start = perf()
        answer = await fresh.get(URL)
        found.hits.append(perf() - start)
        check(outcome(answer) == HIT, "a hit is none")
        await asyncio.sleep(pause)
    await fresh.aclose()
    found.first = found.seconds[0]
    return found


def _check(answer: httpx.Response, body: bytes) -> None:
    check(outcome(answer) == ("stale", "offline"), f"an answer is {outcome(answer)}")
    check(answer.status_code == 200 and answer.content == body, "an answer is wrong")


def _row(options: Options, title: str, found: Found, alone: list[float], errors: tuple[type[Exception], ...]) -> Row:
    measured = {"ours": found.seconds, "a hit": found.hits, "bare client": alone}
    samples = options.recording.add(title, {name: Measured(values) for name, values in measured.items()})
    p99, hit = samples.percentile("ours", 99), samples.percentile("a hit", 99)
    bare, calls = samples.median("bare client"), len(found.seconds)
    check(0 < found.asked < calls / 100, f"{found.asked} of {calls} calls asked the server")
    return Row(
        title,
        f"p99 {span(p99)}, median {span(samples.median('ours'))}; {found.asked} of {calls} calls asked the "
        f"server, the first took {span(found.first)}",
        f"bare client: {errors[0].__name__} after {span(bare)}; a hit at this pace: p99 {span(hit)}",
        f"{number(p99 / hit)}x the p99 of a hit",
        str(GOAL),
        GOAL.met(p99 * 1e3),
        {
            "p99": p99,
            "comparison": title,
            "hits": {"p99": hit, "median": samples.median("a hit")},
            "asked": found.asked,
            "bare": bare,
            # A quantile has no quartiles: those of the whole say how far calls differ from each other.
            "figure": figure(found.seconds, "bare client"),
            "bars": bars(title, {"ours, p99": p99, "a hit, p99": hit, "bare client": bare}, ["ours, p99"]),
        },
    )
