"""What the cache adds to a request that it cannot answer: looked up, fetched, stored; no network."""

from __future__ import annotations

import itertools

import httpx

import pywats_cache as ours

from . import peers
from .harness import Case, Options, Row, check, compare, interleave, loop_of
from .transports import KB, HandMade, Payload


def run(options: Options) -> list[Row]:
    payload = Payload(KB)
    origin = payload.origin()
    clients = {
        "bare": httpx.Client(transport=payload.origin()),
        "ours": httpx.Client(transport=ours.CacheTransport(origin)),
        "ours, `CacheClient`": ours.CacheClient(transport=payload.origin()),
        "dict": httpx.Client(transport=HandMade(payload.origin())),
        "hishel": httpx.Client(transport=peers.hishel_sync(payload.origin())),
    }
    cases: dict[str, Case] = {name: _new_urls(client) for name, client in clients.items()}
    calls = origin.calls
    clients["ours"].get("https://origin.example/once").read()
    check(origin.calls == calls + 1, "a new URL was no miss")
    title = "miss, 1 KB"
    samples = interleave(options, title, cases, rounds=options.pick(15, 151))
    rows = [compare(title, samples, "ours", other) for other in cases if not other.startswith("ours")]
    return [*rows, compare(f"{title}, `CacheClient`", samples, "ours, `CacheClient`", "bare")]


def _new_urls(client: httpx.Client) -> Case:
    numbers = itertools.count()
    return loop_of(lambda: client.get(f"https://origin.example/items/{next(numbers)}"))
