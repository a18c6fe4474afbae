"""Python loads this at its start: a process that a simulated one has started is simulated too."""

from __future__ import annotations

import os

if os.environ.get("PYWATS_CACHE_WINDOWS_ROOT"):
    import windows_system

    windows_system.install()
