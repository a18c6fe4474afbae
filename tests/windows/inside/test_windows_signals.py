"""What ends a program under Windows: Ctrl+C, Ctrl+Break, and a console that is closed; the last two are SIGBREAK."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import httpx
import pytest


@pytest.mark.parametrize("name", ["SIGBREAK", "SIGINT"])
def test_the_page_ends_in_order(name: str) -> None:
    code = "import sys; from pywats_cache.cli import main; sys.argv[0] = 'pywats-cache'; main()"
    arguments = ["serve", "--demo", "--port", "0", "--json"]
    with subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            text = ""
            while not text.rstrip().endswith("}"):
                text += process.stdout.readline().decode()
            document = json.loads(text)
            assert httpx.get(f"{document['url']}/cache").status_code == 200
            process.send_signal(getattr(signal, name))
            assert process.wait(60.0) == 0
        finally:
            process.kill()
    assert os.name == "nt"
