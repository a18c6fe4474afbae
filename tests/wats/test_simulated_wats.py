"""SimulatedWATS: its routes, its coherence, its faults, its life."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import inspect
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pywats import AsyncWATS, pyWATS
from pywats.core.exceptions import PyWATSError
from pywats.domains.asset.enums import AssetState
from pywats.domains.product.models import BomItem
from pywats.domains.rootcause.enums import TicketStatus, TicketView
from pywats.domains.software.enums import PackageStatus
from sdk_calls import KNOWN_FAILURES, WITHOUT_RESULT, arguments, service, service_methods
from wats_requests import Sender, Wire, request_for

from pywats_cache.testing._wats_call import Route
from pywats_cache.testing._wats_routes import ROUTES
from pywats_cache.testing.simulated_wats import SimulatedWATS

PRODUCT = "/api/Product/PN-1000"
READS = [route for route in ROUTES if route.kind == "read"]
WRITES = [route for route in ROUTES if route.kind == "write"]


def name_of(route: Route) -> str:
    return f"{route.method} {route.template}"


@pytest.fixture(scope="module")
def started() -> Iterator[SimulatedWATS]:
    with SimulatedWATS() as server:
        yield server


@pytest.fixture
def server(started: SimulatedWATS) -> SimulatedWATS:
    started.reset()
    return started


@pytest.fixture
def sender(server: SimulatedWATS) -> Iterator[Sender]:
    with Sender(server) as sender:
        yield sender


class InThread:
    """A request made in a thread; `result()` waits for its answer."""

    def __init__(self, server: SimulatedWATS, wire: Wire) -> None:
        self._server = server
        self._wire = wire
        self._outcome: Any = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            with Sender(self._server) as sender:
                self._outcome = sender.send(self._wire)
        except Exception as error:
            self._outcome = error

    def result(self) -> Any:
        self._thread.join(10)
        assert not self._thread.is_alive(), "the request was not answered"
        return self._outcome


def get(target: str) -> Wire:
    return Wire("GET", target, b"", "application/json")


def put_product(**fields: Any) -> Wire:
    body = json.dumps({"partNumber": "PN-1000", **fields}).encode()
    return Wire("PUT", "/api/Product", body, "application/json")


# Routes.


def test_every_route_of_the_sdk_is_there_once():
    # 229 calls of the SDK; two of its domains make the same call, GET /api/App/Processes.
    keys = {(route.method, route.template.casefold()) for route in ROUTES}
    assert len(ROUTES) == len(keys) == 228
    kinds = [route.kind for route in ROUTES]
    assert {kind: kinds.count(kind) for kind in kinds} == {"read": 87, "write": 88, "live": 53}


@pytest.mark.parametrize("route", ROUTES, ids=name_of)
def test_route_answers(server: SimulatedWATS, sender: Sender, route: Route):
    if "/Changes/" in route.template:
        server.state.unit_changes["1"] = {"id": 1, "unitSerialNumber": "SN-1000", "unitPartNumber": "PN-1000"}
    status, headers, body = sender.send(request_for(route, server))
    assert 200 <= status < 300, body
    assert headers["cache-control"] == "no-cache"
    if route.kind == "read":
        assert body not in (b"", b"[]", b"{}", b"null")


@pytest.mark.parametrize("write", WRITES, ids=name_of)
def test_write_changes_every_read_that_it_dirties(server: SimulatedWATS, sender: Sender, write: Route):
    if "/Changes/" in write.template:
        server.state.unit_changes["1"] = {"id": 1, "unitSerialNumber": "SN-1000", "unitPartNumber": "PN-1000"}
    dirtied = [route for route in READS if set(route.tags) & set(write.tags)]
    others = [route for route in READS if not set(route.tags) & set(write.tags)]
    assert dirtied or write.tags == ("unit",)
    wires = {route: request_for(route, server) for route in (*dirtied, *others)}
    before = {route: sender.send(wires[route])[2] for route in wires}
    status, _, body = sender.send(request_for(write, server))
    assert 200 <= status < 300, body
    after = {route: sender.send(wires[route])[2] for route in wires}
    assert [name_of(route) for route in dirtied if after[route] == before[route]] == []
    assert [name_of(route) for route in others if after[route] != before[route]] == []


@pytest.mark.parametrize("route", READS, ids=name_of)
def test_read_differs_between_users_and_not_between_calls(server: SimulatedWATS, sender: Sender, route: Route):
    wire = request_for(route, server)
    with Sender(server, server.token_for("alice")) as alice:
        mine, other = sender.send(wire)[2], alice.send(wire)[2]
    assert mine != other
    assert sender.send(wire)[2] == mine


def test_literal_routes_beat_templates_and_case_does_not_matter(sender: Sender):
    assert isinstance(json.loads(sender.get("/api/Product/Query")[2]), list)
    assert json.loads(sender.get("/API/product/pn-1000/")[2])["partNumber"] == "PN-1000"
    assert json.loads(sender.get("/api/Product/%50N-1000")[2])["partNumber"] == "PN-1000"
    assert isinstance(json.loads(sender.get("/api/Product/%51uery")[2]), list)


def test_percent_encoded_slash_stays_in_its_segment(sender: Sender):
    body = json.dumps({"partNumber": "A/B Ø"}).encode()
    sender.send(Wire("PUT", "/api/Product", body, "application/json"))
    assert json.loads(sender.get("/api/Product/A%2FB%20%C3%98")[2])["partNumber"] == "A/B Ø"


@pytest.mark.parametrize("target", ["/", "/api/Nothing", "/api/Product/PN-1000/A/B", "/api/Product/NONE"])
def test_what_is_not_there_is_404(sender: Sender, target: str):
    status, _, body = sender.get(target)
    assert status == 404
    assert json.loads(body)["message"]


@pytest.mark.parametrize(
    ("wire", "status"),
    [
        (Wire("PUT", "/api/Product", b"{", "application/json"), 400),
        (Wire("PUT", "/api/Product", b"[]", "application/json"), 400),
        (Wire("PUT", "/api/Product/Products", b"{}", "application/json"), 400),
        (get("/api/Product/Query?$filter=what+is+this"), 400),
        (get("/api/Product/Query?$top=many"), 400),
        (Wire("POST", "/api/Production/SerialNumbers/Take?serialNumberType=SN&quantity=1001", b"", ""), 409),
    ],
)
def test_bad_request_is_refused_and_dirties_nothing(server: SimulatedWATS, sender: Sender, wire: Wire, status: int):
    before = dict(server.state.revisions)
    assert sender.send(wire)[0] == status
    assert server.state.revisions == before


@pytest.mark.parametrize(
    ("expression", "numbers"),
    [
        ("partNumber eq 'PN-1002'", [2]),
        ("contains(name, 'dget 1') and not (partNumber gt 'PN-1009')", [1]),
        ("startswith(partNumber,'PN-100') and (name eq 'Widget 3' or name eq 'Widget 4')", [3, 4]),
        ("tags/any(t: t/value eq 'F1') and partNumber lt 'PN-1005'", [1, 4]),
        ("state ne 1", []),
    ],
)
def test_odata_filter(sender: Sender, expression: str, numbers: list[int]):
    target = "/api/Product/Query?%24filter=" + expression.replace(" ", "%20").replace("'", "%27")
    found = json.loads(sender.get(target)[2])
    assert [one["partNumber"] for one in found] == [f"PN-{1000 + number}" for number in numbers]


def test_odata_order_skip_and_top(sender: Sender):
    found = json.loads(sender.get("/api/Product/Query?$orderby=partNumber%20desc&$skip=1&$top=2")[2])
    assert [one["partNumber"] for one in found] == ["PN-1018", "PN-1017"]


# Credentials.


@pytest.mark.parametrize("header", ["", "Basic bm9ib2R5OndyaXRl", "Bearer x", "Basic"])
def test_missing_or_wrong_credentials_are_401(server: SimulatedWATS, sender: Sender, header: str):
    status, headers, _ = sender.get(PRODUCT, Authorization=header)
    assert status == 401
    assert headers["www-authenticate"].startswith("Basic")
    assert server.requests[-1].user is None


def test_revoked_user_is_401_until_restored(server: SimulatedWATS):
    with Sender(server, server.token_for("bob")) as bob:
        server.revoke("bob")
        assert bob.get(PRODUCT)[0] == 401
        server.restore("bob")
        assert bob.get(PRODUCT)[0] == 200


def test_no_secret_in_repr_or_log(server: SimulatedWATS, sender: Sender):
    sender.get(PRODUCT)
    shown = repr(server) + repr(server.requests)
    assert server.token not in shown
    assert "simulated-" not in shown
    assert "demo-simulated" not in shown


# HTTP.


def test_head_has_the_length_of_get_and_no_body(sender: Sender):
    _, expected, body = sender.get(PRODUCT)
    status, headers, nothing = sender.send(Wire("HEAD", PRODUCT, b"", ""))
    assert (status, nothing) == (200, b"")
    assert headers["content-length"] == expected["content-length"] == str(len(body))


def test_head_does_not_run_a_get_that_writes(server: SimulatedWATS, sender: Sender):
    log = next(route for route in WRITES if route.template.endswith("/Software/Log"))
    wire = request_for(log, server)
    assert sender.send(Wire("HEAD", wire.target, b"", ""))[0] == 404
    assert len(server.state.downloads) == 1


def test_connection_is_kept_alive(server: SimulatedWATS, sender: Sender):
    sender.get(PRODUCT)
    first = sender._connection.sock
    sender.send(put_product(name="B"))
    sender.get("/api/Nothing")
    assert sender._connection.sock is first


def test_chunked_body_is_read(server: SimulatedWATS):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    headers = {"Authorization": f"Basic {server.token}"}
    chunks = iter([b'{"partNumber":', b'"PN-1000","name":"In pieces"}'])
    connection.request("PUT", "/api/Product", chunks, headers, encode_chunked=True)
    assert json.loads(connection.getresponse().read())["name"] == "In pieces"
    connection.close()


def test_gzip_is_off_by_default_and_asked_for(sender: Sender):
    assert "content-encoding" not in sender.get("/api/Product/Query", **{"Accept-Encoding": "gzip"})[1]
    with SimulatedWATS(gzip=True) as server, Sender(server) as compressed:
        _, headers, body = compressed.get("/api/Product/Query", **{"Accept-Encoding": "gzip"})
        assert headers["content-encoding"] == "gzip"
        assert len(json.loads(gzip.decompress(body))) == 20
        assert "content-encoding" not in compressed.get("/api/Product/Query")[1]
        assert "content-encoding" not in compressed.get("/api/App/Levels", **{"Accept-Encoding": "gzip"})[1]


def test_server_time_of_a_get_is_far_below_a_millisecond(server: SimulatedWATS, sender: Sender):
    for _ in range(200):
        sender.get(PRODUCT)
    seconds = sorted(record.seconds or 0.0 for record in server.requests)
    assert seconds[100] < 0.001


# The log.


def test_log_tells_what_arrived(server: SimulatedWATS, sender: Sender):
    sender.get(f"{PRODUCT}?a=b")
    sender.send(put_product(name="B"))
    first, second = server.requests
    assert (first.method, first.path, first.query, first.status, first.user) == ("GET", PRODUCT, "a=b", 200, "demo")
    assert second.number == first.number + 1
    assert first.seconds is not None
    assert server.request_count == 2
    assert server.count("GET") == server.count("get", "/API/product/*") == server.count("PUT", "/api/Product") == 1
    assert server.count() == 2
    server.reset_log()
    assert (server.requests, server.request_count, server.count()) == ((), 0, 0)


def test_latency_is_spent_after_the_data_is_read(server: SimulatedWATS, sender: Sender):
    server.latency = 0.3
    try:
        reading = InThread(server, get(PRODUCT))
        while not server.request_count:
            time.sleep(0.005)
        time.sleep(0.05)
        server.latency_for("PUT", "/api/Product", 0.0)
        started = time.monotonic()
        assert sender.send(put_product(name="Later"))[0] == 200
        assert time.monotonic() - started < 0.2
        assert json.loads(reading.result()[2])["name"] == "Widget 0"
    finally:
        server.latency = 0.0
        server.latency_for("PUT", "/api/Product", None)


# Data behind the clients' backs.


def test_touch_changes_reads_with_the_tag_only(server: SimulatedWATS, sender: Sender):
    product, assets = sender.get(PRODUCT)[2], sender.get("/api/Asset")[2]
    server.touch("product")
    assert sender.get(PRODUCT)[2] != product
    assert sender.get("/api/Asset")[2] == assets
    server.advance("asset")
    assert sender.get("/api/Asset")[2] != assets


def test_state_can_be_changed_under_its_lock(server: SimulatedWATS, sender: Sender):
    with server.state.lock:
        server.state.products["pn-1000"]["name"] = "Behind"
        server.state.dirty(["product"])
    assert json.loads(sender.get(PRODUCT)[2])["name"] == "Behind"


def test_reset_brings_the_data_back_but_never_an_old_answer(server: SimulatedWATS, sender: Sender):
    first = sender.get(PRODUCT)[2]
    sender.send(put_product(name="Changed"))
    server.fail()
    server.reset()
    again = sender.get(PRODUCT)[2]
    assert json.loads(again)["name"] == "Widget 0"
    assert again != first


def test_same_seed_gives_the_same_identifiers():
    ids = [SimulatedWATS(products=2, seed=seed).state.products["pn-1001"]["productId"] for seed in (1, 1, 2)]
    assert ids[0] == ids[1] != ids[2]


def test_report_takes_effect_after_process_delay(server: SimulatedWATS, sender: Sender):
    route = next(route for route in WRITES if route.template == "/api/Report/WSJF")
    headers = get("/api/Report/Query/Header?reportType=U")
    before = sender.send(headers)[2]
    server.process_delay = 0.15
    try:
        assert sender.send(request_for(route, server))[0] == 200
        assert sender.send(headers)[2] == before
        deadline = time.monotonic() + 5
        while sender.send(headers)[2] == before:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert len(json.loads(sender.send(headers)[2])) == len(json.loads(before)) + 1
    finally:
        server.process_delay = 0.0


def test_waiting_reports_can_be_processed_at_once(server: SimulatedWATS, sender: Sender):
    route = next(route for route in WRITES if route.template == "/api/Report/WSJF")
    server.process_delay = 600.0
    try:
        sender.send(request_for(route, server))
    finally:
        server.process_delay = 0.0
    before = sender.get("/api/Report/Query/Header")[2]
    assert (server.process_pending(), server.process_pending()) == (1, 0)
    assert sender.get("/api/Report/Query/Header")[2] != before


def test_writes_are_atomic(server: SimulatedWATS):
    count = Wire("PUT", "/api/Asset/Count?serialNumber=DMM-3&incrementBy=1", b"", "application/json")

    def add() -> None:
        with Sender(server) as sender:
            for _ in range(25):
                assert sender.send(count)[0] == 200

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.state.assets["dmm-3"]["totalCount"] == 200


def test_request_that_no_handler_expects_is_500_with_the_reason(server: SimulatedWATS, sender: Sender):
    status, _, body = sender.send(Wire("PUT", "/api/Product", b'{"partNumber":"P","tags":[1]}', "application/json"))
    assert status == 500
    assert "SimulatedWATS cannot handle" in json.loads(body)["message"]


# Faults.


def test_fail_answers_with_the_status_so_many_times(server: SimulatedWATS, sender: Sender):
    server.fail("GET", "/api/Product/*", status=503, times=2, retry_after=3, headers={"X-Reason": "test"})
    assert sender.get("/api/Asset")[0] == 200
    status, headers, _ = sender.get(PRODUCT)
    assert (status, headers["retry-after"], headers["x-reason"]) == (503, "3", "test")
    assert [sender.get(PRODUCT)[0] for _ in range(2)] == [503, 200]


def test_failed_write_is_not_applied(server: SimulatedWATS, sender: Sender):
    server.fail("PUT", status=500)
    assert sender.send(put_product(name="Never"))[0] == 500
    assert json.loads(sender.get(PRODUCT)[2])["name"] == "Widget 0"


def test_fault_for_ever_ends_with_clear_faults(server: SimulatedWATS, sender: Sender):
    server.fail(times=None, status=502)
    assert [sender.get(PRODUCT)[0] for _ in range(5)] == [502] * 5
    server.clear_faults()
    assert sender.get(PRODUCT)[0] == 200


def test_hang_ends_with_release(server: SimulatedWATS):
    server.hang("GET", PRODUCT)
    hanging = InThread(server, get(PRODUCT))
    while not server.request_count:
        time.sleep(0.005)
    time.sleep(0.05)
    assert server.requests[0].status is None
    server.release()
    assert hanging.result()[0] == 200


def test_break_body_sends_half_and_closes(server: SimulatedWATS, sender: Sender):
    server.break_body("GET", PRODUCT)
    with pytest.raises(http.client.IncompleteRead) as broken:
        sender.get(PRODUCT)
    assert len(broken.value.partial) > 0
    with Sender(server) as fresh:
        assert fresh.get(PRODUCT)[0] == 200


@pytest.mark.parametrize(("before", "name"), [(True, "Widget 0"), (False, "Applied")])
def test_drop_closes_without_an_answer(server: SimulatedWATS, before: bool, name: str):
    server.drop("PUT", "/api/Product", before=before)
    with Sender(server) as dropped, pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        dropped.send(put_product(name="Applied"))
    assert server.requests[-1].status == 0
    with Sender(server) as sender:
        assert json.loads(sender.get(PRODUCT)[2])["name"] == name


@pytest.mark.parametrize(("before", "name"), [(True, "Renamed"), (False, "Widget 0")])
def test_gate_holds_before_or_after_the_data_is_read(server: SimulatedWATS, sender: Sender, before: bool, name: str):
    with server.hold("GET", PRODUCT, before=before) as gate:
        assert not gate.arrived.is_set()
        held = InThread(server, get(PRODUCT))
        assert gate.arrived.wait(5)
        sender.send(put_product(name="Renamed"))
        # Only the first is held.
        assert json.loads(sender.get(PRODUCT)[2])["name"] == "Renamed"
        assert "holding" in repr(gate)
        gate.release()
        assert json.loads(held.result()[2])["name"] == name


def test_gate_holds_the_answer_of_an_applied_write(server: SimulatedWATS, sender: Sender):
    gate = server.hold("PUT", "/api/Product", before=False)
    writing = InThread(server, put_product(name="Applied"))
    assert gate.arrived.wait(5)
    assert json.loads(sender.get(PRODUCT)[2])["name"] == "Applied"
    gate.release()
    assert writing.result()[0] == 200


# Life.


def test_restart_keeps_port_and_data_and_stop_refuses(server: SimulatedWATS):
    with SimulatedWATS() as own:
        url, token = own.base_url, own.token
        with Sender(own) as sender:
            sender.send(put_product(name="Kept"))
            own.stop()
            assert not own.running
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", own.port), timeout=1).close()
            with pytest.raises((http.client.HTTPException, OSError)):
                sender.get(PRODUCT)
        own.restart()
        assert (own.base_url, own.token, own.running) == (url, token, True)
        with Sender(own) as sender:
            assert json.loads(sender.get(PRODUCT)[2])["name"] == "Kept"


def test_stop_cuts_held_and_hanging_requests():
    with SimulatedWATS() as server:
        gate = server.hold("GET", "/api/Asset", before=False)
        server.hang("GET", PRODUCT)
        server.latency_for("GET", "/api/App/Levels", 60)
        waiting = [InThread(server, get(target)) for target in ("/api/Asset", PRODUCT, "/api/App/Levels")]
        assert gate.arrived.wait(5)
        while server.request_count < 3:
            time.sleep(0.005)
        started = time.monotonic()
        server.stop()
        assert time.monotonic() - started < 3
        assert all(isinstance(one.result(), (http.client.HTTPException, OSError)) for one in waiting)


def test_close_leaves_no_thread_behind():
    def threads() -> int:
        return sum(thread.name.startswith("simulated-wats") for thread in threading.enumerate())

    before = threads()
    server = SimulatedWATS().start()
    senders = [Sender(server) for _ in range(8)]
    for sender in senders:
        sender.get(PRODUCT)
    assert threads() == before + 9
    server.close()
    server.close()
    for sender in senders:
        sender.close()
    assert threads() == before


def test_many_connections_at_once(server: SimulatedWATS):
    requests = [InThread(server, get(f"/api/Product/PN-{1000 + number % 20}")) for number in range(64)]
    assert [request.result()[0] for request in requests] == [200] * 64


def test_start_twice_and_stop_twice_do_nothing():
    server = SimulatedWATS()
    with pytest.raises(RuntimeError, match="start"):
        _ = server.base_url
    server.stop()
    assert server.start() is server
    port = server.port
    assert server.start().port == port
    server.stop()
    server.stop()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"latency": -1}, ValueError, "latency must be from 0 to 3600 seconds, not -1"),
        ({"latency": "1"}, TypeError, "latency must be a number of seconds, not '1'"),
        ({"latency": float("nan")}, ValueError, "latency .* not nan"),
        ({"process_delay": 3601}, ValueError, "process_delay"),
        ({"users": "alice"}, TypeError, "users must be names"),
        ({"users": []}, ValueError, "users must name at least one"),
        ({"users": ["a:b"]}, ValueError, "users .* 'a:b'"),
        ({"users": [1]}, TypeError, "users .* 1"),
        ({"users": {"alice": 1}}, TypeError, "password .* 'alice'"),
        ({"products": -1}, ValueError, "products must be from 0 to 1000000, not -1"),
        ({"products": True}, TypeError, "products must be a whole number, not True"),
        ({"seed": 0.5}, TypeError, "seed"),
        ({"port": 70000}, ValueError, "port"),
        ({"gzip": 1}, TypeError, "gzip must be True or False, not 1"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        SimulatedWATS(**arguments)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda server: server.token_for("eve"), ValueError),
        (lambda server: server.touch("nothing"), ValueError),
        (lambda server: server.latency_for("GET", "/api/Nothing", 1), ValueError),
        (lambda server: server.latency_for("GET", "/api/Asset", -1), ValueError),
        (lambda server: server.fail(status=99), ValueError),
        (lambda server: server.fail(times=0), ValueError),
        (lambda server: server.hang(times=1.5), TypeError),
        (lambda server: setattr(server, "latency", "slow"), TypeError),
    ],
)
def test_bad_calls(server: SimulatedWATS, call: Any, error: type[Exception]):
    with pytest.raises(error):
        call(server)


@pytest.mark.parametrize("products", [0, 1, 2, 50])
def test_any_number_of_products(products: int):
    with SimulatedWATS(products=products) as server, Sender(server) as sender:
        found = json.loads(sender.get("/api/Product/Query?$filter=startswith(partNumber,%27PN-%27)")[2])
        assert len(found) == products


# The vendor's SDK.


@pytest.fixture(scope="module")
def sdk(started: SimulatedWATS) -> Iterator[pyWATS]:
    yield from sdk_for(started)


def sdk_for(server: SimulatedWATS) -> Iterator[pyWATS]:
    """Give the SDK's client without its cache, which answers with data from before a write; close what it leaves."""
    from pywats import pywats as module

    api = pyWATS(base_url=server.base_url, token=server.token, enable_cache=False)
    yield api
    module._run_sync(api._http_client.close())


