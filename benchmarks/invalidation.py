"""A write that dirties everything, with 100 000 entries stored, against the same PUT without a cache."""

from __future__ import annotations

from typing import Any

import httpx

import pywats_cache as ours

from . import peers
from .eviction import LARGE, PAYLOAD, finish, store
from .harness import Case, Goal, Options, Row, check, compare, interleave, loop_of, number, perf, span
from .hits import status_of
from .server import Server

GOAL = Goal("<=", 1.1)
RULES = [ours.Read("/**", tags=("all",)), ours.Write("/**", dirties=("all",))]


def run(options: Options) -> list[Row]:
    rows = [_in_process(options), _over_http(options), _by_call(options)]
    if peers.has("pywats"):
        rows.append(_sdk())
    return rows


def _filled(next_transport: httpx.BaseTransport, entries: int, base: str) -> ours.CacheTransport:
    """Return a transport whose storage holds so many answers, all tagged `all`."""
    storage = store(LARGE)
    controller = ours.Controller(rules=RULES)
    filler = ours.CacheTransport(PAYLOAD.origin(), controller=controller, storage=storage)
    builder = httpx.Client()
    for i in range(entries):
        filler.handle_request(builder.build_request("GET", f"{base}/items/{i}")).read()
    check(len(storage) == entries, "not everything was stored")
    return ours.CacheTransport(next_transport, controller=controller, storage=storage)


def _check_dirtied(client: httpx.Client, transport: ours.CacheTransport, base: str) -> None:
    """See that answers are hits before a write and none after it, and that the table is still full."""
    first, last = f"{base}/items/17", f"{base}/items/{LARGE - 1}"
    check(status_of(client.get(first)) == "hit" and status_of(client.get(last)) == "hit", "nothing was cached")
    client.put(f"{base}/other", content=b"{}")
    check(status_of(client.get(first)) == "miss" and status_of(client.get(last)) == "miss", "the write dirtied nothing")
    check(transport.stats.entries == LARGE, "the storage was emptied")


def _in_process(options: Options) -> Row:
    base = "https://origin.example"
    transport = _filled(PAYLOAD.origin(), LARGE, base)
    client = httpx.Client(transport=transport)
    bare = httpx.Client(transport=PAYLOAD.origin())
    _check_dirtied(client, transport, base)
    cases = {
        "ours": loop_of(lambda: client.put(f"{base}/other", content=b"{}")),
        "bare PUT": loop_of(lambda: bare.put(f"{base}/other", content=b"{}")),
    }
    samples = interleave(cases, rounds=options.pick(21, 201))
    return compare("PUT that dirties 100 000 entries, no network", samples, "ours", "bare PUT", GOAL)


def _over_http(options: Options) -> Row:
    with Server() as server:
        transport = _filled(httpx.HTTPTransport(), LARGE, server.url)
        client = httpx.Client(transport=transport)
        bare = httpx.Client()
        _check_dirtied(client, transport, server.url)
        url = f"{server.url}/other"
        cases: dict[str, Case] = {
            "ours": loop_of(lambda: client.put(url, content=b"{}")),
            "bare PUT": loop_of(lambda: bare.put(url, content=b"{}")),
        }
        samples = interleave(cases, rounds=options.pick(21, 201), round_seconds=0.02)
        client.close()
        bare.close()
    return compare("PUT that dirties 100 000 entries, HTTP on loopback", samples, "ours", "bare PUT", GOAL)


def _by_call(options: Options) -> Row:
    """Compare `invalidate(tags=…)` on a full storage with the same on an empty one."""
    base = "https://origin.example"
    full, empty = _filled(PAYLOAD.origin(), LARGE, base), _filled(PAYLOAD.origin(), 0, base)
    cases: dict[str, Case] = {
        "100 000 entries": loop_of(lambda: full.invalidate(tags=("all",))),
        "none": loop_of(lambda: empty.invalidate(tags=("all",))),
    }
    samples = interleave(cases, rounds=options.pick(21, 201))
    return compare('`invalidate(tags=("all",))`', samples, "100 000 entries", "none", GOAL)


def _sdk() -> Row:
    client: Any = peers.sdk_http_client("http://origin.example", max_size=LARGE)
    seconds = []
    for _ in range(3):
        for i in range(LARGE):
            finish(client.cache.put(f"GET:/api/Product/{i}", PAYLOAD))
        start = perf()
        finish(client.invalidate_cache("/api/Product"))
        seconds.append(perf() - start)
        check(client.cache.size == 0, "the SDK dropped nothing")
    return Row(
        "what a write adds with 100 000 entries, the SDK's cache",
        "",
        f"SDK: {span(min(seconds))}",
        detail={"seconds": seconds, "per_entry": number(min(seconds) / LARGE * 1e9) + " ns"},
    )
