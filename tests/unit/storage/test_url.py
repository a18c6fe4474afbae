"""Storages by URL, in every place that takes a storage."""

from __future__ import annotations

import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pywats_cache import ConfigurationError, ConfigurationTypeError, MemoryStorage, SharedStorage, StorageError
from pywats_cache.storage.url import storage_from_url
from pywats_cache.support.showing import shown_url


def test_memory() -> None:
    storage = storage_from_url("memory://?max_entries=5&max_bytes=1000&max_entry_bytes=100")
    assert isinstance(storage, MemoryStorage)
    assert (storage.max_entries, storage.max_bytes, storage.max_entry_bytes) == (5, 1000, 100)
    assert isinstance(storage_from_url("memory://"), MemoryStorage)


def test_sqlite_relative_and_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub dir").mkdir()
    for url, path in [
        ("sqlite:///c.db", tmp_path / "c.db"),
        ("SQLite:///sub%20dir/c.db", tmp_path / "sub dir" / "c.db"),
        (f"sqlite:///{tmp_path}/d.db", tmp_path / "d.db"),
    ]:
        storage = storage_from_url(url)
        assert isinstance(storage, SharedStorage)
        assert storage.path == path
        storage.close()


def test_sqlite_takes_bounds(tmp_path: Path) -> None:
    storage = storage_from_url(f"sqlite:///{tmp_path}/c.db?max_entries=7&max_bytes=70000")
    assert isinstance(storage, SharedStorage)
    assert (storage.max_entries, storage.max_bytes) == (7, 70000)
    storage.close()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "not ''"),
        ("cache.db", "no URL"),
        ("sqlite:cache.db", "no URL"),
        ("u:hunter2@host", "no URL"),
        ("postgres://host/db", "not postgres://…"),
        ("hunter2://host/db", "not a URL of another kind"),
        ("sqlite://cache.db", "no host"),
        ("sqlite://u:hunter2@host/cache.db", "no host"),
        ("sqlite://", "must name a file"),
        ("sqlite:///", "must name a file"),
        ("sqlite:///dir/", "must name a file"),
        ("sqlite:///.", "must name a file"),
        ("sqlite:///dir/..", "must name a file"),
        ("sqlite:///c.db#x", "no fragment"),
        ("sqlite:///c.db?max_byte=1", "max_entries, max_bytes; did you mean max_bytes"),
        ("sqlite:///c.db?max_bytes=-1", "max_bytes must be a whole number >= 1"),
        ("sqlite:///c.db?max_bytes=", "max_bytes must be a whole number >= 1"),
        ("sqlite:///c.db?max_bytes=1&max_bytes=2", "max_bytes must be given once"),
        ("sqlite:///c.db?max_bytes=0", "max_bytes must be a whole number >= 1"),
        ("redis://:hunter2@/0", "must name a host"),
        ("redis://:hunter2@h:99999/0", "must be as redis://127"),
        ("redis://:hunter2@h/zero", "redis://h/…"),
        (f"sqlite:///c.db?max_bytes={'9' * 5000}", "of 18 digits at most"),
        ("sqlite:///c.db?policy=hunter2", "max_entries, max_bytes; not policy"),
        ("sqlite:///c.db?hunter2=5", "max_entries, max_bytes; no others"),
        ("memory://?policy=hunter2", "policy must be one of 'lru'"),
        ("redis://h/0?max_lag=0", "max_lag must be a number of seconds > 0"),
        ("redis://h/0?revalidate_for=-1", "revalidate_for must be a number of seconds >= 0"),
        ("sqlite:///c.db?read_in_loop=yes", "read_in_loop must be true or false"),
        ("sqlite:///c.db?read_in_loop=true&read_in_loop=false", "read_in_loop must be given once"),
        ("sqlite:///c.db?revalidate_for=soon", "revalidate_for must be a number of seconds >= 0"),
        ("sqlite:///c.db?revalidate_for=1&revalidate_for=2", "revalidate_for must be given once"),
        ("redis://h/0?on_unreachable=stop", "on_unreachable must be 'continue' or 'fail'"),
        ("redis://u:hunter2/x@h:6379/0", "in a user or password as %2F"),
        ("redis://u:hunter2#x@h:6379/0", "in a user or password as %2F"),
        ("redis://:x@hunter2#x@h:6379/0", "in a user or password as %2F"),
        ("redis://u:hunter2?x@h:6379/0", "in a user or password as %2F"),
        ("redis://u:1234?hunter2@h/0", "in a user or password as %2F"),
        ("redis://h;password=hunter2/0", "must be as redis://127"),
        ("redis://u:hunter2%40h/0", "must be as redis://127"),
        ('"redis://h/0?password=hunter2"', "no URL"),
        ("redis//h/0?password=hunter2", "no URL"),
        ("redis:/h/0?password=hunter2", "must name a host"),
        (
            "redis://h/0?password=hunter2&no_such=1",
            "parameter no_such is unknown; allowed are max_lag, .*timeout",
        ),
        ("redis://h/0?nonsense=1", "parameter nonsense is unknown; allowed are"),
        ("redis://h/0?max_lags=1", "parameter max_lags is unknown; did you mean max_lag"),
        ("redis://h/0?hunter2=1", "known parameters only; allowed are"),
        ("redis://h/0?db=hunter2", "parameter db must be the number of a database"),
        ("redis://h/0?db=1", "must be as redis://127.*not redis://h/0"),
        ("redis://h/0?db=0&db=0", "parameter db must be given once"),
        ("redis://h/0?max_lag=1&max_lag=2", "parameter max_lag must be given once"),
        ("redis://u@h/0?username=hunter2", "must be as redis://127"),
        ("redis://h/0?protocol=4", "parameter protocol must be 2 or 3"),
        ("redis://h/0?socket_timeout=inf", "parameter socket_timeout must be a number of seconds > 0"),
        ("redis://h/0?socket_timeout=nan", "parameter socket_timeout must be a number of seconds > 0"),
        ("redis://h/0?client_name=a%20b", "parameter client_name must be a name without spaces"),
        ("redis://h/0?ssl_certfile=/hunter2", "parameter ssl_certfile is allowed only with TLS: write rediss://"),
        ("rediss://h/0?ssl_cert_reqs=CERT_NONE", "parameter ssl_cert_reqs must be none, optional or required"),
        ("rediss://h/0?ssl_min_version=1", "parameter ssl_min_version must be TLSv1.2 or TLSv1.3"),
        ("rediss://h/0?ssl_check_hostname=maybe", "parameter ssl_check_hostname must be true or false"),
        ("rediss://h/0?ssl_ca_certs=/no/hunter2", "parameter ssl_ca_certs must name a file that is there"),
        ("rediss://h/0?ssl_ca_path=/no/hunter2", "parameter ssl_ca_path must name a directory that is there"),
        ("rediss://h/0?ssl_ciphers=hunter2", "parameter ssl_ciphers cannot be used"),
        ("redis://h/0#hunter2", "no fragment"),
        ("redis+sentinel://h1,h2", "must name the service that the sentinels watch, as redis.sentinel://host1,host2/"),
        ("redis+sentinel://h1,h2/hunter2:x/0", "must name the service that the sentinels watch"),
        ("redis+sentinel://h1,,h2/service", "must be as redis.sentinel://host1,host2/service/0"),
        ("redis+sentinel://h1:99999,h2/service", "must be as redis.sentinel://host1,host2/service/0"),
        ("redis+sentinel://u:hunter2@/service", "must name a host"),
        ("redis+sentinel://u:hunter2@h/service/zero", "must be as redis.sentinel"),
        ("redis+sentinel://u:hunter2@h1,u:hunter2@h2/service", "must be as redis.sentinel"),
        ("redis+sentinel://h/service?sentinel_user=hunter2", "unknown; did you mean sentinel_username"),
        ("redis://h/0?sentinel_password=hunter2", "allowed only for sentinels: write redis.sentinel://"),
        ("redis://h1,h2/0", "must be as redis://127"),
        ("unix://redis.sock", "unix:// must name no host: write three slashes, unix:///run/redis.sock"),
        ("unix://u:hunter2@h/run/redis.sock", "unix:// must name no host"),
        ("unix:///", "must be as unix:///run/redis.sock"),
        ("unix:///u:hunter2@h/0", "user or password as %2F"),
        ("unix:///u:hunter2%40h/0", "must be as unix:///run/redis.sock"),
        ("unix:///run/redis.sock?socket_keepalive=yes", "parameter socket_keepalive is allowed only with a host"),
        ("redis://:hunter2@h/0?decode_responses=True", "without decode_responses"),
        ("redis://[hunter2@h/0", "a URL that cannot be read"),
        ("memory://x", "nothing more"),
        ("memory:///x", "nothing more"),
    ],
)
def test_a_bad_url_says_what_is_wrong(url: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=message) as caught:
        storage_from_url(url)
    assert "hunter2" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_url_is_shown_without_its_secrets() -> None:
    assert shown_url("rediss://user:hunter2@h:6379/0?password=hunter2#hunter2") == "rediss://h:6379/0"
    assert shown_url("sqlite:////var/c.db?max_bytes=5") == "sqlite:////var/c.db"
    assert shown_url("sqlite:////var/me@work/c.db") == "sqlite:////var/me@work/c.db"
    assert shown_url("sqlite:///C:/c.db") == "sqlite:///C:/c.db"
    assert "hunter2" not in shown_url("redis://[hunter2")
    for mark in "/?#":
        assert shown_url(f"redis://user:hunter2{mark}x@h:6379/0") == "redis://…"


