"""What the process of the service takes of its computer, read when it is scraped (`pywats_process_…`)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

__all__ = ["ProcessFigures"]

_LEAST = 1.0
"""Seconds over which the CPU is measured at least: over less, the clock of the system is too rough."""


class ProcessFigures:
    """A collector for prometheus-client. What the system does not tell is left out.

    It takes the place of the SDK's gauges of the same names, which nobody sets, so that they say 0 for ever.

    - `process`: as `psutil.Process`; `clock`: seconds.
    """

    def __init__(self, process: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self._process = process
        self._clock = clock
        self._lock = threading.Lock()
        self._since, self._spent = clock(), self._cpu_seconds() or 0.0
        self._percent: float | None = None

    def describe(self) -> list[Any]:
        """Nothing: what there is, is known when it is read."""
        return []

    def collect(self) -> Iterator[Any]:
        """The figures of now."""
        core = import_module("prometheus_client.core")
        spent = self._cpu_seconds()
        if spent is not None:
            yield core.CounterMetricFamily(
                "pywats_process_cpu_seconds", "CPU seconds of the process, user and system", value=spent
            )
            percent = self._percent_of_late(spent)
            if percent is not None:
                yield core.GaugeMetricFamily(
                    "pywats_process_cpu_percent",
                    "CPU of the process since the last scrape, in percent of one CPU",
                    value=percent,
                )
        for name, text, read in (
            ("memory_bytes", "Resident memory of the process in bytes", lambda: self._process.memory_info().rss),
            ("threads", "Number of threads of the process", self._process.num_threads),
            ("open_fds", "Number of open file descriptors of the process", self._descriptors),
            ("start_time_seconds", "Start of the process, in seconds since 1970", self._process.create_time),
        ):
            value = _read(read)
            if value is not None:
                yield core.GaugeMetricFamily(f"pywats_process_{name}", text, value=value)

    def _cpu_seconds(self) -> float | None:
        def read() -> float:
            times = self._process.cpu_times()
            return float(times.user + times.system)

        return _read(read)

    def _percent_of_late(self, spent: float) -> float | None:
        """Since the scrape before; of two that follow at once, the second one gets what the first one got."""
        with self._lock:
            now = self._clock()
            if now - self._since >= _LEAST:
                self._percent = 100.0 * max(0.0, spent - self._spent) / (now - self._since)
                self._since, self._spent = now, spent
            return self._percent

    def _descriptors(self) -> float:
        return float(self._process.num_fds())  # Windows has none


def _read(read: Callable[[], float]) -> float | None:
    try:
        return float(read())
    except Exception:  # noqa: BLE001 - psutil's own errors, and those of the system; a scrape shows the rest
        return None
