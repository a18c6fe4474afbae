"""The collector for Prometheus: it reads the figures of the caches when it is scraped, and costs nothing else."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.utils import floatToGoString
from prometheus_client.values import ValueClass

from ..diagnostics.snapshot import Figures, measure
from ..errors import ConfigurationError, ConfigurationTypeError
from ..support.checks import text
from ..support.showing import shown
from ..transport.base import Mounted
from .families import HISTOGRAM, OF_CLIENT, OF_STORAGE, Family

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

    from ..engine.engine import Engine

    _Base = Collector
else:
    _Base = object

__all__ = ["CacheCollector", "engine_of", "unwatch", "watch"]

_MARK = "pywats_cache_requests"
_registering = threading.Lock()


def watch(client: Any, name: str = "default", registry: CollectorRegistry = REGISTRY) -> CacheCollector:
    """Report the figures of `client` under the label `client=name` from now on.

    - `client`: a `CacheTransport`, a `CacheClient`, a `pyWATS`, the async ones, or anything else with a `.cache`.
      It is not kept alive; its figures end with it.
    - `name`: if it is used again, the new client replaces the old one, so a reload needs nothing else.

    All clients of a registry share one collector, which this returns. In prometheus_client's multiprocess mode the
    figures are also published for the other processes every few seconds (see `Publisher`).

    Raises ConfigurationError or ConfigurationTypeError.
    """
    if not text("name", name, "station"):
        raise ConfigurationError("name must not be empty")
    engine = engine_of(client)
    with _registering:
        collector = _registered(registry)
        collector._watched[name] = weakref.ref(engine)
        if getattr(ValueClass, "_multiprocess", False) and collector.publisher is None:
            from .multiprocess import Publisher

            collector.publisher = Publisher(collector)
            collector.publisher.start()
    return collector


def unwatch(name: str = "default", registry: CollectorRegistry = REGISTRY) -> None:
    """Stop reporting `name`; nothing happens if it was not reported."""
    with _registering:
        _registered(registry)._watched.pop(name, None)


def engine_of(client: Any) -> Engine:
    """The engine below a transport or client. Raises ConfigurationTypeError where there is none."""
    mounted = client if isinstance(client, Mounted) else getattr(client, "cache", None)
    if not isinstance(mounted, Mounted):
        raise ConfigurationTypeError(
            f"client must be a cache transport or a client with its cache on, not {shown(client)}"
        )
    return mounted._engine


def _registered(registry: CollectorRegistry) -> CacheCollector:
    """The collector of `registry`; one that a reloaded module left behind is taken over."""
    there = getattr(registry, "_names_to_collectors", {}).get(_MARK)
    if isinstance(there, CacheCollector):
        return there
    collector = CacheCollector()
    if there is not None:
        collector._watched.update(getattr(there, "_watched", {}))
        registry.unregister(there)
    registry.register(collector)
    return collector


class CacheCollector(_Base):
    """Reads the figures of the watched caches when it is scraped. Register it by `watch`.

    Labels take few values: `client` those given to `watch`; `rule` the patterns of the controller (at most 256);
    `outcome`, `reason` and `cause` those of fixed lists. No URL, credential or part number is ever one.
    """

    def __init__(self) -> None:
        self._watched: dict[str, weakref.ref[Engine]] = {}
        self.publisher: Any = None

    def figures(self) -> dict[str, Figures]:
        """The figures of each client by its name."""
        engines = {name: reference() for name, reference in list(self._watched.items())}
        return {name: measure(engine) for name, engine in engines.items() if engine is not None}

    def describe(self) -> Iterator[Any]:
        """The families without samples, so that a registry can tell that nobody else uses the names."""
        return self._families({})

    def collect(self) -> Iterator[Any]:
        """The families with the figures as they are now."""
        return self._families(self.figures())

    def _families(self, figures: dict[str, Figures]) -> Iterator[Any]:
        for family in OF_CLIENT:
            yield _metric(family, figures)
        storages: dict[int, str] = {}
        for name, of_client in figures.items():
            storages.setdefault(of_client.storage_id, name)
        once = {name: figures[name] for name in storages.values()}
        for family in OF_STORAGE:
            yield _metric(family, once)
        histogram = HistogramMetricFamily(*HISTOGRAM, labels=("client",))
        for name, of_client in figures.items():
            histogram.add_metric((name,), *_buckets(of_client))
        yield histogram


def _metric(family: Family, figures: dict[str, Figures]) -> Any:
    kind: Any = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = kind(family.name, family.help, labels=("client", *family.labels))
    for name, of_client in figures.items():
        for labels, value in family.read(of_client):
            metric.add_metric((name, *labels), value)
    return metric


def _buckets(figures: Figures) -> tuple[list[tuple[str, float]], float]:
    """The buckets as Prometheus wants them, each with all below it, and the sum."""
    bounds = [*map(floatToGoString, figures.origin_bounds), "+Inf"]
    buckets: list[tuple[str, float]] = []
    so_far = 0
    for bound, count in zip(bounds, figures.origin_buckets, strict=True):
        so_far += count
        buckets.append((bound, float(so_far)))
    return buckets, figures.origin_seconds
