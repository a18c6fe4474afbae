"""A real cluster of primaries and replicas: its nodes are one store, and nobody lags by more than `max_lag`."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis
from cluster_world import Cluster, ledger_slot, until
from failover_world import KEY, Make, is_hit, lags, machines, read, rely, written
from redis.crc import key_slot
from sharing_world import Worker, soon, start_valkey
from test_valkey_processes import MAX_LAG, within_the_lag

from pywats_cache import ConfigurationError, RedisSharedStorage
from pywats_cache.storage.redis import cluster as redis_cluster
from pywats_cache.storage.redis import storage as redis_shared
from pywats_cache.storage.redis.names import ClusterNames
from pywats_cache.storage.redis.rights import OF_CLUSTERS, setuser
from pywats_cache.storage.redis.storage import KEY_VARIABLE
from pywats_cache.storage.shared import patience
from pywats_cache.storage.store_reader import look_at
from pywats_cache.support.clock import monotonic

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "sharing.md"
PUBLISH = 4
"""The kind of the packets by which nodes pass on what is published."""
OTHERS = [f"/{number}" for number in range(30)]


@pytest.fixture(scope="module")
def cluster(program: str) -> Iterator[Cluster]:
    """One that stays as it is."""
    cluster = Cluster()
    yield cluster
    cluster.close()


@pytest.fixture
def doomed(program: str) -> Iterator[Cluster]:
    """One to which things happen."""
    cluster = Cluster()
    yield cluster
    cluster.close()


@pytest.fixture
def machine() -> Iterator[Make]:
    yield from machines()


@pytest.fixture(autouse=True)
def empty(request: pytest.FixtureRequest) -> None:
    if "cluster" in request.fixturenames:
        for node in request.getfixturevalue("cluster").primaries:
            node.tell("FLUSHALL")


# ── one store ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_records_lie_on_all_nodes_and_the_ledger_on_one(cluster: Cluster, machine: Make) -> None:
    one, other = machine(cluster.url), machine(cluster.url)
    answers = [read(one, path) for path in OTHERS]
    assert [read(other, path) for path in OTHERS] == answers
    for node in cluster.primaries:
        names = [name.decode() for name in node.tell("KEYS", "*")]
        assert any(name.startswith("pywats-cache:row:") for name in names)
        assert any("{pywats-cache}" in name for name in names) is (node is cluster.owner())
    assert not lags(other, "/1", written(one, "/1"))
    assert (one.storage.memory.errors, other.storage.memory.errors) == (0, 0)
    assert [*one._transport.doctor(), *other._transport.doctor()] == []


def test_one_address_of_a_replica_leads_to_the_whole_cluster(cluster: Cluster, machine: Make) -> None:
    one = machine(cluster.url)
    other = machine(f"redis+cluster://127.0.0.1:1,127.0.0.1:{cluster.replicas[0].port}")
    assert [read(one, path) for path in OTHERS] == [read(other, path) for path in OTHERS]


def test_a_client_of_redis_py_names_the_cluster(cluster: Cluster, machine: Make) -> None:
    given = redis.RedisCluster(host="127.0.0.1", port=cluster.primaries[1].port)
    one, other = machine(cluster.url), machine(given)
    given.close()
    assert [read(one, path) for path in OTHERS] == [read(other, path) for path in OTHERS]
    assert not lags(other, "/1", written(one, "/1"))


def test_a_client_of_redis_py_says_where_the_nodes_are_reached(cluster: Cluster, machine: Make) -> None:
    """As behind a tunnel: the nodes tell addresses that lead nowhere from here."""
    for node in cluster.nodes:
        node.tell("CONFIG", "SET", "cluster-announce-ip", "192.0.2.1")
    try:
        ports = [node.port for node in cluster.primaries]
        given = redis.RedisCluster(
            host="127.0.0.1", port=ports[0], address_remap=lambda address: ("127.0.0.1", address[1])
        )
        one, other = machine(given), machine(given)
        given.close()
        assert [read(one, path) for path in OTHERS] == [read(other, path) for path in OTHERS]
        assert one.storage.memory.errors == 0
    finally:
        for node in cluster.nodes:
            node.tell("CONFIG", "SET", "cluster-announce-ip", "")
        until(lambda: all("192.0.2.1" not in str(node.tell("CLUSTER", "SLOTS")) for node in cluster.nodes))
        cluster.settled()


def test_several_prefixes_lie_in_slots_of_their_own_and_know_nothing_of_each_other(
    cluster: Cluster, machine: Make
) -> None:
    slots = {ledger_slot(f"environment-{number}") for number in range(20)}
    assert len(slots) == 20
    for name in ("row", "claim"):
        assert key_slot(getattr(ClusterNames("a"), name)("k").encode()) == key_slot(b"k")
    one = RedisSharedStorage(cluster.url, digest_key=KEY, prefix="one")
    one.clear()
    names = [name for node in cluster.primaries for name in node.tell("KEYS", "*")]
    assert names
    assert all(name.startswith(b"one:{one}:") for name in names)
    one.close()


@pytest.mark.parametrize("prefix", ["a{b", "}", "{}"])
def test_a_prefix_with_braces_is_refused(prefix: str) -> None:
    with pytest.raises(ConfigurationError, match="prefix must have no braces in a cluster"):
        RedisSharedStorage("redis+cluster://h1,h2", prefix=prefix)


def test_the_store_is_looked_at_and_cleared_on_all_nodes(
    cluster: Cluster, machine: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = machine(cluster.url)
    for path in OTHERS:
        read(one, path)
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    store = look_at(cluster.url)
    assert len(list(store.entries())) == len(OTHERS)
    store.close()
    one.storage.clear()
    store = look_at(cluster.url)
    assert list(store.entries()) == []
    store.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_processes_share_a_cluster_and_a_forked_child_has_connections_of_its_own(
    cluster: Cluster, start: Callable[..., Worker]
) -> None:
    url = f"{cluster.url}?max_lag={MAX_LAG}"
    parent, other = start(url), start(url)
    assert parent.get("/a") == other.get("/a") == 0
    assert parent.ask("GET", "/a", "fork")["status"] == "hit"
    parent.ask("PUT", "/a", "fork")
    within_the_lag(parent, "/a", 1)
    other.ask("PUT", "/a")
    within_the_lag(parent, "/a", 2, "fork")


# ── what is pushed ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mutant", [False, True])
def test_a_write_is_pushed_where_no_node_passes_on_what_is_published(
    cluster: Cluster, machine: Make, monkeypatch: pytest.MonkeyPatch, mutant: bool
) -> None:
    """A subscription at another node hears its own echo, and not what is published at the owner of the ledger."""
    if mutant:
        subscribe = redis_cluster.Subscription.subscribe

        def at_another_node(self: Any, *channels: str) -> None:
            subscribe(self, *channels)
            self.close()
            elsewhere = next(node for node in cluster.primaries if node is not cluster.owner())
            self._messages = self._client.at(("127.0.0.1", elsewhere.port)).pubsub()
            self._messages.subscribe(*channels)

        monkeypatch.setattr(redis_cluster.Subscription, "subscribe", at_another_node)
        monkeypatch.setattr(
            redis_cluster.ClusterClient, "register_script", lambda self, text: redis_cluster.Script(self, text)
        )
    reader, writer = machine(cluster.url), machine(cluster.url)
    feed = reader.storage._redis.feed
    rely(reader)
    taken: list[int] = []
    pushed = feed._pushed
    monkeypatch.setattr(feed, "_pushed", lambda generation, epoch: taken.append(epoch) or pushed(generation, epoch))
    for node in cluster.nodes:
        node.tell("DEBUG", "DROP-CLUSTER-PACKET-FILTER", PUBLISH)
    try:
        assert not lags(reader, "/a", written(writer, "/a"))  # by the lease alone
        if mutant:
            assert taken == []
        else:
            soon(lambda: taken)
    finally:
        for node in cluster.nodes:
            node.tell("DEBUG", "DROP-CLUSTER-PACKET-FILTER", -1)


# ── what changes ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", ["killed", "stopped", "handed over"])
def test_when_a_replica_takes_over_nobody_lags_and_all_that_was_stored_is_invalid(
    doomed: Cluster, machine: Make, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    if how == "stopped":  # whoever asks it waits for as long as this
        monkeypatch.setattr(redis_shared, "DEADLINE", 0.5)
        for name in ("BEFORE", "WITHIN", "ALONE"):
            monkeypatch.setattr(patience, name, 0.5)
    reader, writer = machine(doomed.url), machine(doomed.url)
    rely(reader)
    old = read(reader, "/a"), read(reader, "/b")
    owner = doomed.owner()
    replica = doomed.replica_of(owner)
    if how == "killed":
        owner.kill()
    elif how == "stopped":
        owner.send(signal.SIGSTOP)
    else:
        replica.tell("CLUSTER", "FAILOVER")
    doomed.taken_over(replica)
    assert not lags(reader, "/a", written(writer, "/a"))
    assert read(reader, "/b") > max(old)
    owner.send(signal.SIGCONT) if how == "stopped" else None
    soon(lambda: is_hit(reader, "/a"))
    feed = reader.storage._redis.feed
    ends = feed.until
    soon(lambda: feed.until > ends)
    assert not lags(reader, "/a", written(writer, "/a"))
    assert not lags(machine(doomed.url), "/a", written(writer, "/a"))


def test_when_the_slot_of_the_ledger_moves_nobody_lags(cluster: Cluster, machine: Make) -> None:
    """From node to node and back, with its keys; the processes follow."""
    reader, writer = machine(cluster.url), machine(cluster.url)
    rely(reader)
    home = cluster.owner()
    slot = ledger_slot()
    at = home
    for target in (*(node for node in cluster.primaries if node is not home), home):
        cluster.reshard(slot, at, target)
        at = target
        assert not lags(reader, "/a", written(writer, "/a"))
        soon(lambda: is_hit(reader, "/a"))
        feed = reader.storage._redis.feed
        ends = feed.until
        soon(lambda feed=feed, ends=ends: feed.until > ends)
        assert not lags(reader, "/a", written(writer, "/a"))


@pytest.mark.parametrize("mutant", [False, True])
def test_while_the_slot_of_the_ledger_is_being_moved_nobody_has_a_lease(
    cluster: Cluster, machine: Make, monkeypatch: pytest.MonkeyPatch, mutant: bool
) -> None:
    """No writer can tell anybody then: not all of the ledger's keys exist, and so the node refuses its scripts."""
    reader = machine(cluster.url)
    feed = reader.storage._redis.feed
    if mutant:
        feed._keys = feed._keys[:1]
    rely(reader)
    slot, source = ledger_slot(), cluster.owner()
    target = next(node for node in cluster.primaries if node is not source)
    with ExitStack() as moved:
        moved.enter_context(cluster.moving(slot, source, target))
        before = feed.until
        if mutant:
            soon(lambda: feed.until > before + 2 * MAX_LAG)
        else:
            until(lambda: monotonic() >= feed.until)
            ends = feed.until
            assert read(reader, "/a")
            assert read(reader, "/a")
            assert feed.until == ends
            assert "see CLUSTER INFO" in str(reader.storage.memory.trouble)
    soon(lambda: is_hit(reader, "/a"))
    cluster.reshard(slot, target, source)


