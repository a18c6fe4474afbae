"""A memory hit in an event loop: how long it keeps the loop, and that it never suspends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import httpx

import pywats_cache as ours

from . import peers
from .harness import Case, Goal, Options, Row, bars, check, cpu, interleave, number, ratio_figure, span
from .recording import Samples
from .transports import KB, Payload

TASKS = 1000
TITLE = f"loop busy with {TASKS} tasks, one hit each"
URL = "https://origin.example/api/Product/PN-00001"
GOAL = Goal("<=", 1.1)
Get = Callable[[str], Coroutine[Any, Any, httpx.Response]]


def run(options: Options) -> list[Row]:
    loop = asyncio.new_event_loop()
    payload = Payload(KB)
    clients = {
        "floor": httpx.AsyncClient(transport=payload.floor()),
        "ours": httpx.AsyncClient(transport=ours.AsyncCacheTransport(payload.origin())),
        "ours, `AsyncCacheClient`": ours.AsyncCacheClient(transport=payload.origin()),
    }
    if peers.has("anysqlite") and not options.quick:
        clients["hishel"] = httpx.AsyncClient(transport=peers.hishel_async(payload.origin()))
    for client in clients.values():
        for _ in range(2):
            check(loop.run_until_complete(client.get(URL)).content == payload.content, "an answer is wrong")
    cases: dict[str, Case] = {name: _together(loop, client.get) for name, client in clients.items()}
    if "hishel" in cases:  # it takes a second a round
        slow = {name: cases[name] for name in ("hishel", "floor")}
        del cases["hishel"]
    samples = interleave(options, TITLE, cases, rounds=options.pick(5, 21), round_seconds=0.05)
    rows = [_row(samples, "ours", GOAL), _row(samples, "ours, `AsyncCacheClient`", None)]
    suspends = {name: _suspends(client.get) for name, client in clients.items() if name != "hishel"}
    if "hishel" in clients:
        slowly = interleave(options, f"{TITLE}, hishel's turns", slow, rounds=3, round_seconds=0.05)
        rows.append(_row(slowly, "hishel", None))
        suspends["hishel"] = True  # a thread of SQLite answers
    rows.append(
        Row(
            "a memory hit suspends (one `send(None)` must finish it)",
            "no" if not (suspends["ours"] or suspends["ours, `AsyncCacheClient`"]) else "yes",
            "; ".join(f"{name}: {'yes' if it else 'no'}" for name, it in suspends.items() if "ours" not in name),
            goal="no",
            met=not suspends["ours"] and not suspends["ours, `AsyncCacheClient`"],
            detail=suspends,
        )
    )
    for client in clients.values():
        loop.run_until_complete(client.aclose())
    loop.close()
    return rows


def _together(loop: asyncio.AbstractEventLoop, get: Callable[[str], Awaitable[httpx.Response]]) -> Case:
    """Run 1000 tasks with one hit each; all that time the loop can do nothing else."""

    async def turn() -> float:
        start = cpu()
        await asyncio.gather(*(asyncio.ensure_future(get(URL)) for _ in range(TASKS)))
        return cpu() - start

    return Case(lambda n: sum(loop.run_until_complete(turn()) for _ in range(n)), cpu)


def _row(samples: Samples, mine: str, goal: Goal | None) -> Row:
    ratio = samples.ratio(mine, "floor")
    said = span(samples.median(mine))
    peer = mine == "hishel"
    return Row(
        TITLE if peer else f"{TITLE} ({mine})",
        "" if peer else said,
        f"hishel: {said}" if peer else f"floor: {span(samples.median('floor'))}",
        f"{number(ratio)}x the floor (of minima {number(samples.best(mine) / samples.best('floor'))})",
        str(goal or ""),
        goal.met(ratio) if goal else None,
        {
            "ratio": ratio,
            "comparison": samples.title,
            **({} if peer else {"figure": ratio_figure(samples, mine, "floor")}),
            "bars": bars(TITLE, samples.medians(), [] if peer else ["ours", mine]),
        },
    )


def _suspends(get: Get) -> bool:
    """Drive a hit by hand: a coroutine that never suspends ends at its first `send`."""
    coroutine = get(URL)
    try:
        coroutine.send(None)
    except StopIteration as done:
        check(done.value.status_code == 200, "an answer is wrong")
        return False
    coroutine.close()
    return True
