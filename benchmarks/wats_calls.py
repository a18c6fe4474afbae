"""Warm calls of the SDK's product service: our `pyWATS` and `AsyncWATS` against the SDK with its own cache."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pywats_cache as ours

from . import peers
from .harness import Case, Goal, Options, Row, async_loop_of, check, compare, interleave, loop_of, perf
from .server import PRODUCTS, Server, product_list

TOKEN = "dXNlcjpwYXNz"  # "user:pass"
NUMBER = "PN-00001"
SYNC, ASYNC = Goal(">=", 6.0), Goal("<=", 1.5)


def run(options: Options) -> list[Row]:
    if not peers.has("pywats"):
        return [Row("warm calls of the SDK", "", "pywats-api is not installed")]
    import pywats

    loop = asyncio.new_event_loop()
    with Server() as server:
        clients: dict[str, Any] = {
            "ours": ours.pyWATS(base_url=server.url, token=TOKEN),
            "SDK, cached": pywats.pyWATS(base_url=server.url, token=TOKEN),
        }
        async_clients: dict[str, Any] = {
            "ours": ours.AsyncWATS(base_url=server.url, token=TOKEN),
            "SDK, cached": pywats.AsyncWATS(base_url=server.url, token=TOKEN),
        }
        rows = [_sync(options, server, clients), _async(options, server, async_clients, loop)]
        rows += _list(options, clients, async_clients, loop)
        rows.append(loop.run_until_complete(_shared(async_clients)))
        for client in clients.values():
            client.close()
        for async_client in async_clients.values():
            loop.run_until_complete(async_client.close())
    loop.close()
    return rows


def _sync(options: Options, server: Server, clients: dict[str, Any]) -> Row:
    cases: dict[str, Case] = {}
    for name, api in clients.items():
        first, second = api.product.get_product(NUMBER), api.product.get_product(NUMBER)
        check(first.part_number == NUMBER and first == second and first is not second, "an answer is wrong")
        cases[name] = loop_of(_call(api.product, "get_product", NUMBER), perf)  # the SDK waits for its loop's thread
    before = server.seen()
    title = "warm `api.product.get_product`, sync"
    samples = interleave(options, title, cases, rounds=options.pick(21, 201))
    check(server.seen() == before, "some calls went to the server")
    check(clients["ours"].cache.stats.hits > 0, "ours counts no hits")
    early = clients["ours"].cache.stats.lookups > 0
    return compare(title, samples, "ours", "SDK, cached", SYNC, detail={"lookup_used": early})


def _async(options: Options, server: Server, clients: dict[str, Any], loop: asyncio.AbstractEventLoop) -> Row:
    cases: dict[str, Case] = {}
    for name, api in clients.items():
        for _ in range(2):
            check(loop.run_until_complete(api.product.get_product(NUMBER)).part_number == NUMBER, "an answer is wrong")
        cases[name] = async_loop_of(loop, _call(api.product, "get_product", NUMBER))
    before = server.seen()
    title = "warm `api.product.get_product`, async"
    samples = interleave(options, title, cases, rounds=options.pick(21, 201))
    check(server.seen() == before, "some calls went to the server")
    early = clients["ours"].cache.stats.lookups > 0
    return compare(title, samples, "ours", "SDK, cached", ASYNC, detail={"lookup_used": early})


def _call(service: Any, method: str, *arguments: str) -> Callable[[], Any]:
    """Return a call as a user writes it: the method is looked up each time."""
    return lambda: getattr(service, method)(*arguments)


def _list(
    options: Options, clients: dict[str, Any], async_clients: dict[str, Any], loop: asyncio.AbstractEventLoop
) -> list[Row]:
    from pywats.domains.product.models import Product

    body = product_list()
    validate = Product.model_validate
    cases: dict[str, Case] = {
        "JSON and models alone": loop_of(lambda: [validate(item) for item in json.loads(body)]),
        "models alone": _models_alone(validate, body),
    }
    for name, api in clients.items():
        for _ in range(2):
            check(len(api.product.get_products()) == PRODUCTS, "a list is wrong")
        cases[name] = loop_of(_call(api.product, "get_products"))
    ours_async = async_clients["ours"]
    loop.run_until_complete(ours_async.product.get_products())
    cases["ours, async"] = async_loop_of(loop, ours_async.product.get_products)
    title = f"warm list of 1000 products, {len(body) // 1000} KB"
    samples = interleave(options, title, cases, rounds=options.pick(5, 31), round_seconds=0.04)
    rows = [compare(f"{title}, sync", samples, "ours", "JSON and models alone")]
    rows.append(compare(f"{title}, async", samples, "ours, async", "JSON and models alone"))
    rows[0].goal = rows[1].goal = "reported"
    rows.append(compare(f"{title}, sync", samples, "ours", "models alone"))
    rows.append(compare(f"{title}, sync", samples, "ours", "SDK, cached"))
    return rows


def _models_alone(validate: Any, body: bytes) -> Case:
    """Time the validation of a parsed list, which is what the SDK is left with when its cache hands out objects."""
    items = json.loads(body)
    return loop_of(lambda: [validate(item) for item in items])


async def _shared(clients: dict[str, Any]) -> Row:
    """Spoil what one caller got and see what the next caller gets."""
    spoiled: dict[str, str] = {}
    for name, api in clients.items():
        first = await api.http_client.get(f"/api/Product/{NUMBER}")
        first.data["name"] = "spoiled"
        second = await api.http_client.get(f"/api/Product/{NUMBER}")
        spoiled[name] = "yes" if second.data["name"] == "spoiled" else "no"
        first.data["name"] = f"Product {NUMBER}"
    return Row(
        "a caller that changes its answer changes the next caller's",
        spoiled["ours"],
        f"SDK, cached: {spoiled['SDK, cached']}",
        goal="no",
        met=spoiled["ours"] == "no",
        detail=dict(spoiled),
    )
