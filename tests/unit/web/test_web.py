"""What the HTTP face answers to what it cannot or must not do: 400 with a reason."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from pywats_cache import CacheClient, Controller, Write

pytest.importorskip("uvicorn")

from pywats_cache.web import serve


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.host == "wats.example"
        assert request.url.path != "/log"
        return httpx.Response(200)

    origin = httpx.MockTransport(answer)
    controller = Controller([Write("/log", methods=("GET",))])
    with CacheClient(base_url="http://wats.example", transport=origin, controller=controller) as client:
        listener = serve(client, port=0, token="hush")
        try:
            with httpx.Client(base_url=listener.url, headers={"Authorization": "Bearer hush"}) as http:
                yield http
        finally:
            listener.stop_thread()


def test_a_client_finds_what_the_page_warmed() -> None:
    origin = httpx.MockTransport(lambda request: httpx.Response(200))
    with CacheClient(
        base_url="http://wats.example", transport=origin, headers={"Accept": "application/json"}
    ) as client:
        listener = serve(client, port=0, token="hush")
        try:
            with httpx.Client(base_url=listener.url, headers={"Authorization": "Bearer hush"}) as http:
                assert http.post("/cache/warm", json={"urls": ["/a"]}).json()["fetched"] == 1
                assert http.get("/cache/explain", params={"url": "/a"}).json()["status"] == "hit"
        finally:
            listener.stop_thread()
        assert client.get("/a").extensions["pywats_cache"].status == "hit"


@pytest.mark.parametrize("url", ["\0", "http://x:y"])
def test_what_is_no_url_is_not_explained(http: httpx.Client, url: str) -> None:
    answer = http.get("/cache/explain", params={"url": url})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("url cannot be used: ")


def test_no_other_origin_is_warmed(http: httpx.Client) -> None:
    """It would get the client's credentials."""
    for url in ("http://evil.example/a", "https://wats.example/a", "http://wats.example:81/a"):
        answer = http.post("/cache/warm", json={"urls": ["/a", url]})
        assert answer.status_code == 400
        assert answer.json()["error"] == f"urls must be at http://wats.example, not at {url.removesuffix('/a')}"
    answer = http.post("/cache/warm", json={"urls": ["/a", "http://wats.example/b", "//evil.example/c", "\0"]})
    assert answer.json() == {"total": 4, "fetched": 3, "fresh": 0, "failed": 1}


def test_what_may_write_is_not_warmed(http: httpx.Client) -> None:
    answer = http.post("/cache/warm", json={"urls": ["/a", "/log?id=1"]})
    assert (answer.status_code, answer.json()) == (400, {"error": "urls must be cached, and /log is not: /log"})


def test_json_too_deep_to_read_is_refused(http: httpx.Client) -> None:
    answer = http.post("/cache/invalidate", content=b"[" * 100_000)
    assert (answer.status_code, answer.json()) == (400, {"error": "the body must be JSON"})
