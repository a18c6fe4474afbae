"""No test may hang: one that takes longer than its limit ends the run, with the stack of every thread.

The limit is in seconds, `PYWATS_CACHE_TEST_LIMIT` or 600; 0 is none. It holds for a test with its fixtures, and for the
end of the process after the last one. Under pytest-xdist only the worker ends, and its test counts as failed.
"""

from __future__ import annotations

import faulthandler
import os
import sys
from collections.abc import Iterator

import pytest

DEFAULT = 600.0
THOROUGH = 10  # times as long for HYPOTHESIS_PROFILE=thorough


class TimeLimit:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        # As it is before pytest captures it, for what is written to it later must be seen.
        self._stderr = os.dup(sys.__stderr__.fileno()) if sys.__stderr__ is not None else 2

    def _begin(self) -> None:
        faulthandler.dump_traceback_later(self._seconds, exit=True, file=self._stderr)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self) -> Iterator[None]:
        self._begin()
        try:
            return (yield)
        finally:
            faulthandler.cancel_dump_traceback_later()

    @pytest.hookimpl(trylast=True)
    def pytest_exception_interact(self) -> None:
        self._begin()  # pytest has just cancelled it, and the fixtures are yet to be left

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        self._begin()  # a thread may keep the process from ending


def pytest_configure(config: pytest.Config) -> None:
    thorough = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
    seconds = float(os.environ.get("PYWATS_CACHE_TEST_LIMIT", DEFAULT * (THOROUGH if thorough else 1)))
    if seconds and not config.getoption("usepdb", False):
        config.pluginmanager.register(TimeLimit(seconds), "time-limit")
