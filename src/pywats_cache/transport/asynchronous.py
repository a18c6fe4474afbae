"""The asynchronous transport: I/O and waiting, on asyncio and trio. The decisions are the engine's."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import anyio.to_thread

from ..engine.http_library import content_of, raw_of, set_elapsed
from ..engine.scopes import leave_all, note
from ..engine.steps import Body, Fetch, Forward, Join, Stale
from ..storage.shared.patience import no_call, one_call
from ..storage.url import is_shared
from .background import Tasks
from .base import Mounted

if TYPE_CHECKING:
    from typing_extensions import Self

    from ..coherence.single_flight import Owner
    from ..diagnostics.explain import Explanation
    from ..engine.steps import Next
    from ..support.http_types import HttpRequest, HttpResponse
    from .warming import Progress, Warmed

__all__ = ["AsyncCache"]

_T = TypeVar("_T")

logger: logging.Logger = logging.getLogger("pywats_cache.aio")


def _waker(event: anyio.Event) -> Callable[[], None]:
    """A function that sets `event` in the loop that runs now, callable from any thread."""
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_run():
        token = trio.lowlevel.current_trio_token()
        return lambda: _wake(token.run_sync_soon, event)
    import asyncio

    loop = asyncio.get_running_loop()
    return lambda: _wake(loop.call_soon_threadsafe, event)


def _wake(soon: Callable[[Callable[[], None]], object], event: anyio.Event) -> None:
    try:
        soon(event.set)
    except RuntimeError:  # that loop has ended (trio's RunFinishedError is one too), and its waiter with it
        pass


class AsyncCache(Mounted):
    """The asynchronous transport, for httpx and httpx2 alike. A cancelled leader hands its flight over."""

    _is_async = True

    @staticmethod
    def _owner() -> Owner:
        return threading.get_ident(), anyio.get_current_task().id

    async def __aenter__(self) -> Self:
        await self.next_transport.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        try:
            await self._end()
        finally:  # a client that is left because of a cancellation gives its connections back too
            await self.next_transport.__aexit__(*error)

    async def handle_async_request(self, request: Any) -> Any:
        """Answer `request` from the cache or by the next transport. A hit does not suspend."""
        engine = self._engine
        if engine.blocks:  # `_with_news`, with a call less for a hit
            coherence = engine.storage.coherence
            if not coherence.is_current():
                try:
                    await self._run(self._look_around)
                except BaseException:  # cancelled by `task.cancel()`, which no shield keeps out
                    engine.given_up(request)
                    raise
        try:
            step = coherence.without_io(engine.begin, request) if engine.blocks else engine.begin(request)
            if step.__class__ is engine.library.cached_response:
                if engine.open_scopes:
                    note(engine, step)
                return step
            return await self._answer(request, step)
        except BaseException:  # a KeyboardInterrupt, before the fetch that was begun is sent
            engine.abandoned(request)
            raise

    async def _answer(self, request: HttpRequest, step: Next, *, lookup: bool = False) -> HttpResponse | None:
        """Follow `step` to its Response, and tell the journal. None: a lookup waited, and got no answer."""
        engine, began = self._engine, time.perf_counter()
        try:
            response = await (self._follow_patiently(step) if engine.blocks else self._follow(step))
        except BaseException as error:
            engine.journal.failed(request, error, time.perf_counter() - began)
            raise
        if response.__class__ is engine.library.async_incoming_response:
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

    async def _follow_patiently(self, step: Next) -> HttpResponse | None:
        with one_call():
            return await self._follow(step)

    async def _follow(self, step: Next | None) -> HttpResponse | None:
        engine = self._engine
        while True:
            if isinstance(step, Fetch):
                self._tasks.let_go()
                step = await self._fetch(step)
                if not isinstance(step, (Stale, Forward)):
                    return step
            if isinstance(step, Forward):
                return await self._forward(step)
            if isinstance(step, Stale):
                if not self._tasks.start(step):
                    engine.refused(step)
                return step.response
            if not isinstance(step, Join):
                return step
            step = await self._wait(step)

    async def _run(self, step: Callable[..., _T], *arguments: Any) -> _T:
        """Run a step of the engine to its end, even if cancelled; in a worker thread where its storage does I/O."""
        if not self._engine.blocks:
            return step(*arguments)
        with anyio.CancelScope(shield=True):
            done = await anyio.to_thread.run_sync(step, *arguments)
        return done

    async def _with_news(self, step: Callable[..., _T], *arguments: Any) -> _T:
        """Run a step of the engine here, after learning in a worker thread what other processes changed.

        The step itself does no I/O, even if something changes meanwhile.
        """
        if not self._engine.blocks:  # there are no other processes
            return step(*arguments)
        await self._hear()
        return self._engine.storage.coherence.without_io(step, *arguments)

    def _look_around(self) -> None:
        """Learn what other processes changed, and prepare what the event loop may then look into by itself. Blocks."""
        self._engine.storage.coherence.refresh()
        if self._engine.glance is not None and is_shared(self._outer):
            self._outer.prepare_for_loop()

    async def _hear(self) -> None:
        """Learn what other processes changed."""
        coherence = self._engine.storage.coherence
        if not coherence.is_current():
            await self._run(self._look_around)

    async def _wait(self, join: Join) -> Next | None:
        self._tasks.let_go()
        engine, flight = self._engine, join.flight
        try:
            while engine.seconds_to_wait(join) > 0.0:
                landed = anyio.Event()
                wake = _waker(landed)
                flight.on_landing(wake)
                try:
                    # Asked again, for the flight may have news from before it was told whom to wake.
                    with anyio.move_on_after(engine.seconds_to_wait(join)):
                        await landed.wait()
                finally:
                    flight.forget(wake)
            await self._hear()
        except BaseException:  # cancelled
            engine.left(join)
            raise
        return engine.storage.coherence.without_io(engine.rejoin if join.lookup is None else engine.rejoin_lookup, join)

    async def _fetch(self, fetch: Fetch) -> HttpResponse | Stale | Forward:
        engine, outer = self._engine, self._outer
        response: HttpResponse | None = None
        answer: HttpResponse | None
        try:
            if outer is not None and engine.may_load(fetch):
                there = await outer.aload(fetch, engine.decode, engine.now())
                found = await self._with_news(engine.loaded, fetch, there) if there else None
                if found is not None:
                    if fetch.claim is not None:
                        await outer.asave(fetch, engine.now())
                    return found
            if fetch.otherwise is not None:
                return engine.nothing_found(fetch)
            response = await self.next_transport.handle_async_request(fetch.to_send)
            if engine.tells_others(fetch.prepared, response):
                body = await self._run(engine.arrived, fetch, response)
            else:
                body = await self._with_news(engine.arrived, fetch, response)
            if body is Body.STREAM:
                library = engine.library
                incoming = engine.incoming(fetch, response, library.async_incoming_response)
                library.async_incoming_stream(response.stream, incoming, self)
                handed_on: HttpResponse = incoming.response
                return handed_on
            save = self._saver(fetch)
            if body is Body.HAND_ON:
                if save is not None:
                    await save()
                return response
            raw = await self._read(response)
            if body is Body.READ:
                answer = await self._with_news(engine.finished, fetch, response, raw)
            elif body is Body.RENEW:
                answer = await self._with_news(engine.renewed, fetch, response)
            else:
                answer = await self._with_news(engine.replaced, fetch)
            if save is not None:
                await save()
        except BaseException as error:
            try:
                answer = await self._with_news_of_failure(partial(engine.failed, fetch), error)
            finally:
                if outer is not None:
                    await outer.asave(fetch, engine.now())
                if response is not None:
                    with anyio.CancelScope(shield=True):
                        await response.aclose()
            if answer is None:
                raise
            return answer
        return await self._fetch(fetch) if answer is None else answer

    async def _with_news_of_failure(self, step: Callable[[BaseException], _T], error: BaseException) -> _T:
        """Tell the engine by `step` of an `error`, after learning what other processes changed."""
        at_once = self._engine.storage.coherence.without_io
        try:
            if isinstance(error, Exception):  # else cancelled, and nothing may stand in
                await self._hear()
            return at_once(step, error)
        except BaseException as cancelled:  # by `task.cancel()`, which no shield keeps out
            at_once(step, cancelled)
            raise

    async def _refresh(self, stale: Stale) -> None:
        """Fetch in the background. A success is stored; after a failure the engine waits before it tries again."""
        no_call()  # trio's may have been begun by one, whose time is not ours
        leave_all()
        try:
            fetch = await self._with_news(self._engine.refresh, stale)
            if fetch is None:
                return
            response: Any = await self._fetch(fetch)
            if response.__class__ is self._library.async_incoming_response:
                await response.aread()
            elif not fetch.is_in_vain:
                chunks = response.stream.__aiter__()
                async for _ in chunks:
                    if fetch.is_in_vain:
                        await chunks.aclose()
                        break
            await response.aclose()
        except Exception as error:  # noqa: BLE001 - nobody waits for it
            logger.debug("a refresh failed: %s", type(error).__name__)

    def _saver(self, fetch: Fetch) -> Callable[[], Awaitable[None]] | None:
        """A function that writes the stored answer to the outer storage; None if there is no such storage."""
        outer, engine = self._outer, self._engine
        return None if outer is None else lambda: outer.asave(fetch, engine.now())

    @staticmethod
    async def _read(response: HttpResponse) -> bytes | None:
        """The body as received; None if the next transport handed over a read response and kept no raw form."""
        if response.is_stream_consumed and content_of(response) is not None:
            return raw_of(response.stream)
        raw = b"".join([chunk async for chunk in response.stream])
        await response.aclose()
        return raw

    async def _forward(self, forward: Forward) -> HttpResponse:
        engine = self._engine
        announce = engine.tells_others_first(forward)
        if announce:
            await self._run(engine.announced, forward)
        try:
            response: HttpResponse = await self.next_transport.handle_async_request(forward.request)
        except BaseException as error:  # cancelled, too: the server may have done it
            await self._run(engine.forward_failed, forward, error)
            raise
        try:
            if announce or engine.tells_others(forward.prepared, response):
                gathered = await self._run(engine.with_news, engine.forwarded, forward, response)
            else:
                gathered = await self._with_news(engine.forwarded, forward, response)
            if gathered is not None:
                fetch, collector = gathered
                save = self._saver(fetch)
                if collector is not None:
                    response.stream = self._library.async_tee(response.stream, collector, save)
                elif save is not None:
                    await save()
        except BaseException:  # cancelled while others are told, by `task.cancel()`, which no shield keeps out
            with anyio.CancelScope(shield=True):
                await response.aclose()
            raise
        return response

    async def invalidate(self, path: str | None = None, *, tags: tuple[str, ...] = (), soft: bool = False) -> None:
        """Make stored answers invalid. A fetch in progress is not served to callers that come after this returns.

        - `path`: a path and everything below it (`/api/Product` does not cover `/api/Production`).
        - `tags`: everything that carries one of these tags.
        - `soft`: make it stale instead: it may be served while it is fetched anew, if the controller allows that.
        """
        await self._run(self._invalidate, path, tags, soft)

    async def warm(
        self, items: Iterable[Any], *, headers: Any = None, concurrency: int = 4, progress: Progress | None = None
    ) -> Warmed:
        """Fetch ahead what is not fresh: requests, or URLs (with these `headers`), `concurrency` at a time.

        A URL may be relative to the base_url of the client that made this transport, whose headers are sent too;
        without such a client it must be absolute.

        Callers that come in the meantime share these fetches. Errors are counted, not raised.
        """

        async def send(item: Any) -> Any:
            response = await self.handle_async_request(self._request_for(item, headers))
            await response.aread()
            await response.aclose()
            return response

        from .warming import warm_async

        return await warm_async(send, items, concurrency, progress)

    async def aexplain(self, request: HttpRequest) -> Explanation:
        """Like `explain`, but also asks a storage that processes share, in a worker thread."""
        explanation: Explanation = await self._run(partial(self._explain, request, self._caller(), asks=True))
        return explanation

    async def clear(self) -> None:
        """Forget everything stored."""
        await self._run(self._clear)

    def _prepare(self) -> None:
        self._tasks = Tasks(self._refresh, self._engine.unrefreshed)

    async def _end(self) -> None:
        tasks = self._tasks
        self._prepare()
        await tasks.close()
        await self._run(self._close_files)  # which writes to files and waits for a thread

    async def aclose(self) -> None:
        """Cancel the refreshes and close the next transport. Whoever goes on to use it, as the next client may, can."""
        try:
            await self._end()
        finally:
            await self.next_transport.aclose()
