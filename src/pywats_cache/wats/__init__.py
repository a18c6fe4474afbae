"""The clients of the WATS server with the cache mounted (extra `wats`): change the import, nothing else.

```python
from pywats_cache import pyWATS

api = pyWATS(base_url="https://wats.example", token="…")
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazy, needs

try:
    from .clients import AsyncWATS, pyWATS
    from .http import AsyncHttpClient, HttpClient
    from .limits import AsyncLimitedTransport, LimitedTransport
    from .routes import ROUTES, Route
    from .rules import wats_controller, wats_rules
except ModuleNotFoundError as _error:
    raise needs("wats", _error) from None

if TYPE_CHECKING:
    from .config import ClientConfig as ClientConfig
    from .service import AsyncClientService as AsyncClientService

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
_LAZY = {"AsyncClientService": ".service", "ClientConfig": ".config"}


if not TYPE_CHECKING:
    __getattr__ = lazy(__name__, _LAZY, extra="service")
