"""A shared storage that does not answer has a reason of its own, which blames no write."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hishel
import pytest
from shared_clients import RFC, Make

from pywats_cache import Controller, MemoryStorage, RedisSharedStorage, SharedStorage, TieredStorage, Write
from pywats_cache.diagnostics.snapshot import measure

SECRET = "hunter2"
FRESH = {"cache-control": "max-age=60"}
Silent = Callable[[], Any]


@pytest.fixture(params=["sqlite", "redis"])
def silent(request: pytest.FixtureRequest, tmp_path: Path, no_waiting: None) -> Silent:
    """Makes a storage that does not answer."""

    def make() -> Any:
        if request.param == "redis":
            pytest.importorskip("redis")
            return RedisSharedStorage(f"redis://u:{SECRET}@127.0.0.1:1/0", digest_key="k" * 32)
        storage = SharedStorage(tmp_path / "c.db")
        (tmp_path / "c.db-ledger").unlink(missing_ok=True)
        connection = sqlite3.connect(tmp_path / "c.db-ledger")
        connection.execute("CREATE TABLE theirs (x)")
        connection.close()
        return storage

    return make


def outcome(response: Any) -> tuple[str, str, bool]:
    found = response.extensions["pywats_cache"]
    return found.status, found.reason, found.stored


@pytest.mark.parametrize("controller", [Controller(), RFC], ids=["TTL", "RFC"])
@pytest.mark.parametrize("kind", ["client", "transport"])
def test_a_storage_that_does_not_answer_is_named_as_the_reason(
    lib: SimpleNamespace, origin: Any, silent: Silent, controller: Controller, kind: str
) -> None:
    origin.reply = {"headers": FRESH}
    storage = silent()
    if kind == "client":
        client = lib.CacheClient(transport=origin.transport, storage=storage, controller=controller)
        engine = client.cache._engine
    else:
        transport = lib.CacheTransport(origin.transport, storage=storage, controller=controller)
        client, engine = lib.http.Client(transport=transport), transport._engine
    with client:
        for _ in range(2):
            assert outcome(client.get("http://o/a")) == ("miss", "storage-error", False)
        assert client.put("http://o/a").status_code == 200
        assert outcome(client.get("http://o/a")) == ("miss", "storage-error", False)
    assert measure(engine).reasons["storage-error"] == 3
    assert "settling" not in measure(engine).reasons
    storage.close()


@pytest.mark.anyio
@pytest.mark.parametrize("controller", [Controller(), RFC], ids=["TTL", "RFC"])
async def test_async_too(lib: SimpleNamespace, origin: Any, silent: Silent, controller: Controller) -> None:
    origin.reply = {"headers": FRESH}
    storage = silent()
    async with lib.AsyncCacheClient(transport=origin.transport, storage=storage, controller=controller) as client:
        assert outcome(await client.get("http://o/a")) == ("miss", "storage-error", False)
        request = client.build_request("GET", "http://o/a")
        found = await client.cache.aexplain(request)
        assert (found.status, found.reason, found.settling) == ("miss", "storage-error", False)
        found = client.cache.explain(request)
        assert (found.status, found.reason) == ("miss", "storage-error")
    storage.close()


def test_explain_and_doctor_name_the_storage_and_what_helps(lib: SimpleNamespace, origin: Any, silent: Silent) -> None:
    storage = silent()
    with lib.CacheClient(transport=origin.transport, storage=storage) as client:
        found = client.cache.explain(client.build_request("GET", "http://o/a"))
        assert (found.status, found.reason, found.settling) == ("miss", "storage-error", False)
        client.get("http://o/a")
        findings = client.cache.doctor()
    assert [finding.code for finding in findings] == ["storage-error", "storage-errors"]
    said = str(findings[0])
    if isinstance(storage, SharedStorage):
        assert said.endswith(
            "reading c.db failed (NotOursError); its disk must have room, "
            "and its files must be there, this cache's own, and open to this user"
        )
    else:
        assert "redis failed (ConnectionError); the server must run" in said
    assert SECRET not in "".join(map(str, findings)) + repr(found)
    storage.close()


def test_what_is_known_again_is_no_longer_blamed(process: Make, tmp_path: Path) -> None:
    one = process()
    one.get("/a")
    directory = tmp_path / "away"
    directory.mkdir()
    one.cache.storage.close()
    for path in tmp_path.glob("c.db*"):
        path.rename(directory / path.name)
    (tmp_path / "c.db-epoch").mkdir()
    assert outcome(one.get("/a")) == ("miss", "storage-error", False)
    (tmp_path / "c.db-epoch").rmdir()
    for path in directory.iterdir():
        path.rename(tmp_path / path.name)
    assert outcome(one.get("/b")) == ("miss", "unknown", True)
    assert [finding.code for finding in one.cache.doctor()] == ["storage-errors"]


def test_a_write_is_still_blamed_where_it_settles(process: Make) -> None:
    one = process(Controller([Write("/w", settle=1000.0)]))
    one.get("/w")
    one.put("/w")
    assert outcome(one.get("/w")) == ("miss", "settling", False)
    found = one.cache.explain(one.build_request("GET", "/w"))
    assert (found.reason, found.settling) == ("settling", True)


def test_nobody_joins_a_fetch_while_the_storage_does_not_answer(
    lib: SimpleNamespace, origin: Any, silent: Silent
) -> None:
    storage = silent()
    engine = lib.CacheTransport(origin.transport, storage=storage)._engine
    request = lib.http.Request("GET", "http://o/a")
    fetches = [engine.begin(request) for _ in range(2)]
    assert [(fetch.reason, fetch.flight.shared, fetch.flight.storable) for fetch in fetches] == [
        ("storage-error", False, False)
    ] * 2
    storage.close()


def test_a_tier_that_fails_stores_in_memory_and_is_named_by_the_doctor(
    cached: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outer = hishel.SqliteStorage(database_path=tmp_path / "a.db")
    monkeypatch.setattr(outer, "get_entries", lambda key: 1 / 0)
    client = cached(storage=TieredStorage(MemoryStorage(), outer))
    assert outcome(client.get("/a")) == ("miss", "unknown", True)
    assert "at last: reading SqliteStorage failed (ZeroDivisionError)" in str(client.cache.doctor()[0])
    outer.close()
