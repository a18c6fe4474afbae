"""What is taken from the SDK's module `pywats.pywats`, whose type stub tells of an older version."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pywats
    from pywats.core.config import APISettings

__all__ = [
    "SyncProductServiceWrapper",
    "SyncServiceWrapper",
    "VendorWATS",
    "correlation_id_var",
    "with_retry",
]

_module: Any = importlib.import_module("pywats.pywats")

if TYPE_CHECKING:

    class VendorWATS(pywats.pyWATS):
        """The stub, with what it lacks."""

        _base_url: str
        _token: str
        _timeout: float
        _verify_ssl: bool
        _retry_config: Any
        _error_handler: Any
        _sync_config: Any

        def __init__(self, **options: Any) -> None: ...
        @property
        def settings(self) -> APISettings: ...  # noqa: D102

    class SyncServiceWrapper:
        """What has no stub."""

        _async: Any
        _config: Any

        def __init__(self, async_service: Any, config: Any = None) -> None: ...
        def __getattr__(self, name: str) -> Any: ...

    class SyncProductServiceWrapper(SyncServiceWrapper):
        """The same for the product service."""

else:
    VendorWATS = _module.pyWATS
    SyncServiceWrapper = _module.SyncServiceWrapper
    SyncProductServiceWrapper = _module.SyncProductServiceWrapper
correlation_id_var: ContextVar[str | None] = _module.correlation_id_var
with_retry: Callable[..., Callable[..., Any]] = _module._with_retry