@pytest.fixture
def api(sdk: pyWATS, server: SimulatedWATS) -> pyWATS:
    return sdk


def test_reflection_finds_every_method_of_the_sdk():
    assert len(service_methods()) == 313


@pytest.mark.parametrize(("domain", "name"), service_methods(), ids=lambda value: value)
def test_sdk_method(api: pyWATS, server: SimulatedWATS, domain: str, name: str):
    args, kwargs = arguments(domain, name, server)
    method = getattr(service(api, domain), name)
    failure = KNOWN_FAILURES.get((domain, name))
    if failure is not None:
        with pytest.raises(failure):
            method(*args, **kwargs)
        return
    result = method(*args, **kwargs)
    if (domain, name) not in WITHOUT_RESULT:
        assert result


def test_async_sdk(server: SimulatedWATS):
    async def use() -> None:
        async with AsyncWATS(base_url=server.base_url, token=server.token, enable_cache=False) as api:
            product = await api.product.get_product("PN-1000")
            assert product is not None
            product.name = "Async"
            await api.product.update_product(product)
            definitions = await service(api, "manual_inspection").list_definitions()
            assert definitions
            assert inspect.iscoroutinefunction(api.product.get_product)
            names = [one.name for one in await asyncio.gather(*[api.product.get_product("PN-1000") for _ in range(8)])]
            assert names == ["Async"] * 8
            await api.process.clear_cache()
            await api.process._cache.stop_cleanup()

    asyncio.run(use())


