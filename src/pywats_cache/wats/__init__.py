"""The clients of the WATS server with the cache mounted (extra `wats`): change the import, nothing else.

It knows the SDK and mounts the transports from outside. It must not know the engine, nor what it stores.

```python
from pywats_cache import pyWATS

api = pyWATS(base_url="https://wats.example", token="…")
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..support.lazy import lazy, needs

try:
    from .clients import AsyncWATS, pyWATS
    from .http_clients import AsyncHttpClient, HttpClient
    from .limiting import AsyncLimitedTransport, LimitedTransport
    from .routes import ROUTES, Route
    from .rules import wats_controller, wats_rules
except ModuleNotFoundError as _error:
    raise needs("wats", _error) from None

if TYPE_CHECKING:
    from .service.config import ClientConfig as ClientConfig
    from .service.service import AsyncClientService as AsyncClientService

__all__ = [
    "ROUTES",
    "AsyncHttpClient",
    "AsyncLimitedTransport",
    "AsyncWATS",
    "HttpClient",
    "LimitedTransport",
    "Route",
    "pyWATS",
    "wats_controller",
    "wats_rules",
]

# PEP 562: the station service imports Qt, and most have no use for it (extra `service`).
_LAZY = {"AsyncClientService": ".service.service", "ClientConfig": ".service.config"}


if not TYPE_CHECKING:
    __getattr__ = lazy(__name__, _LAZY, extra="service")
