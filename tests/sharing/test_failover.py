"""A replica takes over from a Valkey, in each way that happens, and nobody lags by more than `max_lag`.

Whatever the new primary may have missed, it has another replication id, so all that was stored before is invalid.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from failover_world import Make, is_hit, lags, machines, read, rely, written
from sharing_world import another_valkey, soon, start_valkey
from valkey_pair import Pair

from pywats_cache.storage.redis import ledger as redis_ledger
from pywats_cache.storage.redis import storage as redis_shared
from pywats_cache.storage.shared import lease as shared_lease


@pytest.fixture
def machine() -> Iterator[Make]:
    yield from machines()


@pytest.fixture
def pair(program: str) -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.close()


def plant(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, old: str, new: str) -> None:
    """Make a script of the product a mutant."""
    script = getattr(module, name)
    assert script.count(old) == 1
    monkeypatch.setattr(module, name, script.replace(old, new))


@pytest.mark.parametrize("how", ["gone", "demoted", "astray", "handed over"])
def test_after_a_failover_nobody_lags_and_all_that_was_stored_is_invalid(pair: Pair, machine: Make, how: str) -> None:
    reader, writer = machine(pair.url), machine(pair.url)
    rely(reader)
    old = read(reader, "/a"), read(reader, "/b")
    pair.promote(how)
    assert not lags(reader, "/a", written(writer, "/a"))
    assert read(reader, "/b") > max(old)
    soon(lambda: is_hit(reader, "/a"))
    assert not lags(reader, "/a", written(writer, "/a"))
    assert read(machine(pair.url), "/b") > max(old)


@pytest.mark.parametrize("mutant", [False, True])
def test_a_subscription_that_stays_at_the_old_primary_is_worth_no_lease(
    pair: Pair, machine: Make, monkeypatch: pytest.MonkeyPatch, mutant: bool
) -> None:
    """New connections lead to the new primary, and the one that pushes to the old, which hears of no bump."""
    reader, writer = machine(pair.url), machine(pair.url)
    if mutant:  # nor is the subscription made anew
        monkeypatch.setattr(shared_lease, "MOST_UNHEARD", 1 << 30)
    feed, pool = reader.storage._redis.feed, reader.storage._client.connection_pool
    publish, still = feed._echo, threading.Lock()
    sure = [True]

    def echo(**told: Any) -> Any:
        with still:
            answer = publish(**told)
        if mutant and not sure[0]:  # what was published is taken for pushed, whatever epoch the answer names
            return [answer[0], feed.generation.encode(), b"0"]
        return answer

    feed._echo = echo
    rely(reader)
    doubts = feed.doubts
    with still:  # so that no connection to the old primary is in use, and none is kept
        pair.tell(pair.replica, "REPLICAOF", "NO", "ONE")
        pair.front.lead_to(pair.ports[1], drop=False)
        pool.disconnect(inuse_connections=False)
    writer.storage._client.connection_pool.disconnect(inuse_connections=False)
    soon(lambda: feed.doubts > doubts)  # it has noticed that the other one answers
    assert not lags(reader, "/a", written(writer, "/a")) or mutant
    soon(lambda: is_hit(reader, "/a"))
    sure[0] = False
    if mutant:  # again and again: on a busy machine its lease may be over just when it is asked
        soon(lambda: lags(reader, "/a", written(writer, "/a")))
    else:
        assert not lags(reader, "/a", written(writer, "/a"))


@pytest.mark.parametrize("how", ["silent", "cut"])
def test_a_reader_whose_connections_fail_does_not_lag(
    pair: Pair, machine: Make, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """The server lives on; nothing of what it pushes arrives, and maybe nobody says so."""
    monkeypatch.setattr(redis_shared, "DEADLINE", 0.25)
    reader, writer = machine(pair.url), machine(f"redis://127.0.0.1:{pair.ports[0]}/0")
    rely(reader)
    pair.front.hold()
    if how == "cut":
        pair.front.cut()
    assert not lags(reader, "/a", written(writer, "/a"))
    pair.front.lead_to(pair.ports[0], drop=False)
    soon(lambda: is_hit(reader, "/a"))
    assert not lags(reader, "/a", written(writer, "/a"))


@pytest.mark.parametrize("mutant", [False, True])
def test_a_bump_that_was_not_replicated_leaves_nothing_old(
    pair: Pair, machine: Make, monkeypatch: pytest.MonkeyPatch, mutant: bool
) -> None:
    if mutant:
        plant(monkeypatch, redis_ledger, "SCRIPT", "s[5] == replid", "s[5]")
    reader, writer = machine(pair.url), machine(f"redis://127.0.0.1:{pair.ports[0]}/0")
    rely(reader)
    old = read(reader, "/a")
    pair.replicated()
    pair.link.hold()
    pair.front.hold()  # nor is it pushed to the reader, which has its lease until it ends
    write = written(writer, "/a")
    pair.promote("gone")
    assert (read(machine(pair.url), "/a") == old) is mutant  # which the new primary holds
    assert not lags(reader, "/a", write) or mutant


@pytest.mark.parametrize("mutant", [False, True])
def test_a_server_that_restarts_from_an_older_snapshot_brings_nothing_old(
    machine: Make, program: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, mutant: bool
) -> None:
    if mutant:
        plant(monkeypatch, redis_ledger, "SCRIPT", "s[5] == replid", "s[5]")
    directory = tmp_path_factory.mktemp("v")
    server = start_valkey(data_dir=directory, persist=True)
    url = f"redis://127.0.0.1:{server.port}/0"
    reader, writer = machine(url), machine(url)
    old = read(reader, "/a")
    with server.client() as admin:
        admin.save()
    write = written(writer, "/a")
    port = server.port
    server.terminate()
    again = another_valkey(port=port, data_dir=directory, persist=True)
    again.start()
    try:
        assert (read(machine(url), "/a") == old) is mutant
        assert not lags(reader, "/a", write) or mutant
    finally:
        again.terminate()
