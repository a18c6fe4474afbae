"""A shared storage that writes its records behind the caller's back: see `write_behind`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from ...errors import StorageError
from .base import REVALIDATE_FOR, SharingStorage, size_of
from .write_behind import WriteBehind

if TYPE_CHECKING:
    from ...support.durations import Duration
    from ..memory import MemoryStorage
    from ..outer import OuterFetch
    from .backend import Job, Ledger, Rows

__all__ = ["QueuedStorage"]

ROOM_PATIENCE = 0.1
"""Seconds for which a caller waits while more is to be written than the store takes."""


class QueuedStorage(SharingStorage):
    """A `SharingStorage` whose jobs are done by a thread of its own, many at a time.

    A claim is given back after its record was written, so who looks meanwhile waits for that. What orders the records,
    and the epoch in each, does not depend on when it is written: one that comes late replaces nothing that was fetched
    after it, and one that a write has made invalid meanwhile is of no use to anyone who knows of the write.
    """

    def __init__(
        self,
        memory: MemoryStorage | None,
        ledger: Ledger,
        rows: Rows,
        secret: bytes | None,
        name: str,
        revalidate_for: Duration = REVALIDATE_FOR,
    ) -> None:
        super().__init__(memory, ledger, rows, secret, name, revalidate_for)
        self._behind: WriteBehind[Job] = WriteBehind(self._do, self._rest)

    def _rest(self) -> bool:
        """Do a slice of what may be done at any time. Whether anything is left of it."""
        return False

    def _keep(self, job: Job, size: int) -> None:
        if self.strict:
            self._do([job])
        elif not self._put_behind(job, size) and not (
            self._behind.wait_for_room(size, ROOM_PATIENCE) and self._put_behind(job, size)
        ):
            self._failed("writing", StorageError("more is to be written than the store takes"))
            self._do([job._replace(row=None, useless=())])

    def _put_behind(self, job: Job, size: int) -> bool:
        """Queue `job`. False: there is no room."""
        return self._behind.add(job, size)

    async def asave(self, fetch: OuterFetch, now: float) -> None:
        """`save` for an event loop: in a worker thread, to its end even if cancelled, if there is no room now."""
        job = None if self.strict else self._job(fetch, now)
        if job is not None and not self._put_behind(job, size_of(fetch)):
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._keep, job, size_of(fetch))
        elif self.strict:
            await super().asave(fetch, now)

    def flush(self) -> None:
        """Wait until the store has what was stored before, at most for a few seconds."""
        self._behind.flush()

    def clear(self) -> None:
        """Forget everything stored, in every process, and what is still to be written. Blocks for I/O."""
        for job in self._behind.take_back():
            self._do([job._replace(row=None, useless=())])
        super().clear()

    def close(self) -> None:
        """Write what is queued, and close what is open. Safe at any time: the next request opens it again."""
        self._behind.close()
        super().close()
