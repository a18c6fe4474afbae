"""What no lookup answers, so that the client builds its request as ever; and like calls that are answered."""

from __future__ import annotations

import logging
import math
from types import SimpleNamespace
from typing import Any

import pytest
from fast_path_clients import Make, lookups

from pywats_cache import Controller, MemoryStorage, Read
from pywats_cache.testing import FakeClock


def decline(client: Any, **options: Any) -> Any:
    """A hit that is no lookup."""
    before = client.cache.stats
    response = client.get("/a", **options)
    after = client.cache.stats
    assert after.lookups == before.lookups, "the client was passed by"
    return response


def test_cookies_in_the_jar_leave_it_to_the_client(client: Any, origin: Any) -> None:
    client.get("/a")
    client.cookies.set("session", "1")
    assert decline(client).text == "2"
    assert origin.requests[-1].headers["cookie"] == "session=1"
    assert decline(client).text == "2"
    client.cookies.clear()
    assert client.get("/a").text == "1"
    assert lookups(client) == 1


def test_auth_of_the_client_leaves_it_to_the_client(client: Any, origin: Any) -> None:
    for _ in range(3):
        client.get("/a")  # what is stored for nobody is not for this user
    before = lookups(client)
    client.auth = ("user", "pw")
    assert decline(client).text == "2"
    assert origin.requests[-1].headers["authorization"].startswith("Basic ")
    assert decline(client).text == "2"
    client.auth = None
    assert client.get("/a").text == "1"
    assert lookups(client) == before + 1


@pytest.mark.parametrize(
    "options", [{"auth": ("u", "p")}, {"cookies": {"a": "b"}}, {"extensions": {}}, {"extensions": {"pywats_cache": {}}}]
)
@pytest.mark.filterwarnings("ignore:Setting per-request cookies:DeprecationWarning")
def test_options_that_matter_leave_it_to_the_client(client: Any, options: Any) -> None:
    client.get("/a", **options)
    client.get("/a")
    decline(client, **options)


@pytest.mark.parametrize("options", [{"timeout": 5}, {"follow_redirects": True}, {"timeout": None}])
def test_options_that_do_not_matter_to_a_hit_are_looked_up(client: Any, options: Any) -> None:
    client.get("/a")
    assert client.get("/a", **options).text == "1"
    assert lookups(client) == 1


@pytest.mark.parametrize("kind", ["request", "response"])
def test_event_hooks_are_called(client: Any, kind: str) -> None:
    seen: list[Any] = []
    client.get("/a")
    client.event_hooks = {kind: [seen.append]}
    decline(client)
    assert len(seen) == 1
    client.event_hooks = {}
    client.get("/a")
    assert lookups(client) == 1


