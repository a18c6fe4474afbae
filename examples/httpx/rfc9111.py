"""Let the server decide how long its answers last: `Controller(rfc9111=True)` against a small server of its own.

A clock that the example moves stands in for waiting. The last column is the `Cache-Status` header (RFC 9211).
"""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

from pywats_cache import CacheClient, Controller
from pywats_cache.testing import FakeClock

# What the server says of each path, besides an ETag that changes with its version.
SAYS = {
    "/logo": {"Cache-Control": "max-age=60"},
    "/greeting": {"Cache-Control": "max-age=60", "Vary": "Accept-Language"},
    "/price": {"Cache-Control": "max-age=60, must-revalidate"},
    "/weather": {"Cache-Control": "max-age=60, stale-while-revalidate=600"},
    "/balance": {"Cache-Control": "no-store"},
}


class Origin(ThreadingHTTPServer):
    """An HTTP server that answers conditional requests and remembers what it sent."""

    daemon_threads = True

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.clock = clock
        self.version = 1
        self.sent: list[str] = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.thread = threading.Thread(target=self.serve_forever, args=(0.02,))
        self.thread.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    def stop(self) -> None:
        """Listen no longer."""
        self.shutdown()
        self.thread.join()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Origin

    def do_GET(self) -> None:
        """Answer with 304 if the client has this version already, else with all of it."""
        self.server.may_answer.wait()
        tag = f'"v{self.server.version}"'
        unchanged = self.headers.get("If-None-Match") == tag
        language = self.headers.get("Accept-Language", "-")
        body = b"" if unchanged else f"{self.path} v{self.server.version} ({language})".encode().ljust(2000)
        self.server.sent.append(f"{304 if unchanged else 200}, {len(body)} bytes")
        self.send_response(304 if unchanged else 200)
        for name, value in {"ETag": tag, **SAYS[self.path]}.items():
            self.send_header(name, value)
        if not unchanged:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def date_time_string(self, timestamp: float | None = None) -> str:
        """For the Date header: the time on the clock that the cache goes by, too."""
        return super().date_time_string(self.server.clock.wall())

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


def ask(origin: Origin, client: httpx.Client, what: str, path: str, **headers: str) -> httpx.Response:
    """GET, and print what came: from where, how old, and what the cache says of it."""
    before = len(origin.sent)
    response = client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    server = origin.sent[before] if len(origin.sent) > before else "not asked"
    age = response.headers.get("Age", "-")
    print(f"  {what:<32} server: {server:<16} age {age:<4} {response.headers['Cache-Status']}")
    return response


def lessons(origin: Origin, client: CacheClient, clock: FakeClock) -> None:
    """What the server says, and what follows."""
    print("1. max-age=60: fresh for a minute, then validated; a 304 has no body")
    ask(origin, client, "first", "/logo")
    clock.advance(59)
    ask(origin, client, "after 59 s", "/logo")
    clock.advance(2)
    assert ask(origin, client, "after 61 s", "/logo").extensions["pywats_cache"].status == "revalidated"
    ask(origin, client, "right after", "/logo")

    print("\n2. Vary: Accept-Language: one answer for each language")
    ask(origin, client, "de", "/greeting", Accept_Language="de")
    ask(origin, client, "en", "/greeting", Accept_Language="en")
    ask(origin, client, "de again", "/greeting", Accept_Language="de")

    print("\n3. The caller has a say: max-age, no-cache, only-if-cached")
    clock.advance(30)
    ask(origin, client, "not older than 10 s, please", "/logo", Cache_Control="max-age=10")
    ask(origin, client, "validate it, whatever its age", "/logo", Cache_Control="no-cache")
    ask(origin, client, "what is stored, or nothing", "/logo", Cache_Control="only-if-cached")

    print("\n4. stale-while-revalidate=600: past its lifetime it is served at once, and validated in the background")
    ask(origin, client, "first", "/weather")
    clock.advance(120)
    origin.version = 2
    origin.may_answer.clear()  # whoever waited for the server now would wait for ever
    assert "v1" in ask(origin, client, "after 120 s", "/weather").text
    origin.may_answer.set()
    while (response := client.get("/weather")).extensions["pywats_cache"].status == "stale":
        pass  # until the validation is through
    assert "v2" in response.text
    print(f"  {'in the background':<32} server: {origin.sent[-1]}")

    print("\n5. no-store: fetched each time")
    ask(origin, client, "first", "/balance")
    ask(origin, client, "again", "/balance")

    print("\n6. explain() says what would happen, and sends nothing")
    ask(origin, client, "a price", "/price")
    for later in (0, 61):
        clock.advance(later)
        said = client.cache.explain(client.build_request("GET", "/price"))
        print(f"  {f'{later} s later':<32} {said.status}: {said.reason}, {said.left:.0f} s left of {said.ttl:.0f}")


def without_the_server(client: CacheClient) -> None:
    """What may be served when nobody can be asked."""
    print("\n7. The server is gone: what may be stale is served stale, must-revalidate gets a 504 from the cache")
    for path in ("/logo", "/price"):
        response = client.get(path)
        print(f"  {path:<32} {response.status_code}, {response.headers['Cache-Status']}")
    assert response.status_code == 504


def main() -> None:
    """Ask the server until it goes away."""
    clock = FakeClock()
    controller = Controller(rfc9111=True, cache_status="pywats-cache")
    origin = Origin(clock)
    with CacheClient(controller=controller, clock=clock, base_url=origin.url) as client:
        try:
            lessons(origin, client, clock)
        finally:
            origin.stop()
        clock.advance(120)
        without_the_server(client)


if __name__ == "__main__":
    main()
