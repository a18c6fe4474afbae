"""One process of the tests of restarts: a client over a shared store, sync or async, told by lines of JSON what to ask.

`python restart_worker.py STORAGE BASE_URL SETTINGS`; `later` in the settings are the seconds that have passed since the
tests began, `clock` those by which only the wall clock is wrong, and `boot` names the run of the machine.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import anyio
import anyio.to_thread
from sharing_world import be_patient

from pywats_cache import AsyncCacheClient, CacheClient, Controller
from pywats_cache.storage.shared import record_clock

TIMEOUT = 20.0


def set_clocks(settings: dict[str, Any]) -> None:
    later, wrong = settings.get("later", 0.0), settings.get("clock", 0.0)
    wall, uptime = time.time, record_clock.uptime
    time.time = lambda: wall() + later + wrong
    since = settings.get("uptime")
    record_clock.uptime = (lambda: uptime() + later) if since is None else (lambda: float(since))
    boot = settings.get("boot")
    if boot is not None:
        record_clock._boot = lambda: boot.encode().ljust(16, b".")  # type: ignore[assignment]


def told(response: Any, cache: Any) -> dict[str, Any]:
    outcome = response.extensions["pywats_cache"]
    return {
        "text": response.text,
        "code": response.status_code,
        "status": outcome.status,
        "reason": outcome.reason,
        "age": outcome.age,
        "errors": cache.stats.storage_errors,
        "headers": dict(response.headers),
    }


def written(answer: dict[str, Any], client: Any) -> dict[str, Any]:
    """Wait for the file: a process that is killed before that loses the record, and this one is killed right away."""
    getattr(client.cache.storage, "flush", int)()
    return answer


def explained(found: Any) -> dict[str, Any]:
    return {"status": found.status, "reason": found.reason, "sends": found.sends, "age": found.age}


def asked(client: Any, method: str, path: str) -> Any:
    """The request; `ASK` is a conditional GET of somebody who has version 1."""
    if method == "ASK":
        return client.build_request("GET", path, headers={"If-None-Match": '"v1"'})
    return client.build_request(method, path)


def answer(client: Any, method: str, path: str) -> dict[str, Any]:
    if method.startswith("EXPLAIN"):
        return explained(client.cache.explain(asked(client, method[8:] or "GET", path)))
    if method == "STATS":
        stats = client.cache.stats
        return {"hits": stats.hits, "misses": stats.misses, "bypassed": stats.bypassed}
    if method == "DOCTOR":
        return {"codes": [one.code for one in client.cache.doctor()], "texts": list(map(str, client.cache.doctor()))}
    try:
        return written(told(client.send(asked(client, method, path)), client.cache), client)
    except Exception as error:
        return {"error": type(error).__name__}


async def aanswer(client: Any, method: str, path: str) -> dict[str, Any]:
    if method.startswith("EXPLAIN"):
        return explained(await client.cache.aexplain(asked(client, method[8:] or "GET", path)))
    if method in ("DOCTOR", "STATS"):
        return answer(client, method, path)
    try:
        return written(told(await client.send(asked(client, method, path)), client.cache), client)
    except Exception as error:
        return {"error": type(error).__name__}


def serve(settings: dict[str, Any], options: dict[str, Any]) -> None:
    client = CacheClient(**options)
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(client, *json.loads(line))), flush=True)
    client.close()


async def aserve(settings: dict[str, Any], options: dict[str, Any]) -> None:
    async with AsyncCacheClient(**options) as client:
        print(json.dumps("ready"), flush=True)
        while line := await anyio.to_thread.run_sync(sys.stdin.readline):
            print(json.dumps(await aanswer(client, *json.loads(line))), flush=True)


def main() -> None:
    storage, base_url, given = sys.argv[1:4]
    settings = json.loads(given)
    set_clocks(settings)
    be_patient()
    options = {
        "storage": storage,
        "base_url": base_url,
        "controller": Controller(**settings.get("controller", {})),
        "timeout": TIMEOUT,
        "headers": {"Authorization": "Bearer t0k3n"},
    }
    if settings.get("async"):
        anyio.run(aserve, settings, options)
    else:
        serve(settings, options)


if __name__ == "__main__":
    main()
