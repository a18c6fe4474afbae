"""The station service, which needs the extra `service` (nox session of the same name)."""

from __future__ import annotations

import importlib.util

collect_ignore_glob = [] if importlib.util.find_spec("PySide6") and importlib.util.find_spec("uvicorn") else ["test_*"]