def test_records_of_a_slot_that_is_being_moved_are_fetched(cluster: Cluster, machine: Make) -> None:
    one = machine(cluster.url)
    rely(one)
    number = read(one, "/a")
    slot = next(key_slot(name) for node in cluster.primaries for name in node.tell("KEYS", "pywats-cache:row:*"))
    source = next(node for node in cluster.primaries if node.tell("CLUSTER", "COUNTKEYSINSLOT", slot))
    target = next(node for node in cluster.primaries if node not in (source, cluster.owner()))
    with cluster.moving(slot, source, target) as move:
        move()
        other = machine(cluster.url)
        assert read(other, "/a") > number  # ASK is not followed
    third = machine(cluster.url)
    assert read(third, "/a") in (number, number + 1)
    cluster.reshard(slot, target, source)


# ── what is said ──────────────────────────────────────────────────────────────────────────────────────────────────


def said(client: Any) -> str:
    return "".join(finding.text for finding in client._transport.doctor())


def test_a_server_that_is_no_node_is_told(machine: Make) -> None:
    server = start_valkey()
    try:
        client = machine(f"redis+cluster://127.0.0.1:{server.port}")
        assert read(client, "/a") == 1
        assert "write redis:// in place of redis+cluster://" in said(client)
    finally:
        server.stop()


