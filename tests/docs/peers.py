"""The caches that the README compares, behind one small face, and an origin to ask."""

from __future__ import annotations

import asyncio
import base64
import sqlite3
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import hishel
import hishel.httpx
import httpx
import requests_cache
from pywats.core.async_client import AsyncHttpClient as SdkClient

from pywats_cache import CacheClient, Controller, Read

LONG = 20.0
Send = Callable[..., Any]
"""`send(method, path, text="", token=None, accept=None)` gives the peer's answer, which has `.json()` or `.data`."""


class Origin(ThreadingHTTPServer):
    """One value under every path, which a PUT sets; a POST answers what it was sent. Anything may be stored for long.

    While `hold` is set, a GET takes the value, then waits for `release`.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.value = "old"
        self.seen: list[str] = []
        self.hold, self.release, self.reading = threading.Event(), threading.Event(), threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def __enter__(self) -> Origin:
        return self

    def __exit__(self, *error: object) -> None:
        self.release.set()
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Origin

    def _answer(self) -> None:
        text = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode().strip('"')
        self.server.seen.append(self.command)
        if self.command == "PUT":
            self.server.value = text
        value = text if self.command == "POST" else self.server.value
        if self.command == "GET" and self.server.hold.is_set():
            self.server.reading.set()
            assert self.server.release.wait(LONG)
        kind = self.headers.get("Accept", "")
        body = f'{{"value": "{value}", "for": "{self.headers.get("Authorization", "")}", "as": "{kind}"}}'.encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Cache-Control", "max-age=300")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = _answer

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


def ours(origin: Origin) -> tuple[Send, Callable[[], None]]:
    client = CacheClient(base_url=origin.url, controller=Controller([Read("/query", methods=("POST",))]))
    return _httpx_like(client), client.close


def of_hishel(origin: Origin, rfc: hishel.CacheOptions | bool = False) -> tuple[Send, Callable[[], None]]:
    connection = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
    storage = hishel.SqliteStorage(connection=connection, default_ttl=300.0)
    transport = hishel.httpx.CacheTransport(httpx.HTTPTransport(), storage=storage, rfc=rfc)
    client = httpx.Client(base_url=origin.url, transport=transport)

    def close() -> None:
        client.close()
        connection.close()

    return _httpx_like(client), close


def of_hishel_by_the_rfc(origin: Origin) -> tuple[Send, Callable[[], None]]:
    """As a private cache, with POST allowed."""
    return of_hishel(origin, hishel.CacheOptions(shared=False, supported_methods=["GET", "HEAD", "POST"]))


def of_requests_cache(origin: Origin) -> tuple[Send, Callable[[], None]]:
    session = requests_cache.CachedSession(backend="memory", expire_after=300, allowable_methods=("GET", "POST"))
    session.trust_env = False

    def send(method: str, path: str, text: str = "", token: str | None = None, accept: str | None = None) -> Any:
        return session.request(method, origin.url + path, data=text, headers=_fields(token, accept), timeout=LONG)

    return send, session.close


def of_the_sdk(origin: Origin) -> tuple[Send, Callable[[], None]]:
    """A client has one token, so a second user is a second client."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    clients: dict[str | None, SdkClient] = {}

    async def ask(method: str, path: str, text: str, token: str | None, accept: str | None) -> Any:
        client = clients.get(token)
        if client is None:
            client = clients[token] = SdkClient(origin.url, base64.b64encode((token or "a:b").encode()).decode())
        call = getattr(client, method.lower())
        headers = _fields(None, accept)
        return await (call(path, headers=headers) if method == "GET" else call(path, data=text, headers=headers))

    def send(method: str, path: str, text: str = "", token: str | None = None, accept: str | None = None) -> Any:
        return asyncio.run_coroutine_threadsafe(ask(method, path, text, token, accept), loop).result(LONG)

    async def close_all() -> None:
        for client in clients.values():
            await client.close()

    def close() -> None:
        asyncio.run_coroutine_threadsafe(close_all(), loop).result(LONG)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    return send, close


PEERS = {
    "pywats-cache": ours,
    "hishel": of_hishel,
    "hishel, RFC mode": of_hishel_by_the_rfc,
    "requests-cache": of_requests_cache,
    "the SDK's cache": of_the_sdk,
}


def _httpx_like(client: httpx.Client) -> Send:
    def send(method: str, path: str, text: str = "", token: str | None = None, accept: str | None = None) -> Any:
        return client.request(method, path, content=text, headers=_fields(token, accept))

    return send


def _fields(token: str | None, accept: str | None) -> dict[str, str]:
    given = {"Authorization": token, "Accept": accept}
    return {name: value for name, value in given.items() if value}
