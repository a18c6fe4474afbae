"""A cache with a past: rules, a storage, stored responses of all kinds, fetches under way; and one request to it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hishel
import httpx
from held_refreshes import HeldRefreshes
from hypothesis import strategies as st

from pywats_cache import (
    Bypass,
    CacheTransport,
    Controller,
    Explanation,
    MemoryStorage,
    Read,
    SharedStorage,
    TieredStorage,
    Write,
)
from pywats_cache.coherence.single_flight import Landing
from pywats_cache.testing import FakeClock

ANOTHER = (-7, None)
"""A thread that is not the test's own."""

RULES = [
    Read("/r/{id}", ttl=100.0, tags=("t",), bypass_query=("live",), statuses=(200, 500), negative_ttl=20.0),
    Read("/s/{id}", ttl=100.0, stale_while_revalidate=60.0, stale_if_error=200.0, offline_for=1000.0),
    Read("/s/ahead", ttl=100.0, refresh_ahead=0.3, tags=("t",)),
    Read("/zero", ttl=0.0),
    Read("/q", methods=("POST",), stale_while_revalidate=60.0),
    Write("/w", dirties=("t",)),
    Write("/slow/{id}", methods=("PUT",), dirties=("t",), settle=30.0),
    Bypass("/b"),
]
CONTROLLER = st.fixed_dictionaries(
    {
        "rules": st.sampled_from([RULES, RULES, []]),
        "rfc9111": st.booleans(),
        "offline": st.sampled_from([None] * 5 + ["auto", "auto", "only"]),
        "ttl": st.sampled_from([100.0] * 9 + [0.0]),
        "stale_while_revalidate": st.sampled_from([0.0, 0.0, 60.0]),
        "stale_if_error": st.sampled_from([None, 200.0]),
        "refresh_ahead": st.sampled_from([None, None, 0.0, 0.3]),
        "unmatched": st.sampled_from(["cache"] * 7 + ["bypass"]),
        "drop_on": st.sampled_from([(), (401,)]),
    }
)
STORAGE = st.sampled_from(["memory"] * 6 + ["small memory", "shared", "shared", "small shared", "tiered"])

METHODS = st.sampled_from(["GET"] * 10 + ["HEAD", "HEAD", "POST", "PUT", "OPTIONS"])
READ = ["/a", "/a", "/r/1", "/r/1", "/s/1", "/s/1", "/s/ahead"]
OTHER = ["/a/b", "/r/1?live=1", "/zero", "/q", "/w", "/slow/1", "/b"]
HEADER = st.sampled_from(
    [
        {"Range": "bytes=0-1"},
        {"Range": "bytes=900-"},
        {"Range": "bytes=0-1", "If-Range": '"1"'},
        {"If-None-Match": '"1"'},
        {"If-None-Match": '"other"'},
        {"If-Modified-Since": "Thu, 01 Jan 2026 00:00:00 GMT"},
        {"If-Match": '"1"'},
        {"Cache-Control": "no-cache"},
        {"Cache-Control": "no-store"},
        {"Cache-Control": "only-if-cached"},
        {"Cache-Control": "only-if-cached, max-stale"},
        {"Cache-Control": "max-age=0"},
        {"Cache-Control": "max-age=40"},
        {"Cache-Control": "max-stale"},
        {"Cache-Control": "max-stale=20"},
        {"Cache-Control": "min-fresh=50"},
        {"Cache-Control": "stale-if-error=500"},
        {"Pragma": "no-cache"},
        {"Accept": "application/xml"},
        {"Accept": "text/event-stream"},
        {"Accept-Language": "de"},
        {"X-Kind": "1"},
        {"Authorization": "Bearer another"},
        {"X-HTTP-Method-Override": "DELETE"},
        {"Upgrade": "websocket"},
    ]
)
HEADERS = st.lists(HEADER, max_size=2).map(lambda parts: {k: v for part in parts for k, v in part.items()})
HEADERS = st.one_of(st.just({}), HEADERS)
DIRECTIVES = st.fixed_dictionaries(
    {},
    optional={
        "bypass": st.booleans(),
        "refresh": st.booleans(),
        "ttl": st.sampled_from([None, 0, 30, 500]),
        "tags": st.just(("t",)),
        "key": st.just("k"),
        "only_if_cached": st.booleans(),
    },
)
DIRECTIVES = st.one_of(st.none(), st.none(), DIRECTIVES)
ANSWER = st.fixed_dictionaries(
    {
        "status": st.sampled_from([200] * 10 + [404, 500, 401]),
        "headers": st.lists(
            st.sampled_from(
                [
                    ("ETag", '"1"'),
                    ("ETag", '"1"'),
                    ("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT"),
                    ("Cache-Control", "max-age=50"),
                    ("Cache-Control", "max-age=50"),
                    ("Cache-Control", "max-age=50, stale-while-revalidate=60"),
                    ("Cache-Control", "max-age=50, must-revalidate"),
                    ("Cache-Control", "no-cache"),
                    ("Cache-Control", "no-store"),
                    ("Vary", "Accept-Language"),
                    ("Vary", "X-Kind"),
                    ("Set-Cookie", "a=b"),
                    ("Age", "30"),
                ]
            ),
            max_size=3,
        ),
        "body": st.sampled_from([b"0123456789", b"", b"null"]),
    }
)


