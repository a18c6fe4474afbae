"""Cache clients that may answer before they build a request."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from fast_path_clients import Make

from pywats_cache.testing import FakeClock


@pytest.fixture
def make(lib: SimpleNamespace, origin: Any, clock: FakeClock) -> Iterator[Make]:
    clients = []

    def make(*, cls: Any = None, **options: Any) -> Any:
        options = {"transport": origin.transport, "clock": clock, "base_url": "http://origin", **options}
        clients.append((cls or lib.CacheClient)(**options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def client(make: Make) -> Any:
    return make()
