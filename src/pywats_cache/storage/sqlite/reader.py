"""A store in a SQLite file, looked at from outside."""

from __future__ import annotations

import os
from collections.abc import Iterator
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import MissingStoreError, StorageError
from ...support.showing import shown_path
from .database import reading
from .install_key import install_key
from .ledger import look
from .records import VERSION
from .store_files import LEDGER, RECORDS, database_state, part, resolved

if TYPE_CHECKING:
    from ..shared.backend import Delta

__all__ = ["SqliteLook"]

PATIENCE = 5.0
"""Seconds to wait for another process's lock; nobody's request waits for this."""
BATCH = 100
"""Records read in one transaction: a long one would keep the log of the database from being taken over."""
_PARTS = ("", "-wal", "-shm", "-ledger", "-ledger-wal", "-ledger-shm", "-epoch", "-key")


class SqliteLook:
    """The store at `path`; `bounds` are those of its URL. See `Look`."""

    kind = "sqlite"
    of_one_machine = True

    def __init__(self, path: str, bounds: dict[str, Any]) -> None:
        self._path: Path = resolved(path)
        self._bounds = bounds
        self.rows: Any = self
        try:
            self._check_files()
            self.secret: bytes | None = install_key(self._with("-key"))
        except OSError as error:
            raise StorageError(f"{shown_path(error.filename)} cannot be read ({error.strerror})") from error
        self._totals = self._read("SELECT entries, bytes FROM totals")[0]
        self.delta: Delta = look(self._path, PATIENCE)

    def _check_files(self) -> None:
        store = shown_path(self._path)
        if database_state(self._path, RECORDS) in ("missing", "empty"):
            raise MissingStoreError(f"there is no store at {store}")
        for name in (self._with("-ledger"), self._with("-key")):
            if not name.is_file():
                raise MissingStoreError(f"the store at {store} is not complete: {shown_path(name.name)} is missing")
        database_state(self._with("-ledger"), LEDGER)

    def _with(self, suffix: str) -> Path:
        return part(self._path, suffix)

    def _read(self, statement: str, *parameters: object) -> list[Any]:
        with reading(self._path, RECORDS, VERSION, PATIENCE) as connection:
            return connection.execute(statement, parameters).fetchall()

    def get(self, key: str) -> list[tuple[str, bytes]]:
        """The variants of `key` and their data."""
        return self._read("SELECT variant, data FROM records WHERE key = ?", key)

    def count(self) -> int:
        """Records there are."""
        return int(self._totals[0])

    def records(self) -> Iterator[tuple[str, bytes]]:
        """All records, in the order of their names."""
        last = ""
        while batch := self._read(
            "SELECT variant, data FROM records WHERE variant > ? ORDER BY variant LIMIT ?", last, BATCH
        ):
            yield from batch
            last = batch[-1][0]

    def figures(self) -> dict[str, Any]:
        """Its files, and its bounds where the URL says them: they are those of the processes, not of the file."""
        files = [path for path in map(self._with, _PARTS) if path.exists()]
        aside = sorted(path.name for path in self._path.parent.glob(f"{escape(self._path.name)}*.aside-*"))
        return {
            "path": str(self._path),
            "file_bytes": sum(path.stat().st_size for path in files),
            "counted_bytes": int(self._totals[1]),
            "max_entries": self._bounds.get("max_entries"),
            "max_bytes": self._bounds.get("max_bytes"),
            "set_aside": [name for name in aside if not name.endswith(("-wal", "-shm"))],
            "readable_by_others": [path.name for path in files if os.name == "posix" and path.stat().st_mode & 0o077],
        }

    def close(self) -> None:
        """Nothing stays open."""
