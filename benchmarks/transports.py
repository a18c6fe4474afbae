"""The floor, the origin and the hand-made cache that the cache is measured against."""

from __future__ import annotations

import gzip
import random
import time
from collections.abc import Iterable

import httpx

RawHeaders = list[tuple[bytes, bytes, bytes]]
_OPEN = httpx.ByteStream(b"")


class BornRead(httpx.Response):
    """A Response that is complete from the start, made as cheaply as httpx allows."""

    def __init__(self, status: int, headers: RawHeaders, content: bytes) -> None:
        self.status_code = status
        own = httpx.Headers.__new__(httpx.Headers)
        own._list = list(headers)
        own._encoding = None
        self.headers = own
        self._request = None
        self.next_request = None
        self.extensions = {}
        self.history = []
        self.is_closed = True
        self.is_stream_consumed = True
        self.default_encoding = "utf-8"
        self.stream = _OPEN
        self._num_bytes_downloaded = 0
        self._content = content


class Floor(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Builds one already-read response per call and does nothing else."""

    def __init__(self, headers: Iterable[tuple[str, str]], content: bytes) -> None:
        self._headers = httpx.Headers(list(headers))._list
        self._content = content

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return BornRead(200, self._headers, self._content)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return BornRead(200, self._headers, self._content)


class PlainFloor(httpx.BaseTransport):
    """The same with httpx's own constructor, as `MockTransport` and most plugins do it."""

    def __init__(self, headers: Iterable[tuple[str, str]], content: bytes) -> None:
        self._headers = list(headers)
        self._content = content

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers=self._headers, content=self._content)


class Origin(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A server without a network: answers every request with one body, as a stream, and counts."""

    def __init__(self, headers: Iterable[tuple[str, str]], raw: bytes) -> None:
        self._headers = list(headers)
        self._raw = raw
        self.calls = 0

    def _answer(self) -> httpx.Response:
        self.calls += 1
        return httpx.Response(200, headers=self._headers, stream=httpx.ByteStream(self._raw))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._answer()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self._answer()


class HandMade(httpx.BaseTransport):
    """What one would write in twenty lines: a dict by method and URL with a time to live, and nothing else."""

    def __init__(self, next_transport: httpx.BaseTransport, ttl: float = 300.0) -> None:
        self._next = next_transport
        self._ttl = ttl
        self._entries: dict[tuple[str, str], tuple[float, int, RawHeaders, bytes]] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        key = (request.method, str(request.url))
        entry = self._entries.get(key)
        if entry is not None and time.monotonic() < entry[0]:
            return BornRead(entry[1], entry[2], entry[3])
        response = self._next.handle_request(request)
        content = response.read()
        entry = (time.monotonic() + self._ttl, response.status_code, response.headers._list, content)
        self._entries[key] = entry
        return BornRead(entry[1], entry[2], entry[3])


class Payload:
    """A JSON-like body of a given size and how it goes over the wire."""

    def __init__(self, size: int, encoding: str = "identity") -> None:
        words = random.Random(7).choices(
            ["product", "revision", "serial", "station", "measured", "3.1415"], k=size // 6
        )
        self.content = (b'"' + " ".join(words).encode()).ljust(size, b".")[: size - 1] + b'"'
        self.raw = gzip.compress(self.content, 6) if encoding == "gzip" else self.content
        self.headers = [
            ("Content-Type", "application/json; charset=utf-8"),
            ("Content-Length", str(len(self.raw))),
            ("Date", "Mon, 01 Jan 2024 00:00:00 GMT"),
            ("Server", "origin"),
            ("Cache-Control", "max-age=3600"),
        ]
        if encoding != "identity":
            self.headers.append(("Content-Encoding", encoding))

    def origin(self) -> Origin:
        """Return a transport that serves it."""
        return Origin(self.headers, self.raw)

    def floor(self) -> Floor:
        """Return the floor for it: the decoded body under the same headers, as a hit has them."""
        return Floor(self.headers, self.content)


KB, MB = 1024, 1024 * 1024
