"""The WATS clients over a shared SQLite file."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from pywats_cache import (
    AsyncWATS,
    CacheClient,
    CacheTransport,
    ConfigurationError,
    MemoryStorage,
    SharedStorage,
    pyWATS,
)
from pywats_cache.storage.sqlite.database import SqliteFile
from pywats_cache.testing import SimulatedWATS
from pywats_cache.wats import AsyncHttpClient, HttpClient


def test_two_clients_share_one_file_by_its_url(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/wats.db"
    with (
        SimulatedWATS() as server,
        pyWATS(base_url=server.base_url, token=server.token, cache_storage=url) as one,
        pyWATS(base_url=server.base_url, token=server.token, cache_storage=url) as other,
    ):
        assert isinstance(one.cache.storage, SharedStorage)
        products = one.product.get_products()
        assert [product.part_number for product in other.product.get_products()] == [
            product.part_number for product in products
        ]
        assert other.cache.stats.hits == 1
        one.product.create_product(part_number="SHARED-1", name="made by one")
        assert "SHARED-1" in [product.part_number for product in other.product.get_products()]
        for path in tmp_path.iterdir():
            assert server.token.encode() not in path.read_bytes()


def test_the_environment_names_the_storage_of_who_is_given_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYWATS_CACHE_STORAGE", f"sqlite:///{tmp_path}/wats.db")
    with SimulatedWATS() as server:
        where = {"base_url": server.base_url, "token": server.token}
        with pyWATS(**where, cache_max_size=7) as one, pyWATS(**where) as other:
            assert isinstance(one.cache.storage, SharedStorage)
            assert one.cache.storage.path == tmp_path / "wats.db"
            assert one.cache.storage.memory.max_entries == 7
            one.product.get_products()
            other.product.get_products()
            assert other.cache.stats.hits == 1
            for path in tmp_path.iterdir():
                assert server.token.encode() not in path.read_bytes()
        assert one.cache.storage._records._file._connection is None  # who made it closes it
        for options in ({"cache_storage": "memory://"}, {"cache_storage": MemoryStorage()}):
            with pyWATS(**where, **options) as own:
                assert isinstance(own.cache.storage, MemoryStorage)
    assert isinstance(AsyncWATS(**where).cache.storage, SharedStorage)
    assert isinstance(HttpClient(**where).cache.storage, SharedStorage)
    assert isinstance(AsyncHttpClient(**where).cache.storage, SharedStorage)
    own = CacheTransport(httpx.MockTransport(lambda request: httpx.Response(200)))
    assert isinstance(pyWATS(**where, cache_transport=own).cache.storage, MemoryStorage)


def test_a_bad_url_in_the_environment_is_named_where_it_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYWATS_CACHE_STORAGE", "redis://:hunter2@/0")
    for client in (pyWATS, AsyncWATS, HttpClient, AsyncHttpClient):
        with pytest.raises(ConfigurationError, match="PYWATS_CACHE_STORAGE redis:// must name a host") as caught:
            client(base_url="http://wats.example", token="t")
        assert "hunter2" not in str(caught.value)
        client(base_url="http://wats.example", token="t", enable_cache=False)
        client(base_url="http://wats.example", token="t", cache_storage="memory://")
    # A plain client of httpx may have credentials that no key can tell apart, and rules of its own.
    with CacheClient() as plain:
        assert isinstance(plain.cache.storage, MemoryStorage)
    monkeypatch.setenv("PYWATS_CACHE_STORAGE", "")
    assert isinstance(pyWATS(base_url="http://wats.example", token="t").cache.storage, MemoryStorage)


def test_another_programs_file_is_refused_by_the_name_it_was_given_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "theirs.db"
    connection = sqlite3.connect(theirs)
    connection.execute("CREATE TABLE t (a)")
    connection.close()
    before = theirs.read_bytes()
    url = f"sqlite:///{theirs.as_posix()}"
    where = {"base_url": "http://wats.example", "token": "t"}
    for client in (pyWATS, AsyncWATS, HttpClient, AsyncHttpClient):
        with pytest.raises(ConfigurationError, match=r"^cache_storage sqlite:///.*theirs\.db: path must .*another"):
            client(**where, cache_storage=url)
        with monkeypatch.context() as environment:
            environment.setenv("PYWATS_CACHE_STORAGE", url)
            with pytest.raises(ConfigurationError, match=r"^PYWATS_CACHE_STORAGE sqlite:///.*another"):
                client(**where)
    assert theirs.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["theirs.db"]


def test_a_url_takes_a_bound_for_its_memory_and_is_not_shown() -> None:
    made = pyWATS(base_url="http://wats.example", token="t", cache_storage="memory://", cache_max_size=3)
    assert made.cache.storage.max_entries == 3
    own = pyWATS(base_url="http://wats.example", token="t", cache_storage="memory://?max_entries=4", cache_max_size=3)
    assert own.cache.storage.max_entries == 4
    with pytest.raises(ConfigurationError, match="cache_storage must be 'memory"):
        pyWATS(base_url="http://wats.example", token="t", cache_storage="nonsense")
    pytest.importorskip("redis")
    secret = pyWATS(base_url="http://wats.example", token="t", cache_storage="redis://:hunter2@127.0.0.1:9/0")
    assert "hunter2" not in repr(secret._http_client._options) + repr(secret.cache) + repr(secret)


@pytest.mark.anyio
@pytest.mark.parametrize("pattern", [None, "Product"])
async def test_to_invalidate_does_not_block_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str | None
) -> None:
    used: set[int] = set()
    real = SqliteFile._transaction

    def noted(file: SqliteFile, begin: str, work: Any) -> Any:
        used.add(threading.get_ident())
        return real(file, begin, work)

    monkeypatch.setattr(SqliteFile, "_transaction", noted)
    with SimulatedWATS() as server:
        url = f"sqlite:///{tmp_path}/wats.db"
        async with AsyncHttpClient(base_url=server.base_url, token=server.token, cache_storage=url) as client:
            await client.get("/api/Product/Query")
            misses = client.cache.stats.misses
            await client.invalidate_cache(pattern)
            await client.get("/api/Product/Query")
            await client.forget("product")
            await client.get("/api/Product/Query")
            assert client.cache.stats.misses == misses + 2
    assert used
    assert threading.get_ident() not in used
