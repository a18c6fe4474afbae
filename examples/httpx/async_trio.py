"""The asynchronous transport on trio and on asyncio: fifty cold callers of one key cost the server one request."""

from __future__ import annotations

import anyio
import httpx

from pywats_cache import AsyncCacheTransport
from pywats_cache.testing import SimulatedWATS

CALLERS = 50


async def stampede(server: SimulatedWATS) -> None:
    """Ask for one thing fifty times at once."""
    server.reset_log()
    outcomes: list[str] = []
    transport = AsyncCacheTransport()
    headers = {"Authorization": f"Basic {server.token}"}

    async with httpx.AsyncClient(transport=transport, base_url=server.base_url, headers=headers) as client:

        async def call() -> None:
            response = await client.get("/api/Product/Query")
            outcomes.append(response.extensions["pywats_cache"].status)

        async with anyio.create_task_group() as tasks:
            for _ in range(CALLERS):
                tasks.start_soon(call)

    print(f"  {len(outcomes)} callers: {outcomes.count('miss')} fetched, {outcomes.count('collapsed')} joined it;")
    print(f"  the server saw {server.request_count} request")
    assert server.request_count == 1


def main() -> None:
    """Run it on both event loops."""
    with SimulatedWATS(latency=0.05) as server:
        for backend in ("trio", "asyncio"):
            print(f"{backend}:")
            anyio.run(stampede, server, backend=backend)


if __name__ == "__main__":
    main()
