"""Watch a cache with Prometheus: expose /metrics, make traffic, scrape it, and judge it as an alert rule would.

What Prometheus does is done here in small, so that nothing has to be installed but the extra: two scrapes, the
difference between them, and the rules of docs/observability/alerts.yml worked out by hand.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import httpx
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.parser import text_string_to_metric_families

from pywats_cache import pyWATS
from pywats_cache.metrics import watch
from pywats_cache.testing import SimulatedWATS
from pywats_cache.wats import wats_controller

INTERESTING = (
    "pywats_cache_requests_total",
    "pywats_cache_reasons_total",
    "pywats_cache_rule_hits_total",
    "pywats_cache_fetch_failures_total",
    "pywats_cache_invalidations_total",
    "pywats_cache_saved_seconds_total",
    "pywats_cache_entries",
)
Sample = tuple[str, frozenset[tuple[str, str]]]


@dataclass(frozen=True)
class Scrape:
    """What /metrics said at one moment."""

    samples: dict[Sample, float]

    @classmethod
    def of(cls, url: str) -> Scrape:
        """Scrape the address."""
        text = httpx.get(url).raise_for_status().text
        families = text_string_to_metric_families(text)
        return cls({(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples})

    def total(self, name: str, **labels: str) -> float:
        """The sum of all series of a metric that have these labels: `sum(name{…})`."""
        return sum(value for (known, of), value in self.samples.items() if known == name and of >= set(labels.items()))

    def since(self, before: Scrape) -> Scrape:
        """What came in between: `increase(…)`."""
        return Scrape({sample: value - before.samples.get(sample, 0.0) for sample, value in self.samples.items()})


def lines(scrape: Scrape) -> None:
    """The series that say something, one a line."""
    for (name, labels), value in sorted(scrape.samples.items(), key=lambda item: (item[0][0], sorted(item[0][1]))):
        if name in INTERESTING and value:
            of = ", ".join(f'{key}="{text}"' for key, text in sorted(labels) if key != "client")
            print(f"  {name.removeprefix('pywats_cache_') + (f'{{{of}}}' if of else ''):<68} {value:>8.4g}")


def hit_rate(scrape: Scrape) -> float:
    """As `CacheStats.hit_rate`: what was answered without waiting for an own fetch; a stale answer counts."""
    of = {name: scrape.total("pywats_cache_requests_total", outcome=name) for name in ("hit", "stale", "collapsed")}
    bypassed = scrape.total("pywats_cache_requests_total", outcome="bypass")
    return sum(of.values()) / (scrape.total("pywats_cache_requests_total") - bypassed)


def is_thrashing(scrape: Scrape) -> bool:
    evictions = scrape.total("pywats_cache_evictions_total")
    stores, hits = scrape.total("pywats_cache_stores_total"), scrape.total("pywats_cache_rule_hits_total")
    return evictions > 0.8 * stores and evictions > hits


# As in docs/observability/alerts.yml, but without `for:`, the time that a condition has to last.
ALERTS: dict[str, Callable[[Scrape], bool]] = {
    "PywatsCacheServingStale": lambda scrape: scrape.total("pywats_cache_requests_total", outcome="stale") > 0,
    "PywatsCacheStorageErrors": lambda scrape: scrape.total("pywats_cache_storage_errors_total") > 0,
    "PywatsCacheThrashing": is_thrashing,
}


def judge(scrape: Scrape) -> None:
    print(f"  hit rate {hit_rate(scrape):.0%}")
    for name, fires in ALERTS.items():
        print(f"  {name:<26} {'FIRING' if fires(scrape) else 'ok'}")


def work(api: pyWATS, rounds: int) -> None:
    """What a dashboard does."""
    for _ in range(rounds):
        for number in range(5):
            api.product.get_product(f"PN-{1000 + number}")
        api.process.get_processes()


def main() -> None:
    """Watch ordinary traffic, and what comes when the server goes away."""
    logging.disable(logging.CRITICAL)
    registry = CollectorRegistry()  # a registry of its own; leave it out and the default one is used
    exporter, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
    url = f"http://127.0.0.1:{exporter.server_port}/metrics"
    controller = wats_controller(300.0, offline="auto", down_for=60.0)
    with (
        SimulatedWATS(latency=0.01) as server,
        pyWATS(base_url=server.base_url, token=server.token, cache_controller=controller) as api,
    ):
        watch(api, "station-1", registry)
        start = Scrape.of(url)

        work(api, rounds=20)
        product = api.product.get_product("PN-1000")
        product.name = "renamed"
        api.product.update_product(product)
        work(api, rounds=20)
        ordinary = Scrape.of(url)
        print("Ordinary traffic, as /metrics reports it (without zeros):")
        lines(ordinary)
        print("\nAlerts:")
        judge(ordinary.since(start))

        server.stop()
        api.cache.invalidate("/api", soft=True)  # as if the TTLs had ended
        work(api, rounds=3)
        away = Scrape.of(url).since(ordinary)
        print("\nThe server is away. What has changed:")
        lines(away)
        print("\nAlerts (the hit rate would not show it, because it includes stale answers):")
        judge(away)
        assert ALERTS["PywatsCacheServingStale"](away)
    exporter.shutdown()
    exporter.server_close()
    thread.join()


if __name__ == "__main__":
    main()
