"""The installed package with nothing but what it needs: cached calls to a server, and what it says without an extra."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module, metadata
from pathlib import Path

import httpx

import pywats_cache
from pywats_cache import AsyncCacheClient, CacheClient, CacheOutcome, CacheTransport

EXTRAS = {
    ("pywats_cache", "pyWATS"): "wats",
    ("pywats_cache.wats", "HttpClient"): "wats",
    ("pywats_cache.httpx2", "CacheClient"): "httpx2",
    ("pywats_cache.web", "serve"): "web",
    ("pywats_cache.metrics", "watch"): "prometheus",
    ("pywats_cache.metrics.tracing", "annotate"): "opentelemetry",
}


class Handler(BaseHTTPRequestHandler):
    asked = 0

    def do_GET(self) -> None:
        Handler.asked += 1
        body = b'{"name": "A"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def statuses(client: httpx.Client) -> list[str]:
    outcomes: list[CacheOutcome] = [client.get("/a").extensions["pywats_cache"] for _ in range(2)]
    return [outcome.status for outcome in outcomes]


def check_calls(url: str) -> None:
    with CacheClient(base_url=url) as client:
        assert statuses(client) == ["miss", "hit"]
        assert client.get("/a").json() == {"name": "A"}
    with httpx.Client(base_url=url, transport=CacheTransport()) as client:
        assert statuses(client) == ["miss", "hit"]
    with tempfile.TemporaryDirectory() as directory:
        with CacheClient(base_url=url, storage=f"sqlite:///{directory}/cache.db") as client:
            assert statuses(client) == ["miss", "hit"]
        with CacheClient(base_url=url, storage=f"sqlite:///{directory}/cache.db") as client:
            assert statuses(client) == ["hit", "hit"], "a second client finds what the first stored"

    async def asynchronous() -> None:
        async with AsyncCacheClient(base_url=url) as client:
            await client.get("/a")
            assert (await client.get("/a")).extensions["pywats_cache"].status == "hit"

    asyncio.run(asynchronous())
    assert Handler.asked == 4


def check_extras() -> None:
    for (module, name), extra in EXTRAS.items():
        said = error_of(lambda module=module, name=name: getattr(import_module(module), name))
        assert f"pip install 'pywats-cache[{extra}]'" in said, (module, said)
    assert "pip install 'pywats-cache[redis]'" in error_of(lambda: CacheTransport(storage="redis://127.0.0.1"))
    command = Path(sys.executable).with_name("pywats-cache")
    run = subprocess.run([command, "doctor"], capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 2
    assert "pip install 'pywats-cache[cli]'" in run.stderr


def error_of(call: Callable[[], object]) -> str:
    """What a call complains of, or nothing: then there is more here than the package needs."""
    try:
        call()
    except (ImportError, ValueError) as error:
        return str(error)
    return ""


def main() -> None:
    assert Path(pywats_cache.__file__).is_relative_to(sys.prefix), pywats_cache.__file__
    assert pywats_cache.__version__ == metadata.version("pywats-cache")
    needed = {line for line in metadata.requires("pywats-cache") or () if "extra ==" not in line}
    assert {re.split("[<>=]", line)[0] for line in needed} == {"httpx", "hishel", "anyio"}, needed
    assert "pywats_cache" in metadata.entry_points(group="pytest11").names
    with serving() as url:
        check_calls(url)
    check_extras()
    print(f"Python {sys.version.split()[0]}: the core works")


if __name__ == "__main__":
    main()
