"""prometheus_client's multiprocess mode: each process writes its figures where the one that is scraped reads them."""

from __future__ import annotations

import atexit
import logging
import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from prometheus_client import values

from ..support.checks import seconds
from ..support.fork import renew_in_child

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

    from ..support.durations import Duration

__all__ = ["Publisher"]

logger: logging.Logger = logging.getLogger("pywats_cache.metrics.multiprocess")

EVERY = 5.0
"""Seconds between two writings."""


class Publisher:
    """Writes the figures of a collector to the files of `PROMETHEUS_MULTIPROC_DIR`, for a `MultiProcessCollector`.

    A collector is asked only in the process that is scraped, so in this mode each process has to write by itself:
    every `every` seconds in a daemon thread, at exit, and at each call of `publish`. Counters of processes that ended
    stay, gauges go with `prometheus_client.multiprocess.mark_process_dead`. A forked child goes on by itself.
    """

    def __init__(self, collector: Collector, every: Duration = EVERY) -> None:
        self._collector = collector
        self._every = seconds("every", every, positive=True)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._values: dict[tuple[Any, ...], Any] = {}
        self._gauges: set[tuple[Any, ...]] = set()
        renew_in_child(self)
        atexit.register(self.publish)

    def start(self) -> None:
        """Start the thread that publishes."""
        threading.Thread(target=self._run, args=(self._stop,), name="pywats-cache-metrics", daemon=True).start()

    def stop(self) -> None:
        """Publish once more, and end the thread."""
        self._stop.set()
        self.publish()

    def _run(self, stop: threading.Event) -> None:
        while not stop.wait(self._every):
            self.publish()

    def _renew(self) -> None:
        running = not self._stop.is_set()
        self._lock, self._stop = threading.Lock(), threading.Event()
        if running:
            self.start()

    def publish(self) -> None:
        """Write all figures as they are now. A failure (a full disk) is logged, not raised."""
        try:
            with self._lock:
                gone = set(self._gauges)
                for metric in self._collector.collect():
                    for kind, name, labels, value in _samples(metric):
                        key = (name, *labels.items())
                        gone.discard(key)
                        self._value(key, metric, kind, name, labels).set(value)
                for key in gone:  # of a client that is no more: what it held is free; what it counted stays counted
                    self._values[key].set(0.0)
        except Exception as error:  # noqa: BLE001 - metrics never fail a program
            logger.warning("publishing metrics failed: %s", type(error).__name__)

    def _value(self, key: tuple[Any, ...], metric: Any, kind: str, name: str, labels: dict[str, str]) -> Any:
        value = self._values.get(key)
        if value is None:
            if kind == "gauge":
                self._gauges.add(key)
            value = self._values[key] = values.ValueClass(
                kind,
                metric.name,
                name,
                tuple(labels),
                tuple(labels.values()),
                metric.documentation,
                multiprocess_mode="livesum" if kind == "gauge" else "",
            )
        return value


def _samples(metric: Any) -> Iterator[tuple[str, str, dict[str, str], float]]:
    """Type, name, labels and value of each sample as the files have them: buckets without those below, no count."""
    below: dict[tuple[str, ...], float] = {}
    samples: Iterable[Any] = metric.samples
    for sample in samples:
        labels, value = dict(sample.labels), sample.value
        if metric.type == "histogram":
            if sample.name.endswith("_count"):
                continue
            if "le" in labels:
                series = tuple(text for name, text in labels.items() if name != "le")
                value, below[series] = value - below.get(series, 0.0), value
        yield metric.type, sample.name, labels, value
