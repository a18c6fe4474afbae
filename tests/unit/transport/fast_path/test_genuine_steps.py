"""A client or a transport that does more than ours: what a lookup would leave out runs on every request."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial, wraps
from http.cookiejar import Cookie, CookieJar
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from held_refreshes import HeldRefreshes

from pywats_cache import Controller
from pywats_cache.testing import FakeClock
from pywats_cache.transport.ordinary_way import CLIENT_STEPS, JAR_STEPS

PROPERTIES = ("headers", "cookies", "params", "base_url", "timeout")


class Face:
    """The sync or the async classes of one library, used alike."""

    def __init__(self, lib: SimpleNamespace, origin: Any, clock: FakeClock, *, is_async: bool) -> None:
        prefix = "Async" if is_async else ""
        self.is_async = is_async
        self.http, self.origin, self._clock = lib.http, origin, clock
        self.client_class = getattr(lib, f"{prefix}CacheClient")
        self.transport_class = getattr(lib, f"{prefix}CacheTransport")
        self.library_client = getattr(lib.http, f"{prefix}Client")
        self.handle = "handle_async_request" if is_async else "handle_request"

    def client(self, kind: Any = None, **options: Any) -> Any:
        options = {"transport": self.origin.transport, "clock": self._clock, "base_url": "http://origin", **options}
        return (kind or self.client_class)(**options)

    def over(self, kind: Any, client: Any = None, **options: Any) -> Any:
        """A client over a transport of this class."""
        transport = kind(self.origin.transport, clock=self._clock)
        return (client or self.client_class)(transport=transport, base_url="http://origin", **options)

    def get(self, client: Any, url: str = "/a", **options: Any) -> Any:
        if self.is_async:
            return anyio.run(partial(client.get, url, **options))
        return client.get(url, **options)

    def texts(self, client: Any, count: int, url: str = "/a") -> list[str]:
        return [self.get(client, url).text for _ in range(count)]


@pytest.fixture(params=["sync", "async"])
def face(request: pytest.FixtureRequest, lib: SimpleNamespace, origin: Any, clock: FakeClock) -> Face:
    return Face(lib, origin, clock, is_async=request.param == "async")


def lookups(client: Any) -> int:
    count: int = client.cache.stats.lookups
    return count


# ── credentials that are added on the way ─────────────────────────────────────────────────────────────────────────────


class Signer:
    """Adds the credentials of the user of the moment to the first request among the arguments of a call."""

    def __init__(self) -> None:
        self.user = "alice"

    def sign(self, request: Any) -> None:
        request.headers["Authorization"] = self.user

    def around(self, step: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(step)
        def signing(*arguments: Any, **options: Any) -> Any:
            for argument in (*arguments, *options.values()):
                if hasattr(argument, "url") and hasattr(argument, "method"):
                    self.sign(argument)
                    break
            return step(*arguments, **options)

        return signing


@pytest.fixture
def signer() -> Signer:
    return Signer()


Install = Callable[[Face, Signer, pytest.MonkeyPatch], Any]


def subclass_of_the_transport(face: Face, signer: Signer, patch: pytest.MonkeyPatch) -> Any:
    handle = signer.around(getattr(face.transport_class, face.handle))
    return face.over(type("Signing", (face.transport_class,), {face.handle: handle}))


def subclass_of_the_transport_on_a_route(face: Face, signer: Signer, patch: pytest.MonkeyPatch) -> Any:
    handle = signer.around(getattr(face.transport_class, face.handle))
    plain = face.transport_class(face.origin.transport)
    signing = type("Signing", (face.transport_class,), {face.handle: handle})
    mount = signing._sharing(plain._engine, None, transport=face.origin.transport)
    return face.client_class(transport=plain, mounts={"all://origin": mount}, base_url="http://origin")


def transport_replaced_by_a_proxy_object(face: Face, signer: Signer, patch: pytest.MonkeyPatch) -> Any:
    client = learnt(face)
    below = client._transport

    class Proxy:
        __class__ = property(lambda self: type(below))  # type: ignore[assignment]

        def __getattr__(self, name: str) -> Any:
            step = getattr(below, name)
            return signer.around(step) if name == face.handle else step

    client._transport = Proxy()
    return client


def handle_wrapped_on_the_transport(face: Face, signer: Signer, patch: pytest.MonkeyPatch) -> Any:
    client = learnt(face)
    setattr(client._transport, face.handle, signer.around(getattr(client._transport, face.handle)))
    return client


def handle_wrapped_on_the_transport_of_a_route(face: Face, signer: Signer, patch: pytest.MonkeyPatch) -> Any:
    client = learnt(face, mounts={"all://origin": face.origin.transport})
    (mounted,) = client._mounts.values()
    setattr(mounted, face.handle, signer.around(getattr(mounted, face.handle)))
    return client


def route_replaced_in_place(face: Face, signer: Signer, patch: pytest.MonkeyPatch) -> Any:
    client = learnt(face, mounts={"all://origin": face.origin.transport})
    ((pattern, mounted),) = client._mounts.items()

    class Equal(SimpleNamespace):
        __class__ = property(lambda self: type(mounted))  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            return other is mounted

        __hash__ = None  # type: ignore[assignment]

    client._mounts.update({pattern: Equal(**{face.handle: signer.around(getattr(mounted, face.handle))})})
    return client


def handle_patched_in_the_class(face: Face, signer: Signer, patch: pytest.MonkeyPatch) -> Any:
    client = learnt(face)
    owner = next(kind for kind in face.transport_class.__mro__ if face.handle in vars(kind))
    patch.setattr(owner, face.handle, signer.around(getattr(owner, face.handle)))
    return client


def step_patched_in_the_library(name: str) -> Install:
    def install(face: Face, signer: Signer, patch: pytest.MonkeyPatch) -> Any:
        client = learnt(face)
        patch.setattr(face.library_client, name, signer.around(getattr(face.library_client, name)))
        return client

    install.__name__ = f"{name} patched in the library"
    return install


def step_patched_before_the_client_was_made(face: Face, signer: Signer, patch: pytest.MonkeyPatch) -> Any:
    patch.setattr(face.library_client, "send", signer.around(face.library_client.send))
    return face.client()


def step_wrapped_on_the_client(name: str) -> Install:
    def install(face: Face, signer: Signer, patch: pytest.MonkeyPatch) -> Any:
        client = learnt(face)
        setattr(client, name, signer.around(getattr(client, name)))
        return client

    install.__name__ = f"{name} wrapped on the client"
    return install


def step_overridden(name: str) -> Install:
    def install(face: Face, signer: Signer, patch: pytest.MonkeyPatch) -> Any:
        step = signer.around(getattr(face.client_class, name))
        return face.client(type("Signing", (face.client_class,), {name: step}))

    install.__name__ = f"{name} overridden"
    return install


def build_request_overridden(face: Face, signer: Signer, patch: pytest.MonkeyPatch) -> Any:
    def build_request(self: Any, *arguments: Any, **options: Any) -> Any:
        request = face.client_class.build_request(self, *arguments, **options)
        signer.sign(request)
        return request

    return face.client(type("Signing", (face.client_class,), {"build_request": build_request}))


def headers_overridden(face: Face, signer: Signer, patch: pytest.MonkeyPatch) -> Any:
    theirs = face.client_class.headers

    def headers(self: Any) -> Any:
        headers = theirs.fget(self).copy()
        headers["Authorization"] = signer.user
        return headers

    return face.client(type("Signing", (face.client_class,), {"headers": property(headers, theirs.fset)}))


def transport_for_url_patched(face: Face, signer: Signer, patch: pytest.MonkeyPatch) -> Any:
    client = learnt(face)
    find = client._transport_for_url

    def signing(url: Any) -> Any:
        return SimpleNamespace(**{face.handle: signer.around(getattr(find(url), face.handle))})

    patch.setattr(client, "_transport_for_url", signing)
    return client


class UsersJar(CookieJar):
    """It is always empty, and has a cookie of the user of the moment all the same."""

    def __init__(self, signer: Signer) -> None:
        super().__init__()
        self._signer = signer

    def __iter__(self) -> Iterator[Cookie]:
        user = self._signer.user
        return iter(
            [Cookie(0, "user", user, None, False, "", False, False, "/", True, False, None, False, None, None, {})]
        )

    def add_cookie_header(self, request: Any) -> None:
        request.add_unredirected_header("Cookie", f"user={self._signer.user}")


def cookie_jar_of_ones_own(face: Face, signer: Signer, patch: pytest.MonkeyPatch) -> Any:
    client = learnt(face)
    client.cookies.jar = UsersJar(signer)
    return client


def learnt(face: Face, **options: Any) -> Any:
    """A client that has answered `/a` by a lookup."""
    client = face.client(**options)
    before = face.texts(client, 3)
    assert before == ["1"] * 3
    assert lookups(client) >= 1
    return client


SENDING = ("send", "_send_single_request", "_send_handling_auth", "_send_handling_redirects", "_set_timeout")
INSTALL: list[Install] = [
    subclass_of_the_transport,
    subclass_of_the_transport_on_a_route,
    transport_replaced_by_a_proxy_object,
    handle_wrapped_on_the_transport,
    handle_wrapped_on_the_transport_of_a_route,
    route_replaced_in_place,
    handle_patched_in_the_class,
    step_patched_before_the_client_was_made,
    build_request_overridden,
    headers_overridden,
    transport_for_url_patched,
    cookie_jar_of_ones_own,
    *map(step_patched_in_the_library, SENDING),
    *map(step_wrapped_on_the_client, SENDING),
    *map(step_overridden, SENDING),
]


@pytest.mark.parametrize("install", INSTALL, ids=lambda install: install.__name__)
def test_bob_does_not_get_the_answer_of_alice(
    face: Face, signer: Signer, monkeypatch: pytest.MonkeyPatch, install: Install
) -> None:
    client = install(face, signer, monkeypatch)
    before = lookups(client)
    (alice,) = set(face.texts(client, 3))
    signer.user = "bob"
    (bob,) = set(face.texts(client, 3))
    assert alice != bob
    sent = [(r.headers.get("Authorization") or r.headers.get("Cookie", "")) for r in face.origin.requests]
    assert [user.removeprefix("user=") for user in sent][-2:] == ["alice", "bob"]
    signer.user = "alice"
    assert face.texts(client, 3) == [alice] * 3
    assert client.lookup("GET", "/a") is None
    assert lookups(client) == before


# ── every step, however it is replaced ────────────────────────────────────────────────────────────────────────────────


class Lying:
    """A wrapper as wrapt makes it: it has the class, the name and the hash of what it wraps, and is equal to it."""

    def __init__(self, step: Any, calls: list[str], name: str) -> None:
        self.__wrapped__, self._calls, self._name = step, calls, name

    @property
    def __class__(self) -> Any:  # type: ignore[override]
        return type(self.__wrapped__)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__wrapped__, name)

    def __eq__(self, other: object) -> bool:
        return bool(self.__wrapped__ == other)

    def __hash__(self) -> int:
        return hash(self.__wrapped__)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return Lying(self.__wrapped__, self._calls, self._name)
        return counted(self.__wrapped__.__get__(instance, owner), self._calls, self._name)


class LyingProperty(Lying):
    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return LyingProperty(self.__wrapped__, self._calls, self._name)
        self._calls.append(self._name)
        return self.__wrapped__.__get__(instance, owner)

    def __set__(self, instance: Any, value: Any) -> None:
        self.__wrapped__.__set__(instance, value)


def counted(step: Any, calls: list[str], name: str) -> Any:
    if isinstance(step, property):
        return property(counted(step.fget, calls, name), step.fset)

    @wraps(step)
    def counting(*arguments: Any, **options: Any) -> Any:
        calls.append(name)
        return step(*arguments, **options)

    return counting


CASES = [
    (name, where) for name in CLIENT_STEPS for where in ("library", "lying wrapper", "ours", "subclass", "instance")
]
CASES = [case for case in CASES if case[0] not in PROPERTIES or case[1] != "instance"]  # which has no properties
CASES += [("get", "library"), ("get", "lying wrapper")]  # any other is what the caller calls


@pytest.mark.parametrize(("name", "where"), CASES)
def test_a_replaced_step_runs_on_every_request(
    face: Face, monkeypatch: pytest.MonkeyPatch, name: str, where: str
) -> None:
    calls: list[str] = []
    mine = type("Mine", (face.client_class,), {})
    client = learnt_of(face, mine)
    owner = next(kind for kind in face.library_client.__mro__ if name in vars(kind))
    step = vars(owner)[name]
    lying = LyingProperty if name in PROPERTIES else Lying
    with monkeypatch.context() as patch:
        if where == "instance":
            patch.setitem(client.__dict__, name, counted(getattr(client, name), calls, name))
        else:
            there = {"ours": face.client_class, "subclass": mine}.get(where, owner)
            new = lying(step, calls, name) if where == "lying wrapper" else counted(step, calls, name)
            patch.setattr(there, name, new, raising=False)
        before = lookups(client)
        for _ in range(3):
            calls.clear()
            assert face.get(client).text == "1"
            assert name in calls, "it was left out"
        assert client.lookup("GET", "/a") is None
        assert lookups(client) == before
    assert face.texts(client, 2) == ["1", "1"]
    assert lookups(client) == before + 2, "nothing stands in the way any more"


def learnt_of(face: Face, kind: Any) -> Any:
    client = face.client(kind)
    assert face.texts(client, 3) == ["1"] * 3
    assert lookups(client) >= 1, "a subclass that replaces nothing is looked up"
    return client


def test_attributes_of_a_subclass_are_no_steps(face: Face) -> None:
    def init(self: Any, **options: Any) -> None:
        face.client_class.__init__(self, **options)
        self.token, self.retries = "x", 3

    client = learnt_of(face, type("Mine", (face.client_class,), {"__init__": init}))
    client.another = 1
    before = lookups(client)
    assert face.get(client).text == "1"
    assert lookups(client) == before + 1


def test_a_class_of_others_behind_ours_is_left_its_get(face: Face) -> None:
    calls: list[str] = []
    traced = type("Traced", (face.library_client,), {"get": counted(face.library_client.get, calls, "get")})
    client = face.client(type("Mine", (face.client_class, traced), {}))
    assert face.texts(client, 3) == ["1"] * 3
    assert calls == ["get"] * 3


@pytest.mark.parametrize("name", JAR_STEPS)
def test_a_cookie_jar_that_does_more_leaves_it_to_the_client(face: Face, name: str) -> None:
    calls: list[str] = []
    jar = type("Jar", (CookieJar,), {name: counted(getattr(CookieJar, name), calls, name)})()
    client = face.client()
    client.cookies.jar = jar
    assert face.texts(client, 3) == ["1"] * 3
    assert lookups(client) == 0


# ── stale answers, joins, and what is learnt ──────────────────────────────────────────────────────────────────────────


def test_a_stale_answer_is_not_looked_up_past_a_replaced_step(
    lib: SimpleNamespace, origin: Any, clock: FakeClock
) -> None:
    face = Face(lib, origin, clock, is_async=False)
    client = face.client(controller=Controller(ttl=10.0, stale_while_revalidate=60.0))
    held = HeldRefreshes(client.cache)
    face.texts(client, 3)
    clock.advance(11)
    calls: list[str] = []
    client.send = counted(client.send, calls, "send")
    before = lookups(client)
    assert client.get("/a").extensions["pywats_cache"].status == "stale"
    assert (calls, lookups(client), len(held.waiting)) == (["send"], before, 1)
    del client.send
    assert client.get("/a").extensions["pywats_cache"].status == "stale"
    assert lookups(client) == before + 1


def test_a_fetch_of_another_is_not_joined_past_a_replaced_step(face: Face) -> None:
    client = face.client()
    face.texts(client, 3, "/other")
    request = client.build_request("GET", "/a")
    fetching = threading.Thread(target=lambda: client.cache._engine.begin(request))
    client._engine._owner = lambda: (threading.get_ident(), None)
    fetching.start()
    fetching.join(60)
    assert client._door.answer("/a", {}).__class__.__name__ == "First"
    assert client._door.answer("/a", {}).__class__.__name__ == "Pending"
    setattr(client._transport, face.handle, getattr(client._transport, face.handle))
    assert client._door.answer("/a", {}) is None
    delattr(client._transport, face.handle)
    client.send = client.send
    assert client._door.answer("/a", {}) is None


@pytest.mark.parametrize("how", ["next transport wrapped", "next transport patched", "client patched meanwhile"])
def test_a_request_that_went_another_way_teaches_nothing(face: Face, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    client = face.client()
    below = face.origin.transport
    handle = getattr(below, face.handle)

    def marking(*arguments: Any) -> Any:
        arguments[-1].headers["X-Trace"] = "1"
        return handle(arguments[-1])

    def patching(request: Any) -> Any:
        request.headers["X-Trace"] = "1"
        client.send = client.send
        return face.http.Response(200, text="1")

    with monkeypatch.context() as patch:
        if how == "next transport patched":
            patch.setattr(type(below), face.handle, marking)
        elif how == "next transport wrapped":
            patch.setitem(below.__dict__, face.handle, marking)
        else:
            face.origin.reply = patching
        face.get(client)
    client.__dict__.pop("send", None)
    before = lookups(client)
    assert "X-Trace" not in face.get(client).request.headers
    assert lookups(client) == before + 1
