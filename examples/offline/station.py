"""The server goes away, the test station goes on, and is even restarted: reads are answered from what was stored."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from pywats.core.exceptions import ConnectionError

from pywats_cache import pyWATS
from pywats_cache.testing import SimulatedWATS
from pywats_cache.wats import wats_controller

PART_NUMBER = "PN-1000"


def station(url: str, token: str, storage: str) -> pyWATS:
    """The station's client: what it reads is kept in a file, and good for a week without the server."""
    controller = wats_controller(cache_ttl=300.0, offline="auto", offline_for=7 * 86400.0)
    return pyWATS(base_url=url, token=token, cache_controller=controller, cache_storage=storage)


def show(what: str, api: pyWATS) -> None:
    """Print what was read and how the cache answered so far."""
    product = api.product.get_product(PART_NUMBER)
    processes = api.process.get_processes()
    stats = api.cache.stats
    print(f"  {what:<34} {product.name!r}, {len(processes)} processes", end="")
    print(f"   (hits {stats.hits}, stale {stats.stale}, fetched {stats.misses})", flush=True)


def restart(what: str, url: str, token: str, storage: str) -> None:
    """Do the same in a new process, as after a power cut: it has nothing but the file."""
    environment = {**os.environ, "STATION_TOKEN": token}
    subprocess.run([sys.executable, __file__, what, url, storage], env=environment, check=True)


def main() -> None:
    """Read, lose the server, read again, restart, try to write, and get the server back."""
    with tempfile.TemporaryDirectory() as directory, SimulatedWATS() as server:
        storage = f"sqlite:///{Path(directory, 'station.db').as_posix()}"
        where = (server.base_url, server.token, storage)
        with station(*where) as api:
            show("the server is there:", api)
            server.stop()
            # As if the TTLs had ended: stale, not gone.
            api.cache.invalidate("/api", soft=True)
            show("the server is away:", api)
        restart("restarted, and still away:", *where)

        with station(*where) as api:
            product = api.product.get_product(PART_NUMBER)
            product.name = "renamed while away"
            try:
                api.product.update_product(product)
            except ConnectionError as error:  # writes need the server
                print(
                    f"  {'a write while it is away:':<34} {type(error).__name__}; it was not sent, so nothing is lost"
                )
            server.restart()
            api.product.update_product(product)
            show("back, and written:", api)
            assert api.product.get_product(PART_NUMBER).name == "renamed while away"
        restart("restarted once more:", *where)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    if len(sys.argv) > 1:
        with station(sys.argv[2], os.environ["STATION_TOKEN"], sys.argv[3]) as restarted:
            show(sys.argv[1], restarted)
    else:
        main()
