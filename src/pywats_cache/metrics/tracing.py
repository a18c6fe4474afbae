"""What the cache did, as attributes of the current OpenTelemetry span (extra `opentelemetry`).

```python
client = httpx.Client(transport=CacheTransport(), event_hooks={"response": [annotate]})
client = httpx.AsyncClient(transport=AsyncCacheTransport(), event_hooks={"response": [annotate_async]})
```
An instrumentation of httpx that has response hooks of its own can call `annotate` there too. A client with event
hooks gets no lookups, so its hits cost what httpx's own work costs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..support.lazy import needs
from ..telemetry.outcome import EXTENSION

try:
    from opentelemetry import trace
except ModuleNotFoundError as _error:
    raise needs("opentelemetry", _error) from None

if TYPE_CHECKING:
    from ..support.http_types import HttpResponse

__all__ = ["annotate", "annotate_async"]


def annotate(response: HttpResponse) -> None:
    """Set `pywats_cache.status`, `.reason`, `.rule`, `.age` (seconds, where known) and `.stored` on the current span.

    Does nothing without an outcome or without a recording span. No URL and no key is set.
    """
    outcome = response.extensions.get(EXTENSION)
    span = trace.get_current_span()
    if outcome is None or not span.is_recording():
        return
    span.set_attribute("pywats_cache.status", outcome.status)
    span.set_attribute("pywats_cache.reason", outcome.reason)
    if outcome.age is not None:
        span.set_attribute("pywats_cache.age", outcome.age)
    span.set_attribute("pywats_cache.stored", outcome.stored)
    if outcome.rule is not None:
        span.set_attribute("pywats_cache.rule", outcome.rule)


async def annotate_async(response: HttpResponse) -> None:
    """The same for the event hooks of an async client."""
    annotate(response)
