"""The response of a lookup: to its caller it is what the client gives."""

from __future__ import annotations

import pickle
from types import SimpleNamespace
from typing import Any

import pytest
from fast_path_clients import Make, lookups


def test_the_response_of_a_lookup_is_as_ever(client: Any, lib: SimpleNamespace, make: Make, origin: Any) -> None:
    origin.reply = {"json": {"a": [1]}, "headers": {"X-Case": "1"}}
    client = make(headers={"X-All": "1"}, params={"all": "1"})
    client.get("/a", params={"x": "1"}, headers={"X-One": "1"})
    response = client.get("/a", params={"x": "1"}, headers={"X-One": "1"})
    assert lookups(client) == 1
    assert isinstance(response, lib.http.Response)
    assert str(response.url) == str(response.request.url) == str(origin.requests[0].url)
    assert response.request.method == "GET"
    assert response.request.headers == origin.requests[0].headers
    assert response.json() == {"a": [1]}
    assert response.headers["x-case"] == "1"
    assert response.is_closed
    assert response.elapsed.total_seconds() >= 0
    assert response.raise_for_status() is response
    assert (response.history, response.num_bytes_downloaded) == ([], len(response.content))


def test_the_request_of_a_lookup_is_the_callers_own(client: Any) -> None:
    client.get("/a")
    one, two = client.get("/a"), client.get("/a")
    one.request.headers["x-poison"] = "1"
    one.request.extensions["poison"] = 1
    assert "x-poison" not in two.request.headers
    assert "poison" not in two.request.extensions
    assert "x-poison" not in client.get("/a").request.headers
    assert one.request is one.request


@pytest.mark.parametrize("timeout", [None, 1.5, (1, 2, 3, 4), "client's"])
def test_the_request_of_a_lookup_has_the_timeouts_of_its_call(client: Any, lib: SimpleNamespace, timeout: Any) -> None:
    timeout = lib.http.USE_CLIENT_DEFAULT if timeout == "client's" else timeout
    for _ in range(2):
        client.get("/a")
    found, sent = client.get("/a", timeout=timeout), client.request("GET", "/a", timeout=timeout)
    assert lookups(client) == 2
    assert found.request.extensions == sent.request.extensions
    assert client.get("/a").request.extensions == client.request("GET", "/a").request.extensions
    assert pickle.loads(pickle.dumps(client.get("/a", timeout=timeout))).text == "1"


def test_the_response_of_a_lookup_survives_pickling(client: Any, origin: Any) -> None:
    origin.reply = {"json": {"a": [1]}}
    client.get("/a", headers={"X-Mine": "1"})
    hit = client.get("/a", headers={"X-Mine": "1"})
    assert lookups(client) == 1
    copy = pickle.loads(pickle.dumps(hit))
    assert (copy.json(), copy.status_code, copy.headers) == ({"a": [1]}, 200, hit.headers)
    assert str(copy.request.url) == "http://origin/a"
    assert copy.request.headers["x-mine"] == "1"
    assert copy.elapsed == hit.elapsed


def test_the_response_of_a_lookup_reads_like_one_that_was_read(client: Any, lib: SimpleNamespace) -> None:
    client.get("/a")
    hit = client.get("/a")
    assert lookups(client) == 1
    assert hit.read() == hit.content == b"".join(hit.iter_bytes()) == b"1"
    assert "".join(hit.iter_text()) == "1"
    assert list(hit.iter_lines()) == ["1"]
    with pytest.raises(lib.http.StreamConsumed):
        next(hit.iter_raw())
    hit.close()


def test_nothing_a_caller_does_to_a_lookup_changes_the_next(client: Any, origin: Any) -> None:
    origin.reply = {"json": {"a": [1]}, "headers": {"X-Case": "1"}}
    client.get("/a")
    for count in range(1, 4):
        hit = client.get("/a")
        assert lookups(client) == count
        assert hit.json() == {"a": [1]}
        assert hit.headers["x-case"] == "1"
        assert hit.status_code == 200
        assert hit.history == []
        assert hit.extensions["pywats_cache"].status == "hit"
        hit.json()["a"].append(2)
        hit.headers["X-Case"] = "poison"
        hit.extensions.clear()
        hit.status_code = 500
        hit.history.append(hit)
        hit._content = b"poison"


def test_a_lookup_takes_the_default_encoding_of_its_client(make: Make, origin: Any) -> None:
    origin.reply = lambda request: origin.http.Response(
        200, content="Ä".encode("latin-1"), headers={"Content-Type": "text/plain"}
    )
    client = make(default_encoding="latin-1")
    assert [client.get("/a").text for _ in range(2)] == ["Ä", "Ä"]
    assert lookups(client) == 1
