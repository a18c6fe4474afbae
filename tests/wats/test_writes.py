"""Every write of the table, followed by the reads it dirties: through the cache they differ."""

from __future__ import annotations

import re

import httpx
import pytest
from wats_requests import request_for

from pywats_cache import MemoryStorage
from pywats_cache.testing import FakeClock
from pywats_cache.wats import ROUTES, HttpClient
from wats_simulator.routes import ROUTES as SERVER_ROUTES

WRITES = [route for route in ROUTES if route.kind == "write"]


def shape(path: str) -> str:
    return re.sub(r"\{\w+\}", "{}", path)


# Where two routes differ only in case, the method tells them apart.
OF_SERVER = {(route.method, shape(route.template)): route for route in SERVER_ROUTES}


def server_route(route):
    return OF_SERVER[route.method, shape(route.path)]


@pytest.fixture(scope="module")
def client(_started, api_clock):
    storage = MemoryStorage(clock=api_clock)
    with HttpClient(_started.base_url, _started.token, enable_throttling=False, cache_storage=storage) as client:
        yield client


def send(client: HttpClient, wire) -> httpx.Response:
    headers = {"Content-Type": wire.content_type}
    return client.client.request(wire.method, wire.target, content=wire.body or None, headers=headers)


@pytest.mark.parametrize("write", WRITES, ids=[f"{route.method} {route.path}" for route in WRITES])
def test_reads_differ_after_the_write(write, client: HttpClient, api_clock: FakeClock, server) -> None:
    api_clock.advance(3600)
    client.clear_cache()
    if write.path.endswith("Changes/{change_id}"):
        server.state.unit_changes["1"] = {"id": 1, "unitSerialNumber": "SN-1000", "unitPartNumber": "PN-1000"}
    wire = request_for(server_route(write), server)
    tags = set(write.tags)
    reads = {(r.method, r.path): r for r in ROUTES if r.kind == "read" and tags & set(r.tags)}
    before = []
    for read in reads.values():
        question = request_for(server_route(read), server)
        first = send(client, question)
        assert first.status_code == 200, (read, first.text)
        again = send(client, question)
        assert again.extensions["pywats_cache"].status == "hit", (read, again.extensions["pywats_cache"])
        assert again.content == first.content
        before.append((read, question, first))
    assert reads or tags <= {"unit", "serial-number"}, "only what is never cached has no read"

    answer = send(client, wire)
    assert answer.status_code < 300, answer.text
    outcome = answer.extensions["pywats_cache"]
    assert (outcome.status, outcome.reason, outcome.stored) == ("bypass", "write", False)

    for read, question, first in before:
        after = send(client, question)
        assert after.extensions["pywats_cache"].status == "miss", read
        assert (after.status_code, after.content) != (first.status_code, first.content), read


@pytest.mark.parametrize("write", [w for w in WRITES if w.method == "GET"], ids=lambda route: route.path)
def test_a_get_that_writes_is_sent_each_time(write, client: HttpClient, server) -> None:
    wire = request_for(server_route(write), server)
    for _ in range(3):
        assert client.client.get(wire.target).extensions["pywats_cache"].status == "bypass"
    assert server.count("GET", wire.target.partition("?")[0]) == 3


def test_reads_are_not_stored_while_a_report_settles(client: HttpClient, api_clock: FakeClock, server) -> None:
    api_clock.advance(3600)
    client.clear_cache()
    report = next(route for route in SERVER_ROUTES if (route.method, route.template) == ("POST", "/api/Report/WSJF"))
    assert send(client, request_for(report, server)).status_code < 300
    for _ in range(2):
        answer = client.client.get("/api/Report/Query/Header")
        assert answer.extensions["pywats_cache"][:2] == ("miss", "settling")
    api_clock.advance(10.5)
    client.client.get("/api/Report/Query/Header")
    assert client.client.get("/api/Report/Query/Header").extensions["pywats_cache"].status == "hit"
