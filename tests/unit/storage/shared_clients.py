"""What the tests of SharedStorage have in common; its fixtures are in conftest.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pywats_cache import Controller

Make = Callable[..., Any]
TOKEN = "Bearer s3cr3t-t0k3n-of-the-test"
RFC = Controller(rfc9111=True)
POSTED = {"cache-control": "max-age=60", "content-location": "/a"}


def status(response: Any) -> str:
    return str(response.extensions["pywats_cache"].status)
