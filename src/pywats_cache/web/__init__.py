"""A cache over HTTP: its figures, its entries, and what an operator may do with it (starlette and uvicorn).

It knows clients and their figures. It must not know the engine, the SDK, or an HTTP library.

The client service and `pywats-cache serve` listen with it; the command line asks it. In a program of yours:

```python
from pywats_cache.web import serve

listener = serve(client, port=8080)     # in a thread, on loopback
```
"""

from ..support.lazy import needs

try:
    from .app import build_app
    from .guard import Guard
    from .launch import serve
    from .serving import Listener
    from .subject import Subject
except ModuleNotFoundError as _error:
    raise needs("web", _error) from None

__all__ = ["Guard", "Listener", "Subject", "build_app", "serve"]
