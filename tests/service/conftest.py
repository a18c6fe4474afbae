"""The station service, which needs the extra `service` (nox session of the same name)."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

from pywats_cache.testing import SimulatedWATS

collect_ignore_glob = [] if importlib.util.find_spec("PySide6") and importlib.util.find_spec("uvicorn") else ["test_*"]


@pytest.fixture
def wats() -> Iterator[SimulatedWATS]:
    with SimulatedWATS() as server:
        yield server
