"""Full tables of a SQLite ledger: what goes is computed outside transactions, and committed in steps.

Other processes wait for a transaction as long as their patience lasts, so none of these takes more than some
milliseconds. Between two steps every process finds a whole ledger: what takes over is committed before anything goes,
and what goes is removed only if nobody has changed it since. Who dies in between leaves tags that say nothing new.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import TypeVar

from ...coherence.compaction import compacted, over_roots
from ..shared.backend import Known
from .database import SqliteFile

__all__ = ["STEP", "Sizes", "compact_tags", "compact_windows", "fold", "true_floor"]

_Row = TypeVar("_Row")
STEP = 512
"""Rows that one transaction changes at most."""
FLOORS = {"dirtied": "floor", "softened": "soft_floor"}
TOLD = "!"
"""A tag that nothing carries, at epoch 0. While it is in a table, the floor in `state` is raised above the true one,
which is in `counted`: for processes of the first version, which ask for no bundles. When such a process raises the
floor itself, it takes out everything older, and so this tag: then the floor in `state` is the true one again."""


def compact_tags(file: SqliteFile, table: str, generation: str, most: int, full: int) -> None:
    """Make `table` as small as `most`, unless it has no more than `full` tags by now. Raises StorageError."""
    found = f"SELECT tag, epoch FROM {table} WHERE epoch > 0"  # noqa: S608
    before = file.read(lambda connection: dict(connection.execute(found)))
    if len(before) <= full:
        return
    change = compacted(before, most)
    gone = [(tag, before[tag]) for tag in change.gone]

    name = FLOORS[table]

    def take_over(rows: list[tuple[str, int]], connection: sqlite3.Connection) -> None:
        connection.executemany(
            f"INSERT INTO {table} VALUES (?, ?) "  # noqa: S608 - one of two names, here and below
            "ON CONFLICT (tag) DO UPDATE SET epoch = max(epoch, excluded.epoch)",
            rows,
        )
        if table == "dirtied":
            connection.executemany("INSERT OR REPLACE INTO compacted VALUES (?, ?)", rows)

    def raise_floor(floors: list[int], connection: sqlite3.Connection) -> None:
        if change.floor is not None:
            connection.execute(f"UPDATE state SET {name} = max({name}, ?)", (change.floor,))  # noqa: S608
            connection.execute("UPDATE counted SET number = max(number, ?) WHERE name = ?", (change.floor, name))
        if change.told is not None:
            if connection.execute(f"INSERT OR IGNORE INTO {table} VALUES (?, 0)", (TOLD,)).rowcount:  # noqa: S608
                connection.execute(f"INSERT OR REPLACE INTO counted SELECT ?, {name} FROM state", (name,))  # noqa: S608
            connection.execute(f"UPDATE state SET {name} = max({name}, ?)", (change.told,))  # noqa: S608
        count_floors(connection, sum(floors))

    def go(rows: list[tuple[str, int]], connection: sqlite3.Connection) -> None:
        connection.executemany(f"DELETE FROM {table} WHERE tag = ? AND epoch = ?", rows)  # noqa: S608
        if table == "dirtied":
            connection.executemany("DELETE FROM compacted WHERE tag = ? AND epoch = ?", rows)

    steps = _Steps(file, generation)
    steps.each(take_over, change.set.items())
    steps.each(raise_floor, [change.floors])
    steps.each(go, gone)


def compact_windows(
    file: SqliteFile,
    generation: str,
    most: int,
    windows: Callable[[sqlite3.Connection], list[tuple[str, str, float]]],
    open_windows: Callable[[sqlite3.Connection, dict[str, float]], object],
) -> None:
    """The same for windows, with the latest end; nothing takes over those that have no path in common.

    - `windows`, `open_windows`: all of them by id and tag, and the seconds left; and how new ones are opened.
    """
    found = file.read(windows)
    left: dict[str, float] = {}
    for _, tag, seconds in found:
        left[tag] = max(seconds, left.get(tag, 0.0))
    change = over_roots(compacted(left, most), left)
    if change is None:
        return
    over = set(change.gone)

    def go(rows: list[tuple[str, str]], connection: sqlite3.Connection) -> None:
        for table in ("windows", "steady"):
            connection.executemany(f"DELETE FROM {table} WHERE id = ? AND tag = ?", rows)  # noqa: S608

    steps = _Steps(file, generation)
    steps.each(lambda rows, connection: open_windows(connection, dict(rows)), change.set.items())
    steps.each(lambda floors, connection: count_floors(connection, sum(floors)), [change.floors])
    steps.each(go, [(id, tag) for id, tag, _ in found if tag in over])


def fold(connection: sqlite3.Connection, table: str, most: int) -> None:
    """Put the older half of a table with more than `most` tags into the floor, as nobody has compacted it."""
    if connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] > most:  # noqa: S608
        (middle,) = connection.execute(
            f"SELECT epoch FROM {table} ORDER BY epoch LIMIT 1 OFFSET ?",  # noqa: S608
            (most // 2,),
        ).fetchone()
        name = FLOORS[table]
        connection.execute(f"UPDATE state SET {name} = max({name}, ?)", (middle,))  # noqa: S608
        connection.execute(f"DELETE FROM {table} WHERE epoch <= ?", (middle,))  # noqa: S608
        count_floors(connection, 1)


def true_floor(connection: sqlite3.Connection, table: str, floor: int, counted: dict[str, int]) -> int:
    """The floor of `table` for who asks for bundles; `floor` is the one in `state`."""
    true = counted.get(FLOORS[table])
    if true is None:
        return floor
    told = connection.execute(f"SELECT 1 FROM {table} WHERE tag = ?", (TOLD,)).fetchone()  # noqa: S608
    return floor if told is None else true


def count_floors(connection: sqlite3.Connection, floors: int) -> None:
    """Count so many for all processes."""
    if floors:
        connection.execute("INSERT OR IGNORE INTO counted VALUES ('floors', 0)")
        connection.execute("UPDATE counted SET number = number + ? WHERE name = 'floors'", (floors,))


class Sizes:
    """How many tags each table has at most, so that one is counted only when it may be full: that reads it all."""

    def __init__(self) -> None:
        self._most: dict[str, int] = {}
        self._known = Known(None, -1)

    def grew(self, since: Known, epoch: int, new: Mapping[str, Sequence[tuple[str, int]]]) -> None:
        """`new` is what came since then, in all processes, up to this epoch."""
        if since.generation != self._known.generation or since.epoch > self._known.epoch:
            self._most.clear()  # something came in between
        for table in self._most:
            self._most[table] += len(new[table])
        self._known = Known(since.generation, epoch)

    def is_over(self, connection: sqlite3.Connection, table: str, bound: int) -> bool:
        """Whether `table` has more tags than `bound`."""
        if self._most.get(table, bound + 1) > bound:
            self._most[table] = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608
        return self._most[table] > bound


class _Steps:
    """Transactions one after the other, until the ledger is another one."""

    def __init__(self, file: SqliteFile, generation: str) -> None:
        self._file = file
        self._generation = generation
        self._is_over = False

    def each(self, work: Callable[[list[_Row], sqlite3.Connection], object], rows: Iterable[_Row]) -> None:
        """`work` with so many of `rows` at a time."""
        for part in _parts(rows):
            if not self._is_over:
                self._is_over = self._step(partial(work, part))

    def _step(self, work: Callable[[sqlite3.Connection], object]) -> bool:
        def step(connection: sqlite3.Connection) -> bool:
            row = connection.execute("SELECT generation FROM state").fetchone()
            if row is None or row[0] != self._generation:
                return True
            work(connection)
            return False

        with self._file.lock:
            # Whoever opens another file in its place hides that from those who ask afterwards.
            return self._file.is_replaced() or self._file.write(step)


def _parts(rows: Iterable[_Row]) -> Iterator[list[_Row]]:
    left = iter(rows)
    while part := list(islice(left, STEP)):
        yield part
