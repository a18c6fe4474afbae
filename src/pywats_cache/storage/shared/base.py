"""Memory in front of records that any number of processes share, with one coherence for all of them."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable
from functools import partial
from math import nan
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from ...coherence.epochs import Coherence
from ...coherence.single_flight import SOLITARY_SECONDS
from ...errors import ConfigurationTypeError, StorageError
from ...support.checks import seconds
from ...support.clock import monotonic
from ...support.showing import printable, shown
from ..compression import squeeze
from ..memory import MemoryStorage
from .backend import OPEN, Job, Row
from .coherence import CHECK, SharedCoherence
from .record_clock import age_of, this_moment
from .record_format import FORMAT, LaterRecordError, pack, unpack

if TYPE_CHECKING:
    from ...support.durations import Duration
    from ..entry import StoredResponse
    from ..outer import OuterFetch
    from ..uses import Uses
    from .backend import Ledger, Rows, Useless
    from .record_clock import Moment
    from .record_format import Record

__all__ = ["CLAIM_SECONDS", "REVALIDATE_FOR", "SHORT_PAUSE", "SharingStorage", "size_of", "why_unusable"]

logger: logging.Logger = logging.getLogger("pywats_cache.storage.shared")

WARN_EVERY = 60.0
"""Seconds between two warnings of one storage; every failure is counted in the statistics."""
CLAIM_SECONDS = 5.0
"""How long one process may fetch for all; after that another one does, be the first dead or only slow. The order of
records keeps what a late one brings from replacing what was fetched after it."""
REVALIDATE_FOR = 86_400.0
"""A day: what a station asked for in one shift it asks for again in the next, and a 304 costs no body."""
FIRST_PAUSE, LONGEST_PAUSE = 0.005, 0.05
"""Seconds between two looks while another process fetches."""
SHORT_PAUSE, SHORT_PART = 0.001, 1 / 500
"""The same where a look costs next to nothing: so long, or so large a part of the time waited."""
Decode = Callable[[list[tuple[bytes, bytes, bytes]], bytes], bytes | None]


class SharingStorage:
    """Memory first, then `rows`; what becomes invalid is agreed upon through `ledger`.

    - `memory`: the hot part; it belongs to this storage from now on.
    - `secret`: the key of the digests, the same for all processes; None: records cannot be shared.
    - `name`: what warnings call it.
    - `revalidate_for`: seconds past its TTL for which a response with a validator is kept to be asked about. Others
      are kept to the end of the longest window of their rule.

    What is stored holds no credential and no query: names are digests keyed by `secret`, request headers are not kept,
    and each record has a checksum, keyed too, so that nobody without the key can forge one. A failure is never raised:
    requests go to the server, a warning once a minute says so, and it comes back by itself.
    """

    is_async: bool | None = None
    """It serves transports of both kinds."""
    strict = False
    """Raise StorageError where a failure would otherwise be counted and logged; for tools that work on a store."""
    _remedy = ""
    """What helps where this kind of store fails."""

    def __init__(
        self,
        memory: MemoryStorage | None,
        ledger: Ledger,
        rows: Rows,
        secret: bytes | None,
        name: str,
        revalidate_for: Duration = REVALIDATE_FOR,
    ) -> None:
        if memory is not None and not isinstance(memory, MemoryStorage):
            raise ConfigurationTypeError(f"memory must be a MemoryStorage, not {shown(memory)}")
        self.memory: MemoryStorage = MemoryStorage() if memory is None else memory
        self.revalidate_for: float = seconds("revalidate_for", revalidate_for)
        self._ledger = ledger
        self._rows = rows
        self._secret = secret
        self._name = name
        self._instance = uuid.uuid4().hex
        self._warned = self._checked_until = float("-inf")
        self.memory.share(self._new_coherence)
        if secret is not None:
            self.memory.secret = secret

    def _new_coherence(self) -> SharedCoherence:
        return SharedCoherence(self._ledger, self._failed)

    # ── records ───────────────────────────────────────────────────────────────────────────────────────────────────

    def load(self, fetch: OuterFetch, decode: Decode, now: float) -> list[StoredResponse]:
        """What is stored for this fetch; nothing if that fails. Blocks for I/O.

        While another process fetches the same, it waits for that, up to the patience of the fetch.
        """
        began, waiting = time.monotonic(), None
        while True:
            found, waits = self._look(fetch, decode, now if waiting is None else now + waiting.elapsed())
            if not waits:
                return found
            waiting = waiting or _Waiting(fetch, self._rows, began)
            while waits:
                pause = waiting.pause()
                if not pause:
                    return found
                time.sleep(pause)
                waits = self._is_claimed(fetch)

    async def aload(self, fetch: OuterFetch, decode: Decode, now: float) -> list[StoredResponse]:
        """`load` for an event loop: I/O in a worker thread, waiting in none."""
        waiting = _Waiting(fetch, self._rows, time.monotonic())
        while True:
            found, waits = await self._alook(fetch, decode, now + waiting.elapsed())
            if not waits:
                return found
            while waits:
                pause = waiting.pause()
                if not pause:
                    return found
                await anyio.sleep(pause)
                if self._rows.claims_without_io:
                    waits = self._is_claimed(fetch)
                else:
                    waits = await anyio.to_thread.run_sync(self._is_claimed, fetch)

    async def _alook(self, fetch: OuterFetch, decode: Decode, now: float) -> tuple[list[StoredResponse], bool]:
        """`_look` in a worker thread. `task.cancel()` does not end that: what it claims afterwards, it gives back."""
        is_given_up = threading.Event()

        def look() -> tuple[list[StoredResponse], bool]:
            found = self._look(fetch, decode, now)
            if is_given_up.is_set():  # after the claim, as who gives up looks for one afterwards
                self._give_back(fetch)
            return found

        try:
            return await anyio.to_thread.run_sync(look)
        except BaseException:
            is_given_up.set()
            raise

    glances: bool = False
    """Whether `glance` costs so little that it comes before everything else."""
    glances_in_loop: bool = False
    """The same of `glance_in_loop`."""

    def glance(self, key: str, decode: Decode, now: float) -> StoredResponse | None:
        """The only variant stored under `key`, if it may still be used. Blocks for I/O.

        The epoch is known, so the ledger was looked at a moment ago.
        """
        if self._secret is None:
            return None
        try:
            return self._only(self._rows.get(FORMAT + key), decode, now)
        except Exception as error:  # noqa: BLE001 - a cache failure never fails a request
            self._failed("reading", error)
        return None

    def glance_in_loop(self, key: str, decode: Decode, now: float) -> StoredResponse | None:
        """The same for an event loop, which it does not hold up: what it would have to wait for it does not find."""
        return None

    def prepare_for_loop(self) -> None:
        """Do what `glance_in_loop` needs four times a second and what it must not do itself. Blocks for I/O."""

    def _only(self, rows: list[tuple[str, bytes]], decode: Decode, now: float) -> StoredResponse | None:
        if len(rows) == 1:
            try:
                return self._entry(*rows[0], decode, now)
            except (LaterRecordError, _UselessError):  # who fetches sees to it
                pass
        return None

    def _is_claimed(self, fetch: OuterFetch) -> bool:
        try:
            return self._rows.is_claimed(FORMAT + fetch.key)
        except Exception as error:  # noqa: BLE001 - the next look tells
            self._failed("reading", error)
            return False

    def _look(self, fetch: OuterFetch, decode: Decode, now: float) -> tuple[list[StoredResponse], bool]:
        """What is stored, and whether to look again because another process fetches it."""
        found: list[StoredResponse] = []
        if self._secret is None:
            return found, False
        key = FORMAT + fetch.key
        is_sought, fetch.was_sought = fetch.was_sought and fetch.is_shared, False
        try:
            self._check_ledger()
            if not is_sought:
                found = self._read(key, decode, now)
                if self._spare(fetch, found, now):
                    return found, False
            if not fetch.is_shared:
                return self._read(key, decode, now) if self._await_record(key) else found, False
            token = self._rows.claim(key, CLAIM_SECONDS)
            if token != OPEN:
                fetch.claim = token
            if is_sought or fetch.claim is not None:
                found = self._read(key, decode, now)  # stored since we looked, just before the claim was given back
                if self._spare(fetch, found, now):
                    self._release(fetch)
                    return found, False
            return found, token is None
        except Exception as error:  # noqa: BLE001 - a cache failure never fails a request
            self._failed("reading", error)
        return found, False

    def _check_ledger(self) -> None:
        """Four times a second: whether the other processes still use the same ledger."""
        now = time.monotonic()
        if now >= self._checked_until:
            if not self._ledger.is_in_place():
                self._coherence.doubt()
            self._checked_until = now + CHECK

    @staticmethod
    def _spare(fetch: OuterFetch, found: list[StoredResponse], now: float) -> bool:
        return bool(found) and any(fetch.is_spared_by(entry, now) for entry in found)

    def _await_record(self, key: str) -> bool:
        """Wait for a record that is about to be committed. Whether there was one."""
        return False

    def _read(self, key: str, decode: Decode, now: float) -> list[StoredResponse]:
        outdated: list[Useless] = []
        found = self._entries(key, self._rows.get(key), decode, now, outdated)
        if outdated:
            self._keep(Job(key, useless=outdated), 0)
        return found

    def _entries(
        self, key: str, rows: list[tuple[str, bytes]], decode: Decode, now: float, outdated: list[Useless]
    ) -> list[StoredResponse]:
        """What of `rows` may still be of use. What nobody can use is added to `outdated`."""
        found: list[StoredResponse] = []
        moment: Moment | None = None
        for variant, data in rows:
            moment = moment or self._moment()
            try:
                entry = self._entry(variant, data, decode, now, moment)
            except LaterRecordError as error:
                self._notice(f"{self._name} holds {error}; it is left alone, and fetched anew here")
            except _UselessError:
                outdated.append((key, variant, data))
            else:
                if entry is not None:
                    found.append(entry)
        return found

    def save(self, fetch: OuterFetch, now: float) -> None:
        """Write what was stored of `fetch`, if anything was, and let others fetch it again. Blocks for I/O."""
        job = self._job(fetch, now)
        if job is not None:
            self._keep(job, size_of(fetch))

    async def asave(self, fetch: OuterFetch, now: float) -> None:
        """`save` in a worker thread, to its end even if cancelled."""
        if fetch.stored is not None or fetch.claim is not None:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self.save, fetch, now)

    def _job(self, fetch: OuterFetch, now: float) -> Job | None:
        """What is to be written of `fetch`, and given back; None: nothing."""
        token, fetch.claim = fetch.claim, None
        if token is None and fetch.stored is None:
            return None
        row, key = None, FORMAT + fetch.key
        try:
            row = self._packer(fetch, now)
        except Exception as error:  # noqa: BLE001 - a cache failure never fails a request
            self._failed("writing", error)
        return Job(
            key,
            row=row,
            token=token if row is None else self._fetched(key, token),
            # Nobody queues for what cannot be shared.
            open_for=SOLITARY_SECONDS if fetch.is_uncacheable else 0.0,
        )

    def _fetched(self, key: str, token: str | None) -> str | None:
        """The claim of a fetch that is over, whose record is still to be written."""
        return token

    def _packer(self, fetch: OuterFetch, now: float) -> Callable[[], Row | None] | None:
        """A function that makes the record of what was stored, later perhaps; None if there is nothing to keep."""
        entry, key, secret = fetch.stored, FORMAT + fetch.key, self._secret
        if entry is None or secret is None:
            return None
        return partial(
            self._record, key, secret, entry, now - entry.began, fetch.uses(self.revalidate_for), time.monotonic()
        )

    def _record(
        self, key: str, secret: bytes, entry: StoredResponse, ago: float, uses_of: Callable[[], Uses], at: float
    ) -> Row | None:
        """The record of `entry`, which was `ago` old `at` that time; None if nobody would use it."""
        moment, late, coherence = self._moment(), time.monotonic() - at, self._coherence
        ago += late
        uses, generation = uses_of(), coherence.generation
        ends = entry.ttl + uses.longest
        if ends <= ago:
            return None
        # By what is known already: whoever reads the record asks the ledger.
        if generation is None or Coherence.last_dirtied(coherence, entry.tags) > entry.epoch:
            return None  # a write came since, so nobody would use it
        packed = squeeze(entry)
        if packed is not None:
            self.memory.saved_bytes += len(entry.raw) - len(packed)
        data = pack(
            entry,
            wall=moment.wall - ago,
            generation=generation,
            writer=self._instance,
            key=secret,
            packed=packed,
            uses=uses,
            boot=moment.boot,
            since_boot=moment.since_boot - ago,
        )
        fetched = moment.wall - ago + (entry.fetched - entry.began)
        return Row(key, FORMAT + entry.key, data, entry.epoch, fetched, moment.wall - ago + ends)

    def _keep(self, job: Job, size: int) -> None:
        """Do `job`, now or soon; it keeps about so many bytes alive."""
        self._do([job])

    def _do(self, jobs: list[Job]) -> None:
        """Write the records of `jobs` in one transaction, and then give back what they have claimed."""
        try:
            rows = [row for row in map(self._row, jobs) if row is not None]
            useless = [variant for job in jobs for variant in job.useless]
            if rows or useless:
                self._rows.put_all(rows, self._moment().wall, useless)
        except Exception as error:  # noqa: BLE001 - a cache failure never fails a request
            self._failed("writing", error)
        for job in jobs:
            if job.token is not None:
                try:
                    self._rows.release(job.key, job.token, job.open_for)
                except Exception as error:  # noqa: BLE001 - it ends by itself
                    self._failed("writing", error)

    def _row(self, job: Job) -> Row | None:
        try:
            return None if job.row is None else job.row()
        except Exception as error:  # noqa: BLE001 - nor does one that cannot be packed lose the others
            self._failed("writing", error)
            return None

    def lend(self, fetch: OuterFetch, seconds: float) -> None:
        """Let the claim of `fetch` end `seconds` from now, if it has not ended. Blocks for I/O."""
        if fetch.claim is not None:
            try:
                self._rows.prolong(FORMAT + fetch.key, fetch.claim, seconds)
            except Exception as error:  # noqa: BLE001 - it ends by itself
                self._failed("writing", error)

    async def alend(self, fetch: OuterFetch, seconds: float) -> None:
        """`lend` in a worker thread."""
        await anyio.to_thread.run_sync(self.lend, fetch, seconds)

    def _give_back(self, fetch: OuterFetch) -> None:
        """Let others fetch it at once, if this process has claimed it."""
        try:
            self._release(fetch)
        except Exception as error:  # noqa: BLE001 - it ends by itself
            self._failed("writing", error)

    def _release(self, fetch: OuterFetch) -> None:
        token, fetch.claim = fetch.claim, None
        if token is not None:
            self._rows.release(FORMAT + fetch.key, token, 0.0)

    def peek(self, key: str, decode: Decode, now: float) -> list[StoredResponse]:
        """What is stored under `key`, dirtied and expired records too; for explanations. Nothing changes. Blocks."""
        found: list[StoredResponse] = []
        if self._secret is None:
            return found
        try:
            moment = self._moment()
            for variant, data in self._rows.get(FORMAT + key):
                try:
                    record = self._unpacked(variant, data)
                except (LaterRecordError, _UselessError):
                    continue
                # Of a foreign ledger nothing can be said, not even that it was dirtied.
                if why_unusable(record, self._coherence, 0.0) != "foreign":
                    content = decode(record.items(), record.raw)
                    if content is not None:
                        found.append(record.entry(content=content, began=self._began(record, now, moment)))
        except Exception as error:  # noqa: BLE001 - a cache failure never fails a caller
            self._failed("reading", error)
        return found

    def _entry(
        self, variant: str, data: bytes, decode: Decode, now: float, moment: Moment | None = None
    ) -> StoredResponse | None:
        """The entry of a record that may still be of use; None for one that is past every use.

        Raises LaterRecordError, or _UselessError for one that nobody can use.
        """
        record = self._unpacked(variant, data)
        began = self._began(record, now, moment)
        why_not = why_unusable(record, self._coherence, None if began != began else now - began)
        if why_not == "expired":
            return None  # the upkeep takes it out, by a clock that it trusts
        content = None if why_not is not None else decode(record.items(), record.raw)
        if content is None:
            raise _UselessError
        return record.entry(content=content, began=began)

    def _unpacked(self, variant: str, data: bytes) -> Record:
        """The record in `data`. Raises as `_entry` does."""
        try:
            record = unpack(data, key=self._secret or b"")
        except LaterRecordError:
            raise
        except StorageError as error:
            self._failed("reading", error)
            raise _UselessError from None
        if FORMAT + record.key != variant:  # a whole record in the wrong place
            raise _UselessError
        return record

    def _began(self, record: Record, now: float, moment: Moment | None) -> float:
        """When the request of `record` was sent, on this process's clock; NaN: nobody knows."""
        if record.writer == self._instance:  # on our own clock, for nobody sets that back
            return record.began
        age = age_of(record, moment or self._moment())
        return nan if age is None else now - age

    def _moment(self) -> Moment:
        return this_moment(by_system=self.memory.is_timed_by(monotonic), of_one_machine=self._rows.of_one_machine)

    @property
    def _coherence(self) -> SharedCoherence:
        coherence = self.memory.coherence
        assert isinstance(coherence, SharedCoherence)
        return coherence

    def clear(self) -> None:
        """Forget everything stored, in every process: first it becomes invalid, then the records go. Blocks for I/O."""
        self.memory.clear()
        try:
            self._rows.clear()
        except StorageError as error:
            self._failed("writing", error)

    def _notice(self, text: str) -> None:
        """Say once a minute, and in `doctor()`, what is no failure and nevertheless worth knowing."""
        self.memory.notices["later-version"] = text
        self._warn(text)

    # ── failures ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _failed(self, doing: str, error: Exception) -> None:
        # Without the name of the file: a URL that was taken for a path may be in it.
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        if self.strict:
            raise StorageError(f"{doing} {self._name} failed ({why})") from error
        self.memory.errors += 1  # a hint, without the lock: the caller may hold it, taken in another order
        kind = getattr(error, "kind", "") or type(error.__cause__ or error).__name__
        remedy = getattr(error, "remedy", "") or self._remedy
        self.memory.trouble = f"{doing} {self._name} failed ({kind}); {remedy}"
        self._warn(f"{doing} {self._name} failed ({why}); requests go to the server")

    def _warn(self, message: str) -> None:
        now = time.monotonic()
        if now - self._warned >= WARN_EVERY:
            self._warned = now
            logger.warning("%s", printable(message))

    def close(self) -> None:
        """Close the files. Safe at any time: the next request opens them again."""
        self._rows.close()
        self._ledger.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name!r}, {self.memory!r})"


