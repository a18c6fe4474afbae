"""Every decision, once, without I/O: what a request gets, what becomes of an answer, what a write does.

```
begin(request) ─► Response                 a fresh answer; nothing else to do
               ─► Join ─► (wait) ─► rejoin(join) ─► Response, Fetch or Join
               ─► Fetch ─► (next transport) ─► arrived ─► finished, teed or passed; failed after an error
               ─► Forward ─► (next transport) ─► forwarded; forward_failed after an error
```
The transports do what differs between sync and async, and decide nothing.
"""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .body import NO_TIME, Collector
from .coherence import explicit_tag, partition_tag
from .directives import EXTENSION, Directives
from .flights import Flight, Landing, Owner
from .freshness import Body, content_length, default_settle, fields, is_empty, unstorable, vary_names
from .key import normal_path, variant_key
from .outcome import CacheOutcome, Status
from .prepared import Prepared, Preparer
from .stats import CacheStats, Counters
from .steps import Fetch, Forward, Join
from .storage.entry import StoredResponse, header_items, lasting

if TYPE_CHECKING:
    from .clock import Clock
    from .controller import Controller
    from .library import Library
    from .storage.memory import MemoryStorage

__all__ = ["Engine"]

logger = logging.getLogger("pywats_cache.engine")

CLOCK_SLACK = 1.0
"""Seconds by which clock readings of several threads may cross; a clock set back further drops what is stored."""


