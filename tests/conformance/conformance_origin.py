"""The origin's part of the public cache tests: answers each request as the definition of its test says."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DATES = frozenset({"date", "expires", "last-modified", "if-modified-since", "if-unmodified-since"})
LOCATIONS = frozenset({"location", "content-location"})
NO_BODY = frozenset({204, 304})
_WEEKDAYS = {"Mon": "", "Tue": "s", "Wed": "nes", "Thu": "rs", "Fri": "", "Sat": "ur", "Sun": ""}


@dataclass
class Seen:
    """One request as the origin saw it, and the header fields it answered with that must arrive unchanged."""

    number: int | None
    method: str
    headers: dict[str, str]
    answered: dict[str, str] = field(default_factory=dict)


@dataclass
class Run:
    """One test while it runs. One request at a time, but for a cache's requests in the background."""

    token: str
    requests: list[dict[str, Any]]
    now: Callable[[], float]
    pause: Callable[[float], None]
    seen: list[Seen] = field(default_factory=list)
    fixed: dict[int, list[tuple[str, str]]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


def fixed_value(name: str, value: Any, *, now: float, base: str, request: dict[str, Any]) -> str:
    """A header value as sent: whole numbers in dates are seconds from now, magic locations are below the test's URL."""
    lower = name.lower()
    if lower in DATES and isinstance(value, int):
        date = formatdate(int(now) + value, usegmt=True)
        return _as_rfc850(date) if lower in request.get("rfc850date", ()) else date
    if lower in LOCATIONS and request.get("magic_locations"):
        return f"{base}/{value}" if value else base
    return str(value)


def _as_rfc850(date: str) -> str:
    weekday, day, month, year, time, zone = date.replace(",", "").split()
    return f"{weekday}{_WEEKDAYS[weekday]}day, {day}-{month}-{year[2:]} {time} {zone}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):  # any method, M-SEARCH too
            return self._answer
        raise AttributeError(name)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length:
            self.rfile.read(length)
        path = self.path.partition("?")[0]
        run: Run | None = self.server.runs.get(path.split("/")[2]) if path.startswith("/test/") else None  # type: ignore[attr-defined]
        if run is None:
            self.send_error(404)
            return
        with run.lock:
            self._answer_as_told(run)

    def _answer_as_told(self, run: Run) -> None:
        own = re.match(r"\d+", self.headers.get("Req-Num", ""))
        number = int(own[0]) if own else len(run.seen) + 1
        if not 1 <= number <= len(run.requests):
            self.send_error(409)
            return
        told = run.requests[number - 1]
        if "response_pause" in told:
            run.pause(told["response_pause"])
        for interim in told.get("interim_responses", ()):
            self._head(interim[0], "", [tuple(header) for header in (interim[1] if len(interim) > 1 else ())])
        received: dict[str, str] = {}
        for name, value in self.headers.items():
            received[name.lower()] = f"{received[name.lower()]}, {value}" if name.lower() in received else value
        seen = Seen(int(own[0]) if own else None, self.command, received)
        status, phrase = self._status(run, told, number, received)
        now = run.now()
        headers = [
            ("Server-Base-Url", self.path),
            ("Server-Request-Count", str(len(run.seen) + 1)),
            ("Client-Request-Count", str(seen.number)),
            ("Server-Now", str(int(now * 1000))),
        ]
        told_headers = []
        for name, value, *checked in told.get("response_headers", ()):
            text = fixed_value(name, value, now=now, base=self.path, request=told)
            told_headers.append((name, text))
            if not checked or checked[0] is True:
                # All lines of the name so far, as a client would join them.
                seen.answered[name] = ", ".join(v for n, v in told_headers if n.lower() == name.lower())
        run.fixed[number] = told_headers
        run.seen.append(seen)
        headers += told_headers
        names = {name.lower() for name, _ in headers}
        if "content-type" not in names:
            headers.append(("Content-Type", "text/plain"))
        if "date" not in names:
            headers.append(("Date", formatdate(now, usegmt=True)))
        headers.append(("Request-Numbers", " ".join(str(one.number) for one in run.seen)))
        self.close_connection = True
        if told.get("disconnect"):
            return
        body = b"" if status in NO_BODY else (told.get("response_body") or run.token).encode()
        announced = [value for name, value in headers if name.lower() == "content-length"]
        if announced:
            body = body[: int(announced[0])]
        elif status not in NO_BODY:
            headers.append(("Content-Length", str(len(body))))
        if "connection" not in names:
            headers.append(("Connection", "close"))
        self._head(status, phrase, headers)
        if self.command != "HEAD":
            self.wfile.write(body)

    @staticmethod
    def _status(run: Run, told: dict[str, Any], number: int, received: dict[str, str]) -> tuple[int, str]:
        """What is told; for a request that should validate 304, or 999 if it does not ask for what was sent before."""
        if not str(told.get("expected_type", "")).endswith("validated"):
            status, phrase = told.get("response_status", (200, "OK"))
            return status, phrase
        unsent = run.requests[number - 2].get("response_headers", ()) if number > 1 else ()
        before = run.fixed.get(number - 1, [(header[0], header[1]) for header in unsent])
        validators = {name.lower(): value for name, value in before}
        for asked, validator in (("if-modified-since", "last-modified"), ("if-none-match", "etag")):
            if validators.get(validator) and received.get(asked) == validators[validator]:
                return 304, "Not Modified"
        return 999, "304 Not Generated"

    def _head(self, status: int, phrase: str, headers: list[tuple[str, str]]) -> None:
        lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers), "", ""]
        self.wfile.write("\r\n".join(lines).encode("latin-1", "replace"))
        self.wfile.flush()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.runs: dict[str, Run] = {}

    def handle_error(self, *_: Any) -> None:
        """A client that goes away is no error here."""


class Origin:
    """A server on loopback. `url` is where it listens; `runs` are the tests it knows, by token."""

    def __init__(self, server: _Server) -> None:
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        self.runs = server.runs


@contextlib.contextmanager
def serving() -> Iterator[Origin]:
    """An origin for the duration of a block."""
    server = _Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield Origin(server)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
