"""Figures for Prometheus (extra `prometheus`) and attributes for OpenTelemetry spans (`metrics.tracing`).

It reads snapshots of figures. It must not know anything on the way of a request.

```python
from pywats_cache.metrics import watch

watch(client, "station")          # any CacheClient, CacheTransport, pyWATS or AsyncWATS
prometheus_client.start_http_server(9100, addr="127.0.0.1")
```
"""

from typing import TYPE_CHECKING

from ..support.lazy import lazy

if TYPE_CHECKING:
    from .multiprocess import Publisher
    from .prometheus import CacheCollector, unwatch, watch

__all__ = ["CacheCollector", "Publisher", "unwatch", "watch"]

# PEP 562: `metrics.tracing` needs no prometheus-client.
_LAZY = {
    "CacheCollector": ".prometheus",
    "Publisher": ".multiprocess",
    "unwatch": ".prometheus",
    "watch": ".prometheus",
}

if not TYPE_CHECKING:
    __getattr__ = lazy(__name__, _LAZY, extra="prometheus")
