"""What Prometheus gets, read by prometheus_client's own parser."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from pywats_cache import (
    AsyncCacheClient,
    CacheClient,
    CacheTransport,
    ConfigurationTypeError,
    Controller,
    MemoryStorage,
    Read,
    Write,
)

prometheus_client = pytest.importorskip("prometheus_client")

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from pywats_cache.metrics import CacheCollector, unwatch, watch

CONTROLLER = Controller([Read("/api/Product/**", ttl=60, tags=("product",)), Write("/api/Product/**")])


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def served(**options: Any) -> CacheTransport:
    return CacheTransport(httpx.MockTransport(lambda request: httpx.Response(200, text="x")), **options)


def samples(registry: CollectorRegistry) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    text = generate_latest(registry).decode()
    return {(s.name, frozenset(s.labels.items())): s.value for family in parse(text) for s in family.samples}


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return samples(registry).get((name, frozenset({"client": "default", **labels}.items())))


def test_the_figures_are_those_of_the_stats(registry: CollectorRegistry) -> None:
    transport = served(controller=CONTROLLER)
    watch(transport, registry=registry)
    with httpx.Client(transport=transport, base_url="http://origin") as client:
        for path in ("/api/Product/1", "/api/Product/1", "/api/Product/2", "/other"):
            client.get(path)
        client.put("/api/Product/1")
        stats = transport.stats
        assert value(registry, "pywats_cache_requests_total", outcome="hit") == stats.hits == 1
        assert value(registry, "pywats_cache_requests_total", outcome="miss") == stats.misses == 3
        assert value(registry, "pywats_cache_requests_total", outcome="bypass") == stats.bypassed == 1
        assert value(registry, "pywats_cache_fetches_total", rule="/api/Product/**") == 2
        assert value(registry, "pywats_cache_rule_hits_total", rule="/api/Product/**") == 1
        assert value(registry, "pywats_cache_reasons_total", reason="write") == 1
        assert value(registry, "pywats_cache_entries") == stats.entries == 3
        assert value(registry, "pywats_cache_size_bytes") == stats.size_bytes
        assert value(registry, "pywats_cache_max_entries") == 1000
        assert value(registry, "pywats_cache_invalidations_total") == 1
        assert value(registry, "pywats_cache_evictions_total", cause="entries") == 0
        assert value(registry, "pywats_cache_origin_request_seconds_count") == 3
        assert value(registry, "pywats_cache_origin_request_seconds_bucket", le="+Inf") == 3
        assert (value(registry, "pywats_cache_saved_seconds_total") or 0) > 0


def test_the_openmetrics_form_parses_too(registry: CollectorRegistry) -> None:
    transport = served()
    watch(transport, registry=registry)
    transport.handle_request(httpx.Request("GET", "http://origin/a"))
    names = {family.name for family in parse_openmetrics(generate_openmetrics(registry).decode())}
    assert "pywats_cache_requests" in names
    assert "pywats_cache_origin_request_seconds" in names


def test_ten_thousand_urls_leave_the_number_of_series_unchanged(registry: CollectorRegistry) -> None:
    transport = served(controller=CONTROLLER, storage=MemoryStorage(max_entries=50))
    watch(transport, registry=registry)
    request = httpx.Request
    headers = {"Authorization": "Basic c2VjcmV0"}
    for n in range(20):
        transport.handle_request(request("GET", f"http://origin/api/Product/{n % 3}", headers=headers))
        transport.handle_request(request("GET", f"http://origin/x{n}?q={n}", headers=headers))
        transport.handle_request(request("PUT", f"http://origin/api/Product/{n}", headers=headers))
        transport.handle_request(request("PUT", f"http://origin/x{n}", headers=headers))
        transport.handle_request(request("GET", f"http://origin/x{n}?q={n}", headers=headers))
    before = samples(registry)
    for n in range(10_000):
        transport.handle_request(request("GET", f"http://origin/api/Product/SECRET-{n}?pn={n}", headers=headers))
        transport.handle_request(request("GET", f"http://h{n}/y/SECRET-{n}/?pn={n}", headers=headers))
    after = samples(registry)
    assert set(after) == set(before)
    text = generate_latest(registry).decode()
    assert "SECRET" not in text
    assert "c2VjcmV0" not in text
    assert "origin/" not in text


def test_several_clients_in_one_process_have_their_own_label(registry: CollectorRegistry) -> None:
    one, two = served(), served()
    assert watch(one, "one", registry) is watch(two, "two", registry)
    for _ in range(3):
        one.handle_request(httpx.Request("GET", "http://origin/a"))
    two.handle_request(httpx.Request("GET", "http://origin/a"))
    assert value(registry, "pywats_cache_requests_total", client="one", outcome="hit") == 2
    assert value(registry, "pywats_cache_requests_total", client="two", outcome="miss") == 1


def test_a_storage_that_clients_share_is_counted_once(registry: CollectorRegistry) -> None:
    storage = MemoryStorage()
    one, two = served(storage=storage), served(storage=storage)
    watch(one, "one", registry)
    watch(two, "two", registry)
    one.handle_request(httpx.Request("GET", "http://origin/a"))
    assert value(registry, "pywats_cache_entries", client="one") == 1
    assert value(registry, "pywats_cache_entries", client="two") is None
    assert value(registry, "pywats_cache_requests_total", client="two", outcome="miss") == 0


def test_a_name_given_again_is_the_new_clients(registry: CollectorRegistry) -> None:
    old, new = served(), served()
    watch(old, registry=registry)
    old.handle_request(httpx.Request("GET", "http://origin/a"))
    watch(new, registry=registry)
    assert value(registry, "pywats_cache_requests_total", outcome="miss") == 0


def test_a_client_that_is_gone_is_reported_no_longer(registry: CollectorRegistry) -> None:
    watch(served(), registry=registry)
    gc.collect()
    assert value(registry, "pywats_cache_entries") is None
    kept = served()
    watch(kept, registry=registry)
    unwatch(registry=registry)
    unwatch("never", registry)
    assert value(registry, "pywats_cache_entries") is None


def test_a_reloaded_module_registers_again() -> None:
    code = """
