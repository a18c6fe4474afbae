"""A server that goes away and comes back, and processes that are killed and started anew over one store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from sharing_world import Worker

WORKER = Path(__file__).with_name("restart_worker.py")


class Away:
    """Answers a GET with its version, which a PUT raises, and with validators; `go` and `come` as outages do.

    - `fields`: what every answer says besides; `status`: of every answer, once it is set.
    - `asked`: how often, by method and whether it was conditional; `later`: seconds by which its clock is ahead.
    """

    def __init__(self) -> None:
        self.version = 1
        self.fields: dict[str, str] = {}
        self.status = 200
        self.asked: Counter[str] = Counter()
        self._server: ThreadingHTTPServer | None = None
        self._port = 0
        self.later = 0.0
        self.come()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def come(self) -> None:
        away = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_PUT(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                away.asked["PUT"] += 1
                away.version += 1
                self._answer(200, b"")

            def do_GET(self) -> None:
                tag = f'"v{away.version}"'
                asked = self.headers.get("If-None-Match")
                away.asked["GET" if asked is None else "conditional"] += 1
                if away.status != 200:
                    self._answer(away.status, b"failed")
                elif asked == tag:
                    self._answer(304, b"", ETag=tag)
                else:
                    self._answer(200, b"version %d" % away.version, ETag=tag)

            def do_HEAD(self) -> None:
                away.asked["HEAD"] += 1
                self._answer(200, b"", ETag=f'"v{away.version}"')

            def date_time_string(self, timestamp: float | None = None) -> str:
                return super().date_time_string(int(time.time() + away.later))

            def _answer(self, status: int, body: bytes, **fields: str) -> None:
                self.send_response(status)
                for name, value in {**away.fields, **fields}.items():
                    self.send_header(name, value)
                if status != 304:
                    self.send_header("Content-Length", str(len(body)))
                self.send_header("Connection", "close")  # so that nobody is left with one when it goes away
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def go(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    close = go


class Life(Worker):
    """One life of a process; `path` holds packages that come before the installed ones."""

    def __init__(self, storage: str, url: str, path: str = "", worker: Path = WORKER, **settings: Any) -> None:
        environment = {**os.environ, "PYWATS_CACHE_DIGEST_KEY": "the-same-on-all-machines-of-the-tests"}
        if path:
            environment["PYTHONPATH"] = os.pathsep.join([path, environment.get("PYTHONPATH", "")])
        self.process = subprocess.Popen(
            [sys.executable, str(worker), storage, url, json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get("SHOW") else subprocess.DEVNULL,
            env=environment,
        )

    def tell(self, method: str, path: str = "/a") -> dict[str, Any]:
        self.send(method, path)
        found: dict[str, Any] = self.receive()
        return found
