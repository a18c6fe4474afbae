"""The classes of the HTTP library that made a request: httpx, or its fork httpx2. One engine serves both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

__all__ = ["Library", "Parts", "copied", "parts"]

_SLICE = 16 << 10


class Library(NamedTuple):
    """What the engine and the transports take from a library.

    - `cached_response`: its Response with `StoredBody` in front; `looked_up_response`: with `LookedUp`.
    - `timeouts`: the timeouts of a request whose caller gave these; None: the client's.
    - `not_sent`: exceptions that prove that no byte of a request was sent.
    - `unreachable`: exceptions that say that the server cannot be reached, or does not answer.
    """

    name: str
    request: type[Any]
    response: type[Any]
    cached_response: type[Any]
    looked_up_response: type[Any]
    headers: type[Any]
    byte_stream: type[Any]
    tee: type[Any]
    async_tee: type[Any]
    encode_json: Callable[[Any], bytes]
    timeouts: Callable[[Any], dict[str, float | None] | None]
    not_sent: tuple[type[BaseException], ...]
    unreachable: tuple[type[BaseException], ...]

    def decode(self, headers: list[tuple[bytes, bytes, bytes]], raw: bytes, bound: int) -> bytes | None:
        """`raw` without its content encodings, or None once that is more than `bound` bytes.

        Raises the library's DecodingError. A few KB may decode to GB, so it goes slice by slice.
        """
        if all(lower != b"content-encoding" for _, lower, _ in headers):
            return raw
        slices = _Slices(raw)
        response = self.response(200, headers=[(name, value) for name, _, value in headers], content=slices)
        chunks: list[bytes] = []
        for chunk in response.iter_bytes():
            chunks.append(chunk)
            bound -= len(chunk)
            if bound < 0:
                return None
        return b"".join(chunks)


class _Slices:
    """A body in slices, as a stream."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, len(self._raw), _SLICE):
            yield self._raw[start : start + _SLICE]


Parts = tuple[dict[str, Any], list[tuple[bytes, bytes, bytes]], dict[str, Any]]
"""What a request is at one moment: its attributes, header fields and extensions."""


def parts(request: Any) -> Parts:
    """What `copied` needs of a request that may change before; a fifth of the work of a copy."""
    return request.__dict__.copy(), request.headers._list.copy(), request.extensions.copy()


def copied(request: Any, taken: Parts | None = None) -> Any:
    """A copy of `request` that later changes do not reach; with `taken`, of what it was when those were taken."""
    attributes, fields, extensions = taken or parts(request)
    theirs = attributes["headers"]
    headers, copy = object.__new__(type(theirs)), object.__new__(type(request))
    headers.__dict__.update(theirs.__dict__, _list=fields)
    copy.__dict__.update(attributes, headers=headers, extensions=extensions)
    return copy
