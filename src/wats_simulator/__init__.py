"""A simulated WATS server on loopback, for tests and demonstrations: `pywats_cache.testing.SimulatedWATS`.

It knows the WATS server's routes and documents. It must not know anything of a cache.
"""

from .simulator import SimulatedWATS

__all__ = ["SimulatedWATS"]
