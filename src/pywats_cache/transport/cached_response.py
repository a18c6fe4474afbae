"""Bodies: the Response of a hit, decoding, and streams that are stored while they are handed on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..support.http_types import HttpRequest

__all__ = [
    "LookedUp",
    "StoredBody",
    "StoredHeaders",
]

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
    def _request(self, request: HttpRequest) -> None:
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
