"""The clients of the WATS server with the cache mounted (extra `wats`): change the import, nothing else.

```python
from pywats_cache import pyWATS

api = pyWATS(base_url="https://wats.example", token="…")
```
"""

from .clients import AsyncWATS, pyWATS
from .http import AsyncHttpClient, HttpClient
from .limits import AsyncLimitedTransport, LimitedTransport
from .routes import ROUTES, Route
from .rules import wats_controller, wats_rules

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
