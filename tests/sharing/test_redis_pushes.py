"""What is pushed to all processes: each of a few changes, of many only so many a second. Beats tell of the others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from sharing_world import soon

from pywats_cache.storage.redis.ledger import PUSHES, PUSHES_A_SECOND, RedisLedger
from pywats_cache.storage.shared.backend import EPOCH, NOTHING, Change, Known, Window


@pytest.fixture
def client(valkey: str) -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(valkey)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def ledger(client: redis.Redis) -> RedisLedger:
    return RedisLedger(client, "p", 0.6)


def pushes(client: redis.Redis, *changes: Change) -> dict[str, list[int]]:
    """The epochs that come on each channel while a ledger commits `changes`."""
    ledger = RedisLedger(client, "p", 0.6)
    subscription = client.pubsub()
    subscription.subscribe("p:bumps", "p:pushes")
    for _ in range(2):
        subscription.get_message(timeout=10.0)
    for change in changes:
        ledger.change(change, Known(None, -1))
    client.publish("p:bumps", "the end")
    found: dict[str, list[int]] = {"p:bumps": [], "p:pushes": []}
    while True:
        message: Any = subscription.get_message(timeout=10.0)
        assert message is not None
        if message["data"] == b"the end":
            subscription.close()
            return found
        found[message["channel"].decode()].append(int(message["data"].split()[1]))


def test_a_change_is_pushed(client: redis.Redis) -> None:
    found = pushes(client, Change(dirty=("/a",)))
    assert found["p:pushes"] == found["p:bumps"]
    assert len(found["p:pushes"]) == 1


def test_an_announcement_is_pushed_to_processes_of_the_first_version_only(client: redis.Redis) -> None:
    announced = Change(dirty=("/a",), open=Window("id", ("/a",), 30.0))
    found = pushes(client, NOTHING, announced, Change(dirty=("/a",), close="id"))
    assert len(found["p:bumps"]) == 3
    assert found["p:pushes"] == [found["p:bumps"][0], found["p:bumps"][2]]


def test_a_new_generation_is_pushed_whatever_begins_it(client: redis.Redis) -> None:
    """Who closed windows of the former one has to know."""
    found = pushes(client, Change(dirty=("/a",), open=Window("id", ("/a",), 30.0)))
    assert found["p:pushes"] == found["p:bumps"]


def test_many_changes_are_pushed_at_a_rate_that_every_process_can_bear(client: redis.Redis) -> None:
    changes = [Change(dirty=(f"/{n}",)) for n in range(PUSHES * 4)]
    before = client.time()
    found = pushes(client, *changes)
    after = client.time()
    took = after[0] - before[0] + (after[1] - before[1]) / 1e6
    assert len(found["p:bumps"]) == len(changes)
    assert found["p:pushes"][:PUSHES] == found["p:bumps"][:PUSHES]
    assert len(found["p:pushes"]) <= PUSHES + took * PUSHES_A_SECOND + 1


def test_a_clock_that_went_back_holds_no_push_up(client: redis.Redis) -> None:
    pushes(client, *[Change(dirty=(f"/{n}",)) for n in range(PUSHES * 2)])
    client.hset("p:{ledger}:state", "pushed", "99999999999.0")
    assert len(pushes(client, Change(dirty=("/a",)))["p:pushes"]) == 1


def test_what_is_not_pushed_is_known_within_the_lag(client: redis.Redis, ledger: RedisLedger) -> None:
    """A process that only listens learns the last of many changes, though nobody changes anything after it."""
    reader = RedisLedger(client, "p", 0.6)
    known = reader.pull(Known(None, -1))
    cells = reader.cells()
    soon(lambda: cells[EPOCH] == known.epoch)
    epoch = 0
    for n in range(PUSHES * 2):
        epoch = ledger.change(Change(dirty=(f"/{n}",)), Known(None, -1)).epoch
    soon(lambda: cells[EPOCH] == epoch)
    for each in (reader, ledger):
        each.close()
