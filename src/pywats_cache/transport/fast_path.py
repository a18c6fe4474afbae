"""Lookups: the engine asked before the client builds a request, for the client is the cost of a hit.

Of the 66 µs that `httpx.Client.get` takes over a transport with a ready answer, the cookie jar takes 20, merging and
parsing the URL 25, building the Request 9.5 (CPython 3.11). A lookup takes the arguments of the call instead and
remembers what they come to, so that a warm one costs a few µs.

It answers only where nothing else that the client does could matter, and where all that it leaves out, in the client
and in the transport, is code of the library and of this package. Otherwise it returns None, has changed nothing, and
the client sends its request in the ordinary way. A `get` may also get a stale answer, or the answer of another
caller's fetch that is under way; its Response says so. Waiting and refreshing are the transport's work.

By construction the key is that of the request httpx would have built: at the first call with these arguments httpx
builds it, and the engine prepares it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ..engine.core import Core
from ..engine.http_library import copied, default_encoding
from ..engine.steps import Join, Stale
from ..policy.directives import DEADLINE
from ..storage.entry import StoredResponse
from ..support.memo import Memo
from ..telemetry.outcome import EXTENSION
from .ordinary_way import OrdinaryWay

if TYPE_CHECKING:
    from ..engine.engine import Engine
    from ..support.http_types import HttpResponse

__all__ = ["Door", "First", "Pending"]

MAX_MEMO = 4096
_PLAIN = frozenset({str, int, bool, type(None)})
_IRRELEVANT = frozenset({"params", "headers", "timeout", "follow_redirects"})
_NEVER, _ONCE = object(), object()  # call arguments never seen, and seen once


class First:
    """The first call with certain arguments. The request built for it is the pattern of later lookups."""

    __slots__ = ("_door", "_key", "_memo")

    def __init__(self, door: Door, memo: Memo, key: Any) -> None:
        self._door = door
        self._memo = memo
        self._key = key

    def answered(self, response: HttpResponse) -> None:
        """Remember the request that the client sent, as a copy: the caller may change the original.

        Nothing is remembered behind a next transport that is not the library's own, which may have changed the request,
        nor if the key is not that of the outcome.
        """
        if self._memo.get(self._key) is not _ONCE:
            return  # somebody who joined this call was faster
        first = response.history[0] if response.history else response
        sent, outcome = first.request, first.extensions.get(EXTENSION)
        door = self._door
        if outcome is None or not door._may_answer():
            return  # what the client does now may have changed the request on its way
        prepared, mounted = door._comes_to(sent, trusted=True)
        if prepared is not None and prepared.key == outcome.key:
            door._remember(self._memo, self._key, (prepared, copied(sent), mounted))


class Pending:
    """A lookup that `transport` has to finish by following `step`: wait for another's fetch, or start a refresh."""

    __slots__ = ("_door", "step", "transport")

    def __init__(self, door: Door, step: Join | Stale, transport: Any) -> None:
        self._door: Door = door
        self.step: Any = step
        self.transport: Any = transport

    def ended(self, response: HttpResponse | None, options: dict[str, Any]) -> Any:
        """Make `response` ready for the caller. If it is None, `options` tell the ordinary way not to wait again."""
        if response is not None:
            response.default_encoding = default_encoding(self._door._client)
            return response
        options["extensions"] = {DEADLINE: self.step.deadline}
        return None

    def answered(self, response: HttpResponse) -> None:
        """Take the deadline out of the requests, which are the caller's now and may be sent again."""
        for request in (*(answer.request for answer in (*response.history, response)), response.next_request):
            if request is not None:
                request.extensions.pop(DEADLINE, None)


