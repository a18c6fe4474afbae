"""`MemoryStorage` as hishel sees it: the contract of `hishel.BaseStorage`, over the same bounded table."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from threading import RLock
from typing import Any, cast

from hishel import AsyncBaseStorage, BaseStorage, Entry, Headers, Request, Response

from ..coherence.epochs import Coherence
from ..support.collector import Collector
from .bounded_table import BoundedTable
from .entry import OVERHEAD

__all__ = ["AsyncFace", "HishelFace"]


class _Item:
    """One entry of hishel's. `deadline` and `expires` are on the storage's clock; None: no limit."""

    __slots__ = ("body", "deadline", "expires", "group", "id", "request", "response", "size", "tti")

    def __init__(self, entry: Entry, group: str, body: bytes, deadline: float | None, tti: float | None) -> None:
        self.id = entry.id
        self.group = group
        self.request = Request(entry.request.method, entry.request.url, _copy_headers(entry.request.headers))
        self.response = Response(entry.response.status_code, _copy_headers(entry.response.headers))
        self.body = body
        self.deadline = deadline
        self.tti = tti
        self.expires: float | None = None
        self.size = self.sized(self.response.headers)

    def sized(self, headers: Headers) -> int:
        """Bytes it counts with these response headers."""
        fields = [*self.request.headers.items(), *headers.items()]
        return OVERHEAD + len(self.body) + len(self.request.url) + sum(len(k) + len(v) for k, v in fields)


class HishelFace(BaseStorage):
    """The four methods of the contract. Its index (`_groups`) is guarded by the storage's lock."""

    lock: RLock
    table: BoundedTable[Any]
    coherence: Coherence
    max_bytes: int
    max_entry_bytes: int
    expirations: int

    def _now(self) -> float:
        raise NotImplementedError

    def _start_face(self) -> None:
        self._groups: dict[str, dict[uuid.UUID, None]] = {}

    def create_entry(
        self,
        request: Request,
        response: Response,
        key: str,
        *,
        ttl: float | None = None,
        tti: float | None = None,
    ) -> Entry:
        """See `hishel.BaseStorage.create_entry`."""
        entry, keep = self._begin_entry(request, response, key, ttl, tti)
        entry.response.stream = _saving(cast("Iterable[bytes]", response.stream or ()), self._stream_bound(), keep)
        return entry

    def _stream_bound(self) -> int:
        return self.max_entry_bytes if self.max_stream_size is None else min(self.max_entry_bytes, self.max_stream_size)

    def _begin_entry(
        self,
        request: Request,
        response: Response,
        key: str,
        ttl: float | None,
        tti: float | None,
    ) -> tuple[Entry, Callable[[bytes], None]]:
        entry = Entry(uuid.uuid4(), request, Response(response.status_code, response.headers))
        deadline, tti = self._limits(ttl, tti, self._now())
        epoch = self.coherence.epoch

        def keep(body: bytes) -> None:
            item = _Item(entry, key, body, deadline, tti)
            item.expires = self._expires_at(deadline, tti, self._now())
            with self.lock:
                # A clear() while the body was read must not be undone by its end.
                if not self.coherence.cleared_since(epoch):
                    gone = self.table.put(_name(item.id), item) if item.size <= self.max_entry_bytes else None
                    if gone is not None:
                        self._groups.setdefault(key, {})[item.id] = None
                        for name, other in gone:
                            self._left(name, other)

        return entry, keep

    def _left(self, name: str, item: object) -> None:
        """`item` was taken out of the table: take it out of the index too."""
        if isinstance(item, _Item):
            group = self._groups.get(item.group)
            if group is not None:
                group.pop(item.id, None)
                if not group:
                    del self._groups[item.group]

    def get_entries(self, key: str) -> list[Entry]:
        """See `hishel.BaseStorage.get_entries`."""
        return [
            Entry(i.id, _copy_request(i.request), _copy_response(i.response, iter((i.body,)))) for i in self._live(key)
        ]

    def _live(self, key: str) -> list[_Item]:
        now = self._now()
        live: list[_Item] = []
        with self.lock:
            for id in list(self._groups.get(key, ())):
                item = self.table.items[_name(id)]
                if item.expires is not None and item.expires <= now:
                    self.remove_entry(id)
                    self.expirations += 1
                    continue
                item.expires = self._expires_at(item.deadline, item.tti, now)
                self.table.items.move_to_end(_name(id))
                live.append(item)
        return live

    def update_headers(self, id: uuid.UUID, headers: Headers) -> None:
        """See `hishel.BaseStorage.update_headers`."""
        with self.lock:
            item = self.table.items.get(_name(id))
            if isinstance(item, _Item):
                size = item.sized(headers)
                if size <= self.max_entry_bytes and self.table.grow(_name(id), item, size - item.size):
                    item.response = Response(item.response.status_code, _copy_headers(headers))
                else:
                    self.remove_entry(id)  # the old headers are wrong, and the new ones do not fit

    def remove_entry(self, id: uuid.UUID) -> None:
        """See `hishel.BaseStorage.remove_entry`."""
        with self.lock:
            item = self.table.items.get(_name(id))
            if item is not None and self.table.drop(_name(id)):
                self._left(_name(id), item)


