"""What is taken from the SDK's module `pywats.pywats`, whose type stub tells of an older version."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

__all__ = [
    "SyncProductServiceWrapper",
    "SyncServiceWrapper",
    "VendorWATS",
    "correlation_id_var",
    "with_retry",
]

_module: Any = importlib.import_module("pywats.pywats")

VendorWATS: Any = _module.pyWATS
SyncServiceWrapper: Any = _module.SyncServiceWrapper
SyncProductServiceWrapper: Any = _module.SyncProductServiceWrapper
correlation_id_var: ContextVar[str | None] = _module.correlation_id_var
with_retry: Callable[..., Callable[..., Any]] = _module._with_retry
