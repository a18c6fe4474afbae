"""A store on disk or in Redis, looked at from outside: nothing is made, repaired, set aside or changed.

What becomes of its records is decided by the same code as in a process that uses the store, over a snapshot of its
ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Protocol

from ..errors import ConfigurationError, StorageError
from .shared.base import SharingStorage, why_unusable
from .shared.coherence import SharedCoherence
from .shared.record_clock import age_of, this_moment
from .shared.record_format import FORMAT, LaterRecordError, is_earlier, read
from .url import parse_storage_url

if TYPE_CHECKING:
    from .shared.backend import Change, Delta, Known, Rows
    from .shared.record_clock import Moment
    from .shared.record_format import Record

__all__ = ["Look", "Seen", "Store", "look_at"]


class Look(Protocol):
    """One kind of store. Every method raises StorageError, MissingStoreError where there is none."""

    kind: str
    delta: Delta
    """The ledger, whole."""
    secret: bytes | None
    """The key of the digests; None if it is not known."""
    rows: Rows

    def count(self) -> int:
        """About how many records there are."""

    def records(self) -> Iterator[tuple[str, bytes]]:
        """All records: name of the variant, and data."""

    def figures(self) -> dict[str, Any]:
        """What is to be said of this kind of store alone."""

    def close(self) -> None:
        """Give the connections back."""


class Seen(NamedTuple):
    """One record. `size`: bytes stored; `age`: None where the wall clock was wrong; `state`: what becomes of it.

    `fresh`; `stale`: past its TTL, but it may still be served stale or validated; `softened`: only served while it is
    refetched; `expired`, `dirtied`, `foreign` (see `why_unusable`); `earlier`, `later`: of another version, which this
    one leaves alone; `unreadable`: damaged, or of another key. Of the last three there is no `record`.
    """

    record: Record | None
    state: str
    age: float | None
    size: int
    saved: int


class Store:
    """What is in a store now.

    - `delta`: its ledger; `kind`: `sqlite` or `redis`.
    - `storage()`: it as a storage that can be asked and never changed, for explanations.
    """

    def __init__(self, look: Look) -> None:
        self._look = look
        self.kind: str = look.kind
        self.delta: Delta = look.delta
        self.has_key: bool = look.secret is not None
        self._coherence = SharedCoherence(_Snapshot(look.delta), _unreadable)

    def count(self) -> int:
        """About how many records there are."""
        return self._look.count()

    def figures(self) -> dict[str, Any]:
        """What is to be said of this kind of store alone."""
        return self._look.figures()

    def entries(self, progress: Callable[[], object] = lambda: None) -> Iterator[Seen]:
        """All records, each checked whole, `progress` called after each. O(bytes stored)."""
        now = this_moment(by_system=True, of_one_machine=self._look.rows.of_one_machine)
        for variant, data in self._look.records():
            yield self._seen(variant, data, now)
            progress()

    def _seen(self, variant: str, data: bytes, now: Moment) -> Seen:
        try:
            record = read(data, key=self._look.secret or b"")
        except LaterRecordError:
            return Seen(None, "later", None, len(data), 0)
        except StorageError:
            state = "earlier" if is_earlier(data) else "unreadable"
            return Seen(None, state, None, len(data), 0)
        if FORMAT + record.key != variant:
            return Seen(None, "unreadable", None, len(data), 0)
        age = age_of(record, now)
        state = why_unusable(record, self._coherence, age) or self._usable(record, age)
        saved = record.length - len(record.raw) if record.length else 0
        return Seen(record, state, age, len(data), saved)

    def _usable(self, record: Record, age: float | None) -> str:
        if self._coherence.softened_since(record.tags, record.epoch):
            return "softened"
        return "fresh" if age is not None and age < record.ttl else "stale"

    def storage(self) -> SharingStorage:
        """A storage over this snapshot. What would change it raises StorageError."""
        storage = SharingStorage(None, _Snapshot(self.delta), self._look.rows, self._look.secret, self.kind)
        storage.strict = True
        return storage

    def close(self) -> None:
        """Give the connections back."""
        self._look.close()


class _Snapshot:
    """A ledger as it was at one moment."""

    def __init__(self, delta: Delta) -> None:
        self._delta = delta

    def cells(self) -> Sequence[int]:
        return (self._delta.epoch, self._delta.lost)

    def pull(self, known: Known) -> Delta:
        return self._delta

    def change(self, change: Change, known: Known) -> Delta:
        raise StorageError("this store is looked at only")

    def lose(self, change: Change) -> bool:
        return True

    def is_in_place(self) -> bool:
        return True

    def close(self) -> None:
        pass


def _unreadable(doing: str, error: Exception) -> NoReturn:
    raise StorageError(f"{doing} failed: {error}")


def look_at(url: str) -> Store:
    """The store at `url`, a URL as `storage_from_url` takes it.

    Raises ConfigurationError for any other URL, MissingStoreError where there is no store, StorageError for one that is
    damaged, of another version, or not to be read. Never repeats a password.
    """
    parsed = parse_storage_url(url, "the store")
    if parsed.scheme == "memory":
        raise ConfigurationError("the store memory:// is inside a process: ask that process, by its address")
    look: Look
    if parsed.scheme == "redis":
        from .redis.reader import RedisLook

        look = RedisLook(parsed.path, parsed.options)
    else:
        from .sqlite.reader import SqliteLook

        look = SqliteLook(parsed.path, parsed.options)
    return Store(look)
