"""Redirects, cookies, auth flows, event hooks, timeouts, extensions, routes: as without the cache."""

from __future__ import annotations

import hashlib
import re
import socket
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from loopback import LONG, Exchange, Server

from pywats_cache import CacheOutcome, Controller, MemoryStorage, Read

pytestmark = pytest.mark.anyio
Make = Callable[..., Any]
Outcome = Callable[[Any], CacheOutcome]


# ── redirects ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_followed_to_a_cached_target(
    make: Make, server: Server, outcome: Outcome, status: int
) -> None:
    server.answers("/old", b"moved", status, {"Location": "/new"})
    server.answers("/new", b"here")
    caller = make()
    responses = [await caller.get("/old", follow_redirects=True) for _ in range(2)]
    assert [response.content for response in responses] == [b"here", b"here"]
    assert [outcome(response).status for response in responses] == ["miss", "hit"]
    for response in responses:
        assert [step.status_code for step in response.history] == [status]
        assert str(response.url) == f"{server.url}/new"
        assert str(response.history[0].url) == f"{server.url}/old"
    assert (server.count("/old"), server.count("/new")) == (2, 1)
    assert caller.cache.stats.requests == 4, "each step counts"


async def test_a_redirect_that_is_not_followed_is_handed_on(make: Make, server: Server) -> None:
    server.answers("/old", b"moved", 302, {"Location": "/new"})
    response = await make().get("/old")
    assert response.status_code == 302
    assert response.has_redirect_location
    assert str(response.next_request.url) == f"{server.url}/new"


async def test_a_redirect_stored_by_rule_is_followed_from_the_cache(make: Make, server: Server) -> None:
    server.answers("/old", b"moved", 301, {"Location": "/new"})
    server.answers("/new", b"here")
    caller = make(cache={"controller": Controller([Read("/old", statuses=(200, 301))])})
    for _ in range(3):
        response = await caller.get("/old", follow_redirects=True)
        assert (response.content, len(response.history)) == (b"here", 1)
    unfollowed = await caller.get("/old")
    assert str(unfollowed.next_request.url) == f"{server.url}/new"
    assert server.count() == 2


async def test_a_redirect_loop_ends_as_ever(make: Make, server: Server, lib: SimpleNamespace) -> None:
    server.answers("/loop", b"", 302, {"Location": "/loop"})
    with pytest.raises(lib.http.TooManyRedirects):
        await make(cache={"controller": Controller([Read("/loop", statuses=(302,))])}).get(
            "/loop", follow_redirects=True
        )


async def test_a_post_that_redirects_to_a_get_dirties_its_path_only(make: Make, server: Server) -> None:
    server.answers("/form/submit", b"", 303, {"Location": "/done"})
    caller = make(follow_redirects=True)
    await caller.get("/done")
    await caller.get("/form/submit/x")
    response = await caller.request("POST", "/form/submit", json={})
    assert response.extensions["pywats_cache"].status == "hit"
    assert (await caller.get("/form/submit/x")).text == "4"


# ── cookies ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_answer_that_sets_a_cookie_is_never_stored(make: Make, server: Server, outcome: Outcome) -> None:
    server.answers("/login", b"welcome", headers=[("Set-Cookie", "session=1; Path=/"), ("Set-Cookie", "b=2")])
    caller = make()
    for count in (1, 2):
        response = await caller.get("/login")
        assert dict(response.cookies) == {"session": "1", "b": "2"}
        assert outcome(response)[:2] == ("miss", "set-cookie")
        assert server.count() == count
    assert caller.client.cookies["session"] == "1"
    assert caller.cache.stats.entries == 0


async def test_cookies_of_the_jar_are_sent_and_separate(make: Make, server: Server) -> None:
    server.on("/me", lambda exchange: exchange.send(exchange.seen.headers.get("cookie", "nobody").encode()))
    caller = make()
    assert (await caller.get("/me")).text == "nobody"
    for user in ("one", "two", "one"):
        caller.client.cookies.set("user", user)
        assert (await caller.get("/me")).text == f"user={user}"
        assert (await caller.get("/me")).text == f"user={user}"
    caller.client.cookies.clear()
    assert (await caller.get("/me")).text == "nobody"
    assert server.count() == 3


# ── auth flows ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_basic_auth_separates(make: Make, server: Server) -> None:
    server.on("/me", lambda exchange: exchange.send(exchange.seen.headers.get("authorization", "-").encode()))
    caller = make()
    texts = [(await caller.get("/me", auth=(user, "pw"))).text for user in ("one", "two", "one", "two")]
    assert texts[:2] == texts[2:]
    assert texts[0] != texts[1]
    assert (await caller.get("/me")).text == "-"
    assert server.count() == 3


def digest_protected(exchange: Exchange) -> None:
    """RFC 7616 with MD5 and qop=auth for user `u`, password `p`."""

    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    given = dict(re.findall(r'(\w+)="?([^",]+)"?', exchange.seen.headers.get("authorization", "")))
    if given:
        expected = md5(
            ":".join((md5("u:r:p"), given["nonce"], given["nc"], given["cnonce"], "auth", md5(f"GET:{exchange.path}")))
        )
        if given["response"] == expected:
            exchange.send(b"secret")
            return
    challenge = 'Digest realm="r", nonce="n", qop="auth", algorithm=MD5'
    exchange.send(b"who?", 401, {"WWW-Authenticate": challenge})


