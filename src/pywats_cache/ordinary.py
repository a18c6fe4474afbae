"""The ordinary way of a call through its client: whether all that it does may be left out.

A lookup leaves out what the client and the transport do with a request and with the answer to it. That may be done only
where none of it has an effect (no cookies, auth, hooks, logging …), and where all of it is code of the library and of
this package: a subclass or a tracing tool may add credentials, or count requests.
"""

from __future__ import annotations

import logging
from operator import attrgetter, is_
from typing import TYPE_CHECKING, Any

from .genuine import OURS, is_genuine, only_these_behind, reads_plainly
from .mounting import Mounted

if TYPE_CHECKING:
    from .engine import Engine
    from .prepared import Prepared

__all__ = ["CLIENT_STEPS", "JAR_STEPS", "OrdinaryWay"]

CLIENT_STEPS = (
    "send",
    "request",
    "build_request",
    "_send_single_request",
    "_send_handling_auth",
    "_send_handling_redirects",
    "_transport_for_url",
    "_build_request_auth",
    "_set_timeout",
    "_merge_url",
    "_merge_headers",
    "_merge_cookies",
    "_merge_queryparams",
    "headers",
    "cookies",
    "params",
    "base_url",
    "timeout",
)
"""What the ordinary way runs of a client on a hit, beside the library's own `get`; in the order of `_may_answer`."""
JAR_STEPS = ("add_cookie_header", "extract_cookies", "_cookies_for_request", "__iter__")
"""What it runs of a cookie jar."""

_OVERRIDES, _JAR_OVERRIDES = frozenset(CLIENT_STEPS), frozenset(JAR_STEPS)
_steps_of = attrgetter(*CLIENT_STEPS)


