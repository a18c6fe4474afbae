"""The part of an example that needs the extra `service`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "client" / "configuration.py"


def test_the_station_file_is_loaded_checked_and_repaired() -> None:
    result = subprocess.run(
        [sys.executable, str(SCRIPT)], check=False, capture_output=True, encoding="utf-8", timeout=60
    )
    assert result.returncode == 0, result.stderr
    assert "ClientConfig.load(): cache_ttl_seconds=600, cache_max_size=200" in result.stdout
    assert "config['cache_max_size'] = 0: cache_max_size must be a whole number >= 1, not 0" in result.stdout
    assert "after repair(): cache_ttl_seconds=300" in result.stdout
