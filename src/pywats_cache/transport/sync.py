"""The synchronous transport: I/O and waiting. The decisions are the engine's."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ..engine.http_library import content_of, raw_of, set_elapsed
from ..engine.scopes import note
from ..engine.steps import Body, Fetch, Forward, Join, Stale
from ..storage.shared.patience import one_call
from .background import Threads
from .base import Mounted

if TYPE_CHECKING:
    from typing_extensions import Self

    from ..coherence.single_flight import Owner
    from ..engine.steps import Next
    from ..support.http_types import HttpRequest, HttpResponse
    from .warming import Progress, Warmed

__all__ = ["SyncCache"]

_T = TypeVar("_T")

logger: logging.Logger = logging.getLogger("pywats_cache.sync")


class SyncCache(Mounted):
    """The synchronous transport, for httpx and httpx2 alike."""

    _is_async = False

    @staticmethod
    def _owner() -> Owner:
        return threading.get_ident(), None

    def __enter__(self) -> Self:
        self.next_transport.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        try:
            self._end()
        finally:  # a client that is left because of a KeyboardInterrupt gives its connections back too
            self.next_transport.__exit__(*error)

    def handle_request(self, request: Any) -> Any:
        """Answer `request` from the cache or by the next transport. Errors are those of the next transport."""
        engine = self._engine
        try:
            step = engine.begin(request)
            if step.__class__ is engine.library.cached_response:
                if engine.open_scopes:
                    note(engine, step)
                return step
            return self._answer(request, step)
        except BaseException:  # a KeyboardInterrupt, before the fetch that was begun is sent
            engine.abandoned(request)
            raise

    def _answer(self, request: HttpRequest, step: Next, *, lookup: bool = False) -> HttpResponse | None:
        """Follow `step` to its Response, and tell the journal. None: a lookup waited, and got no answer."""
        engine, began = self._engine, time.perf_counter()
        try:
            response = self._follow_patiently(step) if engine.blocks else self._follow(step)
        except BaseException as error:
            engine.journal.failed(request, error, time.perf_counter() - began)
            raise
        if response.__class__ is engine.library.incoming_response:
            incoming: Any = response
            incoming._incoming.asked_by(request, began, lookup)
            if engine.open_scopes:
                incoming._incoming.noted_in(note(engine, response))
        elif response is not None:
            took = time.perf_counter() - began
            set_elapsed(response, took)
            engine.answered_request(request, response, took, lookup=lookup)
            if engine.open_scopes:
                note(engine, response)
        return response

    def _follow_patiently(self, step: Next) -> HttpResponse | None:
        with one_call():
            return self._follow(step)

    def _follow(self, step: Next | None) -> HttpResponse | None:
        engine = self._engine
        while True:
            if isinstance(step, Fetch):
                step = self._fetch(step)
                if not isinstance(step, (Stale, Forward)):
                    return step
            if isinstance(step, Forward):
                return self._forward(step)
            if isinstance(step, Stale):
                try:
                    if not self._threads.start(step):
                        engine.refused(step)
                except BaseException:  # a KeyboardInterrupt, while a thread starts
                    engine.unrefreshed(step)
                    raise
                return step.response
            if not isinstance(step, Join):
                return step
            step = self._wait(step)

    def _wait(self, join: Join) -> Next | None:
        engine, flight = self._engine, join.flight
        try:
            while engine.seconds_to_wait(join) > 0.0:
                landed = threading.Lock()  # made in 0.1 µs, where an Event takes 1.8
                landed.acquire()
                flight.on_landing(landed.release)
                try:
                    # Asked again, for the flight may have news from before it was told whom to wake.
                    landed.acquire(timeout=engine.seconds_to_wait(join))
                finally:
                    flight.forget(landed.release)
        except BaseException:  # a KeyboardInterrupt
            engine.left(join)
            raise
        return engine.with_news(engine.rejoin if join.lookup is None else engine.rejoin_lookup, join)

    def _fetch(self, fetch: Fetch) -> HttpResponse | Stale | Forward:
        engine, outer = self._engine, self._outer
        response: HttpResponse | None = None
        answer: HttpResponse | None
        try:
            if outer is not None and engine.may_load(fetch):
                there = outer.load(fetch, engine.decode, engine.now())
                found = engine.with_news(engine.loaded, fetch, there) if there else None
                if found is not None:
                    if fetch.claim is not None:
                        outer.save(fetch, engine.now())
                    return found
            if fetch.otherwise is not None:
                return engine.nothing_found(fetch)
            response = self.next_transport.handle_request(fetch.to_send)
            body = engine.with_news(engine.arrived, fetch, response)
            if body is Body.STREAM:
                library = engine.library
                incoming = engine.incoming(fetch, response, library.incoming_response)
                library.incoming_stream(response.stream, incoming, self)
                handed_on: HttpResponse = incoming.response
                return handed_on
            save = self._saver(fetch)
            if body is Body.HAND_ON:
                if save is not None:
                    save()
                return response
            raw = self._read(response)
            if body is Body.READ:
                answer = engine.with_news(engine.finished, fetch, response, raw)
            elif body is Body.RENEW:
                answer = engine.with_news(engine.renewed, fetch, response)
            else:
                answer = engine.with_news(engine.replaced, fetch)
            if save is not None:
                save()
        except BaseException as error:
            try:
                answer = self._with_news_of_failure(partial(engine.failed, fetch), error)
            finally:
                if outer is not None:
                    outer.save(fetch, engine.now())
                if response is not None:
                    response.close()
            if answer is None:
                raise
            return answer
        return self._fetch(fetch) if answer is None else answer

    def _with_news_of_failure(self, step: Callable[[BaseException], _T], error: BaseException) -> _T:
        """Tell the engine by `step` of an `error`, after learning what other processes changed."""
        engine = self._engine
        try:
            return engine.with_news(step, error)
        except BaseException as interrupted:  # a KeyboardInterrupt, while it asks what other processes changed
            engine.storage.coherence.without_io(step, interrupted)
            raise

    def _refresh(self, stale: Stale) -> None:
        """Fetch in the background. A success is stored; after a failure the engine waits before it tries again."""
        try:
            fetch = self._engine.with_news(self._engine.refresh, stale)
            if fetch is None:
                return
            response: Any = self._fetch(fetch)
            if response.__class__ is self._library.incoming_response:
                response.read()
            elif not fetch.is_in_vain:
                for _ in response.stream:
                    if fetch.is_in_vain:
                        break
            response.close()
        except BaseException as error:  # noqa: BLE001 - nobody waits for it, and others wait for this thread
            logger.debug("a refresh failed: %s", type(error).__name__)
        finally:
            self._engine.unrefreshed(stale)

    def _saver(self, fetch: Fetch) -> Callable[[], None] | None:
        """A function that writes the stored answer to the outer storage; None if there is no such storage."""
        outer, engine = self._outer, self._engine
        return None if outer is None else lambda: outer.save(fetch, engine.now())

    @staticmethod
    def _read(response: HttpResponse) -> bytes | None:
        """The body as received; None if the next transport handed over a read response and kept no raw form."""
        if response.is_stream_consumed and content_of(response) is not None:
            return raw_of(response.stream)
        raw = b"".join(response.stream)
        response.close()
        return raw

    def _forward(self, forward: Forward) -> HttpResponse:
        if self._engine.tells_others_first(forward):
            self._engine.announced(forward)
        try:
            response: HttpResponse = self.next_transport.handle_request(forward.request)
        except BaseException as error:
            self._engine.forward_failed(forward, error)
            raise
        try:
            gathered = self._engine.with_news(self._engine.forwarded, forward, response)
            if gathered is not None:
                fetch, collector = gathered
                save = self._saver(fetch)
                if collector is not None:
                    response.stream = self._library.tee(response.stream, collector, save)
                elif save is not None:
                    save()
        except BaseException:  # a KeyboardInterrupt, while other processes are told
            response.close()
            raise
        return response

    def invalidate(self, path: str | None = None, *, tags: tuple[str, ...] = (), soft: bool = False) -> None:
        """Make stored answers invalid. A fetch in progress is not served to callers that come after this returns.

        - `path`: a path and everything below it (`/api/Product` does not cover `/api/Production`).
        - `tags`: everything that carries one of these tags.
        - `soft`: make it stale instead: it may be served while it is fetched anew, if the controller allows that.
        """
        self._invalidate(path, tags, soft)

    def warm(
        self, items: Iterable[Any], *, headers: Any = None, concurrency: int = 4, progress: Progress | None = None
    ) -> Warmed:
        """Fetch ahead what is not fresh: requests, or URLs (with these `headers`), `concurrency` at a time.

        A URL may be relative to the base_url of the client that made this transport, whose headers are sent too;
        without such a client it must be absolute.

        Callers that come in the meantime share these fetches. Errors are counted, not raised.
        """

        def send(item: Any) -> Any:
            response = self.handle_request(self._request_for(item, headers))
            response.read()
            response.close()
            return response

        from .warming import warm

        return warm(send, items, concurrency, progress)

    def clear(self) -> None:
        """Forget everything stored."""
        self._clear()

    def _prepare(self) -> None:
        self._threads = Threads(self._refresh)

    def _end(self) -> None:
        for stale in self._threads.close():
            self._engine.unrefreshed(stale)
        self._prepare()
        self._close_files()

    def close(self) -> None:
        """End the refreshes and close the next transport. Whoever goes on to use it, as the next client may, can."""
        try:
            self._end()
        finally:
            self.next_transport.close()
