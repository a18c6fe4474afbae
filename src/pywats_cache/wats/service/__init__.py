"""The SDK's client service with the cache: `AsyncClientService` and its `ClientConfig` (extra `service`).

It knows the vendor's service and its configuration file. It must not decide anything about caching.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...support.lazy import lazy

if TYPE_CHECKING:
    from .config import ClientConfig as ClientConfig
    from .service import AsyncClientService as AsyncClientService
    from .service import main as main
    from .service import run_service as run_service

_LAZY = {
    "AsyncClientService": ".service",
    "ClientConfig": ".config",
    "main": ".service",
    "run_service": ".service",
}

if not TYPE_CHECKING:  # to a type checker every name would be there then
    __getattr__ = lazy(__name__, _LAZY)


def __dir__() -> list[str]:
    return sorted(_LAZY)
