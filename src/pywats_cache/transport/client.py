"""The clients, for httpx and httpx2 alike: the library's own client with every route cached."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from ..errors import ConfigurationTypeError
from ..policy.controller import Controller
from ..support.showing import shown
from .base import Mounted
from .fast_path import Door, Pending

if TYPE_CHECKING:
    import os
    from typing import TypedDict

    from ..engine.engine import Engine
    from ..storage.entry import StoredResponse
    from ..support.clock import Clock
    from .base import AnyStorage
    from .warming import Progress, Warmed

    class CacheArguments(TypedDict, total=False):
        """What a client takes beside the arguments of its library, for type checkers."""

        controller: Controller | None
        storage: AnyStorage | str | None
        clock: Clock | None
        record: str | os.PathLike[str] | None
        log_hits: bool


__all__ = ["AsyncCachingClient", "CachingClient", "SyncCachingClient"]

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")


class CachingClient:
    """Mounts one engine on the default transport and on every other route (proxies, `mounts=`) of a client.

    It goes in front of a client of httpx.
    """

    _transport_class: ClassVar[type[Any]]
    _client_class: ClassVar[type[Any]]
    _transport: Any
    cache: Any
    _mounts: dict[Any, Any]

    def __init__(
        self,
        *,
        controller: Any = None,
        storage: Any = None,
        clock: Any = None,
        record: Any = None,
        log_hits: bool = False,
        transport: Any = None,
        **options: Any,
    ) -> None:
        """Make the client and mount the cache.

        - `controller`, `storage`, `clock`, `record`, `log_hits`: see `CacheTransport`.
        - `transport`: the next transport, as everywhere in httpx; a cache transport is used as it is.
        - `options`: all other arguments of the httpx client.
        """
        self._cache_parts = {"controller": controller, "storage": storage, "clock": clock, "record": record}
        if log_hits is not False:
            self._cache_parts["log_hits"] = log_hits
        if isinstance(transport, Mounted):
            if not isinstance(transport, self._transport_class):
                raise ConfigurationTypeError(
                    f"transport of {type(self).__name__} must be a {self._transport_class.__module__}."
                    f"{self._transport_class.__name__}, not {shown(transport)}"
                )
            given = [name for name, part in self._cache_parts.items() if part is not None]
            if given:
                raise ConfigurationTypeError(
                    f"{given[0]} must not be given together with a transport that caches already"
                )
        for name in options.keys() & Controller.__init__.__annotations__.keys():
            value = shown(options[name])
            right = f"controller=Controller({name}={'…' if value.startswith(('a ', 'an ')) else value})"
            raise ConfigurationTypeError(f"{name} must be given to the controller: {right}")
        super().__init__(transport=transport, **options)  # type: ignore[call-arg]
        for pattern, mounted in self._mounts.items():
            if mounted is not None and not isinstance(mounted, Mounted):
                self._mounts[pattern] = self._transport_class._sharing(
                    self._engine, self._transport._outer, transport=mounted
                )
        if not isinstance(transport, Mounted):
            self._transport._client = weakref.ref(self)
        self.cache = self._transport
        self._door = Door(self, self._engine)
        # The method below with one call less: it is the larger part of a warm call of the SDK's clients.
        self.lookup = self._door.entry  # type: ignore[method-assign]

    @property
    def _engine(self) -> Engine:
        engine: Engine = self._transport._engine
        return engine

    def _init_transport(self, **options: Any) -> Any:
        given = options.get("transport")
        if isinstance(given, Mounted):
            return given
        if given is not None:
            return self._transport_class(given, **self._cache_parts)
        make: Any = super()._init_transport  # type: ignore[misc]
        return self._transport_class._made(lambda: make(**options), **self._cache_parts)

    def _init_proxy_transport(self, *args: Any, **options: Any) -> Any:
        # httpx makes the default transport first, so the engine is there.
        make: Any = super()._init_proxy_transport  # type: ignore[misc]
        return self._transport_class._sharing(self._engine, self._transport._outer, lambda: make(*args, **options))

    def lookup(
        self,
        method: str,
        url: str,
        *,
        params: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        content: bytes | str | None = None,
        json: Any = None,
    ) -> StoredResponse | None:
        """The stored answer of this call if it is a fresh 200, else None; then nothing changed, not even a count.

        Nothing is sent and nothing suspends. The answer is shared: read `.status`, `.headers`, `.content`, change
        nothing. None also says that only the ordinary way can tell (cookies, auth, event hooks, INFO logging …).
        """
        return self._door.entry(method, url, params=params, headers=headers, content=content, json=json)


class SyncCachingClient(CachingClient, Generic[RequestT, ResponseT]):
    """The methods of a sync client that know of the cache."""

    if not TYPE_CHECKING:  # a type checker sees the library's, with its arguments

        def get(self, url: Any, **options: Any) -> ResponseT:
            """Send a GET, unless a stored answer, or another caller's fetch, answers it.

            The options are those of the library's `Client.get`.
            """
            door = self._door
            found = door.answer(url, options)
            if found.__class__ is door.answer_class:
                return found
            if found.__class__ is Pending:
                response = found.ended(found.transport._answer(found.step.request, found.step, lookup=True), options)
                if response is not None:
                    return response
            response = super().get(url, **options)
            if found is not None:
                found.answered(response)
            return response

    def warm(
        self, items: Iterable[str | RequestT], *, concurrency: int = 4, progress: Progress | None = None
    ) -> Warmed:
        """Fetch ahead what is not fresh, as this client would: requests, or URLs. See `CacheTransport.warm`."""
        from .warming import warm

        return warm(self._get_or_send, items, concurrency, progress)

    def _get_or_send(self, item: str | RequestT) -> ResponseT:
        library: Any = self
        response: ResponseT = library.get(item) if isinstance(item, str) else library.send(item)
        return response


class AsyncCachingClient(CachingClient, Generic[RequestT, ResponseT]):
    """The methods of an async client that know of the cache."""

    if not TYPE_CHECKING:

        async def get(self, url: Any, **options: Any) -> ResponseT:
            """Send a GET, unless a stored answer, or another caller's fetch, answers it.

            The options are those of the library's `AsyncClient.get`.
            """
            door = self._door
            found = door.answer(url, options)
            if found.__class__ is door.answer_class:
                return found
            if found.__class__ is Pending:
                response = found.ended(
                    await found.transport._answer(found.step.request, found.step, lookup=True), options
                )
                if response is not None:
                    return response
            response = await super().get(url, **options)
            if found is not None:
                found.answered(response)
            return response

    async def warm(
        self, items: Iterable[str | RequestT], *, concurrency: int = 4, progress: Progress | None = None
    ) -> Warmed:
        """Fetch ahead what is not fresh, as this client would: requests, or URLs. See `AsyncCacheTransport.warm`."""
        from .warming import warm_async

        return await warm_async(self._get_or_send, items, concurrency, progress)

    async def _get_or_send(self, item: str | RequestT) -> ResponseT:
        library: Any = self
        response: ResponseT = await (library.get(item) if isinstance(item, str) else library.send(item))
        return response
