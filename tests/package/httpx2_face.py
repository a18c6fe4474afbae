"""Writes `pywats_cache/httpx2.py` from `pywats_cache/httpx.py`, so that nothing is decided twice.

`python tests/package/httpx2_face.py` writes it anew; with `--check` it only says whether that is due (`nox -s lint`).
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "pywats_cache"
SOURCE, FACE = PACKAGE / "httpx.py", PACKAGE / "httpx2.py"
MARK = "# Written by tests/package/httpx2_face.py from httpx.py: change that, and run it.\n"


def face(source: str) -> str:
    """What httpx2.py must be, if httpx.py is `source`."""
    head = '"""The transports and clients on httpx."""\n'
    assert source.startswith(head), "httpx.py must begin with its docstring"
    text = source.removeprefix(head)
    text = re.sub(r"(?<![.\w])httpx(?!\w)", "httpx2", text)
    text, found = re.subn(
        r"^import httpx2\n(from httpx2\._client import .*\n)from httpx2\._content import encode_json\n",
        "from .support.lazy import needs\n\n"
        "try:\n    import httpx2\n    \\1    from httpx2._content import encode_json\n"
        'except ModuleNotFoundError as _error:\n    raise needs("httpx2", _error) from None\n',
        text,
        flags=re.MULTILINE,
    )
    assert found == 1, "httpx.py must import httpx, its bound streams and its encode_json in three lines"
    text = text.replace('__module__ = "pywats_cache"', '__module__ = "pywats_cache.httpx2"')
    return (
        '"""The transports and clients on httpx2, the living fork of httpx. '
        'The same engine, storage and rules serve both."""\n\n' + MARK + text
    )


def main(arguments: list[str]) -> int:
    """Write the face, or with `--check` compare it. Returns the exit code."""
    wanted = face(SOURCE.read_text("utf-8"))
    if FACE.read_text("utf-8") == wanted:
        return 0
    if "--check" in arguments:
        print("httpx2.py is not what httpx.py makes it: run python tests/package/httpx2_face.py", file=sys.stderr)
        return 1
    FACE.write_text(wanted, "utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
