"""The HTTP library that made a request, httpx or its fork httpx2: its classes, and its private names.

`private_names` lists what of it is private, and why that is read. Only what a hit cannot pay a call for touches a
private name elsewhere.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from ..support.http_types import FieldLine, HttpClient, HttpHeaders, HttpRequest, HttpUrl, ParsedUrl

__all__ = [
    "Library",
    "Parts",
    "closed_state",
    "content_of",
    "copied",
    "default_encoding",
    "field_lines",
    "parsed",
    "parsed_alike",
    "parts",
    "put",
    "raw_of",
    "remove",
    "set_elapsed",
    "transport_for",
]

_SLICE = 16 << 10


class Library(NamedTuple):
    """What the engine and the transports take from a library.

    - `cached_response`: its Response with `StoredBody` in front; `looked_up_response`: with `LookedUp`.
    - `incoming_response`: its Response with `IncomingResponse` in front, and `incoming_stream` the stream in it.
    - `bound_streams`: the classes in which its clients wrap the stream of a response; private names of the library.
    - `request_error`: the base of the exceptions that know their request.
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
    incoming_response: type[Any]
    async_incoming_response: type[Any]
    incoming_stream: type[Any]
    async_incoming_stream: type[Any]
    bound_streams: tuple[type[Any], ...]
    encode_json: Callable[[Any], bytes]
    timeouts: Callable[[Any], dict[str, float | None] | None]
    not_sent: tuple[type[BaseException], ...]
    unreachable: tuple[type[BaseException], ...]
    request_error: type[Any]

    def decode(self, headers: list[tuple[bytes, bytes, bytes]], raw: bytes, bound: int) -> bytes | None:
        """`raw` without its content encodings, or None once that is more than `bound` bytes.

        Raises the library's DecodingError. A few KB may decode to GB, so it goes slice by slice.
        """
        for _, lower, _ in headers:
            if lower == b"content-encoding":
                break
        else:
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


# ── the private names: see `private_names` ────────────────────────────────────────────────────────────────────────────


def field_lines(headers: HttpHeaders) -> list[FieldLine]:
    """The lines of a header, to read."""
    return headers._list


def put(headers: HttpHeaders, name: bytes, value: bytes) -> None:
    """Set a field of `headers`, in the place of the first of its lines."""
    lower = name.lower()
    item, placed = (name, lower, value), False
    kept: list[FieldLine] = []
    for other in headers._list:
        if other[1] != lower:
            kept.append(other)
        elif not placed:
            kept.append(item)
            placed = True
    headers._list = kept if placed else [*kept, item]
    if not value.isascii():
        headers._encoding = None  # it was guessed without this value


def remove(headers: HttpHeaders, names: Iterable[bytes]) -> None:
    """Take fields (in lower case) out of `headers`."""
    gone = frozenset(names)
    headers._list = [item for item in headers._list if item[1] not in gone]


def parsed(url: HttpUrl) -> ParsedUrl:
    """The parts of a URL."""
    return url._uri_reference


def parsed_alike(url: HttpUrl, text: str) -> ParsedUrl:
    """The parts of another URL as the library of `url` reads them, or its error."""
    make: Any = type(url)
    return parsed(make(text))


def content_of(message: object) -> bytes | None:
    """The decoded body of a request or response; None while nobody has read it."""
    content: bytes | None = getattr(message, "_content", None)
    return content


def raw_of(stream: object) -> bytes | None:
    """The body that a stream of bytes in memory holds; None of any other stream."""
    raw = getattr(stream, "_stream", None)
    return raw if isinstance(raw, bytes) else None


def set_elapsed(response: object, seconds: float) -> None:
    """Say how long a response took that was made here; to any other the client gives its own."""
    if "_elapsed" in response.__dict__:
        response.__dict__["_elapsed"] = datetime.timedelta(seconds=seconds)


def closed_state(client: HttpClient) -> object:
    """The state of a client of this kind that was closed."""
    return type(client._state).CLOSED


def transport_for(client: HttpClient, url: HttpUrl) -> object:
    """The transport that `client` sends a request to `url` by."""
    return client._transport_for_url(url)


def default_encoding(client: HttpClient) -> object:
    """The encoding, or what finds it, of text in responses that name none."""
    return client._default_encoding


# ── copies of a request ───────────────────────────────────────────────────────────────────────────────────────────────

Parts = tuple[dict[str, Any], list[tuple[bytes, bytes, bytes]], dict[str, Any]]
"""What a request is at one moment: its attributes, header fields and extensions."""


def parts(request: HttpRequest) -> Parts:
    """What `copied` needs of a request that may change before; a fifth of the work of a copy."""
    return request.__dict__.copy(), field_lines(request.headers).copy(), request.extensions.copy()


def copied(request: HttpRequest, taken: Parts | None = None) -> HttpRequest:
    """A copy of `request` that later changes do not reach; with `taken`, of what it was when those were taken."""
    attributes, fields, extensions = taken or parts(request)
    theirs = attributes["headers"]
    headers, copy = object.__new__(type(theirs)), object.__new__(type(request))
    headers.__dict__.update(theirs.__dict__, _list=fields)
    copy.__dict__.update(attributes, headers=headers, extensions=extensions)
    return copy
