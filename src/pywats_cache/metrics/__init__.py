"""Figures for Prometheus (extra `prometheus`) and attributes for OpenTelemetry spans (`metrics.tracing`).

```python
from pywats_cache.metrics import watch

watch(client, "station")          # any CacheClient, CacheTransport, pyWATS or AsyncWATS
prometheus_client.start_http_server(9100, addr="127.0.0.1")
```
"""

from .multiprocess import Publisher
from .prometheus import CacheCollector, unwatch, watch

__all__ = ["CacheCollector", "Publisher", "unwatch", "watch"]
