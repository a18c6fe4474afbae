"""The SDK's metrics of a service: requests by route instead of by URL, real figures of the process, and the cache's."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ..rules import wats_controller
from .process_figures import ProcessFigures

__all__ = ["ServiceMetrics"]


_OF_THE_SDK = ("process_cpu_percent", "process_memory_bytes", "process_threads")


class _ByRoute:
    """A metric of the SDK whose label `endpoint` takes the patterns of the WATS routes for values.

    The SDK puts the URL there, so that every part number asked for would make a series of its own, for ever.
    """

    def __init__(self, metric: Any) -> None:
        self._metric = metric
        self._controller = wats_controller()

    def labels(self, **labels: str) -> Any:
        path = labels["endpoint"].partition("?")[0]
        rule = self._controller.decide(labels["method"].upper(), path).rule
        return self._metric.labels(**{**labels, "endpoint": "other" if rule == "unmatched" else rule})


class ServiceMetrics:
    """Looks like the SDK's `MetricsCollector`, and is one but for its labels."""

    def __init__(self, collector: Any) -> None:
        self._collector = collector
        self.registry: Any = collector.registry
        self._show_process()
        self.http_requests_total: _ByRoute = _ByRoute(collector.http_requests_total)
        self.http_request_duration_seconds: _ByRoute = _ByRoute(collector.http_request_duration_seconds)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collector, name)

    def _show_process(self) -> None:
        for name in _OF_THE_SDK:
            gauge = getattr(self._collector, name, None)
            if gauge is not None:
                self.registry.unregister(gauge)
        try:
            psutil = import_module("psutil")
        except ImportError:
            return
        self.registry.register(ProcessFigures(psutil.Process()))

    def watch(self, api: Any, name: str) -> None:
        """Show the cache of `api`, or that it is off."""
        from ...metrics import unwatch, watch

        if api.cache is None:
            unwatch(name, self.registry)
        else:
            watch(api, name, self.registry)

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        from prometheus_client import generate_latest

        return generate_latest(self.registry)
