"""The page and the interface as a proxy offers them: below a path, and under a name of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

pytest.importorskip("uvicorn")

from pywats_cache import CacheTransport, CachingError
from pywats_cache.web import Listener, serve
from pywats_cache.web.guard import allowed_hosts

NAMED = ("station7.example", "10.0.0.7", "fe80::7")


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = serve(CacheTransport(), port=0, token="hush", hosts=NAMED, prefix="/stations/7/")
    yield listener
    listener.stop_thread()


@pytest.fixture
def http(listener: Listener) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=listener.url, trust_env=False) as http:
        yield http


@pytest.mark.parametrize(
    ("path", "to"),
    [
        ("/", "/cache"),
        ("/cache/", "/cache"),
        ("/stations/7", "/stations/7/cache"),
        ("/stations/7/", "/stations/7/cache"),
        ("/stations/7/cache/", "/stations/7/cache"),
    ],
)
def test_every_start_leads_to_the_page(http: httpx.Client, path: str, to: str) -> None:
    answer = http.get(path)
    assert answer.status_code == 307
    assert urljoin(f"https://proxy.example{path}", answer.headers["location"]) == f"https://proxy.example{to}"
    assert "//" not in answer.headers["location"]
    assert http.get(path, follow_redirects=True).headers["content-type"].startswith("text/html")
    assert http.get(path, headers={"Host": "evil.example"}).status_code == 403


def test_a_start_that_a_proxy_has_taken_its_path_from_leads_to_the_page_below_it(http: httpx.Client) -> None:
    answer = http.get("/")  # of https://proxy.example/any/where/
    assert urljoin("https://proxy.example/any/where/", answer.headers["location"]) == (
        "https://proxy.example/any/where/cache"
    )


@pytest.mark.parametrize("prefix", ["", "/stations/7"])
def test_page_and_interface_work_with_and_without_the_path(http: httpx.Client, prefix: str) -> None:
    page = http.get(f"{prefix}/cache")
    wanted = re.findall(r'(?:src|href)="(?!data:|#)([^"]+)"', page.text)
    assert len(wanted) >= 4
    assert not [each for each in wanted if each.startswith("/")], "a path from the root misses the prefix"
    for each in wanted:
        answer = http.get(urljoin(f"{prefix}/cache", each))
        assert answer.status_code == 200, each
        assert '"/cache' not in answer.text, "a path from the root misses the prefix"
    for path in ("/metrics", "/health", "/health/details", "/cache/stats", "/cache/events", "/cache/doctor"):
        assert http.get(prefix + path).status_code == 200, path
    headers = {"Authorization": "Bearer hush"}
    assert http.post(f"{prefix}/cache/clear", headers=headers).json() == {"cleared": 0}


@pytest.mark.parametrize(
    "path", ["/stations", "/stations/70/cache", "/stations/7/stations/7/cache", "/stations/7x", "/cache/stats/"]
)
def test_another_path_is_not_found(http: httpx.Client, path: str) -> None:
    assert http.get(path).status_code == 404


@pytest.mark.parametrize("host", ["station7.example", "STATION7.example:8443", "10.0.0.7", "[fe80::7]:80", "localhost"])
def test_the_named_hosts_are_answered(http: httpx.Client, host: str) -> None:
    assert http.get("/cache/stats", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "station7.example.evil.example", "7.example", "station7.example."])
def test_any_other_host_is_refused(http: httpx.Client, host: str) -> None:
    for path in ("/", "/cache", "/stations/7/cache/stats", "/stations/7"):
        answer = http.get(path, headers={"Host": host})
        assert (answer.status_code, "own address only" in answer.text) == (403, True), path


def test_an_address_of_the_network_answers_to_any_host_also_where_some_are_named() -> None:
    assert allowed_hosts("0.0.0.0", ()) is None
    assert allowed_hosts("192.0.2.1", ("proxy.example",)) is None  # or a scraper would be shut out by that
    assert set(allowed_hosts("::1", ("Proxy.example",)) or ()) == {"127.0.0.1", "localhost", "::1", "proxy.example"}


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ({"hosts": "a.example"}, "hosts must be a list of host names"),
        ({"hosts": ("a.example:80",)}, "without a port"),
        ({"prefix": "station7"}, "such as /station7"),
        ({"prefix": None}, "such as /station7"),
    ],
)
def test_a_bad_argument_is_named(argument: dict[str, Any], says: str) -> None:
    with pytest.raises(CachingError, match=says):
        serve(CacheTransport(), **{"port": 0, **argument})


def test_a_program_without_a_file_has_no_settings(http: httpx.Client) -> None:
    assert http.get("/cache/stats").json()["settings"] is False
    answer = http.get("/cache/settings", headers={"Authorization": "Bearer hush"})
    assert (answer.status_code, answer.json()["error"]) == (404, "the settings of this program are in its code")
    assert http.get("/cache/settings").status_code == 403
