"""The command `pywats-cache` (extra `cli`).

It knows the public interface, stores and services that run. It must not decide anything about caching.
"""

from __future__ import annotations

import sys
from io import TextIOWrapper

__all__ = ["main"]


def main() -> None:
    """Run the command line. Exit codes: see `pywats-cache --help`."""
    try:
        from .app import app
    except ImportError as error:
        print(f"pywats-cache needs its extra (no {error.name}): pip install 'pywats-cache[cli]'", file=sys.stderr)
        sys.exit(2)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a Windows pipe has no arrow, nor most names of other languages
            stream.reconfigure(errors="replace")
    app()
