"""For tests of code that uses the cache: a clock to move and a simulated WATS server.

It knows the public interface. It must not be needed by anything but tests and demonstrations.
"""

from .clock import FakeClock
from .simulated_wats import SimulatedWATS

__all__ = ["FakeClock", "SimulatedWATS"]