def test_a_node_without_its_cluster_is_told(cluster: Cluster, machine: Make) -> None:
    client = machine(f"redis://127.0.0.1:{cluster.primaries[0].port}/0")
    for path in OTHERS:
        assert read(client, path)
    assert "write redis+cluster:// in place of redis://" in said(client)


@pytest.mark.parametrize("missing", ["", "cluster|slots", "spublish", "ssubscribe", "zscore"])
def test_a_user_needs_the_rights_of_the_line_for_clusters(
    cluster: Cluster, machine: Make, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    assert setuser("pywats-cache", OF_CLUSTERS) in GUIDE.read_text("utf-8")
    for node in cluster.nodes:
        node.tell(*setuser("pywats-cache", OF_CLUSTERS).split())
        if missing:
            node.tell("ACL", "SETUSER", "cache", f"-{missing}")
    url = cluster.url.replace("://", "://cache:PASSWORD@")
    client = machine(url)
    for path in ("/a", "/a", "/b"):
        read(client, path)
    client.put("/a")
    client.storage._upkeep.close(20.0)
    assert "PASSWORD" not in said(client)
    if missing:
        assert missing in said(client)
        return
    rely(client)
    client.storage._upkeep.close(20.0)
    assert (said(client), client.storage.memory.errors) == ("", 0)
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    store = look_at(url)
    assert list(store.entries())
    store.close()
