"""Tables of a ledger are counted only when they may be full; what is taken for their size is never too small."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pywats_cache.errors import StorageError
from pywats_cache.storage.shared.backend import Change, Known
from pywats_cache.storage.sqlite.full_tables import Sizes
from pywats_cache.storage.sqlite.ledger import SqliteLedger

TABLES = ("dirtied", "softened")


class TwoProcesses(RuleBasedStateMachine):
    """Two ledgers of one store change it in turn; some transactions are not committed."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.mkdtemp()
        self.number = 0

    @initialize()
    def begin(self) -> None:
        self.ledgers = [SqliteLedger(Path(self.directory, "cache.db"), lambda reason: None) for _ in range(2)]
        self.known = [Known(None, -1)] * 2

    @rule(which=st.integers(0, 1), tags=st.lists(st.integers(0, 5) | st.none(), max_size=4), soft=st.booleans())
    def change(self, which: int, tags: list[int | None], soft: bool) -> None:
        names = []
        for tag in tags:
            self.number += 1
            names.append(f"/{tag}" if tag is not None else f"/new/{self.number}")
        change = Change(soften=names) if soft else Change(dirty=names)
        delta = self.ledgers[which].change(change, self.known[which])
        self.known[which] = Known(delta.generation, delta.epoch)

    @rule(which=st.integers(0, 1))
    def pull(self, which: int) -> None:
        delta = self.ledgers[which].pull(self.known[which])
        self.known[which] = Known(delta.generation, delta.epoch)

    @rule(which=st.integers(0, 1))
    def invalidate_all(self, which: int) -> None:
        delta = self.ledgers[which].change(Change(all=True), self.known[which])
        self.known[which] = Known(delta.generation, delta.epoch)

    @rule(which=st.integers(0, 1))
    def fail_to_commit(self, which: int) -> None:
        ledger = self.ledgers[which]

        def work(connection: object) -> None:
            ledger._change(connection, Change(dirty=["/lost"]), self.known[which], ledger.cells())  # type: ignore[arg-type]
            raise StorageError("not committed")

        with pytest.raises(StorageError):
            ledger._file.write(work)

    @rule(which=st.integers(0, 1))
    def open_anew(self, which: int) -> None:
        self.ledgers[which].close()

    @invariant()
    def none_is_taken_for_smaller(self) -> None:
        for ledger, known in zip(getattr(self, "ledgers", ()), getattr(self, "known", ()), strict=True):
            if ledger._sizes._known == known and known.generation is not None:
                assert_not_smaller(ledger, known)

    def teardown(self) -> None:
        for ledger in getattr(self, "ledgers", ()):
            ledger.close()
        shutil.rmtree(self.directory)


def assert_not_smaller(ledger: SqliteLedger, known: Known) -> None:
    """What `ledger` takes for the sizes covers all that was there at the epoch that it knows."""
    for table in TABLES:
        statement = f"SELECT count(*) FROM {table} WHERE epoch <= ?"
        rows = ledger._file.read(lambda c, s=statement: c.execute(s, (known.epoch,)).fetchone()[0])  # type: ignore[misc]
        most = ledger._sizes._most.get(table)
        assert most is None or most >= rows


TestTwoProcesses = TwoProcesses.TestCase
TestTwoProcesses.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_table_is_counted_once_and_then_only_when_it_may_be_full(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "cache.db", lambda reason: None)
    known, counted = Known(None, -1), []
    for number in range(20):
        delta = ledger.change(Change(dirty=[f"/{number}"]), known)
        if number == 0:
            ledger._file._connection.set_trace_callback(  # type: ignore[union-attr]
                lambda text: counted.append(text) if "count(*)" in text else None
            )
        known = Known(delta.generation, delta.epoch)
    assert counted == []
    ledger.close()


def test_what_came_between_makes_it_count_again() -> None:
    sizes = Sizes()
    sizes._most["dirtied"] = 1
    sizes.grew(Known("a", 3), 4, {"dirtied": [("/x", 4)], "softened": []})
    assert "dirtied" not in sizes._most
    sizes._most["dirtied"] = 1
    sizes.grew(Known("a", 4), 5, {"dirtied": [("/x", 5)], "softened": []})
    assert sizes._most["dirtied"] == 2


def test_new_ledger_has_small_pages_and_one_of_large_pages_is_used_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, bytes_ in (("new", 1024), ("old", None)):
        monkeypatch.setattr("pywats_cache.storage.sqlite.ledger.PAGE_BYTES", bytes_)
        SqliteLedger(tmp_path / name, lambda reason: None).change(Change(dirty=["/a"]), Known(None, -1))
    monkeypatch.undo()
    for name, bytes_ in (("new", 1024), ("old", 4096)):
        ledger = SqliteLedger(tmp_path / name, lambda reason: None)
        assert ledger.pull(Known(None, -1)).dirtied[0][0] == "/a"
        assert ledger._file.read(lambda c: c.execute("PRAGMA page_size").fetchone()[0]) == bytes_
        ledger.close()
