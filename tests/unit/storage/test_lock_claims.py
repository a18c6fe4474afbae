"""Claims as locks of byte ranges: one leader a key, let go at once by who dies, passed when it is slow."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pywats_cache import SharedStorage
from pywats_cache.errors import ConfigurationError
from pywats_cache.storage.shared.backend import OPEN
from pywats_cache.storage.sqlite import lock_claims
from pywats_cache.storage.sqlite.claims import TableClaims
from pywats_cache.storage.sqlite.lock_claims import ARE_THERE, RUNGS, LockClaims

pytestmark = pytest.mark.skipif(not ARE_THERE, reason="this system has no such locks")
Make = Callable[[], LockClaims]


class Clock(SimpleNamespace):
    now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(lock_claims, "time", clock)
    return clock


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[LockClaims] = []

    def make() -> LockClaims:
        made.append(LockClaims(tmp_path / "c.db-locks"))
        return made[-1]

    yield make
    for claims in made:
        claims.close()


def test_one_has_the_right_until_it_gives_it_back(make: Make, clock: Clock) -> None:
    one, other = make(), make()
    token = one.claim("a", 5.0)
    assert token not in (None, OPEN)
    assert [claims.claim("a", 5.0) for claims in (one, other)] == [None, None]
    assert [claims.is_claimed("a") for claims in (one, other)] == [True, True]
    assert other.claim("b", 5.0) not in (None, OPEN)
    one.release("a", str(token), 0.0)
    assert not other.is_claimed("a")
    assert other.claim("a", 5.0) not in (None, OPEN)


def test_a_token_of_a_former_claim_gives_nothing_back(make: Make, clock: Clock) -> None:
    one, other = make(), make()
    first = str(one.claim("a", 5.0))
    one.release("a", first, 0.0)
    assert one.claim("a", 5.0) is not None
    one.release("a", first, 0.0)
    assert other.claim("a", 5.0) is None


def test_what_cannot_be_shared_is_open_to_all_for_a_while(make: Make, clock: Clock) -> None:
    one, other = make(), make()
    one.release("a", str(one.claim("a", 5.0)), 10.0)
    assert [claims.claim("a", 5.0) for claims in (one, other)] == [OPEN, OPEN]
    clock.now += 10.1
    assert other.claim("a", 5.0) not in (None, OPEN)


def test_a_mark_of_before_a_restart_of_the_machine_is_not_believed(make: Make, clock: Clock) -> None:
    one, other = make(), make()
    one.release("a", str(one.claim("a", 5.0)), 10.0)
    clock.now = 1.0
    assert other.claim("a", 5.0) not in (None, OPEN)


def test_a_slow_leader_is_passed_by_one_for_whom_the_others_wait(make: Make, clock: Clock) -> None:
    slow, second, third = make(), make(), make()
    first = str(slow.claim("a", 5.0))
    for _ in range(11):
        assert second.claim("a", 5.0) is None
        clock.now += 0.49
    token = second.claim("a", 5.0)
    assert token not in (None, OPEN)
    assert third.claim("a", 5.0) is None
    slow.release("a", first, 0.0)  # what it brought was not stored, say: the second one still fetches
    assert third.is_claimed("a")
    assert third.claim("a", 5.0) is None
    second.release("a", str(token), 0.0)
    assert third.claim("a", 5.0) not in (None, OPEN)


def test_a_lock_that_was_not_looked_at_for_long_is_another_one(make: Make, clock: Clock) -> None:
    one, other = make(), make()
    one.claim("a", 5.0)
    assert other.claim("a", 5.0) is None
    clock.now += 100.0
    assert other.claim("a", 5.0) is None


def test_many_slow_leaders_are_passed_without_a_claim(make: Make, clock: Clock) -> None:
    for _ in range(RUNGS):
        claims = make()
        token = claims.claim("a", 5.0)
        while token is None:
            clock.now += 0.4
            token = claims.claim("a", 5.0)
        assert token != OPEN
    claims = make()
    token = claims.claim("a", 5.0)
    while token is None:
        clock.now += 0.4
        token = claims.claim("a", 5.0)
    assert token == OPEN


@pytest.mark.parametrize(("seconds", "after", "counts"), [(0.05, 0.1, False), (20.0, 10.0, True)])
def test_a_claim_that_was_prolonged_or_shortened_ends_then(
    make: Make, clock: Clock, seconds: float, after: float, counts: bool
) -> None:
    one, other = make(), make()
    one.prolong("a", str(one.claim("a", 5.0)), seconds)
    clock.now += after
    other.is_claimed("a")
    clock.now += 0.01
    assert other.is_claimed("a") is counts
    assert (other.claim("a", 5.0) is None) is counts


def test_whose_record_is_about_to_be_committed_can_be_seen(make: Make, clock: Clock) -> None:
    one, other = make(), make()
    token = str(one.claim("a", 5.0))
    assert not other.is_fetched("a")
    one.fetched(token)
    assert other.is_fetched("a")
    beside = str(other.claim("a", 5.0, beside=True))
    other.fetched(beside)
    one.release("a", token, 0.0)
    assert one.is_fetched("a")
    assert one.claim("a", 5.0) is None
    other.release("a", beside, 0.0)
    assert not one.is_fetched("a")
    assert one.claim("a", 5.0) not in (None, OPEN)


def test_a_process_that_is_killed_lets_go_at_once(make: Make, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from pywats_cache.storage.sqlite.lock_claims import LockClaims\n"
        "claims = LockClaims(Path(sys.argv[1])); print(claims.claim('a', 50.0), flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "c.db-locks")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stdin is not None
    assert child.stdout.readline().strip() != b"None"
    assert make().claim("a", 5.0) is None
    child.kill()
    child.wait()
    assert make().claim("a", 5.0) not in (None, OPEN)
    child.stdout.close(), child.stdin.close()


def test_a_forked_child_holds_nothing_of_its_parent(make: Make) -> None:
    one, other = make(), make()
    one.claim("a", 5.0)
    (read, write), (is_there, says) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(write)
        os.write(says, b"x")
        os.read(read, 1)
        os._exit(0 if one.claim("a", 5.0) is None else 1)
    try:
        os.read(is_there, 1)
        one.close()
        assert other.claim("a", 5.0) not in (None, OPEN)
    finally:
        os.write(write, b"x")
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        for descriptor in (read, write, is_there, says):
            os.close(descriptor)


def test_a_file_of_somebody_else_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "c.db-locks").write_bytes(b"a list")
    with pytest.raises(ConfigurationError, match=r"c\.db-locks"):
        SharedStorage(tmp_path / "c.db")
    assert (tmp_path / "c.db-locks").read_bytes() == b"a list"


def test_a_file_system_without_such_locks_has_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(lock_claims.fcntl, "fcntl", refuse)
    one, other = SharedStorage(tmp_path / "c.db"), SharedStorage(tmp_path / "c.db")
    token = one._records.claim("a", 5.0)
    assert isinstance(one._records._claims, TableClaims)
    assert token not in (None, OPEN)
    assert other._records.claim("a", 5.0) is None
    assert other._records.is_claimed("a")
    one._records.release("a", str(token), 0.0)
    assert other._records.claim("a", 5.0) not in (None, OPEN)
    one.close(), other.close()


def test_of_two_threads_that_use_it_first_one_opens_the_file(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other, both = make(), make(), threading.Barrier(2)

    def opened(*arguments: Any) -> int:
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.1)  # until the second one is here too, which it must never be
        return os.open(*arguments)

    monkeypatch.setattr(lock_claims, "os", SimpleNamespace(**{**vars(os), "open": opened}))
    tokens: list[str | None] = []

    def use(by_turn: bool) -> None:
        if by_turn:
            with one.turn(1.0):
                pass
        else:
            tokens.append(one.claim("a", 5.0))

    threads = [threading.Thread(target=use, args=(by_turn,)) for by_turn in (True, False)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    one.release("a", str(tokens[0]), 0.0)
    assert not other.is_claimed("a")
