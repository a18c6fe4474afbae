"""What the tests of SharedStorage have in common; its fixtures are in conftest.py."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pywats_cache import Controller

Make = Callable[..., Any]
TOKEN = "Bearer s3cr3t-t0k3n-of-the-test"
RFC = Controller(rfc9111=True)
POSTED = {"cache-control": "max-age=60", "content-location": "/a"}


def snapshot(directory: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """What is in `directory`: of each file its inode, mode, date of its last change, and content."""
    found = {}
    for path in directory.iterdir():
        now = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(now.st_mode) else b""
        found[path.name] = (now.st_ino, now.st_mode, now.st_mtime_ns, content)
    return found


def status(response: Any) -> str:
    return str(response.extensions["pywats_cache"].status)