class OrdinaryWay:
    """What one client does with a call, as it is set up now.

    The memo holds what call arguments came to while base_url, headers, params, timeout and transports of the client
    were what `_seen` says; any change empties it. What is kept here is replaced, never repaired, so threads share it
    without a lock.
    """

    __slots__ = (
        "_attributes",
        "_base",
        "_calls",
        "_client",
        "_closed",
        "_engine",
        "_foreign",
        "_handler",
        "_is_async",
        "_jar",
        "_logger",
        "_memo",
        "_plain",
        "_seen",
        "_shared",
        "_steps",
    )

    def __init__(self, client: Any, engine: Engine) -> None:
        self._client = client
        self._engine = engine
        self._logger = logging.getLogger(engine.library.name)
        self._closed = type(client._state).CLOSED
        self._memo: dict[Any, Any] = {}
        self._seen: tuple[Any, ...] = (None,) * 7
        self._shared = engine.blocks
        self._plain = not engine.preparer.partition_is_computed
        # What the client has of its own, with what it is about to set. A step of its own makes it more.
        self._attributes = len({*client.__dict__, "_door", "lookup"})
        self._base: Any = client._client_class
        self._steps: tuple[Any, ...] = (None,) * (len(CLIENT_STEPS) + 1)
        self._foreign: tuple[Any, ...] = ()
        self._jar: Any = None
        self._is_async: bool = client._transport_class._is_async
        self._calls: str = client._transport_class._calls
        self._handler: Any = None

    def _may_answer(self) -> bool:
        """Whether the client, as it is set up now, does nothing that a lookup would leave out."""
        client = self._client
        base_url, params, timeouts, transport, headers, fields, mounts = self._seen
        if (
            client._base_url is not base_url
            or client._params is not params  # in another order they are equal, and another query
            or client._timeout is not timeouts
            or client._transport is not transport
            or client._headers is not headers
            or headers._list != fields
            or ((client._mounts or mounts) and tuple(client._mounts.items()) != mounts)
        ):
            self._look_again()
        own = client.__dict__
        hooks = client._event_hooks
        jar = client._cookies.jar
        kind = type(client)
        (
            send,
            request,
            build_request,
            send_single_request,
            send_handling_auth,
            send_handling_redirects,
            transport_for_url,
            build_request_auth,
            set_timeout,
            merge_url,
            merge_headers,
            merge_cookies,
            merge_queryparams,
            headers,
            cookies,
            params,
            base_url,
            timeout,
            get,
        ) = self._steps
        if self._shared and not self._engine.storage.coherence.is_current():
            return False  # to ask what other processes did is I/O, for the ordinary way
        return (
            self._plain
            and client._state is not self._closed
            and client._auth is None
            and not hooks["request"]
            and not hooks["response"]
            and not jar._cookies
            and not self._logger.isEnabledFor(logging.INFO)
            and (len(own) <= self._attributes or _OVERRIDES.isdisjoint(own))
            and (jar is self._jar or self._judge_jar(jar))
            and (
                # By identity, for a wrapper may call itself equal to what it wraps; a loop would take twice as long.
                (
                    kind.send is send
                    and kind.request is request
                    and kind.build_request is build_request
                    and kind._send_single_request is send_single_request
                    and kind._send_handling_auth is send_handling_auth
                    and kind._send_handling_redirects is send_handling_redirects
                    and kind._transport_for_url is transport_for_url
                    and kind._build_request_auth is build_request_auth
                    and kind._set_timeout is set_timeout
                    and kind._merge_url is merge_url
                    and kind._merge_headers is merge_headers
                    and kind._merge_cookies is merge_cookies
                    and kind._merge_queryparams is merge_queryparams
                    and kind.headers is headers
                    and kind.cookies is cookies
                    and kind.params is params
                    and kind.base_url is base_url
                    and kind.timeout is timeout
                    and self._base.get is get
                )
                or self._judge_client(kind)
            )
        )

    def _look_again(self) -> None:
        client = self._client
        seen = (
            client._base_url,
            client._params,
            client._timeout,
            client._transport,
            client._headers,
            client._headers._list.copy(),
            tuple(client._mounts.items()),
        )
        self._memo = {}
        self._seen = seen

    def _judge_client(self, kind: type[Any]) -> bool:
        """Whether all steps of this class are genuine; if so, that is remembered."""
        try:
            found = (*_steps_of(kind), self._base.get)
        except AttributeError:  # a release of the library that goes another way
            return False
        if self._foreign and all(map(is_, found, self._foreign)):
            return False
        library = self._engine.library.name
        if (
            reads_plainly(kind)
            and only_these_behind(kind, library)
            and all(is_genuine(kind, name, library) for name in CLIENT_STEPS)
            and is_genuine(self._base, "get", library)
        ):
            self._steps = found
            return True
        self._foreign = found
        return False

    def _judge_jar(self, jar: Any) -> bool:
        """Whether this cookie jar, while it is empty, adds nothing and takes nothing; if so, that is remembered."""
        if all(
            is_genuine(type(jar), name, "http", self._engine.library.name) for name in JAR_STEPS
        ) and _JAR_OVERRIDES.isdisjoint(jar.__dict__):
            self._jar = jar
            return True
        return False

    def _judge_transport(self, mounted: Any) -> bool:
        """Whether the class of this transport answers requests as ours do; if so, that is remembered."""
        kind = type(mounted)
        if is_genuine(kind, self._calls, OURS) and reads_plainly(kind):
            self._handler = getattr(kind, self._calls)
            return True
        return False

    def _comes_to(self, request: Any, *, trusted: bool = False) -> tuple[Prepared | None, Any]:
        """Prepare `request`, and say what transport sends it; (None, None) unless that is a plain read by this engine.

        - `trusted`: also behind a next transport that may have changed it.
        """
        engine, mounted = self._engine, self._client._transport_for_url(request.url)
        # By its type, for a proxy object shows the class of what it wraps.
        if not issubclass(type(mounted), Mounted) or mounted._engine is not engine or request.url.userinfo:
            return None, None
        if trusted and not self._leaves_alone(mounted.next_transport):
            return None, None
        prepared = engine.preparer.prepare(request)
        is_plain = prepared.kind == "read" and not prepared.head and not prepared.refresh
        return (prepared, mounted) if is_plain else (None, None)

    def _leaves_alone(self, transport: Any) -> bool:
        """Whether a next transport is the library's own, which changes no request."""
        return is_genuine(type(transport), self._calls, self._engine.library.name) and self._calls not in vars(
            transport
        )