class Door(OrdinaryWay):
    """The lookups of one client."""

    __slots__ = ("__weakref__", "_usual", "answer_class")

    def __init__(self, client: Any, engine: Engine) -> None:
        super().__init__(client, engine)
        with engine.storage.lock:
            engine.doors.add(self)
        self.answer_class: type[Any] = engine.library.looked_up_response
        self._usual = not self._shared and type(engine).may_look_up is Core.may_look_up

    def answer(self, url: Any, options: dict[str, Any]) -> Any:
        """The Response for `client.get(url, **options)`, or a `Pending` that leads to it.

        Else None, or a `First`, which is to be told the Response that the client then gets in the ordinary way.
        """
        if options and not _IRRELEVANT.issuperset(options):
            return None
        if options:
            found = self._find("GET", url, options.get("params"), options.get("headers"), None, None, at_once=False)
        else:
            found = self._find("GET", url, None, None, None, None, at_once=False)
        if found.__class__ is tuple:
            entry, pattern, age = found
            engine = self._engine
            response: Any = engine.answers.looked_up(entry, "hit", "fresh", age, pattern)
            if options and "timeout" in options:
                response._timeouts = partial(engine.library.timeouts, options["timeout"])
        elif found is None or "timeout" in options:  # a lookup's request, and what it waits for, has the client's
            return None
        elif found.__class__ is First:
            return found
        else:
            mounted, pattern, prepared, key, stored, now = found
            missed = pattern, prepared, key, stored, now, self._may_answer
            engine = self._engine
            if self._shared:  # `_may_answer` has just made sure that what other processes did is known
                response = engine.storage.coherence.without_io(engine.missed_lookup, *missed)
            else:
                response = engine.missed_lookup(*missed)
            if response is None:
                return None
            if response.__class__ is not self.answer_class:
                return Pending(self, response, mounted)
        response.default_encoding = self._client._default_encoding
        return response

    def entry(
        self,
        method: str,
        url: str,
        *,
        params: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        content: bytes | str | None = None,
        json: Any = None,
    ) -> StoredResponse | None:
        """The stored answer itself, for callers that make something else of it than a Response."""
        found = self._find(method, url, params, headers, content, json, at_once=True)
        return found[0] if found.__class__ is tuple else None

    def _find(self, method: str, url: Any, params: Any, headers: Any, content: Any, json: Any, *, at_once: bool) -> Any:
        """Look up the arguments of a call.

        Returns a tuple (entry, request, age) for a fresh answer; without one

        - a list, of the transport and the first arguments of `Engine.missed_lookup`;
        - None, if no lookup may answer this call;
        - a `First`, for arguments not seen before, unless `at_once`.
        """
        if not self._may_answer():
            return None
        key: Any
        if type(url) is not str:
            return None
        if params is None and headers is None and json is None and content is None:
            key = (method, url)
        else:
            key = _arguments(method, url, params, headers, content, json)
            if key is None:
                return None
        memo = self._memo
        known = memo.get(key, _NEVER)
        if known is _NEVER and not at_once:
            # The first call of a client goes to the server, most likely, so its request is built anyway.
            self._remember(memo, key, _ONCE)
            return First(self, memo, key)
        if known is _NEVER or known is _ONCE:
            try:
                request = self._client.build_request(
                    method, url, params=params, headers=headers, content=content, json=json
                )
            except Exception:  # noqa: BLE001 - the ordinary way raises it to the caller
                return None
            prepared, mounted = self._comes_to(request)
            known = None if prepared is None else (prepared, request, mounted)
            self._remember(memo, key, known)
        if known is None:
            return None
        prepared, pattern, mounted = known
        kind = type(mounted)
        handler = kind.handle_async_request if self._is_async else kind.handle_request
        if (handler is not self._handler and not self._judge_transport(mounted)) or self._calls in mounted.__dict__:
            return None
        engine = self._engine
        if json is not None or content is not None:
            try:
                body = self._body(content, json)
            except Exception:  # noqa: BLE001 - as above
                return None
            if body:
                prepared = engine.preparer.with_body(prepared, body)
        entry_key = prepared.key
        storage = engine.storage
        if storage.varying:
            entry_key = engine.variant(pattern, entry_key)
        entry = storage.table.items.get(entry_key)
        now = engine.clock()
        if now >= storage.latest:  # `now`, with a call less for a hit
            storage.latest = now
        else:
            now = engine.now()
        if entry is not None:
            if entry.status != 200:
                return None
            age = now - entry.began
            if age < entry.ahead and (
                # `Core.is_fresh` with its usual case, nothing dirtied since the last hit, decided here.
                (
                    self._usual
                    and entry.valid_at == storage.coherence.epoch
                    and 0.0 <= age < entry.ttl
                    and age < prepared.ttl
                    and prepared.max_age is None
                    and not prepared.directed
                )
                # Without asking others: `_may_answer` has just made sure that what they did is known.
                or (
                    storage.coherence.without_io(engine.may_look_up, entry, prepared, age)
                    if self._shared
                    else engine.may_look_up(entry, prepared, age)
                )
            ):
                engine.touch(entry_key, entry, lookup=True)
                return entry, pattern, age
        return [mounted, pattern, prepared, entry_key, entry, now]

    @property
    def remembered_bytes(self) -> int:
        """Bytes counted for what is remembered of calls."""
        return self._memo.size_bytes

    def _remember(self, memo: Memo, key: Any, known: Any) -> None:
        memo.remember(key, known, MAX_MEMO, self._engine.storage)

    def _body(self, content: Any, json: Any) -> bytes:
        if json is not None:
            body: bytes = self._engine.library.encode_json(json)
            return body
        return content.encode() if isinstance(content, str) else bytes(content)


def _arguments(method: str, url: str, params: Any, headers: Any, content: Any, json: Any) -> Any:
    """The arguments as a key that tells apart whatever httpx sends differently, or None where that is not certain.

    Values count with their type: `1 == True`, but httpx sends `a=1` and `a=true`.
    """
    parts: list[Any] = [method, url]
    if params is not None:
        if type(params) is not dict:
            return None
        for name, value in params.items():
            if type(name) is not str or type(value) not in _PLAIN:
                return None
            parts += (name, value, type(value))
    parts.append(params is None)  # empty params take away the query of the URL, none leave it
    if headers is not None:
        if type(headers) is not dict:
            return None
        for name, value in headers.items():
            if type(name) is not str or type(value) is not str:
                return None
            parts += (name, value)
    if content is not None:
        if json is not None or type(content) not in (bytes, str):
            return None
        parts.append(None)
    if json is not None:
        parts += (None, None)
    return tuple(parts)