class _Waiting:
    """How long a fetch waits for another process, and when it looks again."""

    def __init__(self, fetch: OuterFetch, rows: Rows, began: float) -> None:
        self._began = began
        self._fetch = fetch
        self._is_cheap = rows.claims_without_io
        self._pause = FIRST_PAUSE

    def elapsed(self) -> float:
        return time.monotonic() - self._began

    def pause(self) -> float:
        """Seconds until the next look; 0.0: it has waited long enough."""
        elapsed = self.elapsed()
        if self._is_cheap:
            pause = max(SHORT_PAUSE, elapsed * SHORT_PART)
        else:
            pause, self._pause = self._pause, min(self._pause * 1.5, LONGEST_PAUSE)
        return max(0.0, min(pause, self._fetch.patience - elapsed))


def size_of(fetch: OuterFetch) -> int:
    """About how many bytes are kept alive until `fetch` is written."""
    entry = fetch.stored
    return 0 if entry is None else len(entry.raw) + len(entry.content)


class _UselessError(Exception):
    """A record that nobody can use, and that is to be taken out."""


def why_unusable(record: Record, coherence: SharedCoherence, age: float | None) -> str | None:
    """Why a record must not be used, or None. What is past its TTL may still be served stale, or validated.

    `dirtied`; `foreign`: it is of another ledger, or of a later state of this one, restored from a copy; `expired`: it
    is past every use. One of an unknown `age` is not.
    """
    if coherence.dirtied_since(record.tags, record.epoch):  # first: it learns what is new
        return "dirtied"
    if record.generation != coherence.generation or record.epoch > coherence.epoch:
        return "foreign"
    return None if age is None or age < record.ttl or age < record.useful else "expired"
