"""Each repair of the protocol taken out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from server_model import Server
from simulated_world import LAG

from pywats_cache.storage.redis import storage as redis_storage
from pywats_cache.storage.redis.feed import Feed
from pywats_cache.storage.redis.ledger import RedisLedger
from pywats_cache.storage.redis.storage import LeasedCoherence
from pywats_cache.storage.shared.backend import EPOCH, LOST, Change
from pywats_cache.storage.shared.debt import Debt
from pywats_cache.storage.shared.lease import Lease
from pywats_cache.storage.shared.windows import KnownWindows

__all__ = ["IN_SMALL_WORLDS", "MUTANTS"]

Put = Callable[[Any, str, Any], None]


def cells_before_the_lease(put: Put) -> None:
    def epoch(self: Any) -> int:
        cells = self._cells
        found: int = cells[EPOCH]
        if found == self._local and cells[LOST] == self._lost and redis_storage.monotonic() < self._redis.feed.until:
            return found
        return int(self.refresh())

    put(LeasedCoherence, "epoch", property(epoch, lambda self, value: None))


def a_beat_brings_no_epoch(put: Put) -> None:
    def answered(self: Any, history: bytes, generation: str, epoch: int, sent: float, doubts: int) -> None:
        was, self._history = self._history, history
        if was not in (None, history):
            self.doubt()
        elif doubts == self.doubts:
            self.until = max(self.until, sent + LAG)

    put(Lease, "answered", answered)


def a_server_that_refuses_writes_gives_a_lease(put: Put) -> None:
    put(Server, "writes_always", False)


def a_demoted_server_is_believed(put: Put) -> None:
    """Nor does it have to take a write."""

    def beat(self: Server, channel: str, text: str) -> list[bytes]:
        self._publish(channel, text)
        state = self.tables.state
        generation = state.get("generation", "") if state.get("replid") == self.replid else ""
        return [self.replid.encode(), generation.encode(), str(state.get("epoch", 0)).encode()]

    put(Server, "beat", beat)


def a_lease_does_not_end(put: Put) -> None:
    put(Lease, "_max_lag", property(lambda self: 10 * LAG, lambda self, value: None))


def nothing_is_told_without_a_request(put: Put) -> None:
    put(RedisLedger, "make_up", lambda self: None)


def windows_go_with_their_ledger(put: Put) -> None:
    put(KnownWindows, "lost_with", lambda *_: {})
    put(KnownWindows, "is_open", lambda *_: False)


def _failing_without(put: Put, forget: str) -> None:
    real = Debt.failed

    def failed(self: Debt, change: Change, now: float) -> None:
        window = change.open
        is_left_out = window is not None and window.is_announcement == (forget == "announcements")
        real(self, change._replace(open=None) if is_left_out else change, now)

    put(Debt, "failed", failed)


def an_announcement_that_failed_is_forgotten(put: Put) -> None:
    _failing_without(put, "announcements")


def a_settle_window_that_failed_is_forgotten(put: Put) -> None:
    _failing_without(put, "settle windows")


def a_failure_is_forgotten(put: Put) -> None:
    real = Debt.failed

    def failed(self: Debt, change: Change, now: float) -> None:
        real(self, change, now)
        self.paid = self.owed

    put(Debt, "failed", failed)


def what_was_closed_is_not_watched(put: Put) -> None:
    put(Debt, "saw", lambda self, ids: list(ids))


def closed_windows_come_back_with_another_ledger(put: Put) -> None:
    put(Debt, "watch_all", lambda self, now: None)


def what_is_owed_waits_for_the_next_read(put: Put) -> None:
    put(RedisLedger, "_used", lambda self: self._used_by())
    put(Lease, "awake", lambda self: None)


def the_next_try_is_made_on_old_connections(put: Put) -> None:
    put(Feed, "_failed", lambda self, error: None)


MUTANTS: dict[Callable[[Put], None], int] = {
    a_beat_brings_no_epoch: 2_800,
    a_server_that_refuses_writes_gives_a_lease: 0,
    a_demoted_server_is_believed: 0,
    a_lease_does_not_end: 0,
    nothing_is_told_without_a_request: 0,
    windows_go_with_their_ledger: 1_500,
    an_announcement_that_failed_is_forgotten: 0,
    a_settle_window_that_failed_is_forgotten: 2_200,
    a_failure_is_forgotten: 0,
    what_was_closed_is_not_watched: 0,
    closed_windows_come_back_with_another_ledger: 0,
    the_next_try_is_made_on_old_connections: 1_000,
    what_is_owed_waits_for_the_next_read: 0,
}
"""And the seed from which on a few hundred schedules find it."""
IN_SMALL_WORLDS: list[Callable[[Put], None]] = [cells_before_the_lease]