import importlib, httpx, prometheus_client
from pywats_cache import CacheTransport
import pywats_cache.metrics.prometheus as module
transport = CacheTransport(httpx.MockTransport(lambda request: httpx.Response(200)))
module.watch(transport, "kept")
module = importlib.reload(module)
other = CacheTransport(httpx.MockTransport(lambda request: httpx.Response(200)))
module.watch(other, "new")
text = prometheus_client.generate_latest().decode()
assert text.count("# TYPE pywats_cache_entries gauge") == 1, text
assert 'pywats_cache_entries{client="kept"} 0.0' in text and 'pywats_cache_entries{client="new"} 0.0' in text, text
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("make", [CacheClient, AsyncCacheClient])
def test_clients_can_be_watched(registry: CollectorRegistry, make: Callable[[], Any]) -> None:
    client = make()
    assert isinstance(watch(client, registry=registry), CacheCollector)
    assert value(registry, "pywats_cache_entries") == 0


def test_a_client_without_a_cache_is_named(registry: CollectorRegistry) -> None:
    with pytest.raises(ConfigurationTypeError, match="client must be a cache transport"):
        watch(httpx.Client(), registry=registry)
    with pytest.raises(ConfigurationTypeError, match="name must be a string"):
        watch(served(), 5, registry)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="name must not be empty"):
        watch(served(), "", registry)


WORKER = """
import sys, httpx
from pywats_cache import CacheTransport
from pywats_cache.metrics import watch
transport = CacheTransport(httpx.MockTransport(lambda request: httpx.Response(200, text="x")))
watch(transport, "worker")
for _ in range(int(sys.argv[1])):
    transport.handle_request(httpx.Request("GET", "http://origin/a"))
"""


def test_multiprocess_mode_adds_up_the_processes(tmp_path: Any) -> None:
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    for count in ("3", "5"):
        subprocess.run([sys.executable, "-c", WORKER, count], env=environment, check=True, timeout=60)
    registry = CollectorRegistry()
    from prometheus_client.multiprocess import MultiProcessCollector

    MultiProcessCollector(registry, path=str(tmp_path))
    assert value(registry, "pywats_cache_requests_total", client="worker", outcome="hit") == 6
    assert value(registry, "pywats_cache_requests_total", client="worker", outcome="miss") == 2
    assert value(registry, "pywats_cache_origin_request_seconds_count", client="worker") == 2
    assert value(registry, "pywats_cache_origin_request_seconds_bucket", client="worker", le="+Inf") == 2


def test_multiprocess_mode_lets_go_what_a_client_held_that_is_gone(tmp_path: Any) -> None:
    code = WORKER.replace("watch(transport", "collector = watch(transport")
    code += "collector.publisher.publish()\ndel transport\nimport gc; gc.collect()\n"
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code, "3"], env=environment, check=True, timeout=60)
    registry = CollectorRegistry()
    from prometheus_client.multiprocess import MultiProcessCollector

    MultiProcessCollector(registry, path=str(tmp_path))
    assert value(registry, "pywats_cache_entries", client="worker") == 0
    assert value(registry, "pywats_cache_requests_total", client="worker", outcome="miss") == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_counts_from_zero(tmp_path: Any) -> None:
    code = WORKER.replace("for _", "import os; transport.handle_request(httpx.Request('GET', 'http://origin/a'))\n"
        "pid = os.fork()\nfor _") + "\nif pid: os.waitpid(pid, 0)"  # fmt: skip
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code, "4"], env=environment, check=True, timeout=60)
    registry = CollectorRegistry()
    from prometheus_client.multiprocess import MultiProcessCollector

    MultiProcessCollector(registry, path=str(tmp_path))
    hits = value(registry, "pywats_cache_requests_total", client="worker", outcome="hit")
    misses = value(registry, "pywats_cache_requests_total", client="worker", outcome="miss")
    assert (hits, misses) == (7, 2)  # the child misses once of its own, and does not count what its parent did
