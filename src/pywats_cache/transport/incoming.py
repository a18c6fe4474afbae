"""The responses whose body is still to come: stored as they are read, in whatever way the caller reads them.

Read whole, a body is drained in one go, decoded once and stored; until then a failure may still be answered from what
is stored. Read as a stream, its chunks pass at once. The decisions are those of the engine's `Incoming`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from types import AsyncGeneratorType
from typing import TYPE_CHECKING, Any

import anyio

from ..storage.url import is_shared
from .cached_response import QuickAnswers

if TYPE_CHECKING:
    from ..engine.http_library import Library
    from ..engine.incoming import Incoming
    from ..engine.scopes import Noted
    from .asynchronous import AsyncCache
    from .sync import SyncCache

__all__ = ["AsyncIncomingResponse", "AsyncIncomingStream", "IncomingResponse", "IncomingStream"]

_OVER: Any = None


class _Response(QuickAnswers):
    """What the sync and the async Response have in common; a Response of the library comes after it."""

    status_code: int
    stream: Any
    is_closed: bool
    is_stream_consumed: bool
    headers: Any
    extensions: dict[str, Any]
    _request: Any
    _content: bytes
    _num_bytes_downloaded: int
    _incoming: _Stream | None = None

    def _may_drain(self) -> bool:
        """Whether the body can be drained: nobody has begun to read it, and nobody wraps its stream but a client."""
        mine, stream = self._incoming, self.stream
        if mine is None or self.is_stream_consumed or self.is_closed:
            return False
        return stream is mine or (stream.__class__ in mine.library.bound_streams and stream._stream is mine)

    def _is_to_be_decoded(self) -> None:
        """Let the library read the body again, and decode it or fail to."""
        self._incoming = None
        self.is_stream_consumed = self.is_closed = False

    def _gets_head_of(self, stand_in: Any) -> None:
        self.status_code, self.headers, self.extensions = stand_in.status_code, stand_in.headers, stand_in.extensions

    def __getstate__(self) -> dict[str, Any]:
        library: Any = super()  # object has no __getstate__ before Python 3.11
        state: dict[str, Any] = library.__getstate__()
        state.pop("_incoming", None)
        return state


class IncomingResponse(_Response):
    """A Response of the sync transport whose body is still to come."""

    def read(self) -> bytes:
        """The decoded body, as in the library."""
        if not self._may_drain():
            content: bytes = super().read()  # type: ignore[misc]
            return content
        assert isinstance(self._incoming, IncomingStream)
        raw, decoded = self._incoming.drain(self)
        if decoded is None:
            self._is_to_be_decoded()
            content = super().read()  # type: ignore[misc]
            return content
        self._num_bytes_downloaded, self._content, self._incoming = len(raw), decoded, None
        return decoded


class AsyncIncomingResponse(_Response):
    """A Response of the async transport whose body is still to come."""

    async def aread(self) -> bytes:
        """The decoded body, as in the library."""
        if not self._may_drain():
            content: bytes = await super().aread()  # type: ignore[misc]
            return content
        assert isinstance(self._incoming, AsyncIncomingStream)
        raw, decoded = await self._incoming.drain(self)
        if decoded is None:
            self._is_to_be_decoded()
            content = await super().aread()  # type: ignore[misc]
            return content
        self._num_bytes_downloaded, self._content, self._incoming = len(raw), decoded, None
        return decoded


class _Stream:
    """What the sync and the async stream have in common.

    - `again`: the whole body once it was drained, in case it is read a second time.
    """

    __slots__ = ("_body", "_cache", "_is_closed", "_is_drained", "_is_settled", "_source", "again", "library")

    def __init__(self, source: Any, incoming: Incoming, cache: Any) -> None:
        self._source = source
        self._body = incoming
        self._cache = cache
        self._is_closed = False
        self._is_drained = False
        self.again: bytes | None = None
        self._is_settled = False
        self.library: Library = cache._library
        response = incoming.response
        response.stream = response._incoming = self

    def asked_by(self, *who: Any) -> None:
        """Who asked for the response; see `Incoming.asked`."""
        self._body.asked = who

    def noted_in(self, noted: Noted) -> None:
        """Where the outcome is to be changed once it is decided what becomes of the body."""
        self._body.noted = noted

    def _raised(self, error: BaseException, response: Any, chunks: list[bytes]) -> None:
        """Leave behind what the library would, had it read the body."""
        response._num_bytes_downloaded = sum(map(len, chunks))
        if isinstance(error, self.library.request_error) and response._request is not None:
            error.request = response._request


class IncomingStream(_Stream):
    """The stream of an `IncomingResponse`. It stores nothing of a body that breaks off or is closed early."""

    __slots__ = ()
    _cache: SyncCache

    def drain(self, response: Any) -> tuple[bytes, bytes | None]:
        """Read all of it into the cache. Returns the body as received, and decoded; None: it was not decoded.

        If it breaks off, what is stored may take its place in `response`. Raises the error of the next transport.
        """
        body = self._body
        self._is_drained = response.is_stream_consumed = True
        chunks: list[bytes] = []
        try:
            if body.fetch.length is not None:  # which is not too large, or nobody would store it
                for chunk in self._source:
                    chunks.append(chunk)
            else:
                for chunk in self._source:
                    chunks.append(chunk)
                    body.add(chunk)
                    if body.is_in_vain:
                        break
            raw = chunks[0] if len(chunks) == 1 else b"".join(chunks)
            response.is_closed = True
            response.stream.close()
            content = self._cache._engine.with_news(body.whole, raw)
            self._settle()
        except BaseException as error:
            stand_in = self._broke_off(error, whole=True)
            if stand_in is None:
                self._raised(error, response, chunks)
                self._close_source()
                raise
            response.close()
            self.again = stand_in.stream._stream
            return stand_in.stream._stream, stand_in.read()  # from memory
        self.again = raw
        self._body = self._source = _OVER  # no circle with the response, which is freed as soon as nobody holds it
        return raw, content

    def __iter__(self) -> Iterator[bytes]:
        if self.again is not None:
            yield self.again
            return
        body = self._body
        stand_in = None
        try:
            for chunk in self._source:
                body.add(chunk)
                if body.is_wrong:
                    body.retract(self._cache._outer is not None)
                if body.is_whole:
                    self._cache._engine.with_news(body.finish)
                if body.is_over:  # nobody waits for the reader
                    self._settle()
                    yield chunk
                    continue
                if body.holds_others:
                    self._settle()
                self._lend(body.lease_in_hand())
                body.handed_on()
                yield chunk
                body.asked_again()
                self._lend(body.lease_awaited())
            if not body.is_over:
                self._cache._engine.with_news(body.finish)
        except GeneratorExit:
            self._leave()
            raise
        except BaseException as error:
            stand_in = self._broke_off(error, whole=False)
            if body.is_wrong:
                body.retract(self._cache._outer is not None)
            if stand_in is None:
                raise
        else:
            self._settle()
        if stand_in is not None:
            yield from stand_in.stream

    def close(self) -> None:
        """Close the stream; early, it stores nothing."""
        try:
            self._close_source()
        finally:
            if not (self._is_drained or self._is_settled):
                self._leave()

    def _close_source(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._source.close()

    def _leave(self) -> None:
        self._cache._engine.storage.coherence.without_io(self._body.close)
        self._settle()

    def _broke_off(self, error: BaseException, *, whole: bool) -> Any:
        body = self._body
        stand_in = None
        try:
            stand_in = self._cache._with_news_of_failure(lambda raised: body.broke_off(raised, whole=whole), error)
            if stand_in is not None:
                body.response._gets_head_of(stand_in)
        finally:
            self._settle(error if stand_in is None else None)
        return stand_in

    def _lend(self, seconds: float | None) -> None:
        """Let other processes wait so long for this reader."""
        if seconds is not None and is_shared(self._cache._outer):
            self._cache._outer.lend(self._body.fetch, seconds)

    def _settle(self, error: BaseException | None = None) -> None:
        """Write what was stored to the outer storage, and let other processes fetch; tell of it once it is decided.

        Before that, other processes are let go too, once this reader has taken his time.
        """
        if self._is_settled:
            return
        self._is_settled = self._body.is_over
        outer = self._cache._outer
        if outer is not None:
            outer.save(self._body.fetch, self._cache._engine.now())
        if self._is_settled:
            self._body.tell(error)


class AsyncIncomingStream(_Stream):
    """The stream of an `AsyncIncomingResponse`. A reader who is cancelled hands its flight over."""

    __slots__ = ()
    _cache: AsyncCache

    async def drain(self, response: Any) -> tuple[bytes, bytes | None]:
        """Read all of it into the cache. Returns the body as received, and decoded; None: it was not decoded.

        If it breaks off, what is stored may take its place in `response`. Raises the error of the next transport.
        """
        body = self._body
        self._is_drained = response.is_stream_consumed = True
        chunks: list[bytes] = []
        try:
            source = self._source.__aiter__()
            if body.fetch.length is not None:  # which is not too large, or nobody would store it
                async for chunk in source:
                    chunks.append(chunk)
            else:
                async for chunk in source:
                    chunks.append(chunk)
                    body.add(chunk)
                    if body.is_in_vain:
                        await _closed(source)
                        break
            raw = chunks[0] if len(chunks) == 1 else b"".join(chunks)
            response.is_closed = True
            await response.stream.aclose()
            content = await self._cache._with_news(body.whole, raw)
            await self._settle()
        except BaseException as error:
            stand_in = await self._broke_off(error, whole=True)
            with anyio.CancelScope(shield=True):
                if stand_in is None:
                    self._raised(error, response, chunks)
                    await self._close_source()
                    raise
                await response.aclose()
            self.again = stand_in.stream._stream
            return stand_in.stream._stream, stand_in.read()  # from memory
        self.again = raw
        self._body = self._source = _OVER  # no circle with the response, which is freed as soon as nobody holds it
        return raw, content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self.again is not None:
            yield self.again
            return
        body = self._body
        stand_in = None
        chunks = self._source.__aiter__()
        try:
            async for chunk in chunks:
                body.add(chunk)
                if body.is_wrong:
                    await self._cache._run(body.retract, self._cache._outer is not None)
                if body.is_whole:
                    await self._cache._with_news(body.finish)
                if body.is_over:  # nobody waits for the reader
                    await self._settle()
                    yield chunk
                    continue
                if body.holds_others:
                    await self._settle()
                await self._lend(body.lease_in_hand())
                body.handed_on()
                yield chunk
                body.asked_again()
                await self._lend(body.lease_awaited())
            if not body.is_over:
                await self._cache._with_news(body.finish)
        except GeneratorExit:
            await self._leave()
            await _closed(chunks)
            raise
        except BaseException as error:
            stand_in = await self._broke_off(error, whole=False)
            if body.is_wrong:
                await self._cache._run(body.retract, self._cache._outer is not None)
            if stand_in is None:
                raise
        else:
            await self._settle()
        if stand_in is not None:
            async for chunk in stand_in.stream:
                yield chunk

    async def aclose(self) -> None:
        """Close the stream; early, it stores nothing."""
        try:
            await self._close_source()
        finally:
            if not (self._is_drained or self._is_settled):
                await self._leave()

    async def _close_source(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            await self._source.aclose()

    async def _leave(self) -> None:
        self._cache._engine.storage.coherence.without_io(self._body.close)
        await self._settle()

    async def _broke_off(self, error: BaseException, *, whole: bool) -> Any:
        body = self._body
        stand_in = None
        try:
            stand_in = await self._cache._with_news_of_failure(
                lambda raised: body.broke_off(raised, whole=whole), error
            )
            if stand_in is not None:
                body.response._gets_head_of(stand_in)
        finally:
            await self._settle(error if stand_in is None else None)
        return stand_in

    async def _lend(self, seconds: float | None) -> None:
        """Let other processes wait so long for this reader."""
        if seconds is not None and is_shared(self._cache._outer):
            await self._cache._outer.alend(self._body.fetch, seconds)

    async def _settle(self, error: BaseException | None = None) -> None:
        """Write what was stored to the outer storage, and let other processes fetch; tell of it once it is decided.

        Before that, other processes are let go too, once this reader has taken his time.
        """
        if self._is_settled:
            return
        self._is_settled = self._body.is_over
        outer = self._cache._outer
        if outer is not None:
            await outer.asave(self._body.fetch, self._cache._engine.now())
        if self._is_settled:
            self._body.tell(error)


async def _closed(chunks: Any) -> None:
    """End a generator here, for trio complains of one that is left to the garbage collector."""
    if isinstance(chunks, AsyncGeneratorType):
        await chunks.aclose()
