"""Memory in front of a SQLite file that any number of processes share: `storage="sqlite:///cache.db"`."""

from __future__ import annotations

from pathlib import Path

from ...errors import ConfigurationError, ConfigurationTypeError, StorageError
from ...support.checks import whole
from ...support.showing import looks_like_url, shown, shown_path
from ..memory import MemoryStorage
from ..shared.base import REVALIDATE_FOR, SharingStorage
from .install_key import install_key
from .ledger import SqliteLedger
from .records import SqliteRecords
from .store_files import check_store, part, resolved

__all__ = ["SharedStorage"]


class SharedStorage(SharingStorage):
    """Memory first, then the SQLite file at `path`, shared by sync and async transports and by processes.

    - `path`: the records; beside it `<path>-ledger` (epoch, dirtied tags, open writes), `<path>-epoch` (the epoch,
      memory-mapped) and `<path>-key` (the key of the digests). All are made with mode 0600. `~` is expanded, and
      symbolic links are followed, so that all names of a file are one store. The directory must be there, and on this
      machine: neither the lock of SQLite nor shared memory reaches over a network.
    - `memory`: the hot part; None: a `MemoryStorage()`. It belongs to this storage from now on.
    - `max_entries`, `max_bytes`: bounds of the file.
    - `revalidate_for`: seconds past its TTL for which a response with a validator is kept to be revalidated by a
      conditional request; a day by default.

    A write is seen by every process at its next request. What is stored holds no credential and no query.

    While the disk fails, requests go to the server and nothing is stored; a warning once a minute says so, and it
    recovers by itself. Only if the key cannot be read when this object is made, records stay unshared until a new one
    is made.

    Raises ConfigurationError or ConfigurationTypeError for bad arguments, among them a path where something is that is
    not this cache's, which is left as it is; never for a bad disk.
    """

    __module__ = "pywats_cache"

    _remedy = "its disk must have room, and its files must be there, this cache's own, and open to this user"

    def __init__(
        self,
        path: str | Path,
        *,
        memory: MemoryStorage | None = None,
        max_entries: int = 100_000,
        max_bytes: int = 1 << 30,
        revalidate_for: float = REVALIDATE_FOR,
    ) -> None:
        if not isinstance(path, (str, Path)):
            raise ConfigurationTypeError(f"path must be a path of a file, not {shown(path)}")
        if looks_like_url(str(path)):  # also one that lost a slash as a Path
            raise ConfigurationError("path must be that of a file; a URL is for storage= of a client or transport")
        self.path: Path = resolved(path)
        self.max_entries: int = whole("max_entries", max_entries, least=1)
        self.max_bytes: int = whole("max_bytes", max_bytes, least=1)
        check_store(self.path)
        self._records = SqliteRecords(
            self.path, max_entries=self.max_entries, max_bytes=self.max_bytes, on_aside=self._warn
        )
        self._files = SqliteLedger(self.path, self._warn)
        secret, problem = None, None
        try:
            secret = install_key(part(self.path, "-key"))
        except (OSError, StorageError) as error:
            problem = error
        name = shown_path(self.path.name, "sqlite")
        super().__init__(memory, self._files, self._records, secret, name, revalidate_for)
        if problem is not None:
            self._failed("reading the key", problem)
