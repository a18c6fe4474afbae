"""The WATS clients over a shared SQLite file."""

from __future__ import annotations

from pathlib import Path

from pywats_cache import SharedStorage, pyWATS
from pywats_cache.testing import SimulatedWATS


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
