"""Run tests as under Windows: `python -m pytest -p tests.windows.plugin tests/unit/storage`.

What Windows does not let a test do itself (to remove a file that is open, to fork) skips it, and says so.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "system"))

import windows_system

windows_system.install()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """While a test runs, what it may not do skips it; at import it gets the error, to ask what there is."""
    windows_system.own_doing = pytest.skip
    try:
        return (yield)
    finally:
        windows_system.own_doing = None
