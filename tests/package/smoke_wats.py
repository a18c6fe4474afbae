"""The installed package with the extra `wats`: cached calls of the SDK to the simulated server."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pywats_cache
from pywats_cache import AsyncWATS, pyWATS
from pywats_cache.testing import SimulatedWATS


async def asynchronous(server: SimulatedWATS) -> None:
    async with AsyncWATS(base_url=server.base_url, token=server.token) as api:
        for _ in range(2):
            await api.product.get_products()
        assert api.cache is not None
        assert api.cache.stats.hits == 1


def main() -> None:
    assert Path(pywats_cache.__file__).is_relative_to(sys.prefix), pywats_cache.__file__
    with SimulatedWATS(products=3) as server:
        with pyWATS(base_url=server.base_url, token=server.token) as api:
            names = [product.part_number for product in api.product.get_products()]
            assert len(names) == 3
            assert [product.part_number for product in api.product.get_products()] == names
            assert api.cache is not None
            assert (api.cache.stats.misses, api.cache.stats.hits) == (1, 1)
        asyncio.run(asynchronous(server))
    print(f"Python {sys.version.split()[0]}: pyWATS and AsyncWATS work")


if __name__ == "__main__":
    main()