@pytest.mark.parametrize("path", ["redis://:hunter2@h/0", "redis:/h?hunter2", '"redis://hunter2', "http;//hunter2@h"])
def test_a_url_is_no_path(path: str) -> None:
    for given in (path, Path(path)):
        with pytest.raises(ConfigurationError, match="a URL is for storage=") as caught:
            SharedStorage(given)
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("path", [None, 5, b"c.db"])
def test_a_path_must_be_one(path: Any) -> None:
    with pytest.raises(ConfigurationTypeError, match="path must be a path"):
        SharedStorage(path)


@pytest.mark.parametrize("path", ["", ".", "/", "dir/.."])
def test_a_path_must_name_a_file(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    with pytest.raises(ConfigurationError, match="path must name a file"):
        SharedStorage(path)
    assert [one.name for one in tmp_path.iterdir()] == ["work"]


def test_a_memory_must_be_one_that_nothing_uses(tmp_path: Path, cached: Any) -> None:
    with pytest.raises(ConfigurationTypeError, match="memory must be a MemoryStorage"):
        SharedStorage(tmp_path / "c.db", memory={})  # type: ignore[arg-type]
    memory = MemoryStorage()
    cached(storage=memory).get("/a")
    with pytest.raises(ConfigurationError, match="nothing uses yet"):
        SharedStorage(tmp_path / "c.db", memory=memory)


def test_transports_and_clients_take_urls(lib: SimpleNamespace, origin: Any, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/c.db"
    with lib.CacheClient(storage=url, transport=origin.transport) as client:
        assert client.get("http://o/a").text == "1"
        assert isinstance(client.cache.storage, SharedStorage)
    with lib.http.Client(transport=lib.CacheTransport(origin.transport, storage=url)) as client:
        assert client.get("http://o/a").text == "1"
    with lib.CacheClient(storage="memory://", transport=origin.transport) as client:
        assert client.get("http://o/a").text == "2"
        assert isinstance(client.cache.storage, MemoryStorage)
    with pytest.raises(ConfigurationError, match="sqlite:///path"):
        lib.CacheTransport(origin.transport, storage="nonsense")


def test_a_client_that_was_closed_has_closed_its_files(lib: SimpleNamespace, origin: Any, tmp_path: Path) -> None:
    with lib.CacheClient(storage=f"sqlite:///{tmp_path}/c.db", transport=origin.transport) as client:
        client.get("http://o/a")
        storage = client.cache.storage
    assert storage._records._file._connection is None
    assert storage._ledger._file._connection is None


def test_what_a_redis_server_repeats_of_a_command_is_shown_nowhere() -> None:
    from redis.exceptions import ReadOnlyError, ResponseError

    from pywats_cache.storage.redis.ledger import RedisLedger
    from pywats_cache.storage.redis.records import RedisRows

    class Client:
        def __init__(self, error: Exception) -> None:
            self.error = error

        def register_script(self, _: str) -> Any:
            return self.fail

        def fail(self, *_: Any, **__: Any) -> Any:
            raise self.error

        hgetall = fail

    said = "unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'default' 'hunter2'"
    client = Client(ResponseError(said))
    for ask in (lambda: RedisRows(client, "p").get("k"), lambda: RedisLedger(client, "p", 1.0).look()):
        with pytest.raises(StorageError, match="ResponseError") as caught:
            ask()
        assert "hunter2" not in "".join(traceback.format_exception(caught.type, caught.value, caught.tb))
    with pytest.raises(StorageError) as refused:
        RedisRows(Client(ReadOnlyError("READONLY")), "p").get("k")
    assert refused.value.kind == "ReadOnlyError"