def test_sdk_product_flow(api: pyWATS):
    product = api.product.create_product("PN-NEW", name="New", description="first")
    product.name = "Renamed"
    api.product.update_product(product)
    assert api.product.get_product("PN-NEW").name == "Renamed"
    assert any(one.part_number == "PN-NEW" for one in api.product.get_products())
    api.product.create_revision("PN-NEW", "A", description="first")
    api.product.create_revision("PN-NEW", "B")
    assert [one.revision for one in api.product.get_revisions("PN-NEW")] == ["A", "B"]
    api.product.add_product_tag("PN-NEW", "Colour", "red")
    assert api.product.get_product_tags("PN-NEW") == [{"key": "Colour", "value": "red"}]
    api.product.set_revision_tags("PN-NEW", "A", [{"key": "Approved", "value": "no"}])
    assert api.product.get_revision_tags("PN-NEW", "A") == [{"key": "Approved", "value": "no"}]
    api.product.update_bom("PN-NEW", "A", [BomItem(part_number="R<1>", component_ref="R1;R2", quantity=2)])
    assert [(one.part_number, one.quantity) for one in api.product.get_bom("PN-NEW", "A")] == [("R<1>", 2)]
    assert api.product.get_bom_public("PN-NEW", "A").components[0].reference == "R1;R2"
    relation = api.product.add_subunit("PN-NEW", "A", "PN-1001", "B", quantity=3)
    (subunit,) = api.product.get_box_build_subunits("PN-NEW", "A")
    assert (subunit.child_part_number, subunit.child_revision, subunit.quantity) == ("PN-1001", "B", 3)
    api.product.remove_subunit(relation.relation_id)
    assert api.product.get_box_build_subunits("PN-NEW", "A") == []
    assert api.product.delete_product("PN-NEW")["deleted"]
    with pytest.raises(PyWATSError):
        api.product.get_product("PN-NEW")
    # Units exist: it is only deactivated.
    assert api.product.delete_product("PN-1000")["serial_numbers"] == ["SN-1000"]


