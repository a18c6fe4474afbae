"""What processes that share a store tell each other, as values, and the ledger that passes it on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from ...errors import StorageError

__all__ = [
    "EPOCH",
    "LOST",
    "NOTHING",
    "OPEN",
    "Change",
    "Delta",
    "Job",
    "Known",
    "LaterVersionError",
    "Ledger",
    "Row",
    "Rows",
    "Useless",
    "Window",
]


class LaterVersionError(StorageError):
    """A store that a later version of this package wrote in another format. It was left as it is.

    - `remedy`: what helps, in words.
    """

    kind = "LaterVersionError"

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.remedy: str = f"{text}; update this one, or use another path, database or prefix"


EPOCH, LOST = 0, 1
"""The cells of a ledger: the newest epoch, and a number that is replaced when a bump was lost."""


class Window(NamedTuple):
    """For `seconds` from now what carries one of `tags` is neither stored nor joined, unless `id` is closed before.

    - `is_announcement`: of a write that is about to be sent, whose end will close it.
    """

    id: str
    tags: Sequence[str]
    seconds: float
    is_announcement: bool = False


class Change(NamedTuple):
    """What one transaction does besides raising the epoch by one.

    - `dirty`, `soften`: tags that become invalid, or stale; `all`: everything becomes invalid.
    - `close`: the window that ends, then `open`: the one that begins.
    """

    dirty: Sequence[str] = ()
    soften: Sequence[str] = ()
    all: bool = False
    close: str | None = None
    open: Window | None = None


NOTHING = Change()


class Delta(NamedTuple):
    """What is new since an epoch.

    - `windows`: all that are open, and the seconds they have left.
    - `compacted`: tags of `dirtied` that stand for all that was written below them, because the table was full.
    - `floors`: how often the ledger gave up an origin, or a top-level path, as a whole.
    """

    generation: str
    epoch: int
    floor: int
    soft_floor: int
    lost: int
    dirtied: list[tuple[str, int]]
    softened: list[tuple[str, int]]
    windows: list[tuple[str, float]]
    compacted: Sequence[tuple[str, int]] = ()
    floors: int = 0


class Known(NamedTuple):
    """What a process knows already: of which ledger, up to which epoch."""

    generation: str | None
    epoch: int


class Ledger(Protocol):
    """Where epoch, dirtied tags and open writes are kept for all processes. `pull` and `change` raise StorageError."""

    def cells(self) -> Sequence[int]:
        """The two integers that say whether anything is new."""

    def pull(self, known: Known) -> Delta:
        """What is new."""

    def change(self, change: Change, known: Known) -> Delta:
        """Commit `change`. Returns it and what else is new."""

    def lose(self, change: Change) -> bool:
        """`change` could not be committed: nobody may trust what is stored until somebody can commit that.

        Returns whether everyone has been told.
        """

    def is_in_place(self) -> bool:
        """Whether other processes still use the same ledger, as far as can be seen without asking."""

    def close(self) -> None:
        """Close what is open; the next use opens it again."""


OPEN = "open"
"""The answers of a key lately turned out not to be shared, so everyone fetches it at once."""


class Row(NamedTuple):
    """One record: `key` of the request, `variant` of the answer, and what orders it. Times are wall time."""

    key: str
    variant: str
    data: bytes
    epoch: int
    wall: float
    expires: float


Useless = tuple[str, str, bytes]


class Job(NamedTuple):
    """What is written of one fetch.

    - `row`: makes its record, or None if that would be of no use any more.
    - `useless`: records that nobody can use any more, each by key, variant and data: what took its place stays.
    - `key`, `token`, `open_for`: the right to fetch that is given back afterwards; see `Rows.release`.
    """

    key: str
    row: Callable[[], Row | None] | None = None
    useless: Sequence[Useless] = ()
    token: str | None = None
    open_for: float = 0.0


class Rows(Protocol):
    """Where the records are kept for all processes. Every method raises StorageError or OSError if that fails.

    - `of_one_machine`: nobody writes them on another machine.
    - `claims_without_io`: whether claims cost so little that an event loop may ask for them, and often.
    """

    of_one_machine: bool
    claims_without_io: bool

    def get(self, key: str) -> list[tuple[str, bytes]]:
        """The variants of `key` and their data."""

    def put_all(self, rows: list[Row], now: float, useless: Sequence[Useless] = ()) -> int:
        """Take out what is `useless`, then store `rows`. Returns how many were stored.

        Not stored is what can never fit, or where what is there began its fetch later. `now` is wall time.
        """

    def clear(self) -> None:
        """Take out all records."""

    def claim(self, key: str, seconds: float) -> str | None:
        """The right to fetch `key` for all, as a token, for so long; OPEN; or None: another process has it."""

    def is_claimed(self, key: str) -> bool:
        """Whether it is worth while to wait: another process has the right, as far as can be seen at little cost."""

    def prolong(self, key: str, token: str, seconds: float) -> None:
        """Let the right end `seconds` from now, be that later or sooner than before, if `token` still has it."""

    def release(self, key: str, token: str, open_for: float) -> None:
        """Give the right back, if `token` still has it; with `open_for`, anyone may fetch it for that many seconds."""

    def close(self) -> None:
        """Close what is open; the next use opens it again."""
