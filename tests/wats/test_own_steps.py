"""A client of the SDK, or a transport below one, that does more than ours: its steps run on every call."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

import anyio
import httpx
import pytest

from pywats_cache import AsyncCacheTransport, CacheTransport
from pywats_cache.wats import AsyncHttpClient, HttpClient
from pywats_cache.wats import http_clients as http
from pywats_cache.wats.http_call import CALL_STEPS
from pywats_cache.wats.options import check_options

PRODUCT = "/api/Product/PN-1000"


class ThreadHttpClient(http.ThreadHttpClient):
    """The client below `pyWATS`, with the arguments of the others."""

    def __init__(self, base_url: str, token: str, **cache: Any) -> None:
        super().__init__(check_options(CacheTransport, **{**NOTHING, **cache}), base_url=base_url, token=token)


NOTHING: dict[str, Any] = {
    name: parameter.default
    for name, parameter in inspect.signature(HttpClient).parameters.items()
    if name.startswith("cache_") or name == "enable_cache"
}
CLIENTS = {"sync": HttpClient, "async": AsyncHttpClient, "thread": ThreadHttpClient}


@pytest.fixture(params=sorted(CLIENTS))
def kind(request: pytest.FixtureRequest) -> Any:
    return CLIENTS[request.param]


async def settled(found: Any) -> Any:
    return await found if inspect.isawaitable(found) else found


async def asked(client: Any) -> Any:
    return await settled(client.get(PRODUCT))


def counted(step: Any, calls: list[str], name: str) -> Any:
    if isinstance(step, property):
        return property(counted(step.fget, calls, name))

    @wraps(step)
    def counting(*arguments: Any, **options: Any) -> Any:
        calls.append(name)
        return step(*arguments, **options)

    return counting


@pytest.mark.parametrize("where", ["class of the step", "subclass", "instance"])
@pytest.mark.parametrize("name", [*CALL_STEPS, "opens"])
def test_a_replaced_step_runs_on_every_call(
    kind: Any, server: Any, monkeypatch: pytest.MonkeyPatch, name: str, where: str
) -> None:
    name = kind._opens if name == "opens" else name
    if name == "client" and where == "instance":
        where = "subclass"  # an instance has no property of its own
    mine = type("Mine", (kind,), {})
    calls: list[str] = []

    async def scenario() -> None:
        client = mine(server.base_url, server.token)
        try:
            first = [await asked(client) for _ in range(3)][-1]
            lookups = client.cache.stats.lookups
            assert lookups >= 1, "a subclass that replaces nothing is looked up"
            with monkeypatch.context() as patch:
                if where == "instance":
                    patch.setitem(client.__dict__, name, counted(getattr(client, name), calls, name))
                else:
                    owner = next(k for k in mine.__mro__ if name in vars(k))
                    there = mine if where == "subclass" else owner
                    patch.setattr(there, name, counted(vars(owner)[name], calls, name), raising=False)
                for _ in range(3):
                    calls.clear()
                    assert await asked(client) == first
                    assert name in calls, "it was left out"
                assert client.cache.stats.lookups == lookups
            assert await asked(client) == first
            assert client.cache.stats.lookups == lookups + 1
        finally:
            await settled(client.close())

    anyio.run(scenario)


Install = Callable[[Any, Any, list[str]], Any]


def signing(step: Any, user: list[str]) -> Any:
    def signed(*arguments: Any) -> Any:
        arguments[-1].headers["Authorization"] = user[0]
        return step(*arguments)

    return signed


def own_transport(kind: Any, server: Any, user: list[str]) -> Any:
    base, handle, below = (
        (AsyncCacheTransport, "handle_async_request", httpx.AsyncHTTPTransport)
        if kind is AsyncHttpClient
        else (CacheTransport, "handle_request", httpx.HTTPTransport)
    )

    class Signing(base):  # type: ignore[misc, valid-type]
        def __init__(self, transport: Any) -> None:
            super().__init__(transport)
            self.user = user

    def handling(self: Any, request: Any) -> Any:
        return signing(getattr(base, handle), self.user)(self, request)

    setattr(Signing, handle, handling)
    return kind(server.base_url, server.token, cache_transport=Signing(below()))


def wrapped_transport(kind: Any, server: Any, user: list[str]) -> Any:
    client = kind(server.base_url, server.token)
    handle = "handle_async_request" if kind is AsyncHttpClient else "handle_request"
    setattr(client.cache, handle, signing(getattr(client.cache, handle), user))
    return client


def wrapped_send(kind: Any, server: Any, user: list[str]) -> Any:
    client = kind(server.base_url, server.token)
    client._client._send_single_request = signing(client._client._send_single_request, user)
    return client


@pytest.mark.parametrize("install", [own_transport, wrapped_transport, wrapped_send])
def test_bob_does_not_get_the_answer_of_alice(kind: Any, server: Any, install: Install) -> None:
    alice, bob = (f"Basic {server.token_for(name)}" for name in ("alice", "bob"))
    user = [alice]

    async def scenario() -> None:
        client = install(kind, server, user)
        try:
            for name in (alice, bob, alice):
                user[0] = name
                for _ in range(3):
                    await asked(client)
            assert client.cache.stats.lookups == 0
        finally:
            await settled(client.close())

    anyio.run(scenario)
    assert server.request_count == 2