class Engine:
    """The decisions of one transport over one storage. Safe from any number of threads and tasks.

    Its own state is the counters (guarded by the storage's lock) and the latest clock reading (a hint).
    """

    def __init__(
        self,
        library: Library,
        controller: Controller,
        storage: MemoryStorage,
        clock: Clock,
        owner: Callable[[], Owner],
    ) -> None:
        self.library = library
        self.controller = controller
        self.storage = storage
        self.clock = clock
        self.preparer = Preparer(controller, storage.secret)
        self.counters = Counters()
        self._owner = owner
        self._latest = clock()

    # ── a request comes in ────────────────────────────────────────────────────────────────────────────────────────

    def begin(self, request: Any) -> Any:
        """A Response of the library for a hit, else a Join, Fetch or Forward.

        The budget of a hit is 5 µs with the Response: one memo, one dictionary, one comparison of epochs, one lock.
        """
        prepared = self.preparer.prepare(request)
        extensions = request.extensions
        if prepared.kind != "read" or EXTENSION in extensions or getattr(request, "_content", None) != b"":
            prepared = self._particular(request, prepared)
            if prepared.kind != "read":
                if prepared.only_if_cached and prepared.kind == "bypass":
                    return self._gateway_timeout(prepared)
                return self._forward(request, prepared, prepared.reason, "bypass")
        now = self.now()
        key = prepared.key
        storage = self.storage
        if storage.varying:
            key = self.variant(request, key)
        entry = storage.lru.items.get(key)
        if entry is not None:
            age = now - entry.began
            if self.is_fresh(entry, prepared, age):
                self.touch(key, entry)
                return self.answer(entry, "hit", "fresh", age, head=prepared.head)
        return self._cold(request, prepared, key, now, time.monotonic() + self._patience(request))

    def is_fresh(self, entry: StoredResponse, prepared: Prepared, age: float) -> bool:
        """Whether `entry` may answer: not past its TTL nor the caller's, not dirtied. A negative age is expired."""
        if not in_time(entry, prepared, age) or prepared.refresh:
            return False
        coherence = self.storage.coherence
        epoch = coherence.epoch  # before the table: see the module coherence
        if entry.valid_at == epoch:
            return True
        if coherence.dirtied_since(entry.tags, entry.epoch):
            return False
        entry.valid_at = epoch
        return True

    def touch(self, key: str, entry: StoredResponse, *, lookup: bool = False) -> None:
        """Count a hit and make `entry` the most recently used (it may just have been evicted: still a hit)."""
        storage = self.storage
        with storage.lock:
            counters = self.counters
            counters.hit += 1
            if lookup:
                counters.lookups += 1
            items = storage.lru.items
            if items.get(key) is entry:
                items.move_to_end(key)

    def now(self) -> float:
        """The time. A clock that was set back makes every date unreliable, so all that is stored is invalid then."""
        now = self.clock()
        latest = self._latest
        if now >= latest:
            self._latest = now
        elif now < latest - CLOCK_SLACK:
            self._latest = now
            self.storage.coherence.bump_all()
            logger.warning("the clock went back by %.1f s: all that was stored before is dropped", latest - now)
        return now

    def variant(self, request: Any, key: str) -> str:
        """The key of the variant that the headers of `request` select, where answers of `key` are known to vary."""
        names = self.storage.varying.get(key)
        if names is None:
            return key
        return variant_key(self.storage.secret, key, (request.headers.get(name) for name in names))

    def _particular(self, request: Any, prepared: Prepared) -> Prepared:
        """`prepared` for this one request: with its body and its directives."""
        given = request.extensions.get(EXTENSION)
        directives = None if given is None else Directives.parse(given)
        if prepared.kind == "read":
            body = getattr(request, "_content", None)
            if body is None:
                if not isinstance(request.stream, self.library.byte_stream):
                    return self.preparer.bypassed(prepared, "streamed-body")
                body = request.read()
            if "target" in request.extensions:
                return self.preparer.bypassed(prepared, "target")
            if body:
                prepared = self.preparer.with_body(prepared, body)
        return prepared if directives is None else self.preparer.directed(prepared, directives)

    @staticmethod
    def _timeout(request: Any) -> dict[str, float | None]:
        timeout = request.extensions.get("timeout")
        return timeout if isinstance(timeout, dict) else {}

    def _patience(self, request: Any) -> float:
        """Seconds to wait for another's fetch: the controller's bound and the caller's own read timeout."""
        read = self._timeout(request).get("read")
        return self.controller.join_timeout if read is None else min(self.controller.join_timeout, read)

    # ── nothing fresh is stored ───────────────────────────────────────────────────────────────────────────────────

    def _cold(self, request: Any, prepared: Prepared, key: str, now: float, deadline: float) -> Any:
        storage = self.storage
        coherence = storage.coherence
        with storage.lock:
            # Again, under the lock: a flight stores its answer and leaves the table in one step.
            entry = storage.find(key)
            reason = prepared.reason
            if reason == "unknown" and key != prepared.key:
                reason = "vary"
            if entry is not None:
                age = now - entry.began
                if self.is_fresh(entry, prepared, age):
                    self.touch(key, entry)
                    return self.answer(entry, "hit", "fresh", age, head=prepared.head)
                if coherence.dirtied_since(entry.tags, entry.epoch):
                    reason = "dirtied"
                    storage.drop(entry)
                elif not 0.0 <= age < entry.ttl:
                    reason = "expired"
                    storage.drop(entry, expired=True)
                else:
                    reason = "refresh"
            if prepared.only_if_cached:
                return self._gateway_timeout(prepared)
            if prepared.head:
                return self._forward(request, prepared, "head", "miss")
            settling = coherence.is_settling(prepared.tags, now)
            owner = self._owner()
            flight = storage.flights.get(key)
            solo = settling or storage.flights.is_solitary(key, now)
            if flight is not None and not solo and not prepared.refresh:
                if flight.is_held_by(owner):
                    solo, reason = True, "own-flight"
                elif not coherence.dirtied_since(prepared.tags, flight.epoch):
                    return Join(request, prepared, key, flight, deadline)
            return self._take_off(
                request, prepared, key, now, owner, "settling" if settling else reason, solo=solo, storable=not settling
            )

    def _take_off(
        self,
        request: Any,
        prepared: Prepared,
        key: str,
        now: float,
        owner: Owner,
        reason: str,
        *,
        solo: bool,
        storable: bool = True,
    ) -> Fetch:
        self.storage.coherence.saw(prepared.origin)
        with self.storage.lock:
            flight = Flight(
                key,
                prepared.tags,
                self.storage.coherence.epoch,
                now,
                owner,
                shared=not solo,
                storable=storable and prepared.ttl > 0,
            )
            if not solo:
                self.storage.flights.add(flight)
            self._count("miss")
        return Fetch(request, prepared, flight, reason)

    def rejoin(self, join: Join) -> Any:
        """After a wait: the Response of the other's answer, a Fetch of its own, or the next Join."""
        flight, prepared, request = join.flight, join.prepared, join.request
        now = self.now()
        reason = "join-timeout"
        if flight.landing is Landing.ANSWERED:
            entry = flight.answer
            age = now - flight.began
            if entry is not None and in_time(entry, prepared, age):
                if entry.key == self.variant(request, prepared.key):
                    with self.storage.lock:
                        self._count("collapsed")
                    return self.answer(entry, "collapsed", "joined", age)
                return self._cold(request, prepared, self.variant(request, prepared.key), now, join.deadline)
            reason = "not-shared"
        elif flight.landing is Landing.FAILED:
            return self._cold(request, prepared, join.key, now, join.deadline)
        elif flight.landing is Landing.UNCACHEABLE:
            reason = "not-shared"
        settling = self.storage.coherence.is_settling(prepared.tags, now)
        return self._take_off(request, prepared, join.key, now, self._owner(), reason, solo=True, storable=not settling)

    def left(self, join: Join) -> None:
        """A joiner was cancelled while it waited; it counts as a miss."""
        with self.storage.lock:
            self._count("miss")

    def may_load(self, fetch: Fetch) -> bool:
        """Whether an outer storage may answer this fetch."""
        return fetch.flight.storable and not fetch.prepared.refresh

    def loaded(self, fetch: Fetch, found: list[StoredResponse]) -> Any:
        """What an outer storage holds for a fetch: the Response if it is fresh, else None."""
        prepared, flight, storage = fetch.prepared, fetch.flight, self.storage
        for entry in found:
            if entry.vary:
                storage.vary_by(prepared.key, entry.vary)
            age = self.now() - entry.began
            if entry.key == self.variant(fetch.request, prepared.key) and self.is_fresh(entry, prepared, age):
                with storage.lock:
                    storage.put(entry)
                    storage.flights.remove(flight)
                    self.counters.miss -= 1
                    self.counters.hit += 1
                flight.land(Landing.ANSWERED, entry)
                return self.answer(entry, "hit", "fresh", age)
        return None

    # ── an answer comes back ──────────────────────────────────────────────────────────────────────────────────────

    def arrived(self, fetch: Fetch, response: Any) -> Body:
        """What to do with the body of `response`: pass it on, read it now, or hand it on and store it at its end."""
        prepared = fetch.prepared
        assert prepared.decision is not None
        self._distrust(response.status_code, prepared)
        headers = fields(response.headers._list)
        fetch.headers = headers
        reason = unstorable(response.status_code, headers, prepared.decision, self.storage.max_entry_bytes)
        if reason is not None:
            self.release(fetch)
            response.extensions[EXTENSION] = self._outcome(fetch, reason)
            return Body.HAND_ON
        if hasattr(response, "_content") or content_length(headers) is not None:
            return Body.READ
        return Body.TEE

    def release(self, fetch: Fetch) -> None:
        """The answer turned out uncacheable: let all joiners go at once, and do not collapse this key for a while."""
        self._land(fetch.flight, Landing.UNCACHEABLE)

    def failed(self, fetch: Fetch) -> None:
        """The fetch failed or was cancelled: hand over to the next joiner."""
        self._land(fetch.flight, Landing.FAILED)

    def _land(self, flight: Flight, landing: Landing, answer: StoredResponse | None = None) -> None:
        with self.storage.lock:
            self.storage.flights.remove(flight)
            if landing is Landing.UNCACHEABLE and flight.shared:
                self.storage.flights.make_solitary(flight.key, self.clock())
        flight.land(landing, answer)

    def finished(self, fetch: Fetch, response: Any, raw: bytes | None) -> Any:
        """The whole body is there (None: the response holds it decoded only). Returns the Response for the caller."""
        assert fetch.headers is not None
        announced = content_length(fetch.headers)
        if raw is not None and announced is not None and announced != len(raw):
            # Next transports other than httpx's may not check; what is not whole is never stored.
            self.failed(fetch)
            return self._undecoded(fetch, response, raw, "incomplete")
        try:
            content = self._decoded(response, raw)
        except Exception:  # noqa: BLE001 - the caller gets the same error when it reads
            self.release(fetch)
            return self._undecoded(fetch, response, raw or b"", "undecodable")
        if content is None:
            self.release(fetch)
            return self._undecoded(fetch, response, raw or b"", "too-large")
        entry, why_not = self._store(fetch, response, content if raw is None else raw, content)
        answer = self.answer(entry, "miss", why_not or fetch.reason, 0.0, stored=why_not is None)
        answer._elapsed = datetime.timedelta(seconds=time.perf_counter() - fetch.sent)
        answer.extensions = {**response.extensions, EXTENSION: answer.extensions[EXTENSION]}
        return answer

    def _decoded(self, response: Any, raw: bytes | None) -> bytes | None:
        """The body without its content encodings; None once it is larger than an entry may be."""
        if raw is None or hasattr(response, "_content"):
            content: bytes = response._content
            return content
        return self.decode(response.headers._list, raw)

    def decode(self, headers: list[tuple[bytes, bytes, bytes]], raw: bytes) -> bytes | None:
        """`raw` without its content encodings; None once it is larger than an entry may be."""
        return self.library.decode(headers, raw, self.storage.max_entry_bytes)

    def _undecoded(self, fetch: Fetch, response: Any, raw: bytes, reason: str) -> Any:
        response.stream = self.library.byte_stream(raw)
        response.extensions[EXTENSION] = self._outcome(fetch, reason)
        return response

    def collector(self, fetch: Fetch, response: Any) -> Collector:
        """Gathers the body of unknown length while it is handed on."""
        response.extensions[EXTENSION] = self._outcome(fetch, fetch.reason)

        def done(raw: bytes) -> None:
            try:
                content = self._decoded(response, raw)
            except Exception:  # noqa: BLE001 - the caller gets the same error when it reads
                unstored("undecodable")
                return
            if content is None:
                unstored("too-large")
                return
            why_not = self._store(fetch, response, raw, content)[1]
            response.extensions[EXTENSION] = self._outcome(fetch, why_not or fetch.reason, stored=why_not is None)

        def failed(too_large: bool) -> None:
            if too_large:
                unstored("too-large")
            else:
                self.failed(fetch)
                response.extensions[EXTENSION] = self._outcome(fetch, "incomplete")

        def unstored(reason: str) -> None:
            self.release(fetch)
            response.extensions[EXTENSION] = self._outcome(fetch, reason)

        return Collector(self.storage.max_entry_bytes, done, failed)

    def _store(self, fetch: Fetch, response: Any, raw: bytes, content: bytes) -> tuple[StoredResponse, str | None]:
        """Store the answer unless a write came in between, and land the flight with it, in one step.

        Returns the entry, and why it was not stored, or None.
        """
        assert fetch.headers is not None
        prepared, flight, storage = fetch.prepared, fetch.flight, self.storage
        names = vary_names(fetch.headers)
        if names or prepared.key in storage.varying:
            names = storage.vary_by(prepared.key, names)
        entry = StoredResponse(
            key=self.variant(fetch.request, prepared.key),
            status=response.status_code,
            headers=header_items(response.headers._list),
            raw=raw,
            content=raw if content == raw else content,
            extensions=lasting(response.extensions),
            began=flight.began,
            ttl=prepared.ttl,
            own_ttl=prepared.own_ttl,
            tags=prepared.tags,
            epoch=flight.epoch,
            vary=names,
            rule=prepared.rule,
            path=prepared.path,
        )
        why_not: str | None = None
        with storage.lock:
            if not flight.storable:
                why_not = fetch.reason
            elif not self.controller.store_empty and is_empty(content):
                why_not = "empty"
            elif storage.coherence.dirtied_since(prepared.tags, flight.epoch):
                why_not = "overtaken"
            elif not storage.put(entry):
                why_not = "too-large" if entry.size > storage.max_entry_bytes else "overtaken"
            storage.flights.remove(flight)
        if why_not is None:
            fetch.stored = entry
        flight.land(Landing.ANSWERED, entry)
        return entry, why_not

    # ── what goes around the cache ────────────────────────────────────────────────────────────────────────────────

    def _forward(self, request: Any, prepared: Prepared, reason: str, status: Status) -> Forward:
        with self.storage.lock:
            self._count(status)
        if prepared.kind == "write":
            self.storage.coherence.saw(prepared.origin)
        return Forward(request, prepared, CacheOutcome(status, reason, rule=prepared.rule))

    def forwarded(self, forward: Forward, response: Any) -> None:
        """The answer to a write or bypass is there, and is returned after this."""
        status = response.status_code
        prepared = forward.prepared
        if prepared.kind == "write" and (200 <= status < 400 or status >= 500):
            self._wrote(forward, unknown=status >= 500)
        self._distrust(status, prepared)
        response.extensions[EXTENSION] = forward.outcome

    def forward_failed(self, forward: Forward, error: BaseException) -> None:
        """A write failed: its outcome is unknown, unless the error proves that nothing was sent."""
        if forward.prepared.kind == "write" and not self._not_sent(error):
            self._wrote(forward, unknown=True)

    def _not_sent(self, error: BaseException) -> bool:
        return isinstance(error, self.library.not_sent) or getattr(error, "request_not_sent", False) is True

    def _wrote(self, forward: Forward, *, unknown: bool) -> None:
        """Dirty what the write changed, before anyone sees its answer."""
        prepared = forward.prepared
        assert prepared.decision is not None
        settle = prepared.decision.settle or 0.0
        if unknown:
            settle = max(settle, default_settle(self._timeout(forward.request)))
        coherence = self.storage.coherence
        if settle:
            # First: a read that sees the new epoch must see the window too.
            now = self.now()
            coherence.settle(prepared.tags, now, now + settle)
        coherence.bump(prepared.tags)
        with self.storage.lock:
            self.storage.invalidations += 1

    def _distrust(self, status: int, prepared: Prepared) -> None:
        """401: the caller's credentials are no longer good, so nothing stored for them is; 403: the same of a path."""
        if status in self.controller.drop_on:
            path = f"={prepared.origin}/{'/'.join(normal_path(prepared.path))}"
            self.storage.coherence.bump((partition_tag(prepared.partition) if status == 401 else path,))

    # ── answers ───────────────────────────────────────────────────────────────────────────────────────────────────

    def answer(
        self, entry: StoredResponse, status: Status, reason: str, age: float, *, head: bool = False, stored: bool = True
    ) -> Any:
        """A Response of its own for this caller; nothing it does to it changes the next one's."""
        response = object.__new__(self.library.cached_response)
        response._request = None
        self._fill(response, entry, CacheOutcome(status, reason, age, entry.ttl, entry.key, stored, entry.rule))
        if head:
            response.stream, response._content, response._num_bytes_downloaded = self.library.byte_stream(b""), b"", 0
        return response

    def looked_up(self, entry: StoredResponse, age: float, pattern: Any) -> Any:
        """The same for a lookup: already read, its request to be copied from `pattern`."""
        response = object.__new__(self.library.looked_up_response)
        response._pattern, response._own = pattern, False
        self._fill(response, entry, CacheOutcome("hit", "fresh", age, entry.ttl, entry.key, True, entry.rule))
        response.is_stream_consumed = response.is_closed = True
        return response

    def _fill(self, response: Any, entry: StoredResponse, outcome: CacheOutcome) -> None:
        """Set what `__init__` of the library's Response would, in the order it does, so that the layout is shared."""
        library = self.library
        headers: Any = object.__new__(library.headers)
        headers._list = list(entry.headers)
        headers._encoding = None
        stream = entry.stream
        if stream.__class__ is not library.byte_stream:  # the other library's, or none yet
            stream = entry.stream = library.byte_stream(entry.raw)
        response.status_code = entry.status
        response.headers = headers
        response.next_request = None
        response.extensions = {**entry.extensions, EXTENSION: outcome}
        response.history = []
        response.is_closed = False
        response.is_stream_consumed = False
        response.default_encoding = "utf-8"
        response.stream = stream
        response._num_bytes_downloaded = len(entry.raw)
        response._content = entry.content
        response._elapsed = NO_TIME

    def _gateway_timeout(self, prepared: Prepared) -> Any:
        with self.storage.lock:
            self._count("miss")
        outcome = CacheOutcome("miss", "only-if-cached", 0.0, prepared.ttl, prepared.key, False, prepared.rule)
        response = self.library.response(504, extensions={EXTENSION: outcome}, content=b"")
        response.elapsed = NO_TIME
        return response

    def _outcome(self, fetch: Fetch, reason: str, *, stored: bool = False) -> CacheOutcome:
        prepared = fetch.prepared
        return CacheOutcome("miss", reason, 0.0, prepared.ttl, fetch.flight.key, stored, prepared.rule)

    def _count(self, status: Status) -> None:
        setattr(self.counters, status, getattr(self.counters, status) + 1)

    # ── what users call ───────────────────────────────────────────────────────────────────────────────────────────

    def invalidate(self, path: str | None, tags: tuple[str, ...]) -> None:
        """Make a path and all below it, and all that carries one of `tags`, invalid."""
        coherence = self.storage.coherence
        origins = coherence.origins()
        dirty: list[str] = []
        if origins is None:
            coherence.bump_all()
        else:
            for origin in origins:
                if path is not None:
                    dirty.append(f"^{origin}/{'/'.join(normal_path(path))}")
                dirty.extend(explicit_tag(origin, tag) for tag in tags)
            coherence.bump(dirty)
        with self.storage.lock:
            self.storage.invalidations += 1

    @property
    def stats(self) -> CacheStats:
        """A snapshot, taken in one step."""
        storage, counters = self.storage, self.counters
        with storage.lock:
            return CacheStats(
                hits=counters.hit,
                stale=counters.stale,
                revalidated=counters.revalidated,
                misses=counters.miss,
                collapsed=counters.collapsed,
                bypassed=counters.bypass,
                lookups=counters.lookups,
                stores=storage.lru.stores,
                evictions=storage.lru.evictions,
                expirations=storage.expirations,
                invalidations=storage.invalidations,
                storage_errors=storage.errors,
                entries=len(storage),
                size_bytes=storage.size_bytes,
            )


def in_time(entry: StoredResponse, prepared: Prepared, age: float) -> bool:
    """Whether an answer of this age is within its TTL, the caller's rule and the caller's wish. Negative: expired."""
    return (
        0.0 <= age < entry.ttl
        and (age < prepared.ttl or entry.own_ttl)
        and (prepared.max_age is None or age <= prepared.max_age)
    )
