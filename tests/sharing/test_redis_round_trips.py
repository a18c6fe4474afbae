"""How often a request asks the server: a cold miss twice, of which once before its answer is fetched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from sharing_world import soon

from pywats_cache import CacheTransport, Controller, RedisSharedStorage
from pywats_cache.storage.redis import records
from pywats_cache.storage.redis.records import UNASKED, RedisRows
from pywats_cache.storage.shared.backend import OPEN, Row


class Machine:
    """A client whose questions to the server are written down, with the requests that reach the origin."""

    def __init__(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[str] = []
        self.storage = RedisSharedStorage(url, digest_key="the-same-on-all-machines", max_lag=1000.0)
        self.transport = CacheTransport(
            httpx.MockTransport(self._origin), storage=self.storage, controller=Controller(ttl=600.0)
        )
        self.client = httpx.Client(transport=self.transport, base_url="http://origin")
        run = records.run
        client = self.storage._client

        def written_down(of: Any, command: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
            if of is client:
                self.seen.append("asks")
            return run(of, command, *arguments, **named)

        monkeypatch.setattr(records, "run", written_down)

    def _origin(self, request: httpx.Request) -> httpx.Response:
        self.seen.append("fetches")
        return httpx.Response(200, text="x")

    def get(self, path: str) -> list[str]:
        """What a GET of this path does, once the epoch is known."""
        soon(lambda: self.client.get("/first") and self.storage.memory.coherence.is_current())
        self.seen.clear()
        self.client.get(path)
        return self.seen


@pytest.fixture
def machine(valkey: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Machine]]:
    made: list[Machine] = []

    def make() -> Machine:
        made.append(Machine(valkey, monkeypatch))
        return made[-1]

    yield make
    for one in made:
        one.client.close()
        one.storage.close()


def test_a_cold_miss_asks_once_before_and_once_after_it_is_fetched(machine: Callable[[], Machine]) -> None:
    assert machine().get("/cold") == ["asks", "fetches", "asks"]


def test_what_another_machine_has_stored_is_asked_for_once(machine: Callable[[], Machine]) -> None:
    one, other = machine(), machine()
    one.get("/a")
    assert other.get("/a") == ["asks"]
    assert other.get("/a") == []


def test_what_cannot_be_used_is_claimed_with_a_second_question(machine: Callable[[], Machine]) -> None:
    one, other = machine(), machine()
    one.get("/b")
    other.client.put("/b")
    other.storage.memory.clear()
    assert other.get("/b") == ["asks", "asks", "fetches", "asks"]


@pytest.fixture
def rows(valkey: str) -> Iterator[RedisRows]:
    import redis

    client = redis.Redis.from_url(valkey)
    client.flushall()
    rows = RedisRows(client, "p")
    yield rows
    client.close()


def row(data: bytes = b"data", expires: float = 1000.0) -> Row:
    return Row("k", "v", data, 7, 100.0, expires)


def test_what_is_not_there_is_claimed_by_one(rows: RedisRows) -> None:
    found, token = rows.find("k", 5.0, claims=False)
    assert found == []
    assert token not in (None, OPEN, UNASKED)
    assert rows.find("k", 5.0, claims=False) == ([], None)
    assert rows.is_claimed("k")
    rows.finish(row(), 100.0, str(token), 0.0)
    assert not rows.is_claimed("k")
    assert rows.find("k", 5.0, claims=False) == ([("v", b"data")], UNASKED)
    found, token = rows.find("k", 5.0, claims=True)
    assert found == [("v", b"data")]
    assert rows.find("k", 5.0, claims=True) == (found, None)
    rows.release("k", str(token), 60.0)
    assert rows.find("k", 5.0, claims=True) == (found, OPEN)


def test_a_record_is_stored_though_its_claim_is_another_ones_by_now(rows: RedisRows) -> None:
    _, token = rows.find("k", 5.0, claims=False)
    rows.finish(row(), 100.0, "another", 0.0)
    assert rows.find("k", 5.0, claims=True) == ([("v", b"data")], None)
    rows.finish(row(b"never of use", expires=99.0), 100.0, str(token), 60.0)
    assert rows.find("k", 5.0, claims=True) == ([("v", b"data")], OPEN)
