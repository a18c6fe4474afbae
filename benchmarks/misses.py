"""What the cache adds to a request that it cannot answer: looked up, fetched, stored; no network."""

from __future__ import annotations

import itertools

import httpx

import pywats_cache as ours

from . import peers
from .harness import Case, Goal, Options, Row, check, compare, interleave, loop_of
from .transports import KB, HandMade, Payload

GOAL = Goal("<=", 1.9)
"""What is reached. The least coherent miss, one function without rules, Vary and stale answers, costs 1.1x."""


def run(options: Options) -> list[Row]:
    """Compare over a next transport that streams, and over one whose responses are read already."""
    payload = Payload(KB)
    origin = payload.origin()
    mock = httpx.MockTransport(lambda _: httpx.Response(200, headers=payload.headers, content=payload.raw))
    clients = {
        "bare": httpx.Client(transport=payload.origin()),
        "bare, `MockTransport`": httpx.Client(transport=mock),
        "ours, `MockTransport`": httpx.Client(transport=ours.CacheTransport(mock)),
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
    return [
        compare(title, samples, "ours", "bare", GOAL),
        *(compare(title, samples, "ours", other) for other in ("dict", "hishel")),
        compare(f"{title}, `CacheClient`", samples, "ours, `CacheClient`", "bare"),
        compare(f"{title}, `MockTransport`", samples, "ours, `MockTransport`", "bare, `MockTransport`", GOAL),
    ]


def _new_urls(client: httpx.Client) -> Case:
    numbers = itertools.count()
    return loop_of(lambda: client.get(f"https://origin.example/items/{next(numbers)}"))
