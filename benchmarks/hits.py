"""A hit through `httpx.Client.get` and its async twin, by size and encoding, and inside the transport alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

import pywats_cache as ours

from . import peers
from .harness import (
    Case,
    Goal,
    Options,
    Row,
    async_loop_of,
    check,
    compare,
    cpu,
    interleave,
    loop_of,
    perf,
    span,
)
from .recording import Samples
from .transports import KB, MB, HandMade, Origin, Payload, PlainFloor

URL = "https://origin.example/api/Product/PN-00001?detail=full"
FLOOR = Goal("<=", 1.06)
SHAPES = [("1 KB", KB, "identity"), ("1 KB gzip", KB, "gzip"), ("1 MB", MB, "identity"), ("1 MB gzip", MB, "gzip")]


def run(options: Options) -> list[Row]:
    shapes = [SHAPES[0], SHAPES[-1]] if options.quick else SHAPES
    rows = [row for shape in shapes for row in _sync(options, *shape)]
    rows += _gzip_as_identity(options)
    rows += [row for shape in shapes for row in _async(options, *shape)]
    return rows + _inside(options)


def status_of(response: httpx.Response) -> str:
    """Return what our cache did for a response."""
    return str(response.extensions["pywats_cache"].status)


def warm(client: httpx.Client, origin: Origin, content: bytes, url: str = URL) -> Callable[[], httpx.Response]:
    """Fill a cache with one answer, see that the next is a hit, and return the call that gets it."""
    check(client.get(url).content == content, "the first answer is wrong")
    again = client.get(url)
    check(again.content == content, "a hit has another body")
    check(origin.calls == 1, "the second request is no hit")
    return lambda: client.get(url)


def _sync(options: Options, name: str, size: int, encoding: str) -> list[Row]:
    payload = Payload(size, encoding)
    floor = httpx.Client(transport=payload.floor())
    plain = httpx.Client(transport=PlainFloor(Payload(size).headers, payload.content))
    cases: dict[str, Case] = {
        "floor": loop_of(lambda: floor.get(URL)),
        "floor by `httpx.Response()`": loop_of(lambda: plain.get(URL)),
    }
    makers: dict[str, Callable[[httpx.BaseTransport], httpx.BaseTransport]] = {
        "ours": ours.CacheTransport,
        "dict": HandMade,
        "hishel": peers.hishel_sync,
    }
    if not options.quick:
        makers["hishel, file"] = lambda origin: peers.hishel_sync(origin, memory=False)
    origins = {}
    for key, make in makers.items():
        origins[key] = payload.origin()
        client = httpx.Client(transport=make(origins[key]))
        cases[key] = loop_of(warm(client, origins[key], payload.content))
        if key == "ours":
            check(status_of(client.get(URL)) == "hit", "ours does not call it a hit")
    title = f"hit, `httpx.Client.get`, {name}"
    samples = interleave(options, title, cases, rounds=options.pick(15, 121))
    check(all(origin.calls == 1 for origin in origins.values()), "some requests were no hits")
    return [compare(title, samples, "ours", "floor", FLOOR), *_others(title, samples, cases)]


def _others(title: str, samples: Samples, cases: dict[str, Case]) -> list[Row]:
    rest = [name for name in cases if name not in ("ours", "floor")]
    return [compare(title, samples, "ours", name) for name in rest]


def _gzip_as_identity(options: Options) -> list[Row]:
    """Compare hits of the two encodings with each other."""
    cases: dict[str, Case] = {}
    for encoding in ("identity", "gzip"):
        payload = Payload(MB, encoding)
        origin = payload.origin()
        client = httpx.Client(transport=ours.CacheTransport(origin))
        cases[encoding] = loop_of(warm(client, origin, payload.content))
    title = "hit, 1 MB, gzip (ours) against identity"
    samples = interleave(options, title, cases, rounds=options.pick(15, 121))
    return [compare(title, samples, "gzip", "identity", Goal("<=", 1.05))]


def _async(options: Options, name: str, size: int, encoding: str) -> list[Row]:
    payload = Payload(size, encoding)
    makers: dict[str, Callable[[Any], httpx.AsyncBaseTransport]] = {"ours": ours.AsyncCacheTransport}
    if peers.has("anysqlite"):
        makers["hishel"] = peers.hishel_async
    loop = asyncio.new_event_loop()
    origins = {key: payload.origin() for key in makers}
    floor = httpx.AsyncClient(transport=payload.floor())
    cases: dict[str, Case] = {"floor": async_loop_of(loop, lambda: floor.get(URL))}
    clients = [floor]
    for key, make in makers.items():
        client = httpx.AsyncClient(transport=make(origins[key]))
        clients.append(client)
        loop.run_until_complete(_warm_async(client, origins[key], payload.content))
        cases[key] = async_loop_of(loop, _getter(client), perf if key == "hishel" else cpu)  # it waits for a thread
    title = f"hit, `httpx.AsyncClient.get`, {name}"
    samples = interleave(options, title, cases, rounds=options.pick(15, 121))
    check(all(origin.calls == 1 for origin in origins.values()), "some requests were no hits")
    for client in clients:
        loop.run_until_complete(client.aclose())
    loop.close()
    return [compare(title, samples, "ours", "floor", FLOOR), *_others(title, samples, cases)]


def _getter(client: httpx.AsyncClient) -> Callable[[], Awaitable[httpx.Response]]:
    return lambda: client.get(URL)


async def _warm_async(client: httpx.AsyncClient, origin: Origin, content: bytes) -> None:
    for _ in range(2):
        check((await client.get(URL)).content == content, "an answer is wrong")
    check(origin.calls == 1, "the second request is no hit")


def _inside(options: Options) -> list[Row]:
    """Time `handle_request` alone, each call with a Request of its own."""
    payload = Payload(KB)
    transports: dict[str, httpx.BaseTransport] = {
        "ours": ours.CacheTransport(payload.origin()),
        "dict": HandMade(payload.origin()),
        "floor": payload.floor(),
        "hishel": peers.hishel_sync(payload.origin()),
    }
    cases = {name: _handling(transport) for name, transport in transports.items()}
    title = "hit inside the transport, 1 KB"
    # Short rounds, for a Request takes six times as long to build as to answer.
    samples = interleave(options, title, cases, rounds=options.pick(15, 101), round_seconds=0.0015)
    row = compare(title, samples, "ours", "dict")
    limit = Goal("<=", 5.0, "µs")
    row.goal, row.met = str(limit), limit.met(samples.median("ours") * 1e6)
    row.ours += f" (min {span(samples.best('ours'))})"
    return [row, compare(title, samples, "ours", "floor"), compare(title, samples, "ours", "hishel")]


def _handling(transport: httpx.BaseTransport) -> Case:
    client = httpx.Client(transport=transport)
    for _ in range(2):
        check(len(client.get(URL).content) == KB, "an answer is wrong")

    def run(n: int) -> float:
        requests = [client.build_request("GET", URL) for _ in range(n)]
        handle = transport.handle_request
        start = cpu()
        for request in requests:
            handle(request)
        return cpu() - start

    return Case(run, cpu)
