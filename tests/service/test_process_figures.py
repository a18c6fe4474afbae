"""`pywats_process_…` says what the process takes, and nothing that the system does not tell."""

from __future__ import annotations

import os
import re
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from pywats.core.metrics import MetricsCollector

from pywats_cache.wats.service.metrics import ServiceMetrics
from pywats_cache.wats.service.process_figures import ProcessFigures

DOCS = Path(__file__).resolve().parents[2] / "docs"


def samples(registry: CollectorRegistry) -> dict[str, float]:
    return {sample.name: sample.value for family in registry.collect() for sample in family.samples}


class Process:
    """A process whose figures are set."""

    def __init__(self) -> None:
        self.spent = 1.0

    def cpu_times(self) -> Any:
        return SimpleNamespace(user=self.spent / 2, system=self.spent / 2)

    def memory_info(self) -> Any:
        return SimpleNamespace(rss=5000)

    def num_threads(self) -> int:
        return 7

    def num_fds(self) -> int:
        return 9

    def create_time(self) -> float:
        return 1_700_000_000.0


def test_the_figures_of_this_process_are_real() -> None:
    metrics = ServiceMetrics(MetricsCollector())
    seen = {name: value for name, value in samples(metrics.registry).items() if name.startswith("pywats_process_")}
    mine = psutil.Process()
    assert seen["pywats_process_cpu_seconds_total"] > 0
    assert 0.5 < seen["pywats_process_memory_bytes"] / mine.memory_info().rss < 2
    assert seen["pywats_process_threads"] == threading.active_count() or seen["pywats_process_threads"] > 0
    assert abs(seen["pywats_process_start_time_seconds"] - mine.create_time()) < 1
    assert seen["pywats_process_start_time_seconds"] < time.time()
    if os.name == "posix":
        assert seen["pywats_process_open_fds"] > 2
    text = metrics.text().decode()
    for name in seen:
        assert text.count(f"# TYPE {name} ") == 1


def test_the_cpu_is_that_since_the_last_scrape() -> None:
    now, process, registry = [100.0], Process(), CollectorRegistry()
    registry.register(ProcessFigures(process, lambda: now[0]))
    name = "pywats_process_cpu_percent"
    assert name not in samples(registry)  # over no time there is none
    now[0], process.spent = 110.0, 6.0
    assert samples(registry)[name] == 50.0
    now[0], process.spent = 110.1, 6.1
    assert samples(registry)[name] == 50.0  # a second scraper, at once
    now[0], process.spent = 120.0, 6.0
    assert samples(registry)[name] == 0.0


@pytest.mark.parametrize("missing", ["cpu_times", "memory_info", "num_threads", "num_fds", "create_time"])
def test_what_the_system_does_not_tell_is_left_out(missing: str) -> None:
    def refused() -> Any:
        raise psutil.AccessDenied

    process, whole = Process(), CollectorRegistry()
    whole.register(ProcessFigures(process))
    setattr(process, missing, refused)
    registry = CollectorRegistry()
    registry.register(ProcessFigures(process))
    assert set(samples(registry)) < {*samples(whole), "pywats_process_cpu_seconds_total"} | {
        "pywats_process_memory_bytes",
        "pywats_process_threads",
        "pywats_process_open_fds",
        "pywats_process_start_time_seconds",
    }
    assert 0.0 not in samples(registry).values()


def test_the_sdks_empty_gauges_are_gone_and_its_other_metrics_are_not() -> None:
    collector = MetricsCollector()
    assert samples(collector.registry)["pywats_process_memory_bytes"] == 0.0
    metrics = ServiceMetrics(collector)
    assert 0.0 not in [value for name, value in samples(metrics.registry).items() if "process" in name]
    assert "pywats_http_requests" in generate_latest(metrics.registry).decode()


def test_every_figure_is_documented() -> None:
    now, process, registry = [100.0], Process(), CollectorRegistry()
    registry.register(ProcessFigures(process, lambda: now[0]))
    now[0] = 110.0
    exported = {
        family.name + ("_total" if family.type == "counter" else ""): family.type for family in registry.collect()
    }
    page = (DOCS / "reference" / "metrics.md").read_text("utf-8")
    documented = dict(re.findall(r"^\| `(pywats_process_\w+)` \| (\w+) \| [^|]+ \|$", page, re.MULTILINE))
    assert documented == exported
