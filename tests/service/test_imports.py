"""The service is loaded when it is asked for, and not before."""

from __future__ import annotations

import subprocess
import sys


def test_the_clients_do_not_load_the_service() -> None:
    code = (
        "import sys, pywats_cache.wats as wats\n"
        "assert not {'pywats_client', 'PySide6', 'uvicorn'} & set(sys.modules)\n"
        "wats.AsyncClientService, wats.ClientConfig\n"
        "assert 'PySide6.QtWidgets' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
