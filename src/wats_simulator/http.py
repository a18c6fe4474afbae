"""HTTP/1.1 on loopback: connections, and one request from its first line to the one send of its answer."""

from __future__ import annotations

import gzip
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, cast

_GZIP_FROM = 1024  # bytes; below, the header costs more than it saves


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it was received."""

    method: str
    path: str
    query: str
    body: bytes
    authorization: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What is to be sent: `broken` sends half the body and closes, `dropped` closes without an answer."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    broken: bool = False
    dropped: bool = False


Respond = Callable[[Request], Answer]


class Connections(ThreadingHTTPServer):
    """Listens, gives each connection a daemon thread, and closes all of them at the end.

    Guarded by `_lock`: the open sockets and their threads.
    """

    daemon_threads = True
    request_queue_size = 128
    # On Windows this flag would let another process take the port.
    allow_reuse_address = os.name != "nt"

    def __init__(self, port: int, respond: Respond, compress: bool) -> None:
        self.respond = respond
        self.compress = compress
        self.closing = False
        self._lock = threading.Lock()
        self._open: dict[socket.socket, threading.Thread] = {}
        super().__init__(("127.0.0.1", port), _Handler)
        self._listener = threading.Thread(target=self._accept, name="simulated-wats", daemon=True)

    def server_bind(self) -> None:
        """Bind without HTTPServer's look-up of the host's name, which may ask DNS."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.socket.getsockname()[1]

    def start(self) -> None:
        """Accept connections in a thread."""
        self._listener.start()

    def stop(self) -> None:
        """Refuse new connections, close the open ones, wait for their threads."""
        self.closing = True
        try:  # wakes the listener, on every system
            socket.create_connection(("127.0.0.1", self.server_port), timeout=1.0).close()
        except OSError:
            pass
        self._listener.join(5.0)
        self.server_close()
        with self._lock:
            opened = list(self._open.items())
        for connection, _ in opened:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the client was faster
        for _, thread in opened:
            if thread is not threading.current_thread():
                thread.join(5.0)

    def _accept(self) -> None:
        """Give each connection its thread; `serve_forever` would only see every 0.5 s that it shall end."""
        while not self.closing:
            try:
                request, address = self.get_request()
            except OSError:  # the client gave up before it was accepted, or no descriptor is left
                time.sleep(0.001)
                continue
            if self.closing:
                request.close()
            else:
                self.process_request(request, address)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve the connection in a thread that `stop` knows."""
        thread = threading.Thread(
            target=self.process_request_thread,
            args=(request, client_address),
            name="simulated-wats-client",
            daemon=True,
        )
        with self._lock:
            self._open[request] = thread
        thread.start()

    def shutdown_request(self, request: Any) -> None:
        """Close the connection and forget it."""
        super().shutdown_request(request)
        with self._lock:
            self._open.pop(request, None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Be quiet about clients that went away; anything else is a defect of this server and is shown."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """One connection; `handle_one_request` of the base class reads the head of each request."""

    protocol_version = "HTTP/1.1"
    server_version = "SimulatedWATS"
    disable_nagle_algorithm = True  # an answer leaves in one send, so nothing is gained by waiting for more

    def log_message(self, format: str, *args: Any) -> None:
        """Write nothing to stderr."""

    def _handle(self) -> None:
        server = cast(Connections, self.server)
        path, _, query = self.path.partition("?")
        body = self._body()
        if body is None:
            return
        authorization = self.headers.get("Authorization", "")
        answer = server.respond(Request(self.command, path, query, body, authorization))
        if answer.dropped or server.closing:
            self.close_connection = True
            return
        self._send(answer, server.compress)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _handle  # noqa: N815

    def _body(self) -> bytes | None:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self._chunks()
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal():
            self._send(Answer(400, b'{"message":"Content-Length is no number"}'), False)
            self.close_connection = True
            return None
        body = self.rfile.read(int(length))
        if len(body) < int(length):  # the client went away in the middle: nothing of it must happen
            self.close_connection = True
            return None
        return body

    def _chunks(self) -> bytes | None:
        parts = []
        while True:
            size = self.rfile.readline(65537).split(b";")[0].strip()
            try:
                count = int(size, 16)
            except ValueError:
                self.close_connection = True
                return None
            if count == 0:
                break
            parts.append(self.rfile.read(count))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers
        return b"".join(parts)

    def _send(self, answer: Answer, compress: bool) -> None:
        body, headers = answer.body, dict(answer.headers)
        if answer.status in _WITHOUT_BODY:
            body = b""
        if compress and len(body) > _GZIP_FROM and "gzip" in self.headers.get("Accept-Encoding", ""):
            body = gzip.compress(body, 5, mtime=0)
            headers["Content-Encoding"] = "gzip"
        lines = [f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, '')}", f"Date: {self.date_time_string()}"]
        if answer.status not in _WITHOUT_BODY:
            lines += [f"Content-Type: {answer.content_type}", f"Content-Length: {len(body)}"]
        if compress:
            lines.append("Vary: Accept-Encoding")
        lines.append("Cache-Control: no-cache")
        if answer.broken:
            self.close_connection = True
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")
        if self.command == "HEAD":
            body = b""
        elif answer.broken:
            body = body[: len(body) // 2]
        self.wfile.write(head + body)


_WITHOUT_BODY = (204, 304)  # what followed their head would be read as the next answer
_REASONS = {int(status): status.phrase for status in HTTPStatus}