class AsyncFace(AsyncBaseStorage):
    """The same storage for hishel's async transports; nothing here suspends."""

    def __init__(self, storage: HishelFace) -> None:
        super().__init__(
            default_ttl=storage.default_ttl,
            default_tti=storage.default_tti,
            max_stream_size=storage.max_stream_size,
        )
        self.storage = storage

    async def create_entry(
        self, request: Request, response: Response, key: str, *, ttl: float | None = None, tti: float | None = None
    ) -> Entry:
        """See `hishel.AsyncBaseStorage.create_entry`."""
        entry, keep = self.storage._begin_entry(request, response, key, ttl, tti)
        stream = cast("AsyncIterable[bytes]", response.stream or _as_async(()))
        entry.response.stream = _saving_async(stream, self.storage._stream_bound(), keep)
        return entry

    async def get_entries(self, key: str) -> list[Entry]:
        """See `hishel.AsyncBaseStorage.get_entries`."""
        return [
            Entry(i.id, _copy_request(i.request), _copy_response(i.response, _as_async((i.body,))))
            for i in self.storage._live(key)
        ]

    async def update_headers(self, id: uuid.UUID, headers: Headers) -> None:
        """See `hishel.AsyncBaseStorage.update_headers`."""
        self.storage.update_headers(id, headers)

    async def remove_entry(self, id: uuid.UUID) -> None:
        """See `hishel.AsyncBaseStorage.remove_entry`."""
        self.storage.remove_entry(id)


def _name(id: uuid.UUID) -> str:
    return f"hishel:{id.hex}"


def _copy_headers(headers: Headers) -> Headers:
    return Headers({name: headers.get_list(name) or "" for name in headers})


def _copy_request(request: Request) -> Request:
    return Request(request.method, request.url, _copy_headers(request.headers))


def _copy_response(response: Response, stream: Iterator[bytes] | AsyncIterator[bytes]) -> Response:
    return Response(response.status_code, _copy_headers(response.headers), stream)


def _saving(stream: Iterable[bytes], bound: int, keep: Callable[[bytes], None]) -> Iterator[bytes]:
    collector = Collector(bound, keep, lambda too_large: None)
    for chunk in stream:
        collector.add(chunk)
        yield chunk
    collector.finish()


async def _saving_async(
    stream: AsyncIterable[bytes], bound: int, keep: Callable[[bytes], None]
) -> AsyncIterator[bytes]:
    collector = Collector(bound, keep, lambda too_large: None)
    async for chunk in stream:
        collector.add(chunk)
        yield chunk
    collector.finish()


async def _as_async(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
