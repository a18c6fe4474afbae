"""Bodies: the Response of a hit, decoding, and streams that are stored while they are handed on."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from types import AsyncGeneratorType
from typing import Any

__all__ = ["NO_TIME", "AsyncTee", "Collector", "LookedUp", "StoredBody", "StoredHeaders", "Tee"]

NO_TIME = datetime.timedelta(0)
_PAIRS: dict[tuple[bytes, bytes, bytes], tuple[str, str]] = {}
_MAX_PAIRS = 2048
_PHRASES: dict[int, str] = {}


class StoredBody:
    """What a Response of httpx or httpx2 needs to be born read, in place of `__init__` (which costs 10 µs).

    Behaves as one that was just received: `iter_raw` gives the body as the server sent it, everything else the
    decoded one, and a caller may change whatever it likes, for `headers` and `extensions` are its own.
    """

    is_closed: bool
    is_stream_consumed: bool
    status_code: int
    extensions: dict[str, Any]
    _content: bytes

    # httpx's client asks both of every answer, which takes 2 µs of the 60 of a hit.

    @property
    def has_redirect_location(self) -> bool:
        """Whether this is a redirect, as in the library."""
        return self.status_code != 200 and bool(super().has_redirect_location)  # type: ignore[misc]

    @property
    def reason_phrase(self) -> str:
        """The text beside the status code, as in the library."""
        if "reason_phrase" in self.extensions:
            return str(super().reason_phrase)  # type: ignore[misc]
        phrase = _PHRASES.get(self.status_code)
        if phrase is None:
            phrase = _PHRASES[self.status_code] = str(super().reason_phrase)  # type: ignore[misc]
        return phrase

    def read(self) -> bytes:
        """The decoded body; nothing is read."""
        self.is_stream_consumed = self.is_closed = True
        return self._content

    async def aread(self) -> bytes:
        """The decoded body; nothing is read and nothing suspends."""
        self.is_stream_consumed = self.is_closed = True
        return self._content


class LookedUp(StoredBody):
    """The same for an answer found before the client built a request: that is made when somebody asks for it."""

    _pattern: Any
    """The request, or the one to copy it from the first time."""
    _own: bool
    _timeouts: Callable[[], dict[str, float | None] | None] | None = None
    """What gives those of its caller, where the call named some."""

    @property
    def _request(self) -> Any:
        if not self._own:
            pattern, extensions, timeouts = self._pattern, self._pattern.extensions, self._timeouts
            if timeouts is not None:
                extensions = {**extensions, "timeout": timeouts() or extensions["timeout"]}
            self._own = True
            self._pattern = type(pattern)(
                pattern.method,
                pattern.url,
                headers=pattern.headers,
                extensions=extensions,
                content=pattern.content or None,
            )
        return self._pattern

    @_request.setter
    def _request(self, request: Any) -> None:
        self._pattern, self._own = request, True

    def __getstate__(self) -> dict[str, Any]:
        _ = self._request
        self._timeouts = None  # done with, and no pickle can hold it
        library: Any = super()  # object has no __getstate__ before Python 3.11
        state: dict[str, Any] = library.__getstate__()
        return state


class StoredHeaders:
    """In front of a library's Headers: remembers the decoded pairs of fields that many answers have.

    httpx's cookie jar asks every answer for all of them, which takes 3.5 µs of the 60 of a hit.
    """

    _list: list[tuple[bytes, bytes, bytes]]

    def multi_items(self) -> list[tuple[str, str]]:
        """All fields as pairs of strings, as in the library."""
        try:
            return [_PAIRS[item] for item in self._list]
        except KeyError:
            found: list[tuple[str, str]] = super().multi_items()  # type: ignore[misc]
            if len(_PAIRS) > _MAX_PAIRS:
                _PAIRS.clear()
            for item, pair in zip(self._list, found, strict=True):
                if item[1].isascii() and item[2].isascii():  # then it is the same in every encoding
                    _PAIRS[item] = pair
            return found


class Collector:
    """Gathers the chunks of a body on their way to the caller, up to `bound` bytes.

    `done(raw)` is called at a clean end, `failed(too_large)` when there will be none; one of them, once.
    """

    __slots__ = ("_bound", "_chunks", "_done", "_failed", "_over")

    def __init__(self, bound: int, done: Callable[[bytes], object], failed: Callable[[bool], object]) -> None:
        self._bound = bound
        self._chunks: list[bytes] = []
        self._done = done
        self._failed = failed
        self._over = False

    def add(self, chunk: bytes) -> None:
        """One more chunk was received."""
        if not self._over:
            self._bound -= len(chunk)
            if self._bound < 0:
                self.end(too_large=True)
            else:
                self._chunks.append(chunk)

    @property
    def is_over(self) -> bool:
        """Whether it is decided what becomes of the body."""
        return self._over

    def finish(self) -> None:
        """The stream ended cleanly."""
        if not self._over:
            self._over = True
            raw = b"".join(self._chunks)
            self._chunks = []
            self._done(raw)

    def end(self, *, too_large: bool = False) -> None:
        """The stream broke off, was closed early, or is too large."""
        if not self._over:
            self._over = True
            self._chunks = []
            self._failed(too_large)


class Tee:
    """A sync stream that hands on chunk by chunk and stores what it saw at a clean end.

    `after` is called once it is decided what becomes of the body: at its end, when it is too large, or closed early.
    """

    def __init__(self, stream: Any, collector: Collector, after: Callable[[], object] | None = None) -> None:
        self._stream = stream
        self._collector = collector
        self._after = after

    def __iter__(self) -> Iterator[bytes]:
        collector = self._collector
        try:
            for chunk in self._stream:
                collector.add(chunk)
                if collector.is_over:
                    self._end()
                yield chunk
        except BaseException:
            collector.end()
            raise
        collector.finish()
        self._end()

    def _end(self) -> None:
        after, self._after = self._after, None
        if after is not None:
            after()

    def close(self) -> None:
        """Close the stream; early, it stores nothing."""
        self._collector.end()
        try:
            self._stream.close()
        finally:
            self._end()


class AsyncTee:
    """The same for an async stream; it awaits `after`."""

    def __init__(self, stream: Any, collector: Collector, after: Callable[[], Awaitable[None]] | None = None) -> None:
        self._stream = stream
        self._collector = collector
        self._after = after

    async def __aiter__(self) -> AsyncIterator[bytes]:
        collector = self._collector
        chunks = self._stream.__aiter__()
        try:
            async for chunk in chunks:
                collector.add(chunk)
                if collector.is_over:
                    await self._end()
                yield chunk
        except BaseException:
            collector.end()
            if isinstance(chunks, AsyncGeneratorType):  # trio complains of one that is left to the garbage collector
                await chunks.aclose()
            raise
        collector.finish()
        await self._end()

    async def _end(self) -> None:
        after, self._after = self._after, None
        if after is not None:
            await after()

    async def aclose(self) -> None:
        """Close the stream; early, it stores nothing."""
        self._collector.end()
        try:
            await self._stream.aclose()
        finally:
            await self._end()
