"""What is counted is what is taken: measured with tracemalloc, whatever the answers look like."""

from __future__ import annotations

import gc
import gzip
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from pywats_cache import CacheClient, CacheTransport, Controller, MemoryStorage
from pywats_cache.coherence import tags
from pywats_cache.storage import entry as entries
from pywats_cache.transport import cached_response as body

SEVERAL = 300
WITHIN = 0.12 if sys.version_info[:2] == (3, 11) else 0.15  # the sizes of objects are those of CPython 3.11
HOST = "https://origin.example"
Url = Callable[[int], str]

URLS: dict[str, Url] = {
    "short": lambda n: f"{HOST}/api/Product/{n}?$top=5",
    "50 segments of its own": lambda n: HOST + "".join(f"/{n}-{k:02d}-{'s' * 30}" for k in range(50)),
    "50 segments in common": lambda n: HOST + "".join(f"/{k:02d}-{'s' * 30}" for k in range(50)) + f"/{n}",
    "500 segments": lambda n: HOST + f"/{n}" * 500,
}


@pytest.fixture(autouse=True)
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def in_common() -> None:
    """Empty what all caches of the process have in common."""
    for memo in (tags._shared, entries._shared, body._PAIRS):
        memo.clear()


def taken() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def headers(n: int, kind: str) -> dict[str, str]:
    found = {"Content-Type": "application/json", "Date": "Mon, 01 Jan 2024 00:00:00 GMT", "Cache-Control": "max-age=99"}
    if kind == "own":
        found |= {"ETag": f'"{n:032d}"', "Last-Modified": f"{n:029d}", "X-Request-ID": f"{n:032d}"}
    if kind == "large":
        found |= {f"X-Long-{k}": f"{n:08d}" + "v" * 800 for k in range(5)}
    return found


@pytest.mark.parametrize("rfc9111", [False, True], ids=["TTL", "RFC 9111"])
@pytest.mark.parametrize(
    ("url", "size", "kind"),
    [
        ("short", 10, "plain"),
        ("short", 1000, "plain"),
        ("short", 100_000, "plain"),
        ("short", 1000, "own"),
        ("short", 1000, "large"),
        ("short", 4000, "gzip"),
        ("short", 1000, "tags of its own"),
        ("short", 1000, "tags of the rule"),
        ("50 segments of its own", 1000, "plain"),
        ("50 segments in common", 1000, "plain"),
        ("500 segments", 1000, "plain"),
    ],
)
def test_the_bytes_counted_are_those_taken_within_a_tenth(url: str, size: int, kind: str, rfc9111: bool) -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        n = int(request.headers["x-n"])
        fields, content = headers(n, kind), (b"%08d" % n).ljust(size, b"x")
        if kind == "gzip":
            fields["Content-Encoding"], content = "gzip", gzip.compress(content)
        return httpx.Response(200, headers=fields, content=content)

    from pywats_cache import Read

    rules = [Read("/**", tags=("one", "two", "three"))] if kind == "tags of the rule" else []
    storage = MemoryStorage(max_entries=10_000, max_bytes=1 << 40)
    controller = Controller(rules, rfc9111=rfc9111)
    transport = CacheTransport(httpx.MockTransport(respond), storage=storage, controller=controller)

    def get(n: int) -> None:
        extensions = {"pywats_cache": {"tags": [f"tag-{n}-{k}" for k in range(5)]}} if "own" in kind else {}
        request = httpx.Request("GET", URLS[url](n), headers={"x-n": str(n)}, extensions=extensions)
        assert transport.handle_request(request).extensions["pywats_cache"].stored

    def forget() -> int:
        for memo in (transport._engine.preparer._memo, transport._engine.preparer._alike):
            memo.clear()
        in_common()
        return taken()

    for n in range(50):
        get(1_000_000 + n)
    before, counted = forget(), storage.size_bytes
    for n in range(SEVERAL):
        get(n)
    assert (storage.size_bytes - counted) / (forget() - before) == pytest.approx(1.0, abs=0.1)
    assert storage.size_bytes == sum(entry.size for entry in storage.table.items.values())


@pytest.mark.parametrize("kind", ["transport", "client"])
@pytest.mark.parametrize("url", [*URLS, "long path", "long query"])
def test_the_bytes_remembered_are_those_taken_within_a_tenth(url: str, kind: str) -> None:
    at = {"long path": lambda n: f"{HOST}/{'x' * 8000}/{n}", "long query": lambda n: f"{HOST}/?{'x' * 8000}{n}"}
    address = {**URLS, **at}[url]
    answer = httpx.MockTransport(lambda request: httpx.Response(200, headers={"Cache-Control": "no-store"}))
    storage = MemoryStorage(max_entries=10_000, max_bytes=1 << 40)
    cache: Any
    if kind == "client":
        client = CacheClient(transport=answer, storage=storage)
        cache = client.cache

        def get(n: int) -> None:
            for _ in range(2):
                client.get(address(n))
    else:
        cache = CacheTransport(answer, storage=storage)

        def get(n: int) -> None:
            cache.handle_request(httpx.Request("GET", address(n)))

    for n in range(150):  # more than httpx and urllib remember themselves
        get(1_000_000 + n)
    in_common()
    before, counted = taken(), cache.stats.remembered_bytes
    for n in range(SEVERAL):
        get(n)
    in_common()
    assert (cache.stats.remembered_bytes - counted) / (taken() - before) == pytest.approx(1.0, abs=WITHIN)
