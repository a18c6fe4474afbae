"""Eight threads that share one client, all hits: calls per second against the floor."""

from __future__ import annotations

import threading
from collections.abc import Callable

import httpx

import pywats_cache as ours

from . import peers
from .harness import Case, Goal, Options, Row, bars, check, interleave, number, perf, ratio_figure
from .recording import Samples
from .transports import KB, Payload

THREADS = 8
URLS = [f"https://origin.example/api/Product/PN-{i:05d}" for i in range(THREADS)]
GOAL = Goal(">=", 0.95)


def run(options: Options) -> list[Row]:
    payload = Payload(KB)
    origin = payload.origin()
    clients = {
        "floor": httpx.Client(transport=payload.floor()),
        "ours": httpx.Client(transport=ours.CacheTransport(origin)),
        "ours, `CacheClient`": ours.CacheClient(transport=payload.origin()),
        "hishel": httpx.Client(transport=peers.hishel_sync(payload.origin())),
    }
    for client in clients.values():
        for url in URLS + URLS:
            check(client.get(url).content == payload.content, "an answer is wrong")
    check(origin.calls == len(URLS), "the second requests are no hits")
    cases: dict[str, Case] = {name: _together(client.get) for name, client in clients.items()}
    title = f"{THREADS} threads on one client, hits"
    samples = interleave(options, title, cases, rounds=options.pick(7, 81), round_seconds=0.06)
    check(origin.calls == len(URLS), "some requests were no hits")
    rows = [_row(title, samples, "ours", "floor", GOAL), _row(title, samples, "ours", "hishel", None)]
    return [*rows, _row(title, samples, "ours, `CacheClient`", "floor", None)]


def _row(title: str, samples: Samples, mine: str, other: str, goal: Goal | None) -> Row:
    """Compare throughputs, so that more is better."""
    ratio = samples.ratio(other, mine)
    return Row(
        f"{title} ({mine})",
        f"{number(1e-3 / samples.median(mine))} k calls/s",
        f"{other}: {number(1e-3 / samples.median(other))} k calls/s",
        f"{number(ratio)}x the throughput",
        f"{goal} of the floor" if goal else "",
        goal.met(ratio) if goal else None,
        {
            "ratio": ratio,
            "comparison": samples.title,
            "figure": ratio_figure(samples, mine, other),
            "bars": bars(f"a call of {title}", samples.medians(), ["ours", "ours, `CacheClient`"]),
        },
    )


def _together(get: Callable[[str], httpx.Response]) -> Case:
    """Share n calls among the threads; the time is from their common start to the last one's end."""

    def run(n: int) -> float:
        each = max(1, n // THREADS)
        gate = threading.Barrier(THREADS + 1)

        def work(at: int) -> None:
            urls = URLS[at:] + URLS[:at]
            gate.wait()
            for i in range(each):
                get(urls[i % THREADS])

        workers = [threading.Thread(target=work, args=(at,)) for at in range(THREADS)]
        for worker in workers:
            worker.start()
        gate.wait()
        start = perf()
        for worker in workers:
            worker.join()
        return (perf() - start) * n / (each * THREADS)

    return Case(run, perf)
