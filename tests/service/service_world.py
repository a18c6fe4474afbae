"""The station service, running, and a client of its HTTP face."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from pywats_cache.wats import AsyncClientService

__all__ = ["running"]


@asynccontextmanager
async def running(path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Any, httpx.AsyncClient]]:
    """The service, started, and a client of its HTTP face."""
    monkeypatch.setenv("PYWATS_CACHE_TOKEN", "hush")
    service = AsyncClientService(f"test-{os.getpid()}", path, health_port=0)
    await service.start()
    try:
        async with httpx.AsyncClient(base_url=service.url) as http:
            yield service, http
    finally:
        await service.stop()
