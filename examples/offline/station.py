"""The server goes away, the test station goes on: reads are answered from what was stored, and marked stale."""

from __future__ import annotations

import logging

from pywats.core.exceptions import ConnectionError

from pywats_cache import pyWATS
from pywats_cache.testing import SimulatedWATS
from pywats_cache.wats import wats_controller

PART_NUMBER = "PN-1000"


def show(what: str, api: pyWATS) -> None:
    """Print what was read and how the cache answered so far."""
    product = api.product.get_product(PART_NUMBER)
    processes = api.process.get_processes()
    stats = api.cache.stats
    print(f"  {what:<34} {product.name!r}, {len(processes)} processes", end="")
    print(f"   (hits {stats.hits}, stale {stats.stale}, fetched {stats.misses})")


def main() -> None:
    """Read, lose the server, read again, try to write, and get the server back."""
    logging.disable(logging.CRITICAL)
    controller = wats_controller(cache_ttl=300.0, offline="auto", offline_for=7 * 86400.0)
    with SimulatedWATS() as server:
        api = pyWATS(base_url=server.base_url, token=server.token, cache_controller=controller)
        with api:
            show("the server is there:", api)
            server.stop()
            # As if the TTLs had ended: stale, not gone.
            api.cache.invalidate("/api", soft=True)
            show("the server is away:", api)

            product = api.product.get_product(PART_NUMBER)
            product.name = "renamed while away"
            try:
                api.product.update_product(product)
            except ConnectionError as error:  # writes need the server
                print(
                    f"  {'a write while it is away:':<34} {type(error).__name__}; it was not sent, so nothing is lost"
                )
            show("still away:", api)

            server.restart()
            api.product.update_product(product)
            show("back, and written:", api)
            assert api.product.get_product(PART_NUMBER).name == "renamed while away"


if __name__ == "__main__":
    main()
