"""A small HTTP server on loopback, in a process of its own, so that it does not share the interpreter's lock.

- `GET /items/{key}` answers `{"key", "version"}` after a delay, `PUT /items/{key}` raises the version after it.
- `GET /api/Product/{number}` and `GET /api/Product/Query` answer as a WATS server does, at once.
- `GET /tagged/{size}` answers so many bytes with an `ETag`, and 304 to who has them; `/untagged/{size}` always does.
- `GET /control/…` sets the delay, forgets the counts, or reads them; it is neither delayed nor counted.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.request
from collections import Counter
from types import TracebackType
from typing import Any

PRODUCTS = 1000
ENTITY_TAG = b'"7"'


def product(number: str, *, revisions: int = 1, note: str = "") -> dict[str, Any]:
    """Return a product as the server describes it."""
    identifier = f"00000000-0000-4000-8000-{abs(hash(number)) % 10**12:012d}"
    return {
        "partNumber": number,
        "name": f"Product {number}",
        "description": f"Board {number} {note}".strip(),
        "nonSerial": False,
        "state": 1,
        "productId": identifier,
        "productCategoryName": "Electronics",
        "revisions": [
            {
                "revision": chr(65 + i),
                "name": f"Revision {chr(65 + i)}",
                "state": 1,
                "productRevisionId": identifier,
                "productId": identifier,
                "tags": [{"key": "layout", "value": str(i)}],
            }
            for i in range(revisions)
        ],
        "tags": [{"key": "line", "value": "7"}, {"key": "owner", "value": "test"}],
    }


def product_list() -> bytes:
    """Return 1000 products as JSON, 914 KB, the size of the list of a larger site."""
    rows = [product(f"PN-{i:05d}", revisions=1) for i in range(PRODUCTS)]
    pad = 914 - len(json.dumps(rows, separators=(",", ":"))) // PRODUCTS
    rows = [product(f"PN-{i:05d}", revisions=1, note="x" * (pad - 1)) for i in range(PRODUCTS)]
    return json.dumps(rows, separators=(",", ":")).encode()


class _Server:
    def __init__(self) -> None:
        self.delay = 0.0
        self.versions: Counter[str] = Counter()
        self.seen: Counter[str] = Counter()
        self.products = product_list()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                line, _, rest = head.partition(b"\r\n")
                method, target, _ = line.decode().split(" ")
                length = next(
                    (int(h.split(b":")[1]) for h in rest.split(b"\r\n") if h.lower().startswith(b"content-length")), 0
                )
                if length:
                    await reader.readexactly(length)
                if target.startswith(("/tagged/", "/untagged/")):
                    writer.write(self.large(target, rest))
                    await writer.drain()
                    continue
                body = await self.answer(method, target)
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
                )
                writer.write(body)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            writer.close()

    def large(self, target: str, head: bytes) -> bytes:
        """Return a whole answer of the size that the path names, or a 304."""
        self.seen["GET"] += 1
        tagged = target.startswith("/tagged/")
        if tagged and b"if-none-match: " + ENTITY_TAG in head.lower():
            self.seen["304"] += 1
            return b"HTTP/1.1 304 Not Modified\r\nETag: %s\r\n\r\n" % ENTITY_TAG
        size = int(target.rsplit("/", 1)[1])
        tag = b"ETag: %s\r\n" % ENTITY_TAG if tagged else b""
        return b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s" % (tag, size, b"x" * size)

    async def answer(self, method: str, target: str) -> bytes:
        path = target.partition("?")[0]
        if path.startswith("/control/"):
            return self.control(path.split("/")[2:])
        self.seen[method] += 1
        if self.delay:
            await asyncio.sleep(self.delay)
        if path == "/api/Product/Query":
            return self.products
        if path.startswith("/api/Product/"):
            return json.dumps(product(path.rsplit("/", 1)[1], revisions=2)).encode()
        if method != "GET":
            self.versions[path] += 1
        return json.dumps({"key": path, "version": self.versions[path]}).encode()

    def control(self, words: list[str]) -> bytes:
        if words[0] == "delay":
            self.delay = float(words[1])
        elif words[0] == "forget":
            self.seen.clear()
            self.versions.clear()
        return json.dumps(self.seen).encode()


async def _main() -> None:
    server = await asyncio.start_server(_Server().serve, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)  # until the parent closes the pipe
    server.close()


class Server:
    """The server as seen by a benchmark: `with Server(delay=0.02) as server: …`."""

    def __init__(self, delay: float = 0.0) -> None:
        self._delay = delay

    def __enter__(self) -> Server:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        self.set_delay(self._delay)
        return self

    @property
    def port(self) -> int:
        """Return where it listens."""
        return int(self.url.rsplit(":", 1)[1])

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=10)
        self._process.stdout.close()

    def set_delay(self, seconds: float) -> None:
        """Delay every further answer by so much."""
        self._control(f"delay/{seconds}")

    def forget(self) -> None:
        """Set all versions and counts to 0."""
        self._control("forget")

    def seen(self) -> dict[str, int]:
        """Return how many requests came, by method, and how many got a 304."""
        return self._control("seen")

    def _control(self, what: str) -> dict[str, int]:
        with urllib.request.urlopen(f"{self.url}/control/{what}", timeout=10) as answer:
            return dict(json.load(answer))


if __name__ == "__main__":
    asyncio.run(_main())
