"""The key of the digests of one install: 32 random bytes in a file that only its owner reads."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from ...errors import StorageError
from ...support.files import remove
from .files import BINARY, put_in_place
from .store_files import KEY_BYTES

__all__ = ["KEY_BYTES", "install_key"]


def install_key(path: Path) -> bytes:
    """The key in `path`, made there if there is none: complete at once, mode 0600, the same for every process.

    Raises OSError, or StorageError for a file that holds no key.
    """
    if not path.exists():
        _make(path)
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise StorageError(f"{path.name} must hold {KEY_BYTES} bytes, not {len(key)}: remove it")
    return key


def _make(path: Path) -> None:
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | BINARY, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        put_in_place(draft, path)
    finally:
        remove(draft)
