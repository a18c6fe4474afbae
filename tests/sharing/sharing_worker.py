"""One process of the tests: a client over a shared store, told by lines of JSON what to ask.

`python sharing_worker.py STORAGE BASE_URL [MUTANT]` answers each `["GET", "/path"]` with what it got.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import sys
from typing import Any

import httpx
from sharing_world import be_patient

from pywats_cache import CacheTransport, Controller, RedisSharedStorage
from pywats_cache.engine import writing as writes
from pywats_cache.storage.redis.storage import LeasedCoherence
from pywats_cache.storage.shared import base as sharing
from pywats_cache.storage.shared import coherence as shared_coherence
from pywats_cache.storage.shared.coherence import SharedCoherence

CLASSES = (SharedCoherence, LeasedCoherence)
MUTANTS: dict[str, Any] = {
    "no-intent": lambda: [setattr(kind, "begin_write", lambda *_: None) for kind in CLASSES],
    "no-bump": lambda: [setattr(kind, "finish_write", lambda *_: None) for kind in CLASSES],
    "patient": be_patient,
    "short-lease": lambda: setattr(writes, "write_lease", lambda timeout: 3.0),
    "short-claim": lambda: setattr(sharing, "CLAIM_SECONDS", 0.2),
    "long-claim": lambda: setattr(sharing, "CLAIM_SECONDS", 59.0),
    "endless-patience": lambda: globals().update(TIMEOUT=1000.0, JOIN_TIMEOUT=1000.0),
    "check-always": lambda: setattr(shared_coherence, "CHECK", 0.0),
    "check-never": lambda: setattr(shared_coherence, "CHECK", float("inf")),
}
TIMEOUT = 20.0
JOIN_TIMEOUT = 30.0


def client_of(storage: str, base_url: str) -> httpx.Client:
    store: Any = storage
    if storage.startswith("unix://"):
        socket, _, max_lag = storage.partition("?max_lag=")
        store = RedisSharedStorage(socket, max_lag=float(max_lag))
    transport = CacheTransport(controller=Controller(ttl=600.0, join_timeout=JOIN_TIMEOUT), storage=store)
    return httpx.Client(
        transport=transport, base_url=base_url, timeout=TIMEOUT, headers={"Authorization": "Bearer t0k3n"}
    )


def ask(client: httpx.Client, method: str, path: str) -> dict[str, Any]:
    try:
        response = client.request(method, path)
        outcome = response.extensions["pywats_cache"]
        return {
            "text": response.text,
            "code": response.status_code,
            "status": outcome.status,
            "reason": outcome.reason,
            "stored": outcome.stored,
            "errors": client._transport.stats.storage_errors,  # type: ignore[attr-defined]
        }
    except Exception as error:
        return {"error": repr(error)}


def closed_early(client: httpx.Client, method: str, path: str) -> dict[str, Any]:
    """Take the first chunk of the answer and close it."""
    with client.stream(method, path) as response:
        chunk = next(response.iter_raw())
        key = response.extensions["pywats_cache"].key
        return {"text": chunk.decode(), "code": response.status_code, "key": key}


def read_slowly(client: httpx.Client, method: str, path: str) -> dict[str, Any]:
    """Take the first chunk of the answer, say so, and the rest only when told to."""
    with client.stream(method, path) as response:
        chunks = response.iter_raw()
        first = next(chunks)
        print(json.dumps("in hand"), flush=True)
        sys.stdin.readline()
        return {"text": b"".join((first, *chunks)).decode(), "code": response.status_code}


def in_fork(client: httpx.Client, method: str, path: str) -> dict[str, Any]:
    """The same in a forked child, with the store that is open here."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        answer = ask(client, method, path)
        client.close()  # `os._exit` loses what is queued
        os.write(write, json.dumps(answer).encode())
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with open(read, "rb") as pipe:
        result: dict[str, Any] = json.loads(pipe.read())
    return result


def _spawned(queue: Any, storage: str, base_url: str, method: str, path: str) -> None:
    with client_of(storage, base_url) as client:
        queue.put(ask(client, method, path))


def in_spawn(storage: str, base_url: str, method: str, path: str) -> dict[str, Any]:
    """The same in a spawned child of multiprocessing."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    child = context.Process(target=_spawned, args=(queue, storage, base_url, method, path))
    child.start()
    result: dict[str, Any] = queue.get(timeout=60)
    child.join()
    return result


def main() -> None:
    logging.basicConfig(level=logging.WARNING)
    storage, base_url = sys.argv[1:3]
    for mutant in sys.argv[3:]:
        MUTANTS[mutant]()
    client = client_of(storage, base_url)
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        method, path, *how = json.loads(line)
        if how == ["fork"]:
            answer = in_fork(client, method, path)
        elif how == ["closed early"]:
            answer = closed_early(client, method, path)
        elif how == ["slowly"]:
            answer = read_slowly(client, method, path)
        elif how == ["spawn"]:
            answer = in_spawn(storage, base_url, method, path)
        else:
            answer = ask(client, method, path)
        if how == ["written"]:
            getattr(client._transport.storage, "flush", int)()  # type: ignore[attr-defined]
        print(json.dumps(answer), flush=True)
    client.close()


if __name__ == "__main__":
    main()
