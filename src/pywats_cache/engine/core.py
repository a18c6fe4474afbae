"""What every part of the engine stands on: the parts, the time, whether an entry may answer, and the counters."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from ..coherence.single_flight import MAX_SOLITARY, Flight, Landing, Owner
from ..coherence.tags import exact_tags, partition_tag
from ..policy.directives import Directives, checked, merged
from ..protocol.conditional import Precondition, entity_tag, evaluate
from ..protocol.fields import combined, fields
from ..storage.entry import StoredResponse
from ..support.fork import renew_in_child
from ..support.memo import most_items
from ..support.switch import is_disabled
from ..telemetry.event_log import Journal
from ..telemetry.miss_patterns import Diary
from ..telemetry.origin_times import OriginTimes
from ..telemetry.outcome import EXTENSION, Reason, Status
from ..telemetry.stats import CacheStats, Counters
from .cache_key import variant_key
from .classify import Prepared, Preparer
from .http_library import content_of, field_lines
from .responses import Answers
from .scopes import given_here

if TYPE_CHECKING:
    from ..policy.controller import Controller
    from ..storage.memory import MemoryStorage
    from ..support.clock import Clock
    from ..support.http_types import HttpRequest, HttpResponse
    from .http_library import Library
    from .judging import Form, Verdict

__all__ = ["Core", "in_time"]

_T = TypeVar("_T")

logger: logging.Logger = logging.getLogger("pywats_cache.engine")

BY_KEY = 150
"""Bytes counted for what is remembered of one key: a back-off, that an answer is superseded or not shared."""
CLOCK_SLACK = 1.0
"""Seconds by which clock readings of several threads may cross; a clock set back further drops what is stored."""


class Core:
    """The parts of one transport's engine over one storage. Safe from any number of threads and tasks.

    Its own state is the counters, guarded by the storage's lock. RFC mode is a subclass of the engine that answers
    some questions otherwise, so TTL mode pays nothing for it.
    """

    preparer_class = Preparer
    answers_class = Answers

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
        self.blocks: bool = storage.coherence.blocks
        """Whether writes and invalidations do I/O, so that an event loop leaves them to a worker thread."""
        self.clock = clock
        self.is_disabled: bool = is_disabled()
        """Whether nothing is read from the storage or stored; what a write invalidates is told all the same."""
        self.preparer: Preparer = self.preparer_class(controller, storage.secret, storage, off=self.is_disabled)
        self.counters: Counters = Counters()
        self.answers: Answers = self.answers_class(library, controller.cache_status)
        self._owner = owner
        self.open_scopes: int = 0
        """How many blocks of `scopes` are open, of any thread. Guarded by the storage's lock; read without it."""
        self.doors: WeakSet[Any] = WeakSet()
        """The doors of clients that ask this engine. Guarded by the storage's lock."""
        self.diary: Diary = Diary()
        self._down: dict[str, float] = {}
        self._backoff: dict[str, tuple[float, float]] = {}
        self._superseded: dict[str, float] = {}
        self.origin_times: OriginTimes = OriginTimes()
        self.journal: Journal = Journal()
        renew_in_child(self)

    def _renew(self) -> None:
        # Each process counts what it does itself, so that the sum over processes is true.
        self.counters, self.diary, self.origin_times = Counters(), Diary(), OriginTimes()
        self.journal = Journal()

    def with_news(self, step: Callable[..., _T], *arguments: Any) -> _T:
        """`step(*arguments)`, once it is known what other processes changed up to now. Only that does I/O."""
        if not self.blocks:  # there are no other processes
            return step(*arguments)
        coherence = self.storage.coherence
        if not coherence.is_current():
            coherence.refresh()
        return coherence.without_io(step, *arguments)

    def particular(self, request: HttpRequest, prepared: Prepared) -> Prepared:
        """`prepared` for this one request: with its target on the wire, its body and its directives."""
        given = request.extensions.get(EXTENSION)
        asked = None if given is None else checked(given)
        if self.open_scopes:
            around = given_here(self)
            if around:
                asked = around if asked is None else merged(around, asked)
        directives = None if asked is None else Directives(**asked)
        if "target" in request.extensions:
            prepared = self.preparer.targeted(request, prepared)
        if prepared.kind in ("read", "part") or prepared.is_question:
            body = content_of(request)
            if body is None:
                if not isinstance(request.stream, self.library.byte_stream):
                    return self.preparer.bypassed(prepared, "streamed-body")
                body = request.read()
            if body:
                prepared = self.preparer.with_body(prepared, body)
        return prepared if directives is None else self.preparer.directed(prepared, directives)

    def why_missed(self, request: HttpRequest, prepared: Prepared, key: str) -> Reason:
        """The reason code of a read for which nothing is stored under `key`.

        `vary` if another representation is; only memory is asked, and only for those that were stored last.
        """
        if prepared.reason != "unknown" or key != prepared.key:
            return "vary" if prepared.reason == "unknown" else prepared.reason
        storage = self.storage
        for representation in storage.representations:
            if representation != prepared.representation:
                other = self.particular(request, self.preparer.represented(request, prepared, representation)).key
                if other != key and (other in storage.varying or storage.find(other) is not None):
                    return "vary"
        return "unknown"

    def why_not_fresh(self, entry: StoredResponse, prepared: Prepared, age: float, epoch: int) -> Reason | None:
        """The reason code of a stored answer that may not answer as fresh; None: it may. A negative age is expired.

        - `epoch`: of the coherence, read before; whoever finds the entry fresh notes it in `valid_at`.
        """
        known = True
        if entry.valid_at != epoch or prepared.directed:
            coherence = self.storage.coherence
            if coherence.is_dirtied(entry, prepared.tags):
                return "dirtied"
            if coherence.is_softened(entry):
                return "softened"
            known = epoch >= 0  # else nothing was known then; noted, it would be valid whenever nothing is known
        if not 0.0 <= age < entry.ttl:
            return "expired"
        return None if known and not prepared.refresh and in_time(entry, prepared, age) else "refresh"

    def found_fresh(self, entry: StoredResponse, prepared: Prepared, age: float) -> bool:
        """Whether `entry` is fresh; if so the epoch is noted in it, so that the next hit needs one comparison.

        The usual case, nothing dirtied since the last hit, stands here, for each call costs 0.1 µs.
        """
        epoch = self.storage.coherence.epoch  # before the table: see the module coherence
        if entry.valid_at == epoch and not prepared.directed:
            return in_time(entry, prepared, age) and not prepared.refresh
        if self.why_not_fresh(entry, prepared, age, epoch) is not None:
            return False
        self.note_valid(entry, epoch)
        return True

    may_look_up = found_fresh
    """Whether `entry` may answer a lookup, which skips what the client does with answers."""

    def note_valid(self, entry: StoredResponse, epoch: int) -> None:
        """`entry` was found valid at `epoch`: noted, the next hit needs one comparison, if it is valid for all."""
        if self.storage.has_one_tagging:
            entry.valid_at = epoch

    def refused_by(self, prepared: Prepared, verdict: Verdict) -> HttpResponse:
        """The 504 of a request that is not sent, which was counted before."""
        raise NotImplementedError

    def may_share(self, entry: StoredResponse, prepared: Prepared, age: float) -> bool:
        """Whether the answer of another's fetch that was joined in flight may answer."""
        return in_time(entry, prepared, age)

    def answer(
        self,
        request: HttpRequest,
        prepared: Prepared,
        entry: StoredResponse,
        status: Status,
        reason: Reason,
        age: float | None,
        *,
        form: Form | None = None,
        stored: bool = True,
    ) -> HttpResponse:
        """The Response of a stored answer to this request.

        - `form`: how much of it; None: as the request asks.
        """
        if form == "not-modified":
            return self.answers.not_modified(entry, age, status, reason)
        return self.answers.stored(entry, status, reason, age, head=prepared.head, stored=stored)

    def form(self, request: HttpRequest, prepared: Prepared, entry: StoredResponse, age: float) -> Form:
        """How much of a stored answer answers a read."""
        return "whole"

    def precondition(self, request: HttpRequest, entry: StoredResponse) -> Form | None:
        """How much of a fresh answer answers a caller's own conditional request (RFC 9110 §13); None: the server does.

        Only what has validators can be compared.
        """
        conditions, headers = fields(field_lines(request.headers)), fields(entry.headers)
        if "range" in conditions or not (entity_tag(headers) or "last-modified" in headers):
            return None
        asked = evaluate(conditions, headers, entry.status)
        if asked is Precondition.FORWARD:
            return None
        return "not-modified" if asked is Precondition.NOT_MODIFIED else "whole"

    def stated_ttl(self, prepared: Prepared) -> float | None:
        """The TTL known before there is an answer."""
        return prepared.ttl

    def touch(self, key: str, entry: StoredResponse, *, lookup: bool = False) -> None:
        """Count a hit and make `entry` the most recently used (it may just have been evicted: still a hit)."""
        storage = self.storage
        with storage.lock:
            counters = self.counters
            counters.hit += 1
            if lookup:
                counters.lookups += 1
            items = storage.table.items
            entry.hits += 1
            if items.get(key) is entry:
                items.move_to_end(key)

    def now(self) -> float:
        """The time. A clock that was set back makes every date unreliable, so all that is stored is invalid then."""
        now = self.clock()
        latest = self.storage.latest
        if now >= latest:
            self.storage.latest = now
        elif now < latest - CLOCK_SLACK:
            # In this order, or another thread takes the time for good before what is stored is invalid.
            self.storage.coherence.bump_all_soon()
            self.storage.latest = now
            logger.warning("the clock went back by %.1f s: everything stored before is dropped", latest - now)
        return now

    def variant(self, request: HttpRequest, key: str) -> str:
        """The key of the variant that the headers of `request` select, where answers of `key` are known to vary."""
        names = self.storage.varying.get(key)
        if names is None:
            return key
        return self.variant_by(request, key, names)

    def variant_by(self, request: HttpRequest, key: str, names: tuple[str, ...]) -> str:
        """The key of the variant that these headers of `request` select."""
        items = request.headers._list
        return variant_key(self.storage.secret, key, (combined(items, name.encode("latin-1")) for name in names))

    def _land(self, flight: Flight[StoredResponse], landing: Landing, answer: StoredResponse | None = None) -> None:
        with self.storage.lock:
            self.storage.flights.remove(flight)
            if landing is Landing.UNCACHEABLE and flight.shared:
                self.storage.flights.make_solitary(flight.key, self.clock(), self.most(MAX_SOLITARY))
        flight.land(landing, answer)

    def tells_others(self, prepared: Prepared, response: HttpResponse) -> bool:
        """Whether taking in this response does I/O, because other processes must know of it."""
        return self.blocks and response.status_code in self.controller.drop_on

    def answered(self, origin: str) -> None:
        """The server can be reached."""
        self._down.pop(origin, None)

    def answered_request(
        self, request: HttpRequest, response: HttpResponse, took: float, *, lookup: bool = False
    ) -> None:
        """A request, or a lookup, got its answer after `took` seconds, by another way than as a plain hit."""
        self.journal.answered(request, response, took)

    def dirtied(self, tags: Iterable[str] | None, reason: str, rule: str = "") -> None:
        """These tags were dirtied (None: everything was), for `reason`."""
        self.journal.invalidated(reason, rule)

    def distrust(self, status: int, prepared: Prepared) -> None:
        """401: the caller's credentials are no longer good, so nothing stored for them is; 403: the same of a path."""
        if status in self.controller.drop_on:
            withdrawn = status == 401
            tags = (partition_tag(prepared.partition),) if withdrawn else exact_tags(prepared.origin, prepared.path)
            self.storage.coherence.bump(tags)
            self.dirtied(tags, str(status), prepared.rule)

    def _patience(self, request: HttpRequest) -> float:
        """Seconds to wait for another's fetch: the controller's bound and the caller's own read timeout."""
        read = self._timeout(request).get("read")
        return self.controller.join_timeout if read is None else min(self.controller.join_timeout, read)

    @staticmethod
    def _timeout(request: HttpRequest) -> dict[str, float | None]:
        timeout = request.extensions.get("timeout")
        return timeout if isinstance(timeout, dict) else {}

    def _count(self, status: Status) -> None:
        setattr(self.counters, status, getattr(self.counters, status) + 1)

    def most(self, most: int) -> int:
        """How much is remembered beside the storage: `most`, or less where it may hold few entries."""
        return most_items(most, self.storage)

    @property
    def remembered_bytes(self) -> int:
        """Bytes counted for what is remembered beside what is stored. Called under the storage's lock."""
        storage = self.storage
        by_key = len(self._backoff) + len(self._superseded) + len(self._down) + storage.flights.solitary
        memos = self.preparer.remembered_bytes + storage.varying.size_bytes + by_key * BY_KEY
        doors: list[int] = [door.remembered_bytes for door in self.doors]
        return memos + sum(doors)

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
                stores=storage.table.stores,
                evictions=storage.table.evictions,
                expirations=storage.expirations,
                invalidations=storage.invalidations,
                storage_errors=storage.errors,
                tier_hits=counters.tier,
                entries=len(storage),
                size_bytes=storage.size_bytes,
                saved_bytes=storage.saved_bytes,
                remembered_bytes=self.remembered_bytes,
                floors=storage.coherence.floors,
            )


def in_time(entry: StoredResponse, prepared: Prepared, age: float) -> bool:
    """Whether an answer of this age is within its TTL, the caller's rule and the caller's wish. Negative: expired."""
    return (
        0.0 <= age < entry.ttl
        and (age < prepared.ttl or entry.own_ttl)
        and (prepared.max_age is None or age <= prepared.max_age)
    )
