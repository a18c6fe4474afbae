"""Bodies: the Response of a hit, decoding, and streams that are stored while they are handed on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from ..storage.entry import StoredResponse
    from ..support.http_types import HttpRequest

__all__ = [
    "LookedUp",
    "StoredBody",
    "StoredHeaders",
]

_PAIRS: dict[tuple[bytes, bytes, bytes], tuple[str, str]] = {}
_MAX_PAIRS = 2048


class QuickAnswers:
    """In front of a library's Response: what its client asks of every response, which takes 2 µs of the 60 of a hit."""

    status_code: int
    extensions: dict[str, Any]
    _phrases: ClassVar[dict[int, str]]
    """Of each class its own, for the libraries call some statuses by different names."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._phrases = {}

    @property
    def has_redirect_location(self) -> bool:
        """Whether this is a redirect, as in the library."""
        return self.status_code != 200 and bool(super().has_redirect_location)  # type: ignore[misc]

    @property
    def reason_phrase(self) -> str:
        """The text beside the status code, as in the library."""
        if "reason_phrase" in self.extensions:
            return str(super().reason_phrase)  # type: ignore[misc]
        phrase = self._phrases.get(self.status_code)
        if phrase is None:
            phrase = self._phrases[self.status_code] = str(super().reason_phrase)  # type: ignore[misc]
        return phrase


class StoredBody(QuickAnswers):
    """What a Response of httpx or httpx2 needs to hold a stored body, in place of `__init__` (which costs 10 µs).

    Behaves as one that was just received and not read yet: `iter_raw` gives the body as the server sent it, everything
    else the decoded one, and a caller may change whatever it likes, for `headers` and `extensions` are its own.
    """

    is_closed: bool
    is_stream_consumed: bool
    stream: Any
    _content: bytes
    _num_bytes_downloaded: int
    _stored: StoredResponse
    """Where the body comes from, until it is read."""

    @property
    def content(self) -> bytes:
        """The decoded body. In a client it must be read first, as any body; without one, it is there already."""
        try:
            return self._content
        except AttributeError:
            if isinstance(getattr(self.stream, "_stream", None), bytes):  # no client has wrapped the stream
                return self.read()
            content: bytes = super().content  # type: ignore[misc] # raises the library's error
            return content

    def read(self) -> bytes:
        """The decoded body; nothing is read."""
        if self.is_stream_consumed or self.is_closed:
            content: bytes = super().read()  # type: ignore[misc] # what was read before, or the library's error
            return content
        self.is_stream_consumed = self.is_closed = True
        return self._take()

    async def aread(self) -> bytes:
        """The decoded body; nothing is read and nothing suspends."""
        if self.is_stream_consumed or self.is_closed:
            content: bytes = await super().aread()  # type: ignore[misc] # what was read before, or the library's error
            return content
        self.is_stream_consumed = self.is_closed = True
        return self._take()

    def _take(self) -> bytes:
        stored = self._stored
        self._num_bytes_downloaded = len(stored.raw)
        content = self._content = stored.content
        return content

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """The decoded body, as in the library; it was decoded when it was stored."""
        if self.is_stream_consumed or self.is_closed:
            yield from super().iter_bytes(chunk_size)  # type: ignore[misc]
            return
        yield from self._slices(chunk_size)
        self.close()  # type: ignore[attr-defined]

    async def aiter_bytes(self, chunk_size: int | None = None) -> AsyncGenerator[bytes, None]:
        """The decoded body, as in the library; it was decoded when it was stored."""
        if self.is_stream_consumed or self.is_closed:
            async for chunk in super().aiter_bytes(chunk_size):  # type: ignore[misc]
                yield chunk
            return
        for chunk in self._slices(chunk_size):
            yield chunk
        await self.aclose()  # type: ignore[attr-defined]

    def _slices(self, size: int | None) -> Iterator[bytes]:
        self.is_stream_consumed = True
        stored = self._stored
        self._num_bytes_downloaded = len(stored.raw)
        content = stored.content
        for start in range(0, len(content), max(size or len(content), 1)):
            yield content[start : start + (size or len(content))]

    def __getstate__(self) -> dict[str, Any]:
        library: Any = super()  # object has no __getstate__ before Python 3.11
        state: dict[str, Any] = library.__getstate__()
        state.pop("_stored", None)
        return state


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
    def _request(self, request: HttpRequest) -> None:
        self._pattern, self._own = request, True

    def __getstate__(self) -> dict[str, Any]:
        _ = self._request
        self._timeouts = None  # done with, and no pickle can hold it
        return super().__getstate__()


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
