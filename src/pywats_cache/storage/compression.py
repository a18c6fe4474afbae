"""zstd for bodies beyond this process's memory, where it helps. Needs Python 3.14 or the extra `zstd`."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

from ..errors import StorageError
from .entry import StoredResponse

__all__ = ["expand", "is_available", "squeeze"]


@cache
def _module() -> Any:
    """The zstd module, loaded when there is first something to compress; None where there is none."""
    for name in ("compression.zstd", "backports.zstd"):  # of Python 3.14, and what brings it to older ones
        try:
            return import_module(name)
        except ImportError:
            continue
    return None


def is_available() -> bool:
    """Whether this Python can compress, and read what was compressed."""
    return _module() is not None


LEAST_BYTES = 4096
"""Smaller bodies fit a page or a packet anyway, and to expand one costs about 15 µs."""
LEAST_GAIN = 0.1
"""The part that must be saved, or every later read would pay for nothing."""
PROBE_BYTES = 64 << 10
LEVEL = 3
"""zstd's own default: about 300 MB/s, and 1 GB/s back."""


def squeeze(entry: StoredResponse) -> bytes | None:
    """The body of `entry` compressed, or None where that saves too little to be worth it."""
    raw, zstd = entry.raw, _module()
    if zstd is None or len(raw) < LEAST_BYTES:
        return None
    if len(raw) > 2 * PROBE_BYTES and len(zstd.compress(raw[:PROBE_BYTES], LEVEL)) > (1 - LEAST_GAIN) * PROBE_BYTES:
        return None  # an image, or encoded already: its beginning tells
    packed: bytes = zstd.compress(raw, LEVEL)
    return packed if len(packed) <= (1 - LEAST_GAIN) * len(raw) else None


def expand(packed: bytes, length: int) -> bytes:
    """The body of `length` bytes in `packed`. Raises StorageError for anything else, and expands no more than that."""
    zstd = _module()
    if zstd is None:
        raise StorageError("a compressed record: install pywats-cache[zstd]")
    try:
        raw: bytes = zstd.ZstdDecompressor().decompress(packed, max_length=length + 1)
    except zstd.ZstdError:
        raise StorageError("a damaged record: it does not decompress") from None
    if len(raw) != length:
        raise StorageError("a damaged record: it decompresses to another length")
    return raw
