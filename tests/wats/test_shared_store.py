"""The WATS clients over a shared SQLite file."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from pywats_cache import SharedStorage, pyWATS
from pywats_cache.storage.sqlite_file import SqliteFile
from pywats_cache.testing import SimulatedWATS
from pywats_cache.wats import AsyncHttpClient


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
