"""What a process owes the others after a failure, and the windows that it opens again when a ledger is lost."""

from __future__ import annotations

from pywats_cache.storage.shared.backend import Change, Window
from pywats_cache.storage.shared.debt import LATE, MOST, Debt
from pywats_cache.storage.shared.windows import KnownWindows

SETTLES = Window("settles", ("a",), 5.0)
ANNOUNCED = Window("announced", ("a",), 50.0, is_announcement=True)


def test_a_change_that_failed_is_made_up_for_by_a_full_invalidation() -> None:
    debt = Debt()
    assert debt.payment(0.0) is None
    debt.failed(Change(dirty=("a",)), 0.0)
    payment = debt.payment(1.0)
    assert payment is not None
    assert (payment.all, payment.close, payment.open) == (True, (), ())
    debt.failed(Change(dirty=("b",)), 1.0)  # while that is under way
    debt.took(payment)
    assert debt
    again = debt.payment(2.0)
    assert again is not None
    debt.took(again)
    assert not debt


def test_a_settle_window_that_could_not_be_opened_is_opened_for_what_is_left_of_it() -> None:
    debt = Debt()
    debt.failed(Change(close="intent", open=SETTLES), 10.0)
    payment = debt.payment(12.0)
    assert payment is not None
    assert payment.open == (SETTLES._replace(seconds=3.0),)
    assert payment.close == ("intent",)
    late = debt.payment(15.0)
    assert late is not None
    assert late.open == ()
    assert late.all


def test_an_announcement_that_failed_is_closed_and_closed_again_when_it_is_executed_late() -> None:
    debt = Debt()
    debt.failed(Change(open=ANNOUNCED), 10.0)
    payment = debt.payment(11.0)
    assert payment is not None
    assert (payment.close, payment.open) == (("announced",), ())
    debt.took(payment)
    assert not debt
    assert debt.is_watching(12.0)
    debt.saw(["other"])
    assert not debt
    debt.saw(["announced"])
    again = debt.payment(13.0)
    assert again is not None
    assert (again.all, again.close) == (False, ("announced",))
    debt.took(again)
    assert not debt.is_watching(10.0 + LATE)


def test_what_is_owed_is_bounded() -> None:
    debt = Debt()
    for n in range(MOST + 10):
        debt.failed(Change(open=Window(f"{n}", ("a",), 1e6)), 0.0)
        debt.failed(Change(open=Window(f"i{n}", ("a",), 1e6, is_announcement=True)), 0.0)
    payment = debt.payment(0.0)
    assert payment is not None
    assert len(payment.open) == len(payment.close) == MOST


def test_windows_of_a_ledger_that_is_gone_are_known_until_they_end() -> None:
    known = KnownWindows()
    assert known.lost_with("g", 0.0) == {}
    known.note("g", {("i", "a"): 5.0, ("j", "b"): 1.0}, 0.0)
    assert known.lost_with("g", 0.5) == {}
    assert known.lost_with("h", 2.0) == {("i", "a"): 3.0}
    assert known.is_open(2.0)
    assert not known.is_open(5.0)
    known.note("h", {}, 2.0)
    assert known.lost_with("h", 2.0) == {}