@st.composite
def worlds(draw: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """A world, and a request to it; most of what happens there is about one path."""
    path = draw(st.sampled_from(READ * 3 + OTHER))
    paths = st.sampled_from([path] * 8 + READ + OTHER)
    method = "POST" if path == "/q" else "GET"
    request = {"method": st.one_of(st.just(method), METHODS), "path": st.just(path)}
    details = {"headers": HEADERS, "directives": DIRECTIVES}
    plain = st.fixed_dictionaries(
        {"method": st.just(method), "path": st.just(path), "headers": st.just({}), "directives": st.none()}
    )
    any_request = st.fixed_dictionaries({"method": METHODS, "path": paths, **details})
    ask = st.tuples(st.just("ask"), plain, ANSWER)
    wait = st.tuples(st.just("wait"), st.sampled_from([1.0, 35.0, 55.0, 101.0, 110.0, 150.0, 700.0]))
    refresh = st.tuples(st.just("refresh"), st.sampled_from(["run", "begin", "begin", "fail"]))
    steps = [
        ask,
        ask,
        st.tuples(st.just("ask"), any_request, ANSWER),
        wait,
        wait,
        st.tuples(st.just("invalidate"), paths, st.booleans()),
        st.tuples(st.just("lost write"), paths),
        st.tuples(st.just("elsewhere"), st.one_of(plain, any_request), ANSWER),
        refresh,
    ]
    past = draw(st.lists(st.one_of(*steps), max_size=6))
    if draw(st.integers(0, 3)):  # mostly: something is stored, and it has some age
        past += [draw(ask), *draw(st.lists(wait, max_size=1)), *draw(st.lists(st.one_of(*steps), max_size=1))]
    world = {
        "controller": draw(CONTROLLER),
        "storage": draw(STORAGE),
        "past": past,
        "is_down": draw(st.integers(0, 9)) == 0,
        "under_way": draw(st.one_of(st.none(), st.none(), st.tuples(st.sampled_from(["mine", "another's"]), paths))),
    }
    return world, draw(st.fixed_dictionaries({**request, **details}))


class Origin(httpx.BaseTransport):
    """The server. It counts what reaches it, or would if it were up."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer: dict[str, Any] | None = None
        self.error: Exception | None = None
        self.streams = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        if self.error is not None:
            raise self.error
        if self.answer is None:  # new, plain, and to be stored in either mode
            content, headers = b"new", [("Cache-Control", "max-age=50"), ("ETag", f'"new {self.asked}"')]
            return httpx.Response(200, headers=headers, content=iter([content]) if self.streams else content)
        return httpx.Response(self.answer["status"], headers=self.answer["headers"], content=self.answer["body"])


class World:
    """One transport, whose refreshes run when it says so, over a storage with a past."""

    def __init__(self, drawn: dict[str, Any], directory: str) -> None:
        self.clock, self.origin = FakeClock(), Origin()
        options = drawn["controller"]
        storage = _storage(drawn["storage"], directory)
        # What is stored has been fetched while the server could be asked.
        self.before = self._transport(Controller(**{**options, "offline": None}), storage)
        self.transport = self._transport(Controller(**options), storage)
        self.elsewhere: CacheTransport | None = None
        if "shared" in drawn["storage"]:
            self.elsewhere = self._transport(Controller(**{**options, "offline": None}), _storage("shared", directory))
        self.begun: list[Any] = []
        self.open: list[httpx.Response] = []
        self.waits = 0

    def _transport(self, controller: Controller, storage: Any) -> CacheTransport:
        transport = CacheTransport(self.origin, controller=controller, storage=storage, clock=self.clock)
        HeldRefreshes(transport)
        return transport

    # ── its past ──────────────────────────────────────────────────────────────────────────────────────────────────

    def live(self, drawn: dict[str, Any]) -> None:
        for step in drawn["past"]:
            self._step(*step)
        self.origin.answer = None
        if drawn["is_down"]:
            self.origin.error = httpx.ConnectError("refused")
            self._ask(self.transport, "GET", "/down")
        if drawn["under_way"] is not None:
            self._start(*drawn["under_way"])

    def _step(self, what: str, *how: Any) -> None:
        if what == "wait":
            self.clock.advance(how[0])
        elif what == "invalidate":
            self.before.invalidate(how[0].partition("?")[0], soft=how[1])
        elif what == "lost write":
            self.origin.error = httpx.ReadTimeout("no answer")
            self._ask(self.before, "PUT", how[0])
            self.origin.error = None
        elif what == "refresh":
            self._refresh(how[0])
        else:
            request, self.origin.answer = how
            transport = self.before if what == "ask" else self.elsewhere or self.before
            self._ask(transport, request["method"], request["path"], request["headers"], request["directives"])

    def _refresh(self, how: str) -> None:
        held: Any = self.before._threads
        if not held.waiting:
            return
        if how == "begin":
            fetch = self.before._engine.refresh(held.waiting.pop(0))
            self.begun += [] if fetch is None else [fetch]
            return
        self.origin.error = httpx.ConnectError("refused") if how == "fail" else None
        held.go()
        self.origin.error = None

    def _ask(self, transport: CacheTransport, *request: Any) -> None:
        try:
            with self._waiting(transport):
                transport.handle_request(a_request(*request)).read()
        except httpx.TransportError:
            pass

    def _start(self, whose: str, path: str) -> None:
        """A stream that is still open, of this thread or of another."""
        engine = self.transport._engine
        owner = engine._owner
        engine._owner = (lambda: ANOTHER) if whose == "another's" else owner
        self.origin.streams = True
        try:
            with self._waiting(self.transport):
                self.open.append(self.transport.handle_request(a_request("GET", path)))
        except httpx.TransportError:
            pass
        finally:
            self.origin.streams = False
            engine._owner = owner

    # ── what happens now ──────────────────────────────────────────────────────────────────────────────────────────

    def explain(self, request: httpx.Request) -> Explanation:
        return self.transport.explain(request)

    def send(self, request: httpx.Request) -> tuple[Any, int, int]:
        """The outcome (None: an error), how often the server was asked, and how often the request waited.

        Refreshes that it started run to their end. A fetch that it waited for counts as its own leader's.
        """
        held: Any = self.transport._threads
        before, waiting, self.waits = self.origin.asked, list(held.waiting), 0
        try:
            with self._waiting(self.transport):
                response = self.transport.handle_request(request)
                response.read()
                outcome = response.extensions["pywats_cache"]
        except httpx.TransportError:
            outcome = None
        while len(held.waiting) > len(waiting):
            held._run(held.waiting.pop())
        return outcome, self.origin.asked - before - self.asked_while_waiting, self.waits

    @contextmanager
    def _waiting(self, transport: CacheTransport) -> Iterator[None]:
        """Whoever waits here sees the fetch land at once, for there is one thread."""
        wait = transport._wait
        self.asked_while_waiting = 0

        def landing(join: Any) -> Any:
            self.waits += 1
            before = self.origin.asked
            for fetch in self.begun:
                if fetch.flight is join.flight:
                    try:
                        self.before._fetch(fetch).read()
                    except httpx.TransportError:
                        pass
            for response in self.open:
                if not response.is_closed:
                    response.read()
            self.asked_while_waiting += self.origin.asked - before
            join.flight.land(Landing.FAILED)  # if it has not landed by now, nobody will see to it
            return wait(join)

        transport._wait = landing  # type: ignore[method-assign]
        try:
            yield
        finally:
            del transport._wait

    def close(self) -> None:
        for response in self.open:
            response.close()
        for transport in (self.transport, self.before, self.elsewhere):
            if transport is not None:
                transport.close()


def _storage(kind: str, directory: str) -> Any:
    if kind == "memory":
        return MemoryStorage()
    if kind == "small memory":
        return MemoryStorage(max_entries=1)
    if kind == "tiered":
        outer = hishel.SqliteStorage(database_path=Path(directory) / "t.db")
        return TieredStorage(MemoryStorage(max_entries=1), outer)
    return SharedStorage(Path(directory) / "s.db", memory=MemoryStorage(max_entries=1 if "small" in kind else 100))


def a_request(method: str, path: str, headers: Any = None, directives: Any = None) -> httpx.Request:
    content = b'{"filter": 1}' if method == "POST" else None
    extensions = {} if directives is None else {"pywats_cache": directives}
    return httpx.Request(method, f"http://origin{path}", headers=headers, content=content, extensions=extensions)


@contextmanager
def world_of(drawn: dict[str, Any]) -> Iterator[World]:
    """The world that was drawn, after its past."""
    with tempfile.TemporaryDirectory() as directory:
        world = World(drawn, directory)
        try:
            world.live(drawn)
            yield world
        finally:
            world.close()
            for transport in (world.transport, world.elsewhere):
                storage: Any = None if transport is None else transport.storage
                close = getattr(getattr(storage, "outer", storage), "close", None)
                if close is not None:
                    close()
