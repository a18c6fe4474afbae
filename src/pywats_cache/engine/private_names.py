"""Every private name of httpx and httpx2 that this package reads, sets or overrides, and what for.

What httpx does at every request costs more than a hit, so the cache reads and sets what httpx keeps to itself. A new
version may drop any of that without notice: tests compare this list with the installed libraries and with this
package's source. Only the functions named in `ON_A_HIT` and the classes that extend the library's touch one themselves;
everything else goes through the functions of `http_library`. Nothing loads this list but the tests.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ON_A_HIT", "PRIVATE", "PrivateName"]


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


_FUNCTIONS = "engine.http_library"
_MAY_ANSWER = "transport.ordinary_way.OrdinaryWay._may_answer"
_LOOK_AGAIN = "transport.ordinary_way.OrdinaryWay._look_again"
"""What the guard of the fast path compares at each hit, and what takes it down anew when it has changed."""

PRIVATE: tuple[PrivateName, ...] = (
    PrivateName(
        "Headers",
        "_list",
        (
            _FUNCTIONS,
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
        (_FUNCTIONS, "engine.responses.Answers._fill"),
        "the encoding of the fields, guessed once for a stored response and not at every hit",
    ),
    PrivateName(
        "URL",
        "_uri_reference",
        (_FUNCTIONS, "engine.classify.Preparer.prepare"),
        "the parsed URL, a part of the key of the memo of requests, hashed at every hit",
    ),
    *(
        PrivateName("_urlparse.ParseResult", name, ("engine.classify", "protocol.targets"), "origin, path and query")
        for name in ("scheme", "userinfo", "host", "port", "path", "query")
    ),
    PrivateName(
        "Request",
        "_content",
        (_FUNCTIONS, "engine.engine.Engine.begin"),
        "the body where it was read, as a part of the key; one that was not read is a stream",
    ),
    PrivateName(
        "Response",
        "_content",
        (
            _FUNCTIONS,
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
            _FUNCTIONS,
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
        (_FUNCTIONS, "engine.responses.Answers"),
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
        "Client",
        "_state",
        (_FUNCTIONS, _MAY_ANSWER),
        "the question whether the client was closed, and so must not answer",
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
        (_FUNCTIONS, "transport.ordinary_way"),
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
        (_FUNCTIONS, "transport.fast_path.Door.answer"),
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
"""The functions that read or set one themselves, since a call of one of those in `http_library` would be felt there."""
