"""A clock that a test moves."""

from __future__ import annotations

from ..errors import ConfigurationTypeError

__all__ = ["FakeClock"]


class FakeClock:
    """Time that passes only when told: `CacheTransport(clock=FakeClock())`.

    ```python
    clock = FakeClock()
    client = CacheClient(clock=clock)
    clock.advance(301)          # seconds; a negative number sets it back
    ```
    """

    def __init__(self, start: float = 1000.0) -> None:
        if isinstance(start, bool) or not isinstance(start, (int, float)):
            raise ConfigurationTypeError(f"start must be a number of seconds, not {start!r}")
        self._now = float(start)

    def __call__(self) -> float:
        """The time, in seconds."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self._now += seconds

    def __repr__(self) -> str:
        return f"FakeClock({self._now!r})"