def test_sdk_group_and_vendor_flow(api: pyWATS):
    group = api.product.create_product_group("Radios", "all radios")
    api.product.update_product_group(group["id"], "Radio sets")
    assert "Radio sets" in [one.name for one in api.product.get_groups()]
    assert "Radio sets" in [one.product_group_name for one in api.analytics.get_product_groups()]
    api.product.delete_product_group(group["id"])
    assert "Radio sets" not in [one.name for one in api.product.get_groups()]
    vendor = api.product.save_vendor("Chips")
    api.product.save_vendor("Chips and more", vendor["vendorId"])
    assert "Chips and more" in [one["name"] for one in api.product.get_vendors()]


def test_sdk_asset_flow(api: pyWATS):
    kind = api.asset.create_asset_type("Camera", calibration_interval=30.0)
    asset = api.asset.create_asset("CAM-1", kind.type_id, asset_name="Camera")
    api.asset.set_asset_state(AssetState.IN_CALIBRATION, asset_id=asset.asset_id)
    api.asset.increment_count(serial_number="CAM-1", amount=5)
    api.asset.record_calibration(serial_number="CAM-1", comment="calibrated")
    api.asset.add_log_message(asset.asset_id, "looks fine")
    read = api.asset.get_asset_by_serial("CAM-1")
    assert (read.state, read.total_count, read.running_count) == (AssetState.IN_CALIBRATION, 5, 0)
    assert read.next_calibration_date > read.last_calibration_date
    assert [one.comment for one in read.asset_log][-2:] == ["calibrated", "looks fine"]
    api.asset.add_child_asset(api.asset.get_asset_by_serial("FIX-1").asset_id, asset.asset_id)
    assert "CAM-1" in [one.serial_number for one in api.asset.get_child_assets(parent_serial="FIX-1")]
    api.asset.upload_file(asset.asset_id, "notes.txt", b"notes")
    assert api.asset.list_files(asset.asset_id) == ["notes.txt"]
    assert api.asset.download_file(asset.asset_id, "notes.txt") == b"notes"
    api.asset.delete_asset(serial_number="CAM-1")
    assert "CAM-1" not in [one.serial_number for one in api.asset.get_assets()]


