"""One process of another version: told by lines of JSON what to ask. It uses public names only, so it runs on any.
But for many writes at once (`dirty`), as one after the other they take minutes.

`python versions_worker.py STORAGE BASE_URL SETTINGS`; `next` in the settings lists what an artificial later version
does otherwise: the format of `records`, the version of the file `main` or `ledger`, or that of the ledger in `redis`.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from typing import Any

from pywats_cache import CacheClient, Controller


def become_later(what: list[str]) -> None:
    from pywats_cache.storage.redis import ledger as redis_ledger
    from pywats_cache.storage.shared import base, record_format
    from pywats_cache.storage.sqlite import ledger, records

    if "records" in what:
        record_format.MAGIC = b"pwc\x03"
        base.FORMAT = record_format.FORMAT = "3."
    if "same keys" in what:
        record_format.MAGIC = b"pwc\x03"
    if "main" in what:
        records.VERSION += 1
    if "ledger" in what:
        ledger.VERSION += 1
    if "redis" in what:
        script = redis_ledger.SCRIPT
        assert "format ~= '1'" in script
        redis_ledger.SCRIPT = script.replace("format ~= '1'", "format ~= '2'").replace(
            "redis.call('HSET', state,", "redis.call('HSET', state, 'format', '2',"
        )


AT_ONCE = 50


def dirty(client: Any, path: str, count: int) -> None:
    """What `count` writes dirty, to `path` with a number in it."""
    try:
        write_tags = import_module("pywats_cache.coherence.tags").write_tags
    except ImportError:  # the earlier version
        write_tags = import_module("pywats_cache.coherence").write_tags
    origin = str(client.base_url).rstrip("/")
    for n in range(0, count, AT_ONCE):
        paths = [path.replace("*", str(k)) for k in range(n, min(n + AT_ONCE, count))]
        client.cache.storage.memory.coherence.bump([tag for one in paths for tag in write_tags(origin, one)])


def answer(client: Any, method: str, path: str) -> dict[str, Any]:
    if method in ("DIRTY", "INVALIDATE"):
        path, _, count = path.partition(" ")
        if method == "DIRTY":
            dirty(client, path, int(count))
        for n in range(0, int(count) if method == "INVALIDATE" else 0, AT_ONCE):
            client.cache.invalidate(tags=tuple(f"{path}{k}" for k in range(n, n + AT_ONCE)))
        return {}
    if method == "DOCTOR":
        return {"codes": [one.code for one in client.cache.doctor()], "texts": list(map(str, client.cache.doctor()))}
    try:
        path, _, tag = path.partition("#")
        response = client.request(method, path, extensions={"pywats_cache": {"tags": [tag]}} if tag else {})
        getattr(client.cache.storage, "flush", int)()  # a process that is killed before that loses the record
    except Exception as error:
        return {"error": type(error).__name__}
    outcome = response.extensions["pywats_cache"]
    return {
        "text": response.text,
        "status": outcome.status,
        "reason": outcome.reason,
        "errors": client.cache.stats.storage_errors,
        "where": sys.modules["pywats_cache"].__file__,
    }


def main() -> None:
    storage, base_url, given = sys.argv[1:4]
    settings = json.loads(given)
    become_later(settings["next"]) if "next" in settings else None
    try:
        from sharing_world import be_patient
    except ImportError:  # the earlier version
        pass
    else:
        be_patient()
    client = CacheClient(storage=storage, base_url=base_url, controller=Controller(ttl=600.0), timeout=20.0)
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(client, *json.loads(line))), flush=True)
    client.close()


if __name__ == "__main__":
    main()
