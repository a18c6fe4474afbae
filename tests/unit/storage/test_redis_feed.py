"""The feed of a Redis ledger: what the server answered and pushed, and when, makes the lease and the cells."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from pywats_cache.storage.redis import feed as redis_feed
from pywats_cache.storage.redis.feed import Feed
from pywats_cache.storage.shared.backend import EPOCH, Delta
from pywats_cache.storage.shared.lease import MOST_UNHEARD, UNSURE, Lease, UnheardError


class Script:
    """A subscription whose messages, and the time at which each comes, are written down.

    - `history`, `generation`, `epoch`: what the server answers to a beat, after `delay` seconds.
    """

    def __init__(self, clock: list[float], *messages: tuple[float, str, Any]) -> None:
        self.clock = clock
        self.messages = list(messages)
        self.beats: list[bytes] = []
        self.history, self.generation, self.epoch = b"one", b"g", b"5"
        self.delay = 0.0

    def pubsub(self) -> Script:
        return self

    def register_script(self, text: str) -> Callable[..., list[bytes]]:
        return self.echo

    def echo(self, keys: list[str], args: list[Any]) -> list[bytes]:
        self.channel, number = args
        self.beats.append(number)
        answer = [self.history, self.generation, self.epoch]
        self.clock[0] += self.delay
        return answer

    def get_message(self, timeout: float) -> Any:
        if not self.messages:
            raise ConnectionError
        when, kind, data = self.messages.pop(0)
        self.clock[0] = when
        if kind in ("history", "generation", "epoch", "delay"):
            setattr(self, kind, data)
            return None
        if kind == "echo":
            return {"type": "message", "channel": self.channel.encode(), "data": self.beats[data]}
        return {"type": kind, "channel": b"bumps", "data": data}


def listen(monkeypatch: pytest.MonkeyPatch, *messages: tuple[float, str, Any], feed: Feed | None = None) -> Feed:
    clock = [100.0]
    monkeypatch.setattr(redis_feed, "monotonic", lambda: clock[0])
    script = Script(clock, *messages)
    feed = feed or Feed(script, "bumps", 1.0)
    feed._echo = script.echo
    with pytest.raises(ConnectionError):
        feed._listen(script, feed._stop)
    return feed


DELTA = Delta("g", 7, 0, 0, 0, [], [], [])


def test_the_lease_counts_from_when_the_beat_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = listen(monkeypatch, (100.0, "delay", 0.25), (100.1, "subscribe", 1))
    assert feed.until == 101.1


def test_what_is_pushed_is_worth_no_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """A subscription may stay at a server that was demoted, and be told there what was said a while ago."""
    messages = [(100.0, "subscribe", 1), (100.3, "message", b"g 6"), (100.3, "echo", 1), (100.3, "echo", 0)]
    feed = listen(monkeypatch, *messages)
    assert feed.until == 101.0
    assert feed.cells[EPOCH] == 6


def test_an_epoch_that_was_not_pushed_comes_with_the_next_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = listen(monkeypatch, (100.0, "subscribe", 1), (100.3, "epoch", b"9"))
    assert feed.cells[EPOCH] == 5
    feed = listen(monkeypatch, (100.0, "subscribe", 1), (100.6, "epoch", b"9"), (100.6, "message", b"g 8"))
    assert (feed.cells[EPOCH], feed.until) == (9, 101.6)


def test_a_beat_at_a_server_with_another_history_is_worth_no_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have taken over without some of the bumps, and the subscription may have been there all the time."""
    feed = Feed(Script([]), "bumps", 1.0)
    feed.learned(DELTA, 90.0, 0)
    messages = [(100.0, "echo", 0), (100.6, "history", b"two"), (100.6, "echo", 1), (100.7, "echo", 0)]
    listen(monkeypatch, *messages, feed=feed)
    assert feed.until == 101.0  # of the one before
    assert feed.cells[EPOCH] == UNSURE


def test_a_beat_at_a_server_without_a_ledger_is_worth_no_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was flushed, or what it has is not whole; who asks next begins a generation."""
    messages = [(100.0, "subscribe", 1), (100.3, "generation", b""), (100.6, "echo", 1)]
    feed = listen(monkeypatch, *messages)
    assert feed.until == 101.0
    assert feed.cells[EPOCH] == UNSURE


def test_an_answer_that_was_under_way_while_something_was_missed_is_not_relied_upon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    feed = Feed(Script([]), "bumps", 1.0)
    before = feed.doubts
    feed.doubt()
    feed.learned(DELTA, 100.0, before)
    feed.answered(b"one", "g", 7, 100.0, before)
    assert (feed.cells[EPOCH], feed.until) == (UNSURE, float("-inf"))
    before = feed.doubts
    feed._pushed("g", 8)  # what is told meanwhile may be older than this
    feed.learned(DELTA, 100.0, before)
    assert feed.cells[EPOCH] == UNSURE
    feed.learned(DELTA, 100.0, feed.doubts)
    assert (feed.cells[EPOCH], feed.until) == (7, 101.0)
    listen(monkeypatch, (100.0, "message", b"g 9"), (100.0, "message", b"g 8"), feed=feed)
    assert feed.cells[EPOCH] == 9


def test_a_subscription_begins_with_a_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was pushed before it was missed."""
    feed = Feed(Script([]), "bumps", 1.0)
    feed.learned(Delta("g", 4, 0, 0, 0, [], [], []), 100.0, 0)
    listen(monkeypatch, (100.1, "subscribe", 1), feed=feed)
    assert (feed.cells[EPOCH], feed.until) == (5, 101.1)


