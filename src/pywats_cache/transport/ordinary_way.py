"""The ordinary way of a call through its client: whether all that it does may be left out.

A lookup leaves out what the client and the transport do with a request and with the answer to it. That may be done only
where none of it has an effect (no cookies, auth, hooks, logging …), and where all of it is code of the library and of
this package: a subclass or a tracing tool may add credentials, or count requests.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import chain
from operator import is_
from typing import TYPE_CHECKING, Any

from ..engine.http_library import closed_state, field_lines, transport_for
from ..engine.scopes import is_scoped
from ..support.genuine import OURS, is_genuine, only_these_behind, reads_plainly, unchanged
from ..support.memo import Memo
from .base import Mounted

if TYPE_CHECKING:
    from ..engine.classify import Prepared
    from ..engine.engine import Engine

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
"""What the ordinary way runs of a client on a hit, beside the library's own `get`."""
JAR_STEPS = ("add_cookie_header", "extract_cookies", "_cookies_for_request", "__iter__")
"""What it runs of a cookie jar."""

_OVERRIDES, _JAR_OVERRIDES = frozenset(CLIENT_STEPS), frozenset(JAR_STEPS)


def _never(kind: Any) -> bool:
    return False


def _are_same(mounts: dict[Any, Any], before: dict[Any, Any]) -> bool:
    """By identity: a wrapper may call itself equal to what it wraps."""
    return len(mounts) == len(before) and all(
        map(is_, chain.from_iterable(mounts.items()), chain.from_iterable(before.items()))
    )


# Bytes counted on top of texts and values, measured with tracemalloc on CPython 3.11.
CALL, PART, REQUEST, FIELD = 100, 57, 1350, 80


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
        "_handler",
        "_is_async",
        "_is_foreign",
        "_is_genuine",
        "_jar",
        "_logger",
        "_memo",
        "_plain",
        "_seen",
        "_shared",
    )

    def __init__(self, client: Any, engine: Engine) -> None:
        self._client = client
        self._engine = engine
        self._logger = logging.getLogger(engine.library.name)
        self._closed = closed_state(client)
        self._memo = Memo(_call_size)
        self._seen: tuple[Any, ...] = (None, None, None, None, None, None, {})
        self._shared = engine.blocks
        self._plain = not engine.preparer.partition_is_computed
        # What the client has of its own, with what it is about to set. A step of its own makes it more.
        self._attributes = len({*client.__dict__, "_door", "lookup"})
        self._base: Any = client._client_class
        # Whether a class is the one that was judged, unchanged since.
        self._is_genuine: Callable[[type[Any]], bool] = _never
        self._is_foreign: Callable[[type[Any]], bool] = _never
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
            or ((client._mounts or mounts) and not _are_same(client._mounts, mounts))
        ):
            self._look_again()
        if self._engine.open_scopes and is_scoped(self._engine):
            return False
        own = client.__dict__
        hooks = client._event_hooks
        jar = client._cookies.jar
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
            and (self._is_genuine(type(client)) or self._judge_client(type(client)))
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
            client._mounts.copy(),
        )
        self._memo = Memo(_call_size)
        self._seen = seen

    def _judge_client(self, kind: type[Any]) -> bool:
        """Whether all steps of this class are genuine; that is remembered."""
        if self._is_foreign(kind):
            return False
        same = unchanged(kind, CLIENT_STEPS, (self._base, "get"))  # before they are judged
        library = self._engine.library.name
        if (
            reads_plainly(kind)
            and only_these_behind(kind, library)
            and all(is_genuine(kind, name, library) for name in CLIENT_STEPS)
            and is_genuine(self._base, "get", library)
        ):
            self._is_genuine = same
            return True
        self._is_foreign = same
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
        engine = self._engine
        mounted: Any = transport_for(self._client, request.url)
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


def _call_size(key: Any, known: Any) -> int:
    """Bytes of a call in the memo: its arguments, and the request that they come to."""
    size = CALL + sum([PART + len(part) for part in key if part.__class__ is str])
    if known.__class__ is not tuple:
        return size
    fields = field_lines(known[1].headers)  # its URL is counted by the engine, which remembers it too
    return size + REQUEST + sum([FIELD + len(raw) + len(lower) + len(value) for raw, lower, value in fields])
