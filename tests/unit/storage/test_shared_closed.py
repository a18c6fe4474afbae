"""A SharedStorage that is closed has nothing open and nothing mapped; it opens its files again when it is used."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from shared_clients import Make, status

from pywats_cache import SharedStorage, StorageError
from pywats_cache.storage.shared.backend import LOST, Change, Known
from pywats_cache.storage.shared.coherence import SharedCoherence
from pywats_cache.storage.sqlite.epoch_file import EpochFile
from pywats_cache.storage.sqlite.ledger import SqliteLedger

NOTHING = Known(None, -1)
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process has open")


def held(directory: Path) -> list[str]:
    """What this process has open or mapped in `directory`."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            found.append(os.readlink(descriptor))
        except FileNotFoundError:  # that of the listing itself
            pass
    found += [line.split(maxsplit=5)[-1] for line in Path("/proc/self/maps").read_text().splitlines()]
    return [name for name in found if name.startswith(f"{directory}/")]


@linux
def test_a_closed_storage_holds_no_file_and_can_be_used_again(process: Make, tmp_path: Path) -> None:
    one = process()
    for _ in range(2):
        one.get("/a")
        one.put("/b")
        assert {Path(name).name for name in held(tmp_path)} >= {"c.db-ledger", "c.db-epoch"}
        one.cache.storage.close()
        assert held(tmp_path) == []
        one.cache.storage.close()
        assert status(one.get("/a")) == "hit"
    one.cache.storage.close()


@linux
@pytest.mark.parametrize("kind", ["transport", "client"])
def test_what_was_opened_by_a_url_is_closed_with_its_client(
    lib: SimpleNamespace, origin: Any, tmp_path: Path, kind: str
) -> None:
    url = f"sqlite:///{tmp_path}/c.db"
    if kind == "client":
        client = lib.CacheClient(storage=url, transport=origin.transport)
    else:
        client = lib.http.Client(transport=lib.CacheTransport(origin.transport, storage=url))
    with client:
        client.get("http://o/a")
        client.put("http://o/b")
        assert held(tmp_path)
    assert held(tmp_path) == []


@linux
@pytest.mark.anyio
async def test_what_an_async_client_opened_by_a_url_is_closed_with_it(
    lib: SimpleNamespace, origin: Any, tmp_path: Path
) -> None:
    async with lib.AsyncCacheClient(storage=f"sqlite:///{tmp_path}/c.db", transport=origin.transport) as client:
        await client.get("http://o/a")
        await client.put("http://o/b")
        assert held(tmp_path)
    assert held(tmp_path) == []


@linux
def test_a_mapping_that_was_replaced_is_given_back_too(process: Make, tmp_path: Path) -> None:
    one = process()
    one.get("/a")
    (tmp_path / "c.db-epoch").unlink()
    one.cache.storage._ledger.lose()
    one.cache.storage.close()
    assert held(tmp_path) == []


def test_two_storages_on_one_file_are_closed_each_by_itself(process: Make) -> None:
    one, other = process(), process()
    one.get("/a"), other.get("/a")
    one.cache.storage.close()
    assert status(other.get("/a")) == "hit"
    assert other.put("/a").status_code == 200
    assert other.get("/a").text == one.get("/a").text == "3"
    assert other.cache.stats.storage_errors == one.cache.stats.storage_errors == 0


def test_a_write_of_another_while_it_was_closed_is_not_missed(process: Make) -> None:
    one, other = process(), process()
    one.get("/a")
    one.cache.storage.close()
    other.put("/a")
    assert one.get("/a").text == "3"


class _Closing:
    """Cells whose file is closed by another thread as soon as it is read."""

    def __init__(self, cells: Any, at: int, close: Callable[[], object]) -> None:
        self.cells, self.left, self.close = cells, at, close

    def __getitem__(self, which: int) -> int:
        self.left -= 1
        if self.left == 0:
            thread = threading.Thread(target=self.close)
            thread.start()
            thread.join()
        return int(self.cells[which])


