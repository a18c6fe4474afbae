"""The Responses of stored answers."""

from __future__ import annotations

import datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ..protocol.cache_status import cache_status
from ..protocol.conditional import not_modified_items
from ..storage.entry import StoredResponse
from ..telemetry.outcome import EXTENSION, CacheOutcome, Reason, Status
from .http_library import put

if TYPE_CHECKING:
    from ..support.http_types import HttpRequest, HttpResponse
    from .http_library import Library

__all__ = ["NO_TIME", "Answers"]

NO_TIME = datetime.timedelta(0)

_NOTHING = SimpleNamespace(raw=b"", content=b"")
_new = tuple.__new__  # a hit makes one outcome; the constructor of a NamedTuple costs twice as much


class Answers:
    """Builds Responses of one library. Each is its caller's own: nothing done to it changes the next one's."""

    def __init__(self, library: Library, name: str | None) -> None:
        self.library = library
        self._read = library.byte_stream(b"")
        self.name = name
        """Of this cache in Cache-Status (RFC 9211), or None for no such header."""

    def mark(self, response: HttpResponse, outcome: CacheOutcome) -> None:
        """Tell the caller what happened: in the extensions, and as Cache-Status where that is wanted."""
        response.extensions[EXTENSION] = outcome
        if self.name is not None:
            mine = f"{self.name};".encode()
            headers = response.headers
            others = [v for _, name, v in headers._list if name == b"cache-status" and not v.startswith(mine)]
            put(headers, b"Cache-Status", b", ".join([*others, cache_status(self.name, outcome).encode()]))

    def not_modified(
        self, entry: StoredResponse, age: float | None, status: Status = "hit", reason: Reason = "precondition"
    ) -> HttpResponse:
        """The 304 to a caller who holds what is stored (RFC 9110 §15.4.5)."""
        items = [(name, value) for name, _, value in not_modified_items(entry.headers)]
        response: HttpResponse = self.unread(self.library.response(304, headers=items, content=b""))
        self.mark(response, CacheOutcome(status, reason, age, entry.ttl, entry.key, True, entry.rule))
        return response

    def stored(
        self,
        entry: StoredResponse,
        status: Status,
        reason: Reason,
        age: float | None,
        *,
        head: bool = False,
        stored: bool = True,
    ) -> HttpResponse:
        """The Response of a stored answer; with `head` without its body (RFC 9110 §9.3.2)."""
        response = object.__new__(self.library.cached_response)
        response._request = None
        self._fill(response, entry, _new(CacheOutcome, (status, reason, age, entry.ttl, entry.key, stored, entry.rule)))
        if head:
            response.stream, response._stored = self._read, _NOTHING
        else:
            response.stream, response._stored = self.library.byte_stream(entry.raw), entry
        return response  # type: ignore[no-any-return]

    def first(self, entry: StoredResponse, reason: Reason, received: HttpResponse, *, stored: bool) -> HttpResponse:
        """The Response of an answer that was just received and read, with its header fields as received."""
        response: Any = self.stored(entry, "miss", reason, 0.0, stored=stored)
        response._content = entry.content
        return response  # type: ignore[no-any-return]

    def looked_up(
        self, entry: StoredResponse, status: Status, reason: Reason, age: float | None, pattern: HttpRequest
    ) -> HttpResponse:
        """The same for a lookup: already read, its request to be copied from `pattern`."""
        response = object.__new__(self.library.looked_up_response)
        response._pattern, response._own = pattern, False
        self._fill(response, entry, _new(CacheOutcome, (status, reason, age, entry.ttl, entry.key, True, entry.rule)))
        response.stream = self._read
        response._content, response._num_bytes_downloaded = entry.content, len(entry.raw)
        response.is_stream_consumed = response.is_closed = True
        return response  # type: ignore[no-any-return]

    def _fill(self, response: Any, entry: StoredResponse, outcome: CacheOutcome) -> None:
        """Set what `__init__` of the library's Response would, but for the stream, in an order that all share."""
        library = self.library
        headers: Any = object.__new__(library.headers)
        headers._list = list(entry.headers)
        headers._encoding = entry.encoding
        if headers._encoding is None:
            entry.encoding = headers.encoding
        response.status_code = entry.status
        response.headers = headers
        response.next_request = None
        response.extensions = {**entry.extensions, EXTENSION: outcome}
        if self.name is not None:
            self.mark(response, outcome)
        response.history = []
        response.is_closed = False
        response.is_stream_consumed = False
        response.default_encoding = "utf-8"
        response._num_bytes_downloaded = 0
        response._elapsed = NO_TIME

    def gateway_timeout(self, outcome: CacheOutcome) -> HttpResponse:
        """The answer to a caller who wants a stored one or none (RFC 9111 §5.2.1.7)."""
        response: HttpResponse = self.unread(self.library.response(504, content=b""))
        self.mark(response, outcome)
        return response

    @staticmethod
    def unread(response: Any) -> Any:
        """A Response that was made here of its content, as if it had just been received."""
        del response._content
        response.is_closed = response.is_stream_consumed = False
        response._num_bytes_downloaded = 0
        response._elapsed = NO_TIME
        return response
