"""What is read of the requests, responses and clients of httpx and httpx2, as types. Both libraries' classes have them.

For type checkers only: nothing here is checked, or costs anything, at run time. The private names among them are listed
in `engine.private_names`, with what for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from datetime import timedelta

__all__ = [
    "FieldLine",
    "HttpClient",
    "HttpCookies",
    "HttpHeaders",
    "HttpMessage",
    "HttpRequest",
    "HttpResponse",
    "HttpUrl",
    "ParsedUrl",
]

FieldLine = tuple[bytes, bytes, bytes]
"""A line of a header: its name as it was written, its name in lower case, its value."""


class ParsedUrl(Protocol):
    """The parts of a URL, each as text."""

    @property
    def scheme(self) -> str: ...
    @property
    def userinfo(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int | None: ...
    @property
    def path(self) -> str: ...
    @property
    def query(self) -> str | None: ...


class HttpUrl(Protocol):
    """A URL. `str(url)` is the whole of it."""

    @property
    def _uri_reference(self) -> ParsedUrl: ...
    @property
    def netloc(self) -> bytes: ...
    @property
    def userinfo(self) -> bytes: ...


class HttpHeaders(Protocol):
    """The header fields of a message."""

    _list: list[FieldLine]
    _encoding: str | None

    @property
    def encoding(self) -> str: ...


class HttpMessage(Protocol):
    """What a request and a response have in common.

    - `stream`: the body as bytes, an iterable of them or an async one: `Any`, for it may be either.
    """

    @property
    def headers(self) -> HttpHeaders: ...
    @property
    def extensions(self) -> dict[str, Any]: ...
    @property
    def stream(self) -> Any: ...


class HttpRequest(HttpMessage, Protocol):
    """A request. `read` gives the body, where that is not a stream of the caller's."""

    @property
    def method(self) -> str: ...
    @property
    def url(self) -> HttpUrl: ...
    def read(self) -> bytes: ...


class HttpResponse(Protocol):
    """A response, whose extensions and stream are ours to replace.

    - `is_stream_consumed`: whether its body was read, by whoever made it; `is_closed`: whether its connection was left.
    - `default_encoding`: the name of an encoding, or what finds it: `Any`, for it is only handed on.
    """

    extensions: dict[str, Any]
    stream: Any
    is_closed: bool
    is_stream_consumed: bool
    default_encoding: Any

    @property
    def elapsed(self) -> timedelta: ...
    @elapsed.setter
    def elapsed(self, elapsed: timedelta) -> None: ...
    @property
    def is_success(self) -> bool: ...
    @property
    def status_code(self) -> int: ...
    @property
    def headers(self) -> HttpHeaders: ...
    @property
    def request(self) -> HttpRequest: ...
    @property
    def history(self) -> Sequence[HttpResponse]: ...
    @property
    def next_request(self) -> HttpRequest | None: ...
    def close(self) -> None: ...
    async def aclose(self) -> None: ...


class HttpCookies(Protocol):
    """The cookies of a client."""

    @property
    def jar(self) -> Any: ...


class HttpClient(Protocol):
    """A client, sync or async, as lookups see it: what it would send, and all it does besides."""

    @property
    def _base_url(self) -> object: ...
    @property
    def _params(self) -> object: ...
    @property
    def _timeout(self) -> object: ...
    @property
    def _transport(self) -> object: ...
    @property
    def _headers(self) -> HttpHeaders: ...
    @property
    def _cookies(self) -> HttpCookies: ...
    @property
    def _event_hooks(self) -> Mapping[str, Sequence[object]]: ...
    @property
    def _auth(self) -> object: ...
    @property
    def _state(self) -> Any: ...
    @property
    def _default_encoding(self) -> object: ...
    def _transport_for_url(self, url: Any) -> object: ...
    def build_request(
        self, method: str, url: str, *, params: Any = ..., headers: Any = ..., content: Any = ..., json: Any = ...
    ) -> HttpRequest: ...