def test_sdk_production_flow(api: pyWATS):
    api.production.create_unit("SN-NEW", "PN-1000", "A", batch_number="BATCH-7")
    assert "BATCH-7" in [one.batch_number for one in api.production.get_batches()]
    api.production.set_unit_phase("SN-NEW", "PN-1000", "Finalized")
    api.production.set_unit_tag("SN-NEW", "PN-1000", "Colour", "red")
    unit = api.production.get_unit("SN-NEW", "PN-1000")
    assert (unit.unit_phase, unit.tags[0].value) == ("Finalized", "red")
    api.production.add_child_to_assembly("SN-1000", "PN-1000", "SN-NEW", "PN-1000")
    parent = api.production.get_unit("SN-1000", "PN-1000")
    assert "SN-NEW" in [one.serial_number for one in parent.sub_units]
    changes = api.production.get_unit_changes(serial_number="SN-NEW")
    assert changes[-1].new_parent_serial_number == "SN-1000"
    for change in changes:
        api.production.delete_unit_change(str(change.id))
    assert api.production.get_unit_changes(serial_number="SN-NEW") == []
    api.production.change_unit_part_number("SN-NEW", "PN-1000", "PN-OTHER", "B")
    assert api.production.get_unit("SN-NEW", "PN-OTHER").revision == "B"
    assert api.product.get_product("PN-OTHER").part_number == "PN-OTHER"
    api.production.delete_unit("SN-NEW", "PN-OTHER")
    assert not api.production.query_units(filter="serialNumber eq 'SN-NEW'")