@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize("ask", [lambda c: c.epoch, lambda c: c.is_current() or c.epoch, lambda c: c.refresh()])
def test_who_reads_a_cell_while_another_thread_closes_asks_anew(
    tmp_path: Path, at: int, ask: Callable[[SharedCoherence], int]
) -> None:
    storage = SharedStorage(tmp_path / "c.db")
    coherence = storage.memory.coherence
    assert isinstance(coherence, SharedCoherence)
    epoch = coherence.epoch
    coherence._cells = _Closing(coherence._cells, at, storage.close)  # type: ignore[assignment]
    assert ask(coherence) == epoch
    assert storage.memory.errors == 0
    storage.close()


def test_an_epoch_file_that_was_closed_lets_nobody_read(tmp_path: Path) -> None:
    file = EpochFile(tmp_path / "e")
    cells = file.cells
    file.close()
    file.close()
    with pytest.raises(ValueError, match="released"):
        cells[0]


def _is_held(ledger: SqliteLedger) -> bool:
    """Whether another thread would have to wait now to close, or to ask."""
    got: list[bool] = []

    def ask() -> None:
        got.append(ledger._file.lock.acquire(blocking=False))
        if got[0]:
            ledger._file.lock.release()

    other = threading.Thread(target=ask)
    other.start()
    other.join()
    return got == [False]


@pytest.mark.parametrize("what", ["pull", "change"])
def test_closing_waits_for_a_question_under_way(tmp_path: Path, what: str) -> None:
    """Else the cells, which say what is new, would be gone in the middle of it."""
    held: list[bool] = []

    class Watched(SqliteLedger):
        def cells(self) -> memoryview:
            held.append(_is_held(self))
            return super().cells()

        def _is_other(self, known: Known, generation: str, epoch: int) -> bool:  # type: ignore[override]
            held.append(_is_held(self))
            return SqliteLedger._is_other(known, generation, epoch)

    ledger = Watched(tmp_path / "c.db", pytest.fail)
    before = ledger.pull(NOTHING)
    held.clear()
    if what == "pull":
        ledger.pull(Known(before.generation, before.epoch))
    else:
        ledger.change(Change(dirty=("a",)), Known(before.generation, before.epoch))
    assert held
    assert all(held)
    ledger.close()


def test_nobody_begins_a_change_between_the_database_that_is_closed_and_the_mapping(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "c.db", pytest.fail)
    ledger.pull(NOTHING)
    held: list[bool] = []
    close = ledger._file.close

    def closed_and_asked() -> None:
        close()
        held.append(_is_held(ledger))

    ledger._file.close = closed_and_asked  # type: ignore[method-assign]
    ledger.close()
    assert held == [True]


@pytest.mark.parametrize("when", ["within the transaction", "after it"])
def test_a_signal_handler_that_closes_within_a_question_fails_it_and_loses_nothing(tmp_path: Path, when: str) -> None:
    class Interrupted(SqliteLedger):
        closed = False

        def _interrupt(self, now: str) -> None:
            if now == when and not self.closed:
                self.closed = True
                self.close()

        def _announce(self, cells: memoryview, epoch: int) -> None:  # type: ignore[override]
            self._interrupt("within the transaction")
            SqliteLedger._announce(cells, epoch)

        def _is_other(self, known: Known, generation: str, epoch: int) -> bool:  # type: ignore[override]
            if known.generation is not None:
                self._interrupt("after it")
            return SqliteLedger._is_other(known, generation, epoch)

    ledger, other = Interrupted(tmp_path / "c.db", pytest.fail), SqliteLedger(tmp_path / "c.db", pytest.fail)
    before = other.pull(NOTHING)
    known = Known(before.generation, before.epoch)
    with pytest.raises(StorageError):
        ledger.change(Change(dirty=("a",)), NOTHING) if when.startswith("within") else ledger.pull(known)
    assert ledger.closed
    assert ledger.change(Change(dirty=("a",)), known).dirtied == other.pull(known).dirtied != []
    ledger.close()
    other.close()


def test_what_was_lost_while_closed_is_still_lost(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "c.db", pytest.fail)
    before = ledger.pull(NOTHING)
    ledger.close()
    assert ledger.lose()
    ledger.close()
    after = ledger.pull(Known(before.generation, before.epoch))
    assert after.floor == after.epoch > before.epoch
    assert ledger.cells()[LOST] == after.lost
    ledger.close()
