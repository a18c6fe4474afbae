"""Memory in front of a hishel storage: what memory had to let go is still found there, by this process only."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import hishel

from ..errors import ConfigurationTypeError, StorageError
from ..support.fork import renew_in_child
from ..support.showing import shown
from .compression import squeeze
from .memory import MemoryStorage
from .shared.record_format import pack, unpack

if TYPE_CHECKING:
    from .entry import StoredResponse
    from .outer import OuterFetch

__all__ = ["TieredStorage"]

logger: logging.Logger = logging.getLogger("pywats_cache.storage.tiered")

WARN_EVERY = 60.0
"""Seconds between two warnings of one storage; every failure is counted in the statistics."""
Decode = Callable[[list[tuple[bytes, bytes, bytes]], bytes], bytes | None]
_METHOD, _URL = "GET", "pywats-cache:entry"


class TieredStorage:
    """Memory first, then `outer`: `TieredStorage(MemoryStorage(), hishel.SqliteStorage(database_path=…))`.

    It is a larger memory for this one storage. The next process finds nothing in it, although `outer` may be a file:
    what was written since is known to this memory alone. To share answers, or to have them after a restart, use
    `SharedStorage`.

    - `memory`: holds the hot part, the epoch, the dirtied tags and the flights.
    - `outer`: any `hishel.BaseStorage` for a sync transport, any `hishel.AsyncBaseStorage` for an async one.

    What reaches `outer` holds no credential and no query: keys are digests keyed by this storage's own secret,
    request headers are not kept, and each record has a checksum that only this storage can make. A record that it did
    not write, or that a write has dirtied since, is never served. A failure of `outer` is counted, logged once a minute
    at most, and sends the request to the server. A forked child does not use `outer`, because the connection that it
    inherited is its parent's.

    Raises ConfigurationTypeError for anything else.
    """

    __module__ = "pywats_cache"

    def __init__(self, memory: MemoryStorage, outer: hishel.BaseStorage | hishel.AsyncBaseStorage) -> None:
        if not isinstance(memory, MemoryStorage):
            raise ConfigurationTypeError(f"memory must be a MemoryStorage, not {shown(memory)}")
        if isinstance(outer, MemoryStorage) or not isinstance(outer, (hishel.BaseStorage, hishel.AsyncBaseStorage)):
            raise ConfigurationTypeError(f"outer must be a hishel storage such as SqliteStorage, not {shown(outer)}")
        self.memory = memory
        memory.put_before_another()
        self.outer: Any = outer
        self.is_async: bool = isinstance(outer, hishel.AsyncBaseStorage)
        self._generation = uuid.uuid4().hex
        self._warned = float("-inf")
        self._usable = True
        renew_in_child(self)

    def _renew(self) -> None:
        # A database connection must not be used in two processes, nor closed in the second; so it is only kept.
        self._usable = False
        self._generation = uuid.uuid4().hex

    def load(self, fetch: OuterFetch, decode: Decode, now: float) -> list[StoredResponse]:
        """What `outer` holds for this fetch, newest first; nothing if it fails. Blocks for I/O."""
        key = fetch.key
        found: list[tuple[uuid.UUID, StoredResponse]] = []
        outdated: list[uuid.UUID] = []
        newest: list[StoredResponse] = []
        if not self._usable:
            return newest
        try:
            for entry in self.outer.get_entries(key):
                body = b"".join(entry.response.stream)
                self._sort(entry.id, body, found, outdated, decode, now)
            newest = self._newest(found, outdated)
            for id in outdated:
                self.outer.remove_entry(id)
        except Exception as error:  # noqa: BLE001 - a cache failure never fails a request
            self._failed("reading", error)
        return newest

    async def aload(self, fetch: OuterFetch, decode: Decode, now: float) -> list[StoredResponse]:
        """The same for an async `outer`; suspends for I/O."""
        key = fetch.key
        found: list[tuple[uuid.UUID, StoredResponse]] = []
        outdated: list[uuid.UUID] = []
        newest: list[StoredResponse] = []
        if not self._usable:
            return newest
        try:
            for entry in await self.outer.get_entries(key):
                body = b"".join([chunk async for chunk in entry.response.stream])
                self._sort(entry.id, body, found, outdated, decode, now)
            newest = self._newest(found, outdated)
            for id in outdated:
                await self.outer.remove_entry(id)
        except Exception as error:  # noqa: BLE001 - a cache failure never fails a request
            self._failed("reading", error)
        return newest

    def save(self, fetch: OuterFetch, now: float) -> None:
        """Write what was stored of `fetch` to `outer`, or count that it failed. Blocks for I/O."""
        entry = fetch.stored
        if entry is None or entry.ttl <= 0 or not self._usable:
            return
        try:
            kept = self.outer.create_entry(*self._parts(entry, now, iter), fetch.key, ttl=entry.ttl)
            for _ in kept.response.stream:
                pass
        except Exception as error:  # noqa: BLE001 - a cache failure never fails a request
            self._failed("writing", error)

    async def asave(self, fetch: OuterFetch, now: float) -> None:
        """The same for an async `outer`; suspends for I/O."""
        entry = fetch.stored
        if entry is None or entry.ttl <= 0 or not self._usable:
            return
        try:
            kept = await self.outer.create_entry(*self._parts(entry, now, _as_async), fetch.key, ttl=entry.ttl)
            async for _ in kept.response.stream:
                pass
        except Exception as error:  # noqa: BLE001 - a cache failure never fails a request
            self._failed("writing", error)

    def _parts(
        self, entry: StoredResponse, now: float, stream: Callable[[list[bytes]], Any]
    ) -> tuple[hishel.Request, hishel.Response]:
        packed = squeeze(entry)
        if packed is not None:
            self.memory.saved_bytes += len(entry.raw) - len(packed)
        wall = time.time() - (now - entry.began)
        data = pack(entry, wall=wall, generation=self._generation, key=self.memory.secret, packed=packed)
        return hishel.Request(_METHOD, _URL), hishel.Response(200, stream=stream([data]))

    @staticmethod
    def _newest(found: list[tuple[uuid.UUID, StoredResponse]], outdated: list[uuid.UUID]) -> list[StoredResponse]:
        """The newest record of each variant; what it has replaced is outdated. Of equal ones the last written."""
        newest: dict[str, tuple[uuid.UUID, StoredResponse]] = {}
        for id, entry in sorted(found, key=lambda pair: (pair[1].epoch, pair[1].fetched)):
            if entry.key in newest:
                outdated.append(newest[entry.key][0])
            newest[entry.key] = (id, entry)
        return [entry for _, entry in newest.values()]

    def _sort(
        self,
        id: uuid.UUID,
        data: bytes,
        found: list[tuple[uuid.UUID, StoredResponse]],
        outdated: list[uuid.UUID],
        decode: Decode,
        now: float,
    ) -> None:
        """Put a record among what was `found`, or among the outdated ones to remove."""
        try:
            record = unpack(data, key=self.memory.secret)
            # Of this very storage, so on its clock, which nobody sets back.
            age = now - record.began
            if record.generation == self._generation and 0.0 <= age < record.ttl:
                content = decode(record.items(), record.raw)
                if content is not None:
                    entry = record.entry(content=content, began=now - age)
                    if not self.memory.coherence.dirtied_since(entry.tags, entry.epoch):
                        found.append((id, entry))
                        return
        except Exception as error:  # noqa: BLE001 - damaged, or of another version
            self._failed("reading", error)
        outdated.append(id)

    def _failed(self, doing: str, error: Exception) -> None:
        kind = "a damaged record" if isinstance(error, StorageError) else type(error).__name__
        said = f"{doing} {type(self.outer).__name__} failed ({kind})"
        with self.memory.lock:
            self.memory.errors += 1
            self.memory.trouble = said
            now = time.monotonic()
            quiet = now - self._warned < WARN_EVERY
            if not quiet:
                self._warned = now
        if not quiet:
            logger.warning("%s; requests go to the server", said)

    def __repr__(self) -> str:
        return f"TieredStorage({self.memory!r}, {type(self.outer).__name__})"


async def _as_async(chunks: list[bytes]) -> Any:
    for chunk in chunks:
        yield chunk
