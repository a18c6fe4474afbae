"""Memory in front of a SQLite file that any number of processes share: `storage="sqlite:///cache.db"`."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import ConfigurationError, ConfigurationTypeError, StorageError
from ...support.checks import flag, whole
from ...support.showing import looks_like_url, shown, shown_path
from ..memory import MemoryStorage
from ..shared.base import REVALIDATE_FOR, SHORT_PAUSE
from ..shared.queued import QueuedStorage
from ..shared.record_format import FORMAT
from .install_key import install_key
from .ledger import SqliteLedger
from .records import SqliteRecords
from .store_files import check_store, part, resolved

if TYPE_CHECKING:
    from ...support.durations import Duration
    from ..entry import StoredResponse
    from ..outer import OuterFetch
    from ..shared.backend import Job
    from ..shared.base import Decode

__all__ = ["SharedStorage"]

logger: logging.Logger = logging.getLogger("pywats_cache.storage.sqlite")

PEEK_PATIENCE = 1.0
"""Seconds for which who only looks waits for what is being written."""


class SharedStorage(QueuedStorage):
    """Memory first, then the SQLite file at `path`, shared by sync and async transports and by processes.

    - `path`: the records; beside it `<path>-ledger` (epoch, dirtied tags, open writes), `<path>-epoch` (the epoch,
      memory-mapped), `<path>-locks` (who fetches what, under Linux) and `<path>-key` (the key of the digests). All are
      made with mode 0600. `~` is expanded, and symbolic links are followed, so that all names of a file are one store.
      The directory must be there, and on this machine: neither the lock of SQLite nor shared memory reaches over a
      network.
    - `memory`: the hot part; None: a `MemoryStorage()`. It belongs to this storage from now on.
    - `max_entries`, `max_bytes`: bounds of the file.
    - `revalidate_for`: seconds past its TTL for which a response with a validator is kept to be revalidated by a
      conditional request; a day by default.

    - `read_in_loop`: let async transports read in the thread of their event loop what is small and was used lately by
      this process, if nothing has to be waited for. Everything else, and with False all of it, is read by a thread.
      Beside threads that compute both hold the loop up as long, and a thread answers some hundred times later.

    A write is seen by every process at its next request. What is stored holds no credential and no query.

    While the disk fails, requests go to the server and nothing is stored; a warning once a minute says so, and it
    recovers by itself. Only if the key cannot be read when this object is made, records stay unshared until a new one
    is made.

    Raises ConfigurationError or ConfigurationTypeError for bad arguments, among them a path where something is that is
    not this cache's, which is left as it is; never for a bad disk.
    """

    __module__ = "pywats_cache"

    glances = True
    _remedy = "its disk must have room, and its files must be there, this cache's own, and open to this user"

    def __init__(
        self,
        path: str | Path,
        *,
        memory: MemoryStorage | None = None,
        max_entries: int = 100_000,
        max_bytes: int = 1 << 30,
        revalidate_for: Duration = REVALIDATE_FOR,
        read_in_loop: bool = True,
    ) -> None:
        if not isinstance(path, (str, Path)):
            raise ConfigurationTypeError(f"path must be a path of a file, not {shown(path)}")
        if looks_like_url(str(path)):  # also one that lost a slash as a Path
            raise ConfigurationError("path must be that of a file; a URL is for storage= of a client or transport")
        self.path: Path = resolved(path)
        self.max_entries: int = whole("max_entries", max_entries, least=1)
        self.max_bytes: int = whole("max_bytes", max_bytes, least=1)
        self.glances_in_loop: bool = flag("read_in_loop", read_in_loop)
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
        self._has_written = False
        if problem is not None:
            self._failed("reading the key", problem)

    def _put_behind(self, job: Job, size: int) -> bool:
        if job.row is None and not job.useless and self._records.claims_without_io:
            self._do([job])  # a claim alone
            return True
        if not self._has_written:
            self._has_written = True
            self._behind.begin_rest()  # of a `clear` whose process was killed, or of a store with larger bounds
        return super()._put_behind(job, size)

    def _fetched(self, key: str, token: str | None) -> str | None:
        """As in the base class, and claimed, so that who looks meanwhile waits for what is as good as stored."""
        try:
            return self._records.fetched(key, token)
        except (OSError, StorageError):  # without a claim somebody may fetch once more
            return token

    def _job(self, fetch: OuterFetch, now: float) -> Job | None:
        job = super()._job(fetch, now)
        if job is not None and job.row is not None and fetch.stored is not None:
            self._records.in_loop.note(job.key, (fetch.stored,))
        return job

    async def alend(self, fetch: OuterFetch, seconds: float) -> None:
        """`lend` for an event loop."""
        if self._records.claims_without_io:
            self.lend(fetch, seconds)
        else:
            await super().alend(fetch, seconds)

    def _look(self, fetch: OuterFetch, decode: Decode, now: float) -> tuple[list[StoredResponse], bool]:
        found = super()._look(fetch, decode, now)
        if found[0]:
            self._records.in_loop.note(FORMAT + fetch.key, found[0])
        return found

    def glance_in_loop(self, key: str, decode: Decode, now: float) -> StoredResponse | None:
        """See the base class. The ledger was looked at just now, or its epoch would not be known without I/O."""
        try:
            return None if self._secret is None else self._only(self._records.get_in_loop(FORMAT + key), decode, now)
        except Exception as error:  # noqa: BLE001 - a cache failure never fails a request
            self._failed("reading", error)
        return None

    def prepare_for_loop(self) -> None:
        """See the base class."""
        try:
            self._records.in_loop.renew()
        except Exception as error:  # noqa: BLE001 - who reads in the usual way sees to it
            logger.debug("%s is not read in the event loop: %s", self._name, type(error).__name__)

    def peek(self, key: str, decode: Decode, now: float) -> list[StoredResponse]:
        """What is stored under `key`, or about to be; see the base class."""
        self._await_record(FORMAT + key)
        return super().peek(key, decode, now)

    def _await_record(self, key: str) -> bool:
        """As in the base class: of this process, and of others."""
        until, waited = time.monotonic() + PEEK_PATIENCE, False
        try:
            while self._records.is_fetched(key) and time.monotonic() < until:
                waited = True
                if not self._behind.flush(PEEK_PATIENCE) or self._records.is_fetched(key):
                    time.sleep(SHORT_PAUSE)
        except (OSError, StorageError):  # the next question tells
            pass
        return waited

    def clear(self) -> None:
        """Forget everything stored, in every process: it becomes invalid at once, and the records go little by little.

        Blocks for I/O.
        """
        super().clear()
        if not self.strict:
            self._behind.begin_rest()
        while self.strict and self._rest():
            pass

    def _rest(self) -> bool:
        try:
            return self._records.clear_slice()
        except Exception as error:  # noqa: BLE001 - the next process goes on
            self._failed("writing", error)
            return False

    def close(self) -> None:
        """Write what is queued, and close the files. Safe at any time: the next request opens them again."""
        super().close()
        self._has_written = False
