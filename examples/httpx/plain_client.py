"""Cache any httpx client: mount the transport, see what happened to each request, write, and read the new value."""

from __future__ import annotations

import httpx

from pywats_cache import CacheClient, CacheTransport, Controller, MemoryStorage, Read, Write
from pywats_cache.testing import SimulatedWATS

CONTROLLER = Controller(
    rules=[
        Read("/api/Product/{part_number}", ttl=60.0, tags=("product",)),
        Read("/api/App/DynamicYield", methods=("POST",), ttl=60.0, tags=("report",)),  # a POST that only reads
        Write("/api/Product", dirties=("product",)),
    ],
    ttl=300.0,
)


def show(what: str, response: httpx.Response) -> None:
    """Print what the cache did with a request, and why."""
    outcome = response.extensions["pywats_cache"]
    print(f"  {what:<34} {outcome.status:<7} {outcome.reason:<12} age {outcome.age:5.3f} s")


def main() -> None:
    """Mount it on a client of your own, then use the client that comes with it."""
    with SimulatedWATS() as server:
        headers = {"Authorization": f"Basic {server.token}"}
        storage = MemoryStorage(max_entries=1000)
        transport = CacheTransport(controller=CONTROLLER, storage=storage)

        print("An httpx.Client with the transport mounted:")
        with httpx.Client(transport=transport, base_url=server.base_url, headers=headers) as client:
            part_number = client.get("/api/Product/Query").json()[0]["partNumber"]
            path = f"/api/Product/{part_number}"
            show(f"GET {path}", client.get(path))
            show(f"GET {path}", client.get(path))
            for _ in range(2):
                show(
                    "POST /api/App/DynamicYield", client.post("/api/App/DynamicYield", json={"partNumber": part_number})
                )
            product = {**client.get(path).json(), "name": "renamed"}
            show("PUT /api/Product", client.put("/api/Product", json=product))
            renamed = client.get(path)
            show(f"GET {path}", renamed)
            assert renamed.json()["name"] == "renamed"
            show("the same, refreshed on request", client.get(path, extensions={"pywats_cache": {"refresh": True}}))
        stats = transport.stats
        print(f"  {stats.requests} requests, hit rate {stats.hit_rate:.0%}, {stats.entries} entries\n")

        print("A CacheClient on the same storage, so it starts warm and answers before httpx builds a request:")
        with CacheClient(controller=CONTROLLER, storage=storage, base_url=server.base_url, headers=headers) as client:
            client.get("/api/Product/Groups")
            show(f"GET {path}", client.get(path))
            client.cache.invalidate("/api/Product")
            show("the same after invalidate()", client.get(path))


if __name__ == "__main__":
    main()