async def test_digest_auth_works_and_its_401_is_not_stored(make: Make, server: Server, lib: SimpleNamespace) -> None:
    server.on("/a", digest_protected)
    caller = make(cache={"controller": Controller(drop_on=(401,))})
    for _ in range(2):
        response = await caller.get("/a", auth=lib.http.DigestAuth("u", "p"))
        assert (response.status_code, response.content) == (200, b"secret")
        assert [step.status_code for step in response.history] == [401]
    wrong = await caller.get("/a", auth=lib.http.DigestAuth("u", "wrong"))
    assert (wrong.status_code, wrong.content) == (401, b"who?")
    assert (await caller.get("/a")).status_code == 401


async def test_an_auth_flow_that_reads_the_response_gets_a_cached_one(
    make: Make, server: Server, lib: SimpleNamespace
) -> None:
    class Flow(lib.http.Auth):
        requires_response_body = True

        def auth_flow(self, request: Any) -> Any:
            token = yield lib.http.Request("GET", f"{server.url}/token")
            request.headers["Authorization"] = token.text
            yield request

    server.answers("/token", b"Bearer 1")
    server.on("/me", lambda exchange: exchange.send(exchange.seen.headers["authorization"].encode()))
    caller = make(auth=Flow())
    assert [(await caller.get("/me")).text for _ in range(3)] == ["Bearer 1"] * 3
    assert (server.count("/token"), server.count("/me")) == (1, 1)


# ── event hooks ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_event_hooks_see_every_request_and_response(make: Make, server: Server, sync: bool) -> None:
    seen: list[str] = []

    def on_request(request: Any) -> None:
        seen.append(request.method)
        request.headers["X-Hook"] = "1"

    def on_response(response: Any) -> None:
        seen.append(response.extensions["pywats_cache"].status)

    async def on_request_async(request: Any) -> None:
        on_request(request)

    async def on_response_async(response: Any) -> None:
        await response.aread()
        on_response(response)

    hooks: Any = {
        "request": [on_request if sync else on_request_async],
        "response": [on_response if sync else on_response_async],
    }
    caller = make(event_hooks=hooks)
    for _ in range(2):
        assert (await caller.get("/a")).text == "1"
    assert seen == ["GET", "miss", "GET", "hit"]
    assert server.log[0].headers["x-hook"] == "1"


async def test_a_hook_that_raises_for_status_leaves_the_pool_whole(
    make: Make, server: Server, lib: SimpleNamespace, sync: bool
) -> None:
    def check(response: Any) -> None:
        response.raise_for_status()

    async def check_async(response: Any) -> None:
        response.raise_for_status()

    server.answers("/bad", b"x" * 100, 500)
    caller = make(
        event_hooks={"response": [check if sync else check_async]},
        limits=lib.http.Limits(max_connections=1),
        timeout=lib.http.Timeout(LONG, pool=LONG),
    )
    for _ in range(3):
        with pytest.raises(lib.http.HTTPStatusError):
            await caller.get("/bad")
    assert (await caller.get("/a")).status_code == 200


# ── timeouts and extensions ───────────────────────────────────────────────────────────────────────────────────────────


class Recorder:
    """What the next transport is given; answers itself."""

    def __init__(self, http: Any) -> None:
        self.http = http
        self.requests: list[Any] = []
        self.transport = http.MockTransport(self)

    def __call__(self, request: Any) -> Any:
        self.requests.append(request)
        return self.http.Response(200, text="x")


async def test_timeouts_reach_the_next_transport(make: Make, lib: SimpleNamespace) -> None:
    recorder = Recorder(lib.http)
    caller = make(next=recorder.transport, timeout=lib.http.Timeout(1, read=2, write=3, pool=4))
    await caller.get("/a")
    await caller.get("/b", timeout=9)
    await caller.request("POST", "/c", timeout=None)
    assert [request.extensions["timeout"] for request in recorder.requests] == [
        {"connect": 1, "read": 2, "write": 3, "pool": 4},
        {"connect": 9, "read": 9, "write": 9, "pool": 9},
        {"connect": None, "read": None, "write": None, "pool": None},
    ]


@pytest.mark.parametrize("kind", ["client", "mounted"])
async def test_the_request_reaches_the_next_transport_untouched(make: Make, lib: SimpleNamespace, kind: str) -> None:
    recorder = Recorder(lib.http)
    caller = make(kind, next=recorder.transport)

    def trace(*args: Any) -> None:
        pass

    extensions = {"trace": trace, "sni_hostname": "other", "mine": object(), "timeout": {"read": 5}}
    for method in ("GET", "POST"):
        request = caller.client.build_request(method, "/a?b=1", headers=[("X", "1"), ("X", "2")], extensions=extensions)
        before = (list(request.headers.raw), dict(request.extensions), str(request.url))
        await caller.send(request)
        assert recorder.requests[-1] is request
        assert (list(request.headers.raw), dict(request.extensions), str(request.url)) == before