def test_sdk_serial_numbers_are_taken_once(api: pyWATS):
    first = api.production.take_serial_numbers("SN", 3)
    second = api.production.take_serial_numbers("SN", 3)
    assert len({*first, *second}) == 6
    assert api.production.get_serial_number_statistics("SN")["taken"] == 6
    assert first[0].encode() in api.production.export_serial_numbers("SN", state="Taken")


def test_sdk_report_flow(api: pyWATS):
    def units() -> int:
        rows = api.analytics.get_dynamic_yield({"dimensions": "partNumber", "partNumber": "PN-REP"})
        return sum(row.unit_count for row in rows)

    before = len(api.report.query_uut_headers())
    report = api.report.create_uut_report(
        "me", "PN-REP", "A", "SN-REP", 100, station_name="S1", location="L", purpose="P"
    )
    report.get_root_sequence_call().add_boolean_step(name="Looks good", status="P")
    assert units() == 0
    report_id = api.report.submit_report(report)
    assert report_id == str(report.id)
    headers = api.report.query_uut_headers()
    assert len(headers) == before + 1
    assert units() == 1
    assert api.report.get_headers_by_serial("SN-REP")[0].result == "Passed"
    assert api.report.get_report(report_id).sn == "SN-REP"
    assert b"SN-REP" in api.report.get_report_xml(report_id)
    assert api.product.get_product("PN-REP").revisions[0].revision == "A"
    assert api.production.is_unit_passing("SN-REP", "PN-REP")
    repair = api.report.create_uur_report(report, operator="me", comment="cable")
    api.report.submit_report(repair)
    assert api.report.get_headers_by_part_number("PN-REP", report_type="uur")[0].comment == "cable"
    assert api.report.get_recent_headers()
    xml = '<Reports><Report type="UUT" PN="PN-XML" SN="SN-XML" Result="F"><Process Code="100"/></Report></Reports>'
    api.report.submit_report_xml(xml)
    assert api.report.get_headers_by_serial("SN-XML")[0].result == "Failed"