def test_another_generation_is_news_whatever_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    for messages in ([(100.0, "message", b"h 5")], [(100.6, "generation", b"h")]):
        feed = Feed(Script([]), "bumps", 1.0)
        feed.learned(Delta("g", 5, 0, 0, 0, [], [], []), 100.0, 0)
        cells = list(feed.cells)
        listen(monkeypatch, *messages, feed=feed)
        assert feed.cells != cells


def beats(lease: Lease, since: float, until: float, used: Callable[[float], object]) -> list[float]:
    """When a beat is sent and heard, looked at ten times a second."""
    found = []
    for tenth in range(round(since * 10), round(until * 10)):
        now = tenth / 10
        if lease.wants_beat(now, used(now)):
            lease.heard(lease.beat(now))
            found.append(now)
    return found


def test_a_process_that_reads_sends_at_most_two_beats_in_the_lag() -> None:
    lease = Lease(1.0)
    lease.subscribed()
    found = beats(lease, 0.0, 60.0, lambda now: now)
    assert 60 < len(found) <= 120
    assert all(later - earlier < 1.0 for earlier, later in pairwise(found))


def test_who_asked_just_now_needs_no_beat() -> None:
    lease = Lease(1.0)
    lease.subscribed()
    assert beats(lease, 0.0, 0.5, lambda now: now) == [0.0]
    lease.learned(DELTA, 0.5, lease.doubts)
    assert beats(lease, 0.5, 1.5, lambda now: now) == [1.1]


def test_without_use_the_lease_lapses_and_a_use_begins_the_beats_anew() -> None:
    lease = Lease(1.0)
    lease.subscribed()
    beats(lease, 0.0, 10.0, lambda now: "unused")
    assert len(beats(lease, 10.0, 110.0, lambda now: "unused")) <= 10
    found = beats(lease, 110.0, 160.0, lambda now: "used" if now >= 120.0 else "unused")
    assert next(now for now in found if now >= 120.0) == 120.0
    assert len([now for now in found if 120.0 <= now < 130.0]) <= 5


@pytest.mark.parametrize("begins", [Lease.subscribed, Lease.awake])
def test_a_subscription_that_begins_and_what_is_owed_are_seen_to_at_once(begins: Callable[[Lease], None]) -> None:
    lease = Lease(1.0)
    lease.subscribed()
    assert beats(lease, 0.0, 10.0, lambda now: "unused")[-1] < 5.0
    begins(lease)
    assert beats(lease, 10.0, 11.0, lambda now: "unused")[0] == 10.0


def test_a_server_whose_beats_are_not_heard_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(redis_feed, "monotonic", lambda: clock[0])

    class Silent(Script):
        def get_message(self, timeout: float) -> Any:
            self.clock[0] += timeout

    script = Silent(clock)
    feed = Feed(script, "bumps", 1.0)
    with pytest.raises(UnheardError):
        feed._listen(script, feed._stop)
    assert len(script.beats) == MOST_UNHEARD


def test_numbers_of_beats_do_not_begin_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or one of a former subscription, executed late, would be taken for one of this."""
    clock = [100.0]
    script = Script(clock, (100.0, "subscribe", 1))
    feed = Feed(script, "bumps", 1.0)
    monkeypatch.setattr(redis_feed, "monotonic", lambda: clock[0])
    for _ in range(2):
        script.messages = [(clock[0], "subscribe", 1)]
        with pytest.raises(ConnectionError):
            feed._listen(script, feed._stop)
    assert len(set(script.beats)) == len(script.beats) == 4


def test_a_lease_is_loaded_before_the_cells_and_they_are_written_before_it() -> None:
    """A check between the two would find old cells valid."""
    order: list[str] = []

    class Cells(list[int]):
        def __setitem__(self, which: Any, value: Any) -> None:
            order.append("cells")
            super().__setitem__(which, value)

    class Watched(Feed):
        def __setattr__(self, name: str, value: Any) -> None:
            if name == "until":
                order.append("until")
            super().__setattr__(name, value)

    feed = Watched(Script([]), "bumps", 1.0)
    feed.cells = Cells(feed.cells)
    for told in (
        lambda: feed.learned(DELTA, 100.0, 0),
        lambda: feed.answered(b"one", "g", 8, 100.5, 0),
    ):
        order.clear()
        told()
        assert order == ["cells", "until"]


def test_a_signal_in_the_middle_of_a_step_may_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = listen(monkeypatch)
    with feed._lock:
        assert feed._lock.acquire(blocking=False)  # else what follows would wait for ever
        feed._lock.release()
        feed.learned(DELTA, 100.0, feed.doubts)
    assert feed.cells[EPOCH] == DELTA.epoch
