"""What the sync and the async transport have in common: their parts, checked and put together."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import hishel

from ..engine.engine import Engine
from ..errors import ConfigurationError, ConfigurationTypeError
from ..policy.controller import Controller, tagging
from ..storage.memory import MemoryStorage
from ..storage.url import is_shared, storage_from_url
from ..support.checks import flag, text, words
from ..support.clock import Clock, monotonic
from ..support.fork import renew_in_child
from ..support.showing import shown
from .cache_api import CacheApi

if TYPE_CHECKING:
    from typing import TypeAlias

    from ..coherence.single_flight import Owner
    from ..diagnostics.doctor import Finding
    from ..diagnostics.explain import Explanation
    from ..engine.http_library import Library
    from ..storage.shared.base import SharingStorage
    from ..storage.tiered import TieredStorage
    from ..support.http_types import HttpRequest
    from ..telemetry.stats import CacheStats
    from ..telemetry.trace_recorder import Recorder

    AnyStorage: TypeAlias = (
        MemoryStorage | TieredStorage | SharingStorage | hishel.BaseStorage | hishel.AsyncBaseStorage
    )

__all__ = ["Mounted"]


class Mounted(CacheApi):
    """A transport with an engine; safe to use from any number of threads, an async one in one event loop at a time."""

    _library: ClassVar[Library]
    _next_class: ClassVar[type[Any]]
    _calls: ClassVar[str]
    _is_async: ClassVar[bool]

    @staticmethod
    def _owner() -> Owner:
        """Who calls: thread and task."""
        raise NotImplementedError

    def __init__(
        self,
        transport: Any = None,
        *,
        controller: Controller | None = None,
        storage: AnyStorage | str | None = None,
        clock: Clock | None = None,
        record: str | os.PathLike[str] | None = None,
        log_hits: bool = False,
    ) -> None:
        """Check the parts and put them together.

        - `transport`: the next transport, which goes to the network; None: one of httpx's own with its defaults.
        - `controller`: the policy; None: `Controller()`, every GET for 300 s.
        - `storage`: where answers are kept, or its URL (`sqlite:///cache.db`, `redis://…`, `memory://`); None: a
          `MemoryStorage()` of its own. Transports given the same storage share answers, fetches and invalidation, and
          should have the same controller.
        - `clock`: a monotonic function that returns seconds; None: the system's clock, which also counts sleep.
        - `record`: a file to which a redacted trace is appended (see `simulation`), at most 64 MiB.
        - `log_hits`: write hits to the debug log too; otherwise they are only counted.

        Raises ConfigurationError or ConfigurationTypeError, naming the parameter.
        """
        if clock is not None and not callable(clock):
            raise ConfigurationTypeError(f"clock must be a function that returns seconds, not {shown(clock)}")
        if controller is not None and not isinstance(controller, Controller):
            raise ConfigurationTypeError(f"controller must be a Controller, not {shown(controller)}")
        self._closes_storage = isinstance(storage, str)
        if isinstance(storage, str):
            storage = storage_from_url(storage)
        self._outer: TieredStorage | SharingStorage | None = self._check_storage(storage)
        if self._outer is not None:
            memory = self._outer.memory
        else:
            # By identity: an empty storage has the length 0, and so is false.
            memory = storage if isinstance(storage, MemoryStorage) else MemoryStorage()
        used, controller = memory.use_clock(clock, monotonic), controller or Controller()
        self._engine = self._make_engine(controller, memory, used, record, flag("log_hits", log_hits))
        memory.use_tagging(tagging(controller))
        self._engine.looks_behind = self._outer is not None
        if is_shared(self._outer):
            if self._is_async and self._outer.glances_in_loop:
                self._engine.glance = self._outer.glance_in_loop
            elif self._outer.glances and not self._is_async:
                self._engine.glance, self._engine.seeks = self._outer.glance, True
        self._mount(transport)

    def _make_engine(
        self, controller: Controller, memory: MemoryStorage, clock: Clock, record: Any, hits: bool
    ) -> Engine:
        kind = Engine
        if controller.rfc9111:
            from ..engine.rfc_engine import RfcEngine  # here: nobody else waits for its import

            kind = RfcEngine
        parts = (self._library, controller, memory, clock, self._owner)
        if record is None and not hits:
            return kind(*parts)
        from ..engine.recording import recording_engine
        from ..telemetry.trace_recorder import Recorder

        self._recorder = None if record is None else Recorder(record)
        return recording_engine(kind, *parts, recorder=self._recorder, log_hits=hits)

    _recorder: Recorder | None = None

    def _mount(self, transport: Any) -> None:
        if isinstance(transport, Mounted):
            raise ConfigurationError(f"transport must not cache already, as {type(transport).__name__} does")
        if transport is not None and not callable(getattr(transport, self._calls, None)):
            raise ConfigurationTypeError(f"transport must have a method {self._calls}(), not {shown(transport)}")
        self._build(self._next_class if transport is None else None, transport)

    def _build(self, factory: Callable[[], Any] | None, transport: Any = None) -> None:
        """Send to `transport`, or to what `factory` makes, anew in each forked child."""
        self._factory = factory
        self.next_transport: Any = factory() if factory is not None else transport
        self._prepare()
        renew_in_child(self)

    _client: Callable[[], Any] = staticmethod(lambda: None)
    """The client that made this transport, whose base_url and headers a URL to warm is completed with; or None."""

    def _prepare(self) -> None:
        """Make what runs refreshes; a forked child has no threads and no loop of its parent."""
        raise NotImplementedError

    def _renew(self) -> None:
        self._prepare()
        # Two processes must not talk over one connection. One that was handed in is its owner's to renew.
        if self._factory is not None:
            self.next_transport = self._factory()

    def _close_files(self) -> None:
        """Write what the trace still lacks; close what we opened for a URL, which whoever else uses it opens again."""
        if self._recorder is not None:
            self._recorder.flush()
        if self._closes_storage and is_shared(self._outer):
            self._outer.close()

    def _check_storage(self, storage: object) -> TieredStorage | SharingStorage | None:
        """What is behind the memory, or None. A bare hishel storage gets a memory in front."""
        if storage is None or isinstance(storage, MemoryStorage):
            return None
        if is_shared(storage):
            return storage
        from ..storage.tiered import TieredStorage  # where none is used, this and what it needs is not loaded

        if isinstance(storage, (hishel.BaseStorage, hishel.AsyncBaseStorage)):
            storage = TieredStorage(MemoryStorage(), storage)
        if not isinstance(storage, TieredStorage):
            raise ConfigurationTypeError(
                "storage must be a MemoryStorage, SharedStorage, RedisSharedStorage, TieredStorage or hishel storage, "
                f"or a URL, not {shown(storage)}"
            )
        if storage.is_async != self._is_async:
            kind, wanted = (
                ("an async", "hishel.AsyncBaseStorage") if self._is_async else ("a sync", "hishel.BaseStorage")
            )
            raise ConfigurationTypeError(f"storage of {kind} transport must be a {wanted}, not {shown(storage)}")
        return storage

    @classmethod
    def _sharing(
        cls,
        engine: Engine,
        outer: TieredStorage | SharingStorage | None,
        factory: Callable[[], Any] | None = None,
        *,
        transport: Any = None,
    ) -> Any:
        """A transport over the engine of another one, for another route of a client."""
        mounted = cls.__new__(cls)
        mounted._engine = engine
        mounted._closes_storage = False
        mounted._outer = outer
        if factory is None:
            mounted._mount(transport)
        else:
            mounted._build(factory)
        return mounted

    def _over(self, transport: Any) -> Any:
        """The same over another next transport: with its engine, and with what a subclass or its user added."""
        mounted = type(self).__new__(type(self))
        mounted.__dict__.update(self.__dict__, _closes_storage=False, _recorder=None)
        mounted.__dict__.pop("_client", None)
        mounted._mount(transport)
        return mounted

    @classmethod
    def _made(cls, factory: Callable[[], Any], **options: Any) -> Any:
        """A transport in front of one that we build ourselves, anew after a fork."""
        mounted = cls(factory(), **options)
        mounted._factory = factory
        return mounted

    @property
    def stats(self) -> CacheStats:
        """A snapshot of what has happened so far."""
        return self._engine.stats

    @property
    def controller(self) -> Controller:
        """The policy."""
        return self._engine.controller

    @property
    def storage(self) -> MemoryStorage | TieredStorage | SharingStorage:
        """Where answers are kept."""
        return self._outer or self._engine.storage

    def _take_over(self, before: Mounted) -> None:
        """Go on with the counts of the transport that this one replaces, which must use the same storage."""
        mine, theirs = self._engine, before._engine
        mine.counters, mine.diary, mine.origin_times = theirs.counters, theirs.diary, theirs.origin_times
        mine.journal = theirs.journal

    def _request_for(self, item: Any, headers: Any) -> Any:
        if not isinstance(item, str):
            return item
        client = self._client()
        if client is not None:
            return client.build_request("GET", item, headers=headers)
        return self._library.request("GET", item, headers=headers)

    def explain(self, request: HttpRequest) -> Explanation:
        """Say what would happen to `request` now, if the caller sent it, and why. Nothing is sent, counted or changed.

        `request` is one that `client.build_request(…)` made. A sync transport also asks a storage that processes share,
        which blocks. An async one never does: its result says where the storage may know more (`memory_only`), and
        `aexplain` asks it.
        """
        return self._explain(request, self._caller(), asks=not self._is_async)

    def _caller(self) -> Owner:
        """Who asks for an explanation. Who is in no task holds no flight."""
        try:
            return self._owner()
        except RuntimeError:  # an async transport, in no task
            return -1, None

    def _explain(self, request: HttpRequest, who: Owner, *, asks: bool) -> Explanation:
        from ..diagnostics.explain import explain, explain_from_memory

        if not isinstance(request, self._library.request):
            raise ConfigurationTypeError(
                f"request must be a Request of {self._library.name}, as client.build_request('GET', url) makes, "
                f"not {shown(request)}"
            )
        shared = self._outer if is_shared(self._outer) else None
        if self._outer is None or (shared is not None and asks):
            return explain(self._engine, request, who, shared)
        return explain_from_memory(self._engine, request, who)

    def doctor(self) -> list[Finding]:
        """What is wrong with this cache, judging by the requests so far, in words; [] if nothing is."""
        from ..diagnostics.doctor import findings

        return findings(self._engine)

    def _invalidate(self, path: str | None, tags: tuple[str, ...], soft: bool) -> None:
        if path is not None and (not text("path", path, "/api/Product").startswith("/") or "?" in path or "#" in path):
            raise ConfigurationError(
                f"path must start with '/' and have no query, like '/api/Product', not {shown(path)}"
            )
        tags = words("tags", tags)
        if path is None and not tags:
            raise ConfigurationTypeError("invalidate needs a path, or tags; clear() forgets everything")
        self._engine.invalidate(path, tags, soft=flag("soft", soft))

    def _clear(self) -> None:
        storage: Any = self._outer if is_shared(self._outer) else self._engine.storage
        storage.clear()
        self._engine.dirtied(None, "clear")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({type(self.next_transport).__name__}, {self.storage!r}, {self.controller!r})"
