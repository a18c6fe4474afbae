"""For tests of code that uses the cache: a clock to move and a simulated WATS server.

It knows the public interface. It must not be needed by anything but tests and demonstrations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..support.lazy import lazy
from .clock import FakeClock

if TYPE_CHECKING:
    from wats_simulator import SimulatedWATS as SimulatedWATS

__all__ = ["FakeClock", "SimulatedWATS"]

if not TYPE_CHECKING:  # a server of 4,000 lines, which a test with a clock does not need
    __getattr__ = lazy(__name__, {"SimulatedWATS": "wats_simulator"})


def __dir__() -> list[str]:
    return sorted(__all__)
