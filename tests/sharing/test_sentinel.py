"""Real sentinels name the primary; whoever it is, nobody lags by more than `max_lag`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from failover_world import KEY, MAX_LAG, Make, is_hit, lags, machines, read, rely, written
from sentinel_world import SERVICE, Sentinels
from sharing_world import LONG, a_port, servers_found, soon

from pywats_cache import RedisSharedStorage
from pywats_cache.storage.redis.storage import KEY_VARIABLE
from pywats_cache.storage.store_reader import look_at


@pytest.fixture
def machine() -> Iterator[Make]:
    yield from machines()


@pytest.fixture(params=servers_found())
def sentinels(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sentinels]:
    made = Sentinels(servers_found()[request.param], tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("how", ["killed", "told"])
def test_after_a_failover_by_sentinels_nobody_lags(sentinels: Sentinels, machine: Make, how: str) -> None:
    reader, writer = machine(sentinels.url), machine(sentinels.url)
    rely(reader)
    old = read(reader, "/a"), read(reader, "/b")
    sentinels.fail_over(how)
    assert not lags(reader, "/a", written(writer, "/a"))
    assert read(reader, "/b") > max(old)
    soon(lambda: is_hit(reader, "/a"))
    pool = reader.storage._client.connection_pool
    assert pool.master_address == ("127.0.0.1", sentinels.ports[1])
    assert not lags(reader, "/a", written(writer, "/a"))
    assert not lags(machine(sentinels.url), "/a", written(writer, "/a"))


def test_a_sentinel_that_is_gone_keeps_nobody_from_the_primary(
    sentinels: Sentinels, machine: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = sentinels.url.replace("://", f"://127.0.0.1:{a_port()},")
    rely(machine(url))
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    store = look_at(url)
    assert len(list(store.entries())) == 1
    store.close()


def test_a_service_that_the_sentinels_do_not_know_is_told(
    sentinels: Sentinels, machine: Make, caplog: pytest.LogCaptureFixture
) -> None:
    client = machine(sentinels.url.replace(SERVICE, "another"))
    assert read(client, "/a") == 1
    assert "No master found for 'another'" in caplog.text
    assert client.storage.memory.errors > 0


def test_users_of_the_sentinels_and_of_the_servers_are_told_apart(
    sentinels: Sentinels, machine: Make, caplog: pytest.LogCaptureFixture
) -> None:
    for port in sentinels.sentinels:
        sentinels._tell(port, "ACL", "SETUSER", "watcher", "on", ">hunter2", "+@all", "&*")
    for port in sentinels.ports:
        sentinels._tell(port, "ACL", "SETUSER", "cache", "on", ">hunter3", "+@all", "~*", "&*")
    url = sentinels.url.replace("://", "://cache:hunter3@")
    rely(machine(f"{url}?sentinel_username=watcher&sentinel_password=hunter2"))
    wrong = machine(f"{url}?sentinel_username=watcher&sentinel_password=hunter4")
    read(wrong, "/a")
    assert wrong.storage.memory.errors > 0
    assert "hunter" not in caplog.text + repr(wrong.storage._client) + str(wrong.storage.memory.trouble)


def test_an_address_of_sentinels_connects_to_none_of_them_when_it_is_made() -> None:
    storage = RedisSharedStorage(f"redis+sentinel://127.0.0.1:{a_port()}/service?db=3", digest_key=KEY, max_lag=MAX_LAG)
    assert storage._client.connection_pool.connection_kwargs["db"] == 3
    assert storage._client.connection_pool.connection_kwargs["socket_timeout"] < LONG
    storage.close()
