"""SharedCoherence: what `Coherence` promises, among processes; while it cannot know, nothing is valid."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from pywats_cache import StorageError
from pywats_cache.storage.shared import coherence as shared_coherence
from pywats_cache.storage.shared import patience
from pywats_cache.storage.shared.backend import LOST
from pywats_cache.storage.shared.coherence import UNKNOWN, SharedCoherence
from pywats_cache.storage.sqlite.ledger import SqliteLedger


class Disk:
    """Lets everything through until `failure` is set."""

    def __init__(self) -> None:
        self.failure: str | None = None
        self.asked = 0


class Ledger(SqliteLedger):
    """One that counts and fails as its disk says."""

    disk: Disk

    def _work(self) -> None:
        self.disk.asked += 1
        if self.disk.failure:
            raise StorageError(self.disk.failure)

    def pull(self, known: Any) -> Any:
        self._work()
        return super().pull(known)

    def change(self, change: Any, known: Any) -> Any:
        self._work()
        return super().change(change, known)


class Process(SharedCoherence):
    """The coherence of one process, its disk, and what it was told of failures."""

    def __init__(self, ledger: Ledger) -> None:
        self.disk = ledger.disk
        self.told: list[str] = []
        super().__init__(ledger, lambda doing, error: self.told.append(f"{doing}: {error}"))


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    made: list[Ledger] = []

    def make(kind: type[Process] = Process) -> Process:
        ledger = Ledger(tmp_path / "c.db", pytest.fail, patience=0.05)
        ledger.disk = Disk()
        made.append(ledger)
        return kind(ledger)

    yield make
    for ledger in made:
        ledger.close()


@pytest.fixture
def one(make: Callable[..., Process]) -> Process:
    return make()


@pytest.fixture
def other(make: Callable[..., Process]) -> Process:
    return make()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_coherence, "RETRY", 0.0)


def test_a_check_with_nothing_new_asks_nothing(one: Process, other: Process) -> None:
    epoch = one.epoch
    asked = one.disk.asked
    assert [one.epoch for _ in range(5)] == [epoch] * 5
    assert not one.dirtied_since(("a",), epoch)
    assert not one.is_settling(("a",), 0.0)
    assert one.is_current()
    assert one.disk.asked == asked
    other.bump(("b",))
    assert not one.is_current()
    assert one.epoch == epoch + 1
    assert one.disk.asked == asked + 1


def test_a_bump_of_one_is_seen_by_the_other_at_once(one: Process, other: Process) -> None:
    epoch = one.epoch
    other.bump(("a", "b"))
    assert one.dirtied_since(("a",), epoch)
    assert one.dirtied_since(("b",), epoch)
    assert not one.dirtied_since(("c",), epoch)
    assert not one.dirtied_since(("a",), one.epoch)


class NeverPulls(Process):
    """The mutant: it believes what it knows."""

    def refresh(self) -> int:
        return self._local if self._pulled != UNKNOWN else super().refresh()


def test_mutant_without_the_pull_a_bump_is_missed(make: Callable[..., Process], other: Process) -> None:
    mutant = make(NeverPulls)
    epoch = mutant.epoch
    other.bump(("a",))
    assert not mutant.dirtied_since(("a",), epoch)


def test_everything_else_is_shared_too(one: Process, other: Process) -> None:
    epoch = one.epoch
    other.soften(("s",))
    assert one.softened_since(("s",), epoch)
    assert not one.softened_since(("t",), epoch)
    assert not one.dirtied_since(("s",), epoch)
    other.settle(("w",), 100.0, 110.0)
    assert one.is_settling(("w",), 0.0)
    assert not one.is_settling(("v",), 0.0)
    other.bump_all()
    assert one.dirtied_since((), epoch)
    assert one.dirtied_since(("anything",), epoch)


def test_a_process_that_comes_later_knows_what_was_dirtied_before(make: Callable[..., Process], one: Process) -> None:
    epoch = one.epoch
    one.bump(("a",))
    late = make()
    assert late.dirtied_since(("a",), epoch)
    assert not late.dirtied_since(("b",), epoch)
    assert late.epoch == one.epoch
    assert late.generation == one.generation


def test_an_announced_write_dirties_and_settles_until_it_is_finished(one: Process, other: Process) -> None:
    epoch = one.epoch
    intent = other.begin_write(("a",), 30.0)
    during = one.epoch
    for process in (one, other):
        assert process.dirtied_since(("a",), epoch)
        assert process.is_settling(("a",), 0.0)
        assert not process.is_settling(("b",), 0.0)
    other.finish_write(intent, ("a",), 0.0)
    for process in (one, other):
        assert process.dirtied_since(("a",), during)
        assert not process.is_settling(("a",), 0.0)


def test_a_write_of_unknown_outcome_settles_on(one: Process, other: Process) -> None:
    other.finish_write(other.begin_write(("a",), 30.0), ("a",), 5.0)
    assert one.is_settling(("a",), 0.0)


def test_a_write_without_effect_only_ends_its_announcement(one: Process, other: Process) -> None:
    intent = other.begin_write(("a",), 30.0)
    during = one.epoch
    other.abandon_write(intent)
    assert not one.is_settling(("a",), 0.0)
    assert not one.dirtied_since(("a",), during)


def test_two_writes_to_one_tag_settle_until_both_are_finished(one: Process, other: Process) -> None:
    first, second = one.begin_write(("a",), 30.0), other.begin_write(("a",), 30.0)
    one.finish_write(first, ("a",), 0.0)
    assert one.is_settling(("a",), 0.0)
    other.finish_write(second, ("a",), 0.0)
    assert not one.is_settling(("a",), 0.0)


def test_an_announcement_ends_with_its_lease(one: Process, other: Process) -> None:
    other.begin_write(("a",), 0.0)
    assert not one.is_settling(("a",), 0.0)


def test_while_the_ledger_cannot_be_read_nothing_is_valid(one: Process, other: Process) -> None:
    epoch = one.epoch
    one.disk.failure = "no disk"
    assert one.epoch == epoch  # nothing new: nothing to ask
    other.bump(("a",))
    assert one.epoch == UNKNOWN
    assert one.dirtied_since(("b",), epoch)
    assert one.softened_since(("b",), epoch)
    assert one.is_settling(("b",), 0.0)
    assert one.told[0] == "reading: no disk"
    one.disk.failure = None
    assert one.epoch == epoch + 1
    assert not one.dirtied_since(("b",), epoch)
    assert one.dirtied_since(("a",), epoch)


def test_a_bump_that_cannot_be_committed_makes_everything_older_invalid_for_all(one: Process, other: Process) -> None:
    epoch = one.epoch
    assert other.epoch == epoch
    other.disk.failure = "full"
    other.bump(("a",))
    assert other.told == ["writing: full"]
    assert other.is_settling(("b",), 0.0)
    assert one.dirtied_since(("a",), epoch)
    assert one.dirtied_since(("b",), epoch)
    other.disk.failure = None
    assert other.epoch == one.epoch > epoch
    assert not other.is_settling(("b",), 0.0)


def test_while_the_disk_is_full_for_all_nobody_trusts_anything(one: Process, other: Process) -> None:
    epoch = one.epoch
    one.disk.failure = other.disk.failure = "full"
    other.bump(("a",))
    assert one.epoch == other.epoch == UNKNOWN
    one.disk.failure = None
    assert one.epoch > epoch
    assert one.dirtied_since(("b",), epoch)


def test_it_does_not_ask_again_at_every_request(one: Process, other: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    assert one.epoch
    monkeypatch.setattr(shared_coherence, "RETRY", 1000.0)
    one.disk.failure = "no disk"
    other.bump(("a",))
    asked = one.disk.asked
    assert [one.epoch for _ in range(5)] == [UNKNOWN] * 5
    assert one.disk.asked == asked + 1


def test_behind_a_change_that_could_not_be_committed_no_other_one_waits(
    one: Process, other: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    announced = one.begin_write(("c",), 60.0)
    epoch = other.epoch
    monkeypatch.setattr(shared_coherence, "RETRY", 1000.0)
    one.disk.failure = "locked"
    one.bump(("a",))
    asked = one.disk.asked
    one.disk.failure = None
    assert one.begin_write(("b",), 60.0) is None
    assert one.finish_write(None, ("b",), 0.0) == UNKNOWN
    assert (one.disk.asked, len(one.told)) == (asked, 3)
    assert other.dirtied_since(("b",), epoch)  # as everything is
    one.finish_write(announced, ("c",), 0.0)
    assert one.disk.asked == asked + 1
    assert other.is_settling(("c",), 0.0) is False


def test_what_another_did_is_not_missed_after_a_failure_and_a_success(
    one: Process, other: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    announced = one.begin_write(("c",), 60.0)
    monkeypatch.setattr(shared_coherence, "RETRY", 1000.0)
    one.disk.failure = "locked"
    one.bump(("b",))
    one.disk.failure = None
    one.finish_write(announced, ("c",), 0.0)
    epoch = one.epoch
    assert other.epoch == epoch
    other.bump(("a",))
    # As the engine does, which may not block while it decides.
    one.refresh()
    assert one.without_io(one.dirtied_since, ("a",), epoch)


def test_who_waited_behind_it_to_end_a_write_does_not_wait_again(one: Process, other: Process) -> None:
    announced = [one.begin_write((tag,), 60.0) for tag in "abcd"]
    epoch, asked = other.epoch, one.disk.asked
    waiting = threading.Semaphore(0)

    class Lock:
        """Says who waits for it."""

        def __init__(self, lock: Any) -> None:
            self.lock = lock

        def acquire(self, timeout: float) -> bool:
            waiting.release()
            return bool(self.lock.acquire())

        def release(self) -> None:
            self.lock.release()

    threads = [threading.Thread(target=one.finish_write, args=(which, ("t",), 0.0)) for which in announced]

    def fail_when_all_wait() -> None:
        one.disk.asked += 1
        for _ in threads:
            assert waiting.acquire(timeout=30.0)
        raise StorageError("locked")

    one._lock = Lock(one._lock)  # type: ignore[assignment]
    one._ledger._work = fail_when_all_wait  # type: ignore[attr-defined]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30.0)
    assert (one.disk.asked, len(one.told)) == (asked + 1, 4)
    assert other.dirtied_since(("t",), epoch)


# ── who waits for whom ────────────────────────────────────────────────────────────────────────────────────────────


class Held:
    """A ledger that answers a question when it is told to."""

    def __init__(self, process: Process, method: str) -> None:
        self.asked, self.may_answer = threading.Event(), threading.Event()
        work = getattr(process._ledger, method)

        def held(*arguments: Any) -> Any:
            found = work(*arguments)
            self.asked.set()
            assert self.may_answer.wait(30.0)
            return found

        setattr(process._ledger, method, held)
        self._release = lambda: setattr(process._ledger, method, work)

    def answer(self, thread: threading.Thread) -> None:
        self._release()
        self.may_answer.set()
        thread.join(30.0)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BEFORE", "WITHIN", "ALONE"):
        monkeypatch.setattr(patience, name, 0.01)


def in_thread(step: Callable[..., Any], *arguments: Any) -> threading.Thread:
    thread = threading.Thread(target=step, args=arguments)
    thread.start()
    return thread


def test_who_gave_up_waiting_behind_an_older_question_knows_nothing(
    one: Process, other: Process, impatient: None
) -> None:
    epoch = one.epoch
    other.bump(("a",))
    held = Held(one, "pull")
    thread = in_thread(one.refresh)
    assert held.asked.wait(30.0)
    other.bump(("b",))  # after that question was answered, before this read begins
    assert one.refresh() == UNKNOWN
    held.answer(thread)
    assert one.without_io(lambda: one.epoch) == UNKNOWN
    assert one.without_io(one.dirtied_since, ("b",), epoch)
    assert one.refresh() == other.epoch
    assert one.dirtied_since(("b",), epoch)


class Forgets(Process):
    """The mutant: what it is told after somebody gave up counts for that one too."""

    def _give_up(self) -> int:
        self._local = None
        return UNKNOWN


def test_mutant_that_takes_an_older_answer_for_new_is_stale(
    make: Callable[..., Process], other: Process, impatient: None
) -> None:
    mutant = make(Forgets)
    epoch = mutant.epoch
    other.bump(("a",))
    held = Held(mutant, "pull")
    thread = in_thread(mutant.refresh)
    assert held.asked.wait(30.0)
    other.bump(("b",))
    mutant.refresh()
    held.answer(thread)
    assert not mutant.without_io(mutant.dirtied_since, ("b",), epoch)


def test_a_change_that_had_no_turn_in_time_makes_everything_older_invalid_for_all(
    one: Process, other: Process, impatient: None
) -> None:
    epoch = other.epoch
    held = Held(one, "change")
    thread = in_thread(one.bump, ("a",))
    assert held.asked.wait(30.0)
    assert one.bump(("b",)) == UNKNOWN
    assert one.told == ["writing: the store does not answer in time: other threads were still waiting for it"]
    assert one.without_io(lambda: one.epoch) == UNKNOWN
    held.answer(thread)
    until = monotonic() + 30.0
    while not other.dirtied_since(("anything",), epoch):  # told by a thread of its own: this process may do no more
        assert monotonic() < until


def test_after_one_read_that_waited_for_its_turn_in_vain_no_other_one_waits(
    one: Process, other: Process, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_coherence, "RETRY", 1000.0)
    assert one.epoch
    other.bump(("a",))
    held = Held(one, "pull")
    thread = in_thread(one.refresh)
    assert held.asked.wait(30.0)
    assert one.refresh() == UNKNOWN
    monkeypatch.setattr(patience, "BEFORE", 1000.0)
    assert one.refresh() == UNKNOWN
    held.answer(thread)
    assert one.refresh() == other.epoch  # nobody has a turn now, so none is waited for


def test_what_one_call_waits_for_is_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(patience, "monotonic", lambda: now)
    with patience.one_call(), patience.one_call():
        with patience.waiting() as until, patience.waiting(9.0) as within:
            assert until == within == pytest.approx(100.0 + patience.WITHIN)
            now += 0.15
        with patience.waiting() as until:
            assert until - now == pytest.approx(patience.WITHIN - 0.15)
            now += 9.0
        with patience.waiting() as until:
            assert until == now
    with patience.waiting() as until:
        assert until - now == pytest.approx(patience.ALONE)
        assert patience.waits_until() == until
    assert patience.waits_until() is None
    assert patience.BEFORE + patience.WITHIN <= 0.3 + 1e-9


def test_what_another_thread_puts_off_in_the_middle_of_a_look_is_no_epoch(one: Process) -> None:
    assert one.epoch

    class Cells(list[int]):
        """Somebody finds the clock set back after they were compared with what is known."""

        def __getitem__(self, which: Any) -> Any:
            if which == LOST:
                one.bump_all_soon()
            return super().__getitem__(which)

    one._cells = Cells(one._cells)
    assert one.refresh() == UNKNOWN


def test_without_a_directory_nothing_is_valid_until_there_is_one(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "none" / "c.db", pytest.fail)
    coherence = SharedCoherence(ledger, lambda doing, error: None)
    assert coherence.epoch == UNKNOWN
    assert coherence.begin_write(("a",), 1.0) is None
    coherence.finish_write(None, ("a",), 0.0)
    coherence.abandon_write(None)
    assert coherence.is_settling(("a",), 0.0)
    (tmp_path / "none").mkdir()
    assert coherence.epoch > 0
    assert not coherence.is_settling(("a",), 0.0)
    ledger.close()
