"""A small threaded HTTP/1.1 server on loopback whose routes a test writes itself."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LONG = 30
"""Seconds; a test that waits this long has failed."""


@dataclass(frozen=True)
class Seen:
    """One request as the server saw it."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int


class Exchange(BaseHTTPRequestHandler):
    """One request to answer."""

    protocol_version = "HTTP/1.1"
    server: _Threads
    timeout = LONG
    wbufsize = 0
    seen: Seen

    def setup(self) -> None:
        super().setup()
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        self.number = self.server.owner._connected()

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline:
            self.close_connection = True
            return
        if self.parse_request():
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if "chunked" in self.headers.get("Transfer-Encoding", ""):
                body = self._read_chunks()
            names = {name.lower(): value for name, value in self.headers.items()}
            self.seen = Seen(self.command, self.path, names, body, self.number)
            self.server.owner._answer(self)

    def _read_chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def send(self, body: bytes = b"", status: int = 200, headers: Any = (), *, length: bool = True) -> None:
        """A whole answer; `headers` is a dict or a list of pairs."""
        self.start(status, headers, len(body) if length else None)
        if self.command != "HEAD":
            self.raw(body)

    def start(self, status: int = 200, headers: Any = (), length: int | None = None) -> None:
        """Status line and header fields."""
        self.send_response(status)
        for name, value in headers.items() if isinstance(headers, dict) else headers:
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def chunk(self, data: bytes) -> None:
        """One chunk of a chunked body; an empty one ends it."""
        self.raw(b"%x\r\n%b\r\n" % (len(data), data))

    def send_chunked(self, chunks: Iterable[bytes], headers: Any = ()) -> None:
        """An answer of unknown length."""
        self.start(200, [*dict(headers).items(), ("Transfer-Encoding", "chunked")])
        for data in chunks:
            self.chunk(data)
        self.chunk(b"")

    def raw(self, data: bytes) -> None:
        """Bytes as they are."""
        self.wfile.write(data)

    def reset(self) -> None:
        """Break the connection off with a reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.hang_up()

    def hang_up(self) -> None:
        """Close the connection after this."""
        self.close_connection = True

    def version_string(self) -> str:
        return "loopback"

    def date_time_string(self, timestamp: float | None = None) -> str:
        return "Tue, 01 Jan 2030 00:00:00 GMT"

    def log_message(self, format: str, *args: Any) -> None:
        pass


class _Threads(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    owner: Server

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that hung up is no news


class Server:
    """`server.on("/path", answer)` routes; a path without a route answers how many requests have come by then."""

    def __init__(self) -> None:
        self.log: list[Seen] = []
        self.connections = 0
        self._routes: dict[str, Callable[[Exchange], object]] = {}
        self._lock = threading.Lock()
        self._http = _Threads(("127.0.0.1", 0), Exchange)
        self._http.owner = self
        self.host = f"127.0.0.1:{self._http.server_port}"
        self.url = f"http://{self.host}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def on(self, path: str, answer: Callable[[Exchange], object]) -> None:
        """Let `answer` answer what asks for `path` (with any query)."""
        self._routes[path] = answer

    def answers(self, path: str, body: bytes = b"", status: int = 200, headers: Any = ()) -> None:
        """Answer `path` always like this."""
        self.on(path, lambda exchange: exchange.send(body, status, headers))

    def count(self, path: str | None = None) -> int:
        """Requests seen, of one path or all."""
        return len([seen for seen in self.log if path is None or seen.target.partition("?")[0] == path])

    def _connected(self) -> int:
        with self._lock:
            self.connections += 1
            return self.connections

    def _answer(self, exchange: Exchange) -> None:
        with self._lock:
            self.log.append(exchange.seen)
            count = len(self.log)
        target = exchange.path.partition("?")[0]
        if target.startswith("http://"):  # asked as a proxy
            target = "/" + target.split("/", 3)[3]
        route = self._routes.get(target)
        if route is None:
            exchange.send(b"%d" % count)
        else:
            route(exchange)

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(LONG)