def test_sdk_analytics_counts_runs(api: pyWATS):
    # Every fourth unit failed in its first run and passed in the second.
    (row,) = api.analytics.get_dynamic_yield({"dimensions": "partNumber", "partNumber": "PN-1003"})
    assert (row.unit_count, row.fp_count, row.sp_count, row.lp_count, row.fpy, row.lpy) == (1, 0, 1, 1, 0.0, 100.0)
    assert api.analytics.get_top_failed(part_number="PN-1003")[0].fail_count == 1
    assert [one.serial_number for one in api.analytics.get_related_repair_history("PN-1003", "A")] == ["SN-1003"]


def test_sdk_ticket_flow(api: pyWATS):
    ticket = api.rootcause.create_ticket("Noise", initial_comment="heard it")
    api.rootcause.add_comment(ticket.ticket_id, "found it")
    api.rootcause.change_status(ticket.ticket_id, TicketStatus.IN_PROGRESS)
    read = api.rootcause.get_ticket(ticket.ticket_id)
    assert [one.content for one in read.history] == ["heard it", "found it"]
    active = api.rootcause.get_tickets(TicketStatus.IN_PROGRESS, TicketView.ALL)
    assert [one.ticket_id for one in active] == [ticket.ticket_id]
    api.rootcause.archive_tickets([ticket.ticket_id])
    assert api.rootcause.get_tickets(TicketStatus.IN_PROGRESS, TicketView.ALL) == []