async def test_a_read_timeout_is_raised_as_ever(make: Make, server: Server, lib: SimpleNamespace) -> None:
    leave = threading.Event()
    server.on("/slow", lambda exchange: leave.wait(LONG))
    caller = make()
    for method in ("GET", "POST"):
        with pytest.raises(lib.http.ReadTimeout):
            await caller.request(method, "/slow", timeout=lib.http.Timeout(LONG, read=0.05))
    leave.set()


async def test_trace_sees_a_fetch_and_nothing_of_a_hit(make: Make, server: Server, sync: bool) -> None:
    events: list[str] = []

    def trace(name: str, info: Any) -> None:
        events.append(name)

    async def trace_async(name: str, info: Any) -> None:
        events.append(name)

    extensions = {"trace": trace if sync else trace_async}
    caller = make()
    await caller.get("/a", extensions=extensions)
    assert any(name.endswith("send_request_headers.complete") for name in events)
    events.clear()
    assert (await caller.get("/a", extensions=extensions)).text == "1"
    assert events == []


async def test_the_extensions_of_a_miss_are_those_of_the_next_transport(make: Make, server: Server) -> None:
    bare = await make("bare").get("/a")
    for kind in ("client", "mounted"):
        caller = make(kind)
        for path in ("/a", "/missing"):
            response = await caller.get(path)
            assert set(response.extensions) == {*bare.extensions, "pywats_cache"}
            assert response.extensions["http_version"] == b"HTTP/1.1"
        assert set((await caller.request("PUT", "/a")).extensions) == {*bare.extensions, "pywats_cache"}


# ── routes ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_goes_through_a_proxy_is_cached_by_the_same_engine(make: Make, server: Server) -> None:
    server.on("/a", lambda exchange: exchange.send(exchange.path.encode()))
    caller = make(proxy=server.url)
    for _ in range(2):
        assert (await caller.get("http://far.example/a")).text == "http://far.example/a"
    assert server.count() == 1
    assert (caller.cache.stats.misses, caller.cache.stats.hits) == (1, 1)
    await caller.request("DELETE", "http://far.example/a")
    await caller.get("http://far.example/a")
    assert server.count() == 3


async def test_a_proxy_of_the_environment_is_cached_too(
    make: Make, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    caller = make(trust_env=True)
    for _ in range(2):
        assert (await caller.get("http://far.example/a")).text == "1"
    assert server.log[0].target == "http://far.example/a"
    assert server.count() == 1


async def test_mounts_are_cached_and_a_write_through_one_dirties_what_came_through_another(
    make: Make, server: Server, lib: SimpleNamespace, sync: bool
) -> None:
    plain = lib.http.HTTPTransport if sync else lib.http.AsyncHTTPTransport
    caller = make(mounts={"all://127.0.0.1": plain(verify=False)})
    for _ in range(2):
        assert (await caller.get("/a")).text == "1"
    await caller.request("PUT", "/a")
    assert (await caller.get("/a")).text == "3"
    assert caller.cache.stats.requests == 4


async def test_http2_is_accepted_and_falls_back(make: Make, server: Server) -> None:
    caller = make(http2=True)
    assert [(await caller.get("/a")).text for _ in range(2)] == ["1", "1"]


async def test_a_unix_socket_transport_may_be_next(make: Make, lib: SimpleNamespace, sync: bool, tmp_path: Any) -> None:
    path = str(tmp_path / "s")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            while connection.recv(65536):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nunix")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    plain = lib.http.HTTPTransport if sync else lib.http.AsyncHTTPTransport
    caller = make(next=plain(uds=path))
    assert [(await caller.get("http://unix/a")).text for _ in range(2)] == ["unix", "unix"]
    if sync:
        caller.client.close()
    else:
        await caller.client.aclose()
    thread.join(LONG)
    listener.close()


async def test_a_hit_needs_no_server(make: Make, server: Server, lib: SimpleNamespace) -> None:
    caller = make(limits=lib.http.Limits(max_keepalive_connections=0))
    await caller.get("/a")
    server.close()
    assert (await caller.get("/a")).text == "1"
    with pytest.raises(lib.http.TransportError):
        await caller.get("/b")


async def test_a_refused_write_dirties_nothing(make: Make, server: Server, lib: SimpleNamespace) -> None:
    caller = make(limits=lib.http.Limits(max_keepalive_connections=0))
    await caller.get("/a")
    server.close()
    with pytest.raises(lib.http.ConnectError):
        await caller.request("PUT", "/a")
    assert (await caller.get("/a")).text == "1"


async def test_two_clients_of_one_storage_are_coherent(make: Make, server: Server) -> None:
    storage = MemoryStorage()
    one, two = make(cache={"storage": storage}), make("mounted", cache={"storage": storage})
    assert (await one.get("/a")).text == "1"
    assert (await two.get("/a")).text == "1"
    await two.request("PATCH", "/a")
    assert (await one.get("/a")).text == "3"
