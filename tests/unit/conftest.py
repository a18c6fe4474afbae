"""The library under test, and an origin that needs no socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import httpx2
import pytest

import pywats_cache
import pywats_cache.httpx
import pywats_cache.httpx2
from pywats_cache import CacheOutcome, Controller
from pywats_cache.testing import FakeClock

LIBRARIES = {"httpx": (httpx, pywats_cache.httpx), "httpx2": (httpx2, pywats_cache.httpx2)}


@pytest.fixture(params=sorted(LIBRARIES))
def lib(request: pytest.FixtureRequest) -> SimpleNamespace:
    """`lib.http` is httpx or its fork httpx2; beside it our classes for that library."""
    http, ours = LIBRARIES[request.param]
    return SimpleNamespace(http=http, name=request.param, **{name: getattr(ours, name) for name in ours.__all__})


class Origin:
    """Answers with a number that grows, so that a test sees which fetch an answer comes from.

    `reply` is what answers instead: a function of the request, or keyword arguments of a Response.
    """

    def __init__(self, http: Any) -> None:
        self.http = http
        self.requests: list[Any] = []
        self.reply: Callable[[Any], Any] | dict[str, Any] = {}
        self.transport = http.MockTransport(self)

    def __call__(self, request: Any) -> Any:
        self.requests.append(request)
        if callable(self.reply):
            return self.reply(request)
        options = {"status_code": 200, "text": str(len(self.requests)), **self.reply}
        if not {"content", "json", "stream", "html"}.isdisjoint(options):
            del options["text"]
        return self.http.Response(**options)

    @property
    def count(self) -> int:
        """Requests seen."""
        return len(self.requests)


@pytest.fixture
def origin(lib: SimpleNamespace) -> Origin:
    """The server behind the transport."""
    return Origin(lib.http)


@pytest.fixture
def cached(lib: SimpleNamespace, origin: Origin, clock: FakeClock) -> Iterator[Callable[..., Any]]:
    """Makes a plain client over a CacheTransport: `cached(Controller(…), storage=…)`."""
    clients = []

    def make(controller: Controller | None = None, storage: Any = None, **options: Any) -> Any:
        transport = lib.CacheTransport(origin.transport, controller=controller, storage=storage, clock=clock)
        client = lib.http.Client(transport=transport, base_url="http://origin", **options)
        client.cache = transport
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def client(cached: Callable[..., Any]) -> Any:
    """A client with the default policy."""
    return cached()


@pytest.fixture
def outcome() -> Callable[[Any], CacheOutcome]:
    """The CacheOutcome of a response."""
    return lambda response: response.extensions["pywats_cache"]
