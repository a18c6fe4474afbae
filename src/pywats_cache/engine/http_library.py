"""The HTTP library that made a request, httpx or its fork httpx2: its classes, and its private names.

What httpx does at every request costs more than a hit, so the cache reads and sets what httpx keeps to itself. A new
version may drop any of that without notice: `PRIVATE` lists every private name, with what it is for, and tests compare
it with the installed libraries and with this package's source. Only the functions named in `ON_A_HIT` touch one
themselves; everything else goes through the functions below.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from ..support.http_types import FieldLine, HttpClient, HttpHeaders, HttpRequest, HttpUrl, ParsedUrl

__all__ = [
    "ON_A_HIT",
    "PRIVATE",
    "Library",
    "Parts",
    "PrivateName",
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


# ── the private names ─────────────────────────────────────────────────────────────────────────────────────────────────


class PrivateName(NamedTuple):
    """A name that httpx keeps to itself.

    - `owner`: the class that has it, or the module, with its module where that is private.
    - `readers`: what of this package reads, sets or overrides it.
    - `purpose`: as it reads after "for".
    """

    owner: str
    name: str
    readers: tuple[str, ...]
    purpose: str


_HERE = "engine.http_library"
_MAY_ANSWER = "transport.ordinary_way.OrdinaryWay._may_answer"
_LOOK_AGAIN = "transport.ordinary_way.OrdinaryWay._look_again"
"""What the guard of the fast path compares at each hit, and what takes it down anew when it has changed."""

PRIVATE: tuple[PrivateName, ...] = (
    PrivateName(
        "Headers",
        "_list",
        (
            _HERE,
            "engine.classify.Preparer.prepare",
            "engine.core.Core.variant_by",
            "engine.responses.Answers",
            "engine.rfc_responses.RfcAnswers._fill",
            "engine.rfc_staleness.RfcStaleness.variant",
            "engine.rfc_staleness.RfcStaleness.variant_by",
            "transport.cached_response.StoredHeaders",
            _MAY_ANSWER,
            _LOOK_AGAIN,
        ),
        "every header field as its bytes, which decide keys, freshness and storing",
    ),
    PrivateName(
        "Headers",
        "_encoding",
        (_HERE, "engine.responses.Answers._fill"),
        "the encoding of the fields, guessed once for a stored response and not at every hit",
    ),
    PrivateName(
        "URL",
        "_uri_reference",
        (_HERE, "engine.classify.Preparer.prepare"),
        "the parsed URL, a part of the key of the memo of requests, hashed at every hit",
    ),
    *(
        PrivateName("_urlparse.ParseResult", name, ("engine.classify", "protocol.targets"), "origin, path and query")
        for name in ("scheme", "userinfo", "host", "port", "path", "query")
    ),
    PrivateName(
        "Request",
        "_content",
        (_HERE, "engine.engine.Engine.begin"),
        "the body where it was read, as a part of the key; one that was not read is a stream",
    ),
    PrivateName(
        "Response",
        "_content",
        (
            _HERE,
            "engine.responses.Answers",
            "transport.incoming",
            "transport.cached_response.StoredBody",
        ),
        "the decoded body of a response that is born read, or that the next transport has read",
    ),
    PrivateName(
        "ByteStream",
        "_stream",
        (
            _HERE,
            "transport.cached_response.StoredBody",
            "transport.incoming",
        ),
        "the body as received, of a response that the next transport has read",
    ),
    PrivateName(
        "Response",
        "_request",
        (
            "engine.responses.Answers.stored",
            "transport.cached_response.LookedUp",
            "transport.incoming",
        ),
        "the request of a response, set by the client, or made when somebody asks for it",
    ),
    PrivateName(
        "Response",
        "_num_bytes_downloaded",
        (
            "engine.responses.Answers",
            "transport.cached_response.StoredBody",
            "transport.incoming",
        ),
        "the length of what was received, of a response that is born read",
    ),
    PrivateName(
        "Response",
        "_elapsed",
        (_HERE, "engine.responses.Answers"),
        "the time that a response took which is born read, known only once it is answered",
    ),
    PrivateName(
        "Client",
        "_base_url",
        (_MAY_ANSWER, _LOOK_AGAIN),
        "the question whether a lookup's request is still what the client would build",
    ),
    PrivateName(
        "Client",
        "_params",
        (_MAY_ANSWER, _LOOK_AGAIN),
        "the question whether a lookup's request is still what the client would build",
    ),
    PrivateName(
        "Client",
        "_timeout",
        (_MAY_ANSWER, _LOOK_AGAIN),
        "the question whether a lookup's request is still what the client would build",
    ),
    PrivateName(
        "Client",
        "_headers",
        (_MAY_ANSWER, _LOOK_AGAIN),
        "the question whether a lookup's request is still what the client would build",
    ),
    PrivateName("Client", "_event_hooks", (_MAY_ANSWER,), "the hooks, which a lookup would leave out"),
    PrivateName("Client", "_auth", (_MAY_ANSWER,), "the auth flow, which a lookup would leave out"),
    PrivateName("Client", "_cookies", (_MAY_ANSWER,), "the cookies, which a lookup would leave out"),
    PrivateName("Cookies.jar", "_cookies", (_MAY_ANSWER,), "the same, at once: a name of http.cookiejar, not of httpx"),
    PrivateName(
        "Client", "_state", (_HERE, _MAY_ANSWER), "the question whether the client was closed, and so must not answer"
    ),
    PrivateName(
        "Client",
        "_transport",
        (_MAY_ANSWER, _LOOK_AGAIN, "transport.client.CachingClient"),
        "the transport of the default route, which is the cache",
    ),
    PrivateName(
        "Client",
        "_mounts",
        (_MAY_ANSWER, _LOOK_AGAIN, "transport.client.CachingClient"),
        "the other routes, each of which gets the cache too",
    ),
    PrivateName(
        "Client",
        "_transport_for_url",
        (_HERE, "transport.ordinary_way"),
        "the question whether a lookup's request would come to this cache",
    ),
    *(
        PrivateName("Client", name, ("transport.ordinary_way",), "a step that a lookup leaves out if it is httpx's own")
        for name in (
            "_send_single_request",
            "_send_handling_auth",
            "_send_handling_redirects",
            "_build_request_auth",
            "_set_timeout",
            "_merge_url",
            "_merge_headers",
            "_merge_cookies",
            "_merge_queryparams",
        )
    ),
    PrivateName(
        "Client",
        "_init_transport",
        ("transport.client.CachingClient", "wats.transports"),
        "the cache in front of the transport that the client makes: it is overridden",
    ),
    PrivateName(
        "Client",
        "_init_proxy_transport",
        ("transport.client.CachingClient", "wats.transports"),
        "the cache in front of the transport of a proxy: it is overridden",
    ),
    PrivateName(
        "Client",
        "_default_encoding",
        (_HERE, "transport.fast_path.Door.answer"),
        "the encoding of text that names none, which the client gives to each of its responses",
    ),
    *(
        PrivateName("_client", name, ("httpx", "httpx2"), "the stream around ours, through which a body may be drained")
        for name in ("BoundSyncStream", "BoundAsyncStream")
    ),
    PrivateName("_content", "encode_json", ("httpx", "httpx2"), "the body of `json=`, in a lookup's key"),
    *(
        PrivateName("_types", name, ("httpx", "httpx2"), "the arguments of a client, for type checkers only")
        for name in (
            "AuthTypes",
            "CertTypes",
            "CookieTypes",
            "HeaderTypes",
            "ProxyTypes",
            "QueryParamTypes",
            "TimeoutTypes",
        )
    ),
)
"""Every private name of httpx and httpx2 that this package reads, sets or overrides."""

ON_A_HIT: frozenset[str] = frozenset(
    {
        "engine.classify.Preparer.prepare",
        "engine.core.Core.variant_by",
        "engine.engine.Engine.begin",
        "engine.responses.Answers._fill",
        "engine.responses.Answers.first",
        "engine.responses.Answers.looked_up",
        "engine.responses.Answers.mark",
        "engine.responses.Answers.stored",
        "engine.responses.Answers.unread",
        "engine.rfc_responses.RfcAnswers._fill",
        "engine.rfc_staleness.RfcStaleness.variant",
        "engine.rfc_staleness.RfcStaleness.variant_by",
        "transport.fast_path.Door.answer",
        _LOOK_AGAIN,
        _MAY_ANSWER,
    }
)
"""The functions that read or set one themselves, since a call of one of those below would be felt there."""


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
