"""SimulatedWATS: its routes and its coherence, and what it refuses."""

from __future__ import annotations

import gzip
import http.client
import json
import threading
from typing import Any

import pytest
from simulated_wire import LONG, PRODUCT, InThread, Pauses, get, put_product
from wats_requests import Sender, Wire, request_for

from wats_simulator.call import Route
from wats_simulator.routes import ROUTES
from wats_simulator.simulator import SimulatedWATS

READS = [route for route in ROUTES if route.kind == "read"]
WRITES = [route for route in ROUTES if route.kind == "write"]


def name_of(route: Route) -> str:
    return f"{route.method} {route.template}"


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


def test_latency_is_spent_after_the_data_is_read(server: SimulatedWATS, sender: Sender, pauses: Pauses):
    server.latency_for("GET", "/api/Product/{part_number}", 0.6)
    try:
        reading = InThread(server, get(PRODUCT))
        assert pauses.begun.wait(LONG)
        assert sender.send(put_product(name="Later"))[0] == 200
        assert server.requests[0].status is None, "the read was answered before the write"
        pauses.end.set()
        assert json.loads(reading.result()[2])["name"] == "Widget 0"
        assert pauses.seconds == [0.6]
    finally:
        server.latency_for("GET", "/api/Product/{part_number}", None)


def test_latency_can_be_changed_at_any_time(server: SimulatedWATS, sender: Sender, pauses: Pauses):
    pauses.end.set()
    for seconds in (0.05, 0.0, 0.1, 0.0):
        server.latency = seconds
        sender.get(PRODUCT)
    assert pauses.seconds == [0.05, 0.1]


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


def test_report_takes_effect_after_process_delay(
    server: SimulatedWATS, sender: Sender, monkeypatch: pytest.MonkeyPatch
):
    timers: list[threading.Timer] = []
    monkeypatch.setattr(threading.Timer, "start", lambda timer: timers.append(timer))
    route = next(route for route in WRITES if route.template == "/api/Report/WSJF")
    headers = get("/api/Report/Query/Header?reportType=U")
    before = sender.send(headers)[2]
    server.process_delay = 0.15
    try:
        assert sender.send(request_for(route, server))[0] == 200
        assert sender.send(headers)[2] == before
        assert [timer.interval for timer in timers] == [0.15]
        timers[0].function()
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
        (lambda server: server.fail(status="503"), TypeError),
        (lambda server: server.fail("/api/Product/*"), ValueError),  # it would never happen, and the test pass
        (lambda server: server.drop("GET", "api/Product"), ValueError),
        (lambda server: server.hold("GET", server.base_url), ValueError),
        (lambda server: server.count("GET", None), TypeError),
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
