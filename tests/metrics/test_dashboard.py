"""Every metric that the dashboard and the alert rules name exists, with the labels they ask for."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest

from pywats_cache import CacheTransport

pytest.importorskip("prometheus_client")

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from pywats_cache.metrics import watch

OBSERVABILITY = Path(__file__).parents[2] / "docs" / "observability"
USE = re.compile(r"(pywats_cache_\w+)(?:\{([^}]*)\})?")


@pytest.fixture(scope="module")
def labels_of() -> dict[str, set[str]]:
    """The labels of each sample that a scrape gives."""
    transport = CacheTransport(httpx.MockTransport(lambda request: httpx.Response(200, text="x")))
    registry = CollectorRegistry()
    watch(transport, registry=registry)
    for method in ("GET", "GET", "PUT", "GET"):
        transport.handle_request(httpx.Request(method, "http://origin/a"))
    known: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            known.setdefault(sample.name, set()).update(sample.labels)
    return known


def dashboard() -> dict[str, object]:
    return json.loads((OBSERVABILITY / "grafana-dashboard.json").read_text("utf-8"))


def test_every_metric_of_the_dashboard_exists(labels_of: dict[str, set[str]]) -> None:
    text = (OBSERVABILITY / "grafana-dashboard.json").read_text("utf-8").replace('\\"', '"')
    used = USE.findall(text)
    assert len(used) > 20
    for name, selector in used:
        assert name in labels_of, name
        assert set(re.findall(r"(\w+)[!=]", selector)) <= labels_of[name], (name, selector)


def test_every_panel_asks_something_and_has_a_place() -> None:
    panels = dashboard()["panels"]
    assert isinstance(panels, list)
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = set()
    for panel in panels:
        assert panel["targets"]
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in places, panel["title"]
                places.add((x, y))


def test_the_dashboard_offers_every_client_of_a_shared_storage() -> None:
    found = re.search(r"label_values\((\w+), client\)", json.dumps(dashboard()["templating"]))
    assert found
    first, registry = CacheTransport(), CollectorRegistry()
    second = CacheTransport(storage=first.storage)
    watch(first, "one", registry)
    watch(second, "two", registry)
    samples = [sample for family in registry.collect() for sample in family.samples if sample.name == found[1]]
    assert {sample.labels["client"] for sample in samples} == {"one", "two"}


def test_every_metric_of_the_alerts_exists(labels_of: dict[str, set[str]]) -> None:
    used = USE.findall((OBSERVABILITY / "alerts.yml").read_text("utf-8"))
    assert len(used) > 8
    for name, selector in used:
        assert name in labels_of, name
        assert set(re.findall(r"(\w+)[!=]", selector)) <= labels_of[name], (name, selector)


def test_all_that_is_reported_is_shown(labels_of: dict[str, set[str]]) -> None:
    shown = {name for name, _ in USE.findall((OBSERVABILITY / "grafana-dashboard.json").read_text("utf-8"))}
    reported = {name for name in labels_of if not name.endswith(("_created", "_count", "_sum"))}
    assert reported <= shown