def test_info_logging_of_the_library_goes_on(
    client: Any, lib: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    client.get("/a")
    with caplog.at_level(logging.INFO, lib.name):
        decline(client)
        assert "HTTP Request: GET http://origin/a" in caplog.text
    client.get("/a")
    assert lookups(client) == 1


@pytest.mark.parametrize("name", ["send", "build_request", "request"])
def test_an_overridden_method_is_called(make: Make, lib: SimpleNamespace, name: str) -> None:
    calls: list[str] = []

    def override(self: Any, *args: Any, **options: Any) -> Any:
        calls.append(name)
        return getattr(lib.CacheClient, name)(self, *args, **options)

    client = make(cls=type("Mine", (lib.CacheClient,), {name: override}))
    client.get("/a")
    decline(client)
    assert calls == [name] * 2


@pytest.mark.parametrize("name", ["send", "build_request", "request"])
def test_a_method_replaced_on_the_client_is_called(client: Any, name: str) -> None:
    client.get("/a")
    calls: list[str] = []
    original = getattr(client, name)

    def replaced(*args: Any, **options: Any) -> Any:
        calls.append(name)
        return original(*args, **options)

    setattr(client, name, replaced)
    decline(client)
    assert calls == [name]


def test_a_closed_client_refuses_as_ever(client: Any) -> None:
    client.get("/a")
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.get("/a")
    assert client.lookup("GET", "/a") is None


@pytest.mark.parametrize("headers", [{"Range": "bytes=0-"}, {"Cache-Control": "no-cache"}, {"If-None-Match": "x"}])
def test_headers_that_bypass_or_refresh_leave_it_to_the_client(client: Any, headers: Any) -> None:
    client.get("/a")
    assert decline(client, headers=headers).text == "2"


def test_a_url_object_leaves_it_to_the_client(client: Any, lib: SimpleNamespace) -> None:
    client.get("/a")
    assert client.get(lib.http.URL("/a")).text == "1"
    assert lookups(client) == 0


def test_userinfo_leaves_it_to_the_client(make: Make) -> None:
    client = make()
    for _ in range(2):
        client.get("http://user:pw@origin/a")
    client.base_url = "http://user:pw@origin"
    for _ in range(2):
        client.get("/a")
    assert lookups(client) == 0


def test_a_partition_function_leaves_it_to_the_client(make: Make) -> None:
    user = ["one"]
    client = make(controller=Controller(partition=lambda headers: user[0]))
    client.get("/a")
    user[0] = "two"
    assert decline(client).text == "2"


def test_a_mount_of_another_engine_leaves_it_to_the_client(make: Make, lib: SimpleNamespace, origin: Any) -> None:
    client = make(mounts={"http://own": lib.CacheTransport(origin.transport), "http://off": None})
    for _ in range(2):
        client.get("http://own/a")
        client.get("http://off/a")
        client.get("http://origin/a")
    assert lookups(client) == 2, "a mount of None is the default transport; the other is another cache's"


def test_a_bare_mount_is_looked_up(make: Make, origin: Any) -> None:
    client = make(mounts={"http://special": origin.transport})
    for _ in range(2):
        client.get("http://special/a")
    assert lookups(client) == 1


def test_expired_dirtied_and_unknown_are_left_to_the_client_and_nothing_changed(
    make: Make, clock: FakeClock, origin: Any
) -> None:
    client = make(storage=MemoryStorage(max_entries=2))
    client.get("/old")
    clock.advance(200)
    client.get("/new")
    clock.advance(200)
    before = client.cache.stats
    order = list(client.cache.storage.table.items)
    assert client.lookup("GET", "/old") is None
    assert client.lookup("GET", "/unknown") is None
    client.cache.storage.coherence.bump_all()
    assert client.lookup("GET", "/new") is None
    assert client.cache.stats._replace(remembered_bytes=0) == before._replace(remembered_bytes=0)
    assert list(client.cache.storage.table.items) == order
    assert origin.count == 2


def test_only_a_200_is_looked_up(make: Make, origin: Any) -> None:
    client = make(controller=Controller([Read("/a", statuses=(404,))]))
    origin.reply = {"status_code": 404}
    client.get("/a")
    assert decline(client).status_code == 404
    assert origin.count == 1


@pytest.mark.parametrize("params", [[("a", "1")], "a=1", {"a": 1.5}, {"a": ["1", "2"]}, (("a", "1"),)])
def test_parameters_of_other_types_are_left_to_the_client(client: Any, params: Any) -> None:
    client.get("/a", params=params)
    assert client.get("/a", params=params).text == "1"
    assert lookups(client) == 0


def test_a_write_and_a_head_are_no_lookups(client: Any) -> None:
    client.get("/a")
    assert client.lookup("PUT", "/a") is None
    assert client.lookup("HEAD", "/a") is None
    assert client.lookup("OPTIONS", "/a") is None


def test_a_body_that_cannot_be_sent_is_left_to_the_client(make: Make) -> None:
    client = make(controller=Controller([Read("/q", methods=("POST",))]))
    client.post("/q", json={"a": 1})
    client.post("/q", content="a")
    assert client.lookup("POST", "/q", json={"a": 1}) is not None
    assert client.lookup("POST", "/q", content="a") is not None
    for json in (object(), math.nan):
        assert client.lookup("POST", "/q", json=json) is None
    assert client.lookup("POST", "/q", content="\ud800") is None


def test_what_cannot_be_a_request_is_left_to_the_client(client: Any) -> None:
    for url in ("http://[", "no-scheme://x", "\x00"):
        assert client.lookup("GET", url) is None
