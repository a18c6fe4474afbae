"""One user's answer is never given to another."""

from __future__ import annotations

import base64
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from loopback import LONG, Exchange, Server

from pywats_cache import Controller, MemoryStorage, Read

Make = Callable[..., Any]


def who(exchange: Exchange) -> None:
    """Says who asks, from whatever tells it."""
    names = ("authorization", "cookie", "x-api-key", "proxy-authorization", "x-tenant")
    exchange.send(repr([exchange.seen.headers.get(name) for name in names]).encode())


WAYS: dict[str, Callable[[str], dict[str, Any]]] = {
    "bearer": lambda user: {"headers": {"Authorization": f"Bearer {user}"}},
    "basic": lambda user: {"auth": (user, "pw")},
    "cookie": lambda user: {"headers": {"Cookie": f"session={user}"}},
    "api-key": lambda user: {"headers": {"X-API-Key": user}},
    "proxy": lambda user: {"headers": {"Proxy-Authorization": user}},
}


@pytest.mark.anyio
@pytest.mark.parametrize("way", sorted(WAYS))
async def test_each_user_gets_his_own(make: Make, server: Server, way: str) -> None:
    server.on("/me", who)
    caller, bare = make(), make("bare")
    expected = {user: (await bare.get("/me", **WAYS[way](user))).text for user in ("ann", "bob")}
    assert expected["ann"] != expected["bob"]
    for _ in range(3):
        for user in ("ann", "bob"):
            assert (await caller.get("/me", **WAYS[way](user))).text == expected[user]
    assert server.count() == 4
    assert "ann" not in (await caller.get("/me")).text


@pytest.mark.anyio
async def test_the_userinfo_of_a_url_separates(make: Make, server: Server) -> None:
    server.on("/me", who)
    caller = make()
    for user in ("one", "two", "one"):
        text = (await caller.get(f"http://{user}:pw@{server.host}/me")).text
        assert base64.b64encode(f"{user}:pw".encode()).decode() in text
    assert server.count() == 2


@pytest.mark.anyio
async def test_a_post_that_reads_separates(make: Make, server: Server) -> None:
    server.on("/query", who)
    caller = make(cache={"controller": Controller([Read("/query", methods=("POST",))])})
    for user in ("one", "two", "one"):
        response = await caller.request("POST", "/query", json={}, headers={"Authorization": user})
        assert user in response.text
    assert server.count() == 2


@pytest.mark.anyio
async def test_a_header_set_on_the_client_later_separates(make: Make, server: Server) -> None:
    server.on("/me", who)
    caller = make()
    for user in ("one", "two", "one", "two"):
        caller.client.headers["Authorization"] = user
        assert user in (await caller.get("/me")).text
    caller.client.headers.pop("Authorization")
    caller.client.auth = ("three", "pw")
    assert base64.b64encode(b"three:pw").decode() in (await caller.get("/me")).text
    assert server.count() == 3


@pytest.mark.anyio
async def test_a_tenant_separates_where_the_controller_says_so(make: Make, server: Server) -> None:
    server.on("/me", who)
    caller = make(cache={"controller": Controller(partition=("X-Tenant",))})
    for tenant in ("one", "two", "one"):
        assert tenant in (await caller.get("/me", headers={"X-Tenant": tenant})).text
    assert server.count() == 2


def test_many_users_at_once_over_one_storage(server: Server, lib: SimpleNamespace) -> None:
    server.on("/me", who)
    storage = MemoryStorage()
    users = [f"user-{n}" for n in range(6)]
    clients = {
        user: lib.CacheClient(verify=False, storage=storage, base_url=server.url, headers={"Authorization": user})
        for user in users
    }

    def ask(n: int) -> bool:
        user = users[n % len(users)]
        return f"'{user}'" in clients[user].get("/me").text

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(300), timeout=LONG))
    assert server.count() == len(users), "collapsed within a user, never across"
    for client in clients.values():
        client.close()


def test_a_revoked_user_loses_what_is_stored_for_him(server: Server, lib: SimpleNamespace) -> None:
    server.on("/me", who)
    with lib.CacheClient(verify=False, controller=Controller(drop_on=(401,)), base_url=server.url) as client:
        for user in ("one", "two"):
            client.get("/me", headers={"Authorization": user})
        server.answers("/check", b"", 401)
        client.get("/check", headers={"Authorization": "one"})
        server.answers("/me", b"", 401)
        assert client.get("/me", headers={"Authorization": "one"}).status_code == 401
        assert client.get("/me", headers={"Authorization": "two"}).status_code == 200
