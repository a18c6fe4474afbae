"""Memory in front of a SQLite file that any number of processes share: `storage="sqlite:///cache.db"`."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread

from ..errors import ConfigurationTypeError, StorageError, whole
from .epoch_file import LATEST
from .install_key import install_key
from .ledger import SqliteLedger
from .memory import MemoryStorage
from .record import pack, unpack
from .shared_coherence import SharedCoherence
from .sqlite_records import Row, SqliteRecords

if TYPE_CHECKING:
    from ..steps import Fetch
    from .entry import StoredResponse

__all__ = ["SharedStorage"]

logger = logging.getLogger("pywats_cache.storage.shared")

WARN_EVERY = 60.0
"""Seconds between two warnings of one storage; every failure is counted in the statistics."""
CLOCK_SLACK_MS = 1000
Decode = Callable[[list[tuple[bytes, bytes, bytes]], bytes], bytes | None]


class SharedStorage:
    """Memory first, then the SQLite file at `path`, shared by sync and async transports and by processes.

    - `path`: the records; beside it `<path>-ledger` (epoch, dirtied tags, open writes), `<path>-epoch` (the epoch,
      memory-mapped) and `<path>-key` (the key of the digests). All are made with mode 0600. The directory must be
      on this machine: neither the lock of SQLite nor shared memory reaches over a network.
    - `memory`: the hot part; None: a `MemoryStorage()`. It belongs to this storage from now on.
    - `max_entries`, `max_bytes`: bounds of the file.

    A bump is seen by every process at its next request. What is stored holds no credential and no query: names are
    digests keyed by the install's key, request headers are not kept, and each record has a checksum.

    While the disk does not do as it is told, requests go to the server and nothing is stored; a warning once a minute
    says so, and it comes back by itself. Only if the key cannot be had when this is made, records stay unshared until
    a new one is made.

    Raises ConfigurationError or ConfigurationTypeError for bad arguments, never for a bad disk.
    """

    is_async: bool | None = None
    """It serves transports of both kinds."""

    def __init__(
        self,
        path: str | Path,
        *,
        memory: MemoryStorage | None = None,
        max_entries: int = 100_000,
        max_bytes: int = 1 << 30,
    ) -> None:
        if not isinstance(path, (str, Path)):
            raise ConfigurationTypeError(f"path must be a path of a file, not {path!r}")
        if memory is not None and not isinstance(memory, MemoryStorage):
            raise ConfigurationTypeError(f"memory must be a MemoryStorage, not {memory!r}")
        self.path = Path(path).absolute()
        self.memory = MemoryStorage() if memory is None else memory
        self._records = SqliteRecords(
            self.path,
            max_entries=whole("max_entries", max_entries, least=1),
            max_bytes=whole("max_bytes", max_bytes, least=1),
            on_aside=self._warn,
        )
        self._ledger = SqliteLedger(self.path, self._warn)
        self._instance = uuid.uuid4().hex
        self._warned = float("-inf")
        self._has_key = False
        try:
            self.memory.secret = install_key(self.path.with_name(f"{self.path.name}-key"))
            self._has_key = True
        except (OSError, StorageError) as error:
            self._failed("reading the key", error)
        self.memory.share(lambda: SharedCoherence(self._ledger, self._failed))

    @property
    def max_entries(self) -> int:
        """Entries that the file holds at most."""
        return self._records.max_entries

    @property
    def max_bytes(self) -> int:
        """Bytes that the records count at most."""
        return self._records.max_bytes

    # ── records ───────────────────────────────────────────────────────────────────────────────────────────────────

    def load(self, fetch: Fetch, decode: Decode, now: float) -> list[StoredResponse]:
        """What the file holds for this fetch; nothing if it fails. Blocks for I/O."""
        found: list[StoredResponse] = []
        if not self._has_key:
            return found
        try:
            if not self._ledger.is_in_place():
                self._coherence.doubt()
            outdated: list[str] = []
            for variant, data in self._records.get(fetch.prepared.key):
                entry = self._entry(data, decode, now)
                if entry is None:
                    outdated.append(variant)
                else:
                    found.append(entry)
            if outdated:
                self._records.remove(outdated)
        except Exception as error:  # noqa: BLE001 - a cache failure never fails a request
            self._failed("reading", error)
        return found

    def save(self, fetch: Fetch, now: float) -> None:
        """Write what was stored of `fetch` to the file, or count that it failed. Blocks for I/O."""
        entry = fetch.stored
        generation = self._coherence.generation
        if entry is None or not self._has_key or generation is None:
            return
        try:
            wall = self._wall()
            began = wall - (now - entry.began)
            data = pack(entry, wall=began, generation=generation, writer=self._instance)
            row = Row(fetch.prepared.key, entry.key, data, entry.epoch, began, began + entry.ttl)
            self._records.put(row, wall)
        except Exception as error:  # noqa: BLE001 - a cache failure never fails a request
            self._failed("writing", error)

    async def aload(self, fetch: Fetch, decode: Decode, now: float) -> list[StoredResponse]:
        """`load` in a worker thread."""
        return await anyio.to_thread.run_sync(self.load, fetch, decode, now)

    async def asave(self, fetch: Fetch, now: float) -> None:
        """`save` in a worker thread."""
        if fetch.stored is not None:
            await anyio.to_thread.run_sync(self.save, fetch, now)

    def _entry(self, data: bytes, decode: Decode, now: float) -> StoredResponse | None:
        """The entry of a record that may still be used, else None."""
        try:
            record = unpack(data)
        except StorageError as error:
            self._failed("reading", error)
            return None
        head = record.head
        # On our own clock where it is our own record, for nobody sets that back.
        age = now - head["began"] if head["writer"] == self._instance else self._wall() - head["wall"]
        coherence = self._coherence
        if coherence.dirtied_since(head["tags"], head["epoch"]) or head["generation"] != coherence.generation:
            return None
        if head["epoch"] > coherence.epoch:  # the ledger is older than it was: restored from a copy
            return None
        if not 0.0 <= age < head["ttl"]:
            return None
        content = decode(record.items(), record.raw)
        return None if content is None else record.entry(content=content, began=now - age)

    @property
    def _coherence(self) -> SharedCoherence:
        coherence = self.memory.coherence
        assert isinstance(coherence, SharedCoherence)
        return coherence

    def _wall(self) -> float:
        """The wall time. If it was set back, the ages of all records are unknown, so all of them are dropped."""
        wall = time.time()
        cells = self._ledger.cells()
        latest, now = cells[LATEST], int(wall * 1000)
        if now >= latest:
            cells[LATEST] = now
        elif now < latest - CLOCK_SLACK_MS:
            cells[LATEST] = now
            self._coherence.bump_all()
        return wall

    # ── failures ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _failed(self, doing: str, error: Exception) -> None:
        self.memory.errors += 1  # a hint, without the lock: it may be taken, in another order, by who calls
        self._warn(f"{doing} {self.path.name} failed ({error}); requests go to the server")

    def _warn(self, message: str) -> None:
        now = time.monotonic()
        if now - self._warned >= WARN_EVERY:
            self._warned = now
            logger.warning("%s", message)

    def close(self) -> None:
        """Close the files. Safe at any time: the next request opens them again."""
        self._records.close()
        self._ledger.close()

    def __repr__(self) -> str:
        return f"SharedStorage({self.path.name!r}, {self.memory!r})"
