"""`CacheClient.get`: the cache asked before a Request is built, against `httpx.Client.get` on the floor."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import httpx

import pywats_cache as ours

from .harness import Case, Goal, Options, Row, async_loop_of, check, compare, interleave, loop_of
from .hits import status_of
from .transports import KB, MB, Payload

BASE = "https://origin.example"
PATH = "/api/Product/PN-00001"
GOAL = Goal(">=", 6.0)
CALLS: list[tuple[str, list[str], dict[str, Any]]] = [
    ("one URL", [f"{BASE}{PATH}"], {}),
    ("1000 URLs in turn", [f"{BASE}/api/Product/PN-{i:05d}" for i in range(1000)], {}),
    ("params and headers", [f"{BASE}{PATH}"], {"params": {"detail": "full", "page": 2}, "headers": {"X-Trace": "1"}}),
]


def run(options: Options) -> list[Row]:
    rows = [_sync(options, *call, size=KB) for call in CALLS]
    rows.append(_sync(options, "one URL, 1 MB", CALLS[0][1], {}, size=MB))
    rows.append(_sync(options, "relative URL over base_url", [PATH], {}, size=KB, base_url=BASE))
    rows += [_async(options, *call) for call in CALLS]
    return rows


def _turns(urls: Sequence[str], get: Callable[..., Any], kwargs: dict[str, Any]) -> Callable[[], Any]:
    if len(urls) == 1:
        url = urls[0]
        return (lambda: get(url, **kwargs)) if kwargs else lambda: get(url)
    following = itertools.cycle(urls).__next__
    return lambda: get(following(), **kwargs)


def _sync(
    options: Options, name: str, urls: list[str], kwargs: dict[str, Any], *, size: int, base_url: str = ""
) -> Row:
    payload = Payload(size)
    origin = payload.origin()
    client = ours.CacheClient(transport=origin, base_url=base_url)
    floor = httpx.Client(transport=payload.floor(), base_url=base_url)
    for url in [*urls, *urls]:
        check(client.get(url, **kwargs).content == payload.content, "an answer is wrong")
    check(origin.calls == len(urls), "the second requests are no hits")
    check(status_of(client.get(urls[0], **kwargs)) == "hit", "ours does not call it a hit")
    before = client.cache.stats.lookups
    cases: dict[str, Case] = {
        "ours": loop_of(_turns(urls, client.get, kwargs)),
        "`httpx.Client` on the floor": loop_of(_turns(urls, floor.get, kwargs)),
    }
    title = f"`CacheClient.get`, {name}"
    samples = interleave(options, title, cases, rounds=options.pick(15, 151))
    check(origin.calls == len(urls), "some requests were no hits")
    early = client.cache.stats.lookups > before
    return compare(title, samples, "ours", "`httpx.Client` on the floor", GOAL, detail={"lookup_used": early})


def _async(options: Options, name: str, urls: list[str], kwargs: dict[str, Any]) -> Row:
    payload = Payload(KB)
    origin = payload.origin()
    loop = asyncio.new_event_loop()
    client = ours.AsyncCacheClient(transport=origin)
    floor = httpx.AsyncClient(transport=payload.floor())

    async def fill() -> None:
        for url in [*urls, *urls]:
            check((await client.get(url, **kwargs)).content == payload.content, "an answer is wrong")
        check(status_of(await client.get(urls[0], **kwargs)) == "hit", "ours does not call it a hit")

    loop.run_until_complete(fill())
    cases: dict[str, Case] = {
        "ours": async_loop_of(loop, _turns(urls, client.get, kwargs)),
        "`httpx.AsyncClient` on the floor": async_loop_of(loop, _turns(urls, floor.get, kwargs)),
    }
    title = f"`AsyncCacheClient.get`, {name}"
    samples = interleave(options, title, cases, rounds=options.pick(15, 151))
    check(origin.calls == len(urls), "some requests were no hits")
    loop.run_until_complete(client.aclose())
    loop.close()
    return compare(title, samples, "ours", "`httpx.AsyncClient` on the floor", GOAL)
