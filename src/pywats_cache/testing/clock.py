"""A clock that a test moves."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..errors import ConfigurationTypeError
from ..support.durations import FORMS, seconds_in
from ..support.showing import shown

if TYPE_CHECKING:
    from ..support.durations import Duration

__all__ = ["FakeClock"]


class FakeClock:
    """A clock that moves only when told to: `CacheTransport(clock=FakeClock())`.

    ```python
    clock = FakeClock()
    client = CacheClient(clock=clock)
    clock.advance(301)          # seconds, or "5m"; a negative number sets it back
    ```

    - `start`: seconds it shows first; `wall`: the time of day then, as `time.time()`, which RFC mode compares with
      dates in answers; None: now.
    """

    def __init__(self, start: float = 1000.0, *, wall: float | None = None) -> None:
        if isinstance(start, bool) or not isinstance(start, (int, float)):
            raise ConfigurationTypeError(f"start must be a number of seconds, not {shown(start)}")
        if wall is not None and (isinstance(wall, bool) or not isinstance(wall, (int, float))):
            raise ConfigurationTypeError(f"wall must be a number of seconds since 1970 or None, not {shown(wall)}")
        self._now = float(start)
        self._offset = (time.time() if wall is None else wall) - self._now

    def __call__(self) -> float:
        """The time, in seconds."""
        return self._now

    def wall(self) -> float:
        """The time of day, in seconds since 1970; it passes with the clock."""
        return self._now + self._offset

    def advance(self, seconds: Duration) -> None:
        """Let `seconds`, or another duration such as `"5m"`, pass."""
        passed = seconds_in(seconds)
        if isinstance(passed, bool) or not isinstance(passed, (int, float)):
            raise ConfigurationTypeError(f"seconds must be a number of seconds, {FORMS}, not {shown(seconds)}")
        self._now += passed

    def __repr__(self) -> str:
        return f"FakeClock({self._now!r})"
