"""A Response made of a stored answer equals the one the SDK makes of the same answer off the wire."""

from __future__ import annotations

import copy
import gzip
import json

import httpx
import pytest
from pywats.core.exceptions import PyWATSError

from pywats_cache import CacheTransport, Controller, MemoryStorage
from pywats_cache.wats import HttpClient

DEEP = json.loads("[" * 900 + "]" * 900)
BODIES = {
    "object": (b'{"a": [1, 2.5, null, true, "\xc3\xa9", {"b": -1e300}], "a2": {}}', "application/json"),
    "list": (b"[]", "application/json"),
    "number": (b"12345678901234567890123456789", "application/json"),
    "false": (b"false", "application/json"),
    "nan": (b'[NaN, Infinity, "\\ud800"]', "application/json"),
    "deep": (json.dumps(DEEP).encode(), "application/json"),
    "xml": (b"<a>\xc3\xa9</a>", "application/xml; charset=utf-8"),
    "latin": (b"<a>\xe9</a>", "text/xml; charset=iso-8859-1"),
    "binary": (bytes(range(256)), "application/octet-stream"),
    "space": (b" ", "text/plain"),
}


def client_of(body: bytes, kind: str, encode: bool) -> HttpClient:
    headers = [("content-type", kind), ("x-many", "1"), ("x-many", "2")]
    if encode:
        body, headers = gzip.compress(body), [*headers, ("content-encoding", "gzip")]
    network = httpx.MockTransport(lambda request: httpx.Response(200, headers=headers, content=body))
    return HttpClient("http://wats.example", "t", cache_transport=CacheTransport(network, controller=Controller()))


@pytest.mark.parametrize("encode", [False, True], ids=["identity", "gzip"])
@pytest.mark.parametrize("name", BODIES)
def test_a_hit_equals_the_miss(name: str, encode: bool) -> None:
    client = client_of(*BODIES[name], encode)
    miss = client.get("/a")
    for _ in range(2):
        hit = client.get("/a")
        assert repr(hit) == repr(miss)
        assert hit.headers["x-many"] == "1, 2"
        assert hit.raw == miss.raw == BODIES[name][0]
        assert (hit.is_success, hit.error_message) == (True, None)
    assert client.cache.stats.lookups == 2


def test_json_too_deep_to_read_is_the_same_error_each_time() -> None:
    client = client_of(b"[" * 100_000, "application/json", False)
    for _ in range(2):
        with pytest.raises(PyWATSError, match="HTTP request failed: maximum recursion depth exceeded"):
            client.get("/a")


def test_the_model_is_whole() -> None:
    client = client_of(*BODIES["object"], False)
    miss, hit = client.get("/a"), client.get("/a")
    assert hit == miss
    assert hit.model_dump() == miss.model_dump()
    assert hit.model_dump_json() == miss.model_dump_json()
    assert hit.model_fields_set == miss.model_fields_set
    assert copy.deepcopy(hit) == hit.model_copy() == miss
    hit.headers = {}
    assert client.get("/a").headers == miss.headers


def test_the_parsed_form_counts_as_bytes_and_stays_out_where_it_does_not_fit() -> None:
    body = json.dumps({"a": "x" * 3000}).encode()
    network = httpx.MockTransport(lambda request: httpx.Response(200, content=body))
    for room, grows in ((1 << 20, True), (4500, False)):
        storage = MemoryStorage(max_bytes=room)
        cache = CacheTransport(network, controller=Controller(), storage=storage)
        client = HttpClient("http://wats.example", "t", cache_transport=cache)
        client.get("/a")
        before = storage.size_bytes
        assert client.get("/a").data == client.get("/a").data == json.loads(body)
        assert (storage.size_bytes > before) is grows
        assert storage.size_bytes <= room
