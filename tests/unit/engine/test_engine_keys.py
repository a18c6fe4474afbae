"""Which requests share an answer, as a caller sees it: keys and credentials, and that no secret shows."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from pywats_cache import CacheOutcome, Controller, Read, Write

Make = Callable[..., Any]
Outcome = Callable[[Any], CacheOutcome]


# ── keys ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("/a", "/a#fragment", True),
        ("/a?x=1&y=2", "/a?y=2&x=1", True),
        ("/a?x=1&x=2", "/a?x=2&x=1", False),
        ("/a?x=1", "/a?x=2", False),
        ("/a", "/a?x", False),
        ("/a", "/a?", False),
        ("/a", "/A", False),
        ("/a", "/a/", False),
        ("/a%2Fb", "/a/b", False),
        ("http://host/a", "http://host:80/a", True),
        ("http://host/a", "http://HOST/a", True),
        ("http://host/a", "http://host:81/a", False),
        ("http://host/a", "https://host/a", False),
        ("http://host/a", "http://other/a", False),
    ],
)
def test_which_urls_are_one(client: Any, one: str, other: str, same: bool) -> None:
    client.get(one)
    assert client.get(other).text == ("1" if same else "2")


def test_methods_do_not_share_answers(cached: Make) -> None:
    client = cached(Controller([Read("/a", methods=("GET", "POST"))]))
    assert client.get("/a").text == "1"
    assert client.post("/a").text == "2"
    assert [client.get("/a").text, client.post("/a").text] == ["1", "2"]


def test_a_host_header_of_its_own_asks_another_site(client: Any) -> None:
    client.get("/a")
    assert client.get("/a", headers={"Host": "other.example"}).text == "2"
    assert client.get("/a", headers={"Host": "other.example"}).text == "2"
    assert client.get("/a", headers={"Host": "origin"}).text == "1"


def test_an_empty_host_header_asks_another_site(client: Any) -> None:
    client.get("/a")
    assert client.get("/a", headers={"Host": ""}).text == "2"
    assert client.get("/a").text == "1"


@pytest.mark.parametrize("host", ["ORIGIN", "origin:80", "Origin:80"])
def test_a_host_header_that_spells_the_same_site_otherwise_asks_no_other(client: Any, host: str) -> None:
    client.get("/a")
    assert client.get("/a", headers={"Host": host}).text == "1"
    client.put("/a", headers={"Host": host})
    assert client.get("/a").text == "3"
    assert client.get("/a", headers={"Host": "origin:443"}).text == "4"


def test_a_target_of_its_own_goes_around_the_cache(client: Any, outcome: Outcome) -> None:
    client.get("/a")
    response = client.get("/a", extensions={"target": b"/b"})
    assert outcome(response)[:2] == ("bypass", "target")


def test_the_key_tells_nothing_of_url_and_credentials(client: Any, outcome: Outcome) -> None:
    key = outcome(client.get("/secret-path?token=hush", headers={"Authorization": "Bearer hush"})).key
    assert key is not None
    assert len(key) == 20
    assert re.fullmatch(r"[\w-]+", key, re.ASCII)


def test_a_method_override_makes_a_get_a_write(client: Any, outcome: Outcome) -> None:
    client.get("/a")
    response = client.get("/a", headers={"X-HTTP-Method-Override": "DELETE"})
    assert outcome(response)[:2] == ("bypass", "write")
    assert outcome(client.get("/a")).reason == "dirtied"


# ── credentials ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "header",
    ["Authorization", "Proxy-Authorization", "Cookie", "X-API-Key", "X-Auth-Token", "Ocp-Apim-Subscription-Key"],
)
def test_credentials_separate_answers(client: Any, header: str) -> None:
    assert client.get("/a", headers={header: "one"}).text == "1"
    assert client.get("/a", headers={header: "two"}).text == "2"
    assert client.get("/a").text == "3"
    assert client.get("/a", headers={header: "one"}).text == "1"
    assert client.get("/a", headers={header.upper(): "two"}).text == "2"


def test_another_credential_beside_the_same_separates_too(client: Any) -> None:
    client.get("/a", headers={"Authorization": "one"})
    assert client.get("/a", headers={"Authorization": "one", "Cookie": "a=b"}).text == "2"


def test_other_headers_do_not_separate(client: Any) -> None:
    client.get("/a", headers={"X-Request-ID": "1", "User-Agent": "one"})
    assert client.get("/a", headers={"X-Request-ID": "2", "User-Agent": "two"}).text == "1"


def test_userinfo_of_the_url_separates(client: Any) -> None:
    assert client.get("http://one:pw@host/a").text == "1"
    assert client.get("http://two:pw@host/a").text == "2"
    assert client.get("http://host/a").text == "3"
    assert client.get("http://one:pw@host/a").text == "1"


def test_userinfo_separates_what_comes_without_a_client_too(client: Any, lib: SimpleNamespace) -> None:
    def ask(user: str) -> str:
        return client.cache.handle_request(lib.http.Request("GET", f"http://{user}:pw@host/a")).read().decode()

    assert [ask("one"), ask("two"), ask("one")] == ["1", "2", "1"]


def test_a_write_of_one_user_dirties_what_another_holds(client: Any) -> None:
    client.get("/a", headers={"Authorization": "one"})
    client.put("/a", headers={"Authorization": "two"})
    assert client.get("/a", headers={"Authorization": "one"}).text == "3"


def test_a_partition_of_further_headers(cached: Make) -> None:
    client = cached(Controller(partition=("X-Tenant",)))
    assert client.get("/a", headers={"x-tenant": "one"}).text == "1"
    assert client.get("/a", headers={"X-Tenant": "two"}).text == "2"
    assert client.get("/a", headers={"X-Tenant": "one"}).text == "1"
    assert client.get("/a", headers={"X-Tenant": "one", "Authorization": "x"}).text == "3"


def test_a_partition_function_replaces_the_rule(cached: Make) -> None:
    def user(headers: Any) -> str:
        return headers.get("x-user", "")

    client = cached(Controller(partition=user))
    client.get("/a", headers={"X-User": "one", "Authorization": "token-1"})
    assert client.get("/a", headers={"X-User": "one", "Authorization": "token-2"}).text == "1"
    assert client.get("/a", headers={"X-User": "two", "Authorization": "token-1"}).text == "2"


@pytest.mark.parametrize("given", [None, 5, b"user"])
def test_a_partition_function_must_return_a_string(cached: Make, origin: Any, given: object) -> None:
    client = cached(Controller(partition=lambda headers: given))
    with pytest.raises(TypeError, match="partition"):
        client.get("/a")
    assert origin.count == 0


def test_an_error_of_the_partition_function_reaches_the_caller(cached: Make) -> None:
    client = cached(Controller(partition=lambda headers: headers["x-user"]))
    with pytest.raises(KeyError):
        client.get("/a")


def test_a_401_drops_what_the_partition_holds_and_nothing_else(cached: Make, origin: Any) -> None:
    client = cached(Controller(drop_on=(401, 403)))
    for user in ("one", "two"):
        client.get("/a", headers={"Authorization": user})
        client.get("/b", headers={"Authorization": user})
    origin.reply = {"status_code": 401}
    client.get("/c", headers={"Authorization": "one"})
    origin.reply = {}
    assert client.get("/a", headers={"Authorization": "one"}).text == "6"
    assert client.get("/b", headers={"Authorization": "one"}).text == "7"
    assert client.get("/a", headers={"Authorization": "two"}).text == "3"


@pytest.mark.parametrize("request_", [("PUT", "/c", {}), ("OPTIONS", "/c", {}), ("GET", "/c", {"Range": "bytes=0-1"})])
def test_a_401_of_any_request_drops(cached: Make, origin: Any, request_: Any) -> None:
    method, path, headers = request_
    client = cached(Controller(drop_on=(401,)))
    client.get("/a")
    origin.reply = {"status_code": 401}
    client.request(method, path, headers=headers)
    origin.reply = {}
    assert client.get("/a").text == "3"


def test_a_403_drops_that_path_only(cached: Make, origin: Any) -> None:
    client = cached(Controller(drop_on=(401, 403)))
    client.get("/a", headers={"Authorization": "one"})
    client.get("/b", headers={"Authorization": "one"})
    origin.reply = {"status_code": 403}
    client.get("/a", headers={"Authorization": "two"})
    origin.reply = {}
    assert client.get("/a", headers={"Authorization": "one"}).text == "4"
    assert client.get("/b", headers={"Authorization": "one"}).text == "2"


def test_without_drop_on_a_401_drops_nothing(client: Any, origin: Any) -> None:
    client.get("/a")
    origin.reply = {"status_code": 401}
    client.get("/b")
    assert client.get("/a").text == "1"


# ── secrets ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_secret_is_shown_anywhere(
    cached: Make, origin: Any, outcome: Outcome, caplog: pytest.LogCaptureFixture
) -> None:
    secrets = ("hush-token", "hush-cookie", "hush-key", "hush-password")
    client = cached(Controller([Write("/a/w", dirties=("t",))]))
    with caplog.at_level(logging.DEBUG, "pywats_cache"):
        response = client.get(
            "http://user:hush-password@origin/a",
            headers={"Authorization": "Bearer hush-token", "Cookie": "s=hush-cookie", "X-Api-Key": "hush-key"},
        )
        client.put("/a/w", headers={"Authorization": "Bearer hush-token"})
    storage = client.cache.storage
    shown = [repr(client.cache), repr(storage), repr(client.cache.controller), repr(client.cache.stats)]
    shown += [repr(outcome(response)), str(outcome(response).key), caplog.text]
    for key, entry in storage.table.items.items():
        shown += [key, repr(entry)]
        shown += [repr(getattr(entry, name)) for name in entry.__slots__]
    shown += [repr(storage.coherence._dirtied), repr(list(storage.flights.open)), repr(list(storage.varying))]
    assert len(storage) == 1
    for secret in secrets:
        assert not [text for text in shown if secret in text]
