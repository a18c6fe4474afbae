"""The feed of a Redis ledger: what a subscription said, and when, makes the lease and the cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pywats_cache.storage.redis import feed as redis_feed
from pywats_cache.storage.redis.feed import UNSURE, Feed
from pywats_cache.storage.shared.backend import EPOCH, Delta


class Script:
    """A subscription whose messages, and the time at which each comes, are written down."""

    def __init__(self, clock: list[float], *messages: tuple[float, str, Any]) -> None:
        self.clock = clock
        self.messages = list(messages)
        self.echoes: list[bytes] = []
        self.history = b"one"

    def pubsub(self) -> Script:
        return self

    def register_script(self, text: str) -> Callable[..., bytes]:
        return self.echo

    def echo(self, args: list[Any]) -> bytes:
        self.channel, token = args
        self.echoes.append(token)
        return self.history

    def get_message(self, timeout: float) -> Any:
        if not self.messages:
            raise ConnectionError
        when, kind, data = self.messages.pop(0)
        self.clock[0] = when
        if kind == "history":
            self.history = data
            return None
        if kind == "echo":
            return {"type": "message", "channel": self.channel.encode(), "data": self.echoes[data]}
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


def test_the_lease_counts_from_when_the_echo_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = listen(monkeypatch, (100.0, "subscribe", 1), (100.25, "message", b"g 5"), (100.9, "echo", 1))
    assert feed.until == 101.0


def test_an_echo_of_a_server_with_another_history_is_worth_no_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have taken over without some of the bumps, and the subscription may have been there all the time."""
    feed = Feed(Script([]), "bumps", 1.0)
    feed.learned(DELTA, 90.0, 0)
    messages = [(100.0, "echo", 0), (100.5, "history", b"two"), (100.5, "echo", 1), (100.6, "echo", 0)]
    listen(monkeypatch, *messages, feed=feed)
    assert feed.until == 101.0  # of the one before
    assert feed.cells[EPOCH] == UNSURE


def test_pushes_are_not_relied_upon_before_a_question_that_began_after_the_subscription(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    feed = Feed(Script([]), "bumps", 1.0)
    before = feed.doubts
    listen(monkeypatch, (100.0, "subscribe", 1), (100.1, "message", b"g 5"), feed=feed)
    assert feed.cells[EPOCH] == UNSURE
    feed.learned(DELTA, 100.0, before)  # it was asked before the subscription: something may lie between
    assert feed.cells[EPOCH] == UNSURE
    feed.learned(DELTA, 100.0, feed.doubts)
    assert feed.cells[EPOCH] == 7
    listen(monkeypatch, (100.0, "message", b"g 9"), (100.0, "message", b"g 8"), feed=feed)
    assert feed.cells[EPOCH] == 9
    listen(monkeypatch, (100.0, "subscribe", 1), feed=feed)
    assert feed.cells[EPOCH] == UNSURE


def test_another_generation_is_news_whatever_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = Feed(Script([]), "bumps", 1.0)
    feed.learned(DELTA, 100.0, 0)
    cells = list(feed.cells)
    listen(monkeypatch, (100.0, "message", b"h 7"), feed=feed)
    assert feed.cells != cells


def test_a_server_whose_echoes_are_not_heard_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(redis_feed, "monotonic", lambda: clock[0])

    class Silent(Script):
        def get_message(self, timeout: float) -> Any:
            self.clock[0] += timeout

    feed = Feed(Script([]), "bumps", 1.0)
    with pytest.raises(TimeoutError):
        feed._listen(Silent(clock), feed._stop)
    assert feed.until == float("-inf")


def test_a_signal_in_the_middle_of_a_step_may_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = listen(monkeypatch)
    with feed._lock:
        assert feed._lock.acquire(blocking=False)  # else what follows would wait for ever
        feed._lock.release()
        feed.learned(DELTA, 100.0, feed.doubts)
    assert feed.cells[EPOCH] == DELTA.epoch
