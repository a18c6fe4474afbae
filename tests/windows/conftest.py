"""`inside` runs only where Windows is simulated; `test_simulated_windows.py` sees to that."""

from __future__ import annotations

import sys

collect_ignore_glob = ["test_simulated_windows.py" if "windows_system" in sys.modules else "inside/*"]