def test_sdk_software_flow(api: pyWATS):
    package = api.software.create_package("Firmware", description="for the radio")
    api.software.submit_for_review(package.package_id)
    api.software.release_package(package.package_id)
    assert api.software.get_released_package("Firmware").status == PackageStatus.RELEASED
    api.software.upload_zip(package.package_id, b"PK")
    (file,) = api.software.get_package_files(package.package_id)
    api.software.update_file_attribute(file.file_id, "8")
    assert api.software.get_package_files(package.package_id)[0].attributes == "8"
    assert api.software.create_package("Firmware").version == 2
    downloads = len(api.software.get_package_download_history(1))
    api.software.log_download(package.package_id, 10)
    assert len(api.software.get_package_download_history(1)) == downloads + 1
    folder = api.software.create_virtual_folder("Radios")
    api.software.update_virtual_folder(str(folder.folder_id), "Radio sets")
    assert "Radio sets" in [one.name for one in api.software.get_virtual_folders()]
    api.software.delete_package(package.package_id)
    assert package.package_id not in [one.package_id for one in api.software.get_packages()]


def test_sdk_process_flow(api: pyWATS):
    assert api.process.get_test_operation(100).name == "Test"
    assert api.process.get_repair_operation("Repair").code == 500
    assert api.process.get_repair_codes(500) == ["Solder bridge"]
    assert len(api.process.get_processes_filtered(include_repair_operations=True)) == 1


def test_sdk_scim_flow(api: pyWATS):
    assert [one.user_name for one in api.scim.get_users().resources] == ["demo", "alice", "bob"]
    alice = api.scim.get_user_by_username("alice")
    api.scim.delete_user(alice.id)
    assert api.scim.get_users().total_results == 2
    assert api.scim.get_token().token != api.scim.get_token().token


def test_sdk_manual_inspection_flow(api: pyWATS):
    first = api.manual_inspection.create_definition("Solder check")
    api.manual_inspection.release_inspection(str(first.test_sequence_definition_id))
    copy = api.manual_inspection.copy_definition(str(first.test_sequence_definition_id))
    assert (copy.version, copy.status) == (2, 0)
    api.manual_inspection.release_inspection(str(copy.test_sequence_definition_id))
    # Releasing one version revokes the one before.
    assert api.manual_inspection.get_definition(str(first.test_sequence_definition_id)).status == 3
    assert [one.version for one in api.manual_inspection.list_sequences() if one.name == "Solder check"] == [2]
    relation = api.manual_inspection.create_relation(
        str(copy.test_sequence_definition_id), "Product", "Product", "PartNumber", "PN-1000"
    )
    assert len(api.manual_inspection.get_relation_conflicts(str(copy.test_sequence_definition_id))) == 2
    api.manual_inspection.delete_relation({"TestSequenceRelationId": str(relation.test_sequence_relation_id)})
    assert api.manual_inspection.list_relations(str(copy.test_sequence_definition_id)) == []
