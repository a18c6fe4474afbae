"""For tests of code that uses the cache: a clock to move and a simulated WATS server."""

from .clock import FakeClock
from .simulated_wats import SimulatedWATS

__all__ = ["FakeClock", "SimulatedWATS"]
