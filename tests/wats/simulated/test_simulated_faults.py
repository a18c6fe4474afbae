"""SimulatedWATS: its faults and its life."""

from __future__ import annotations

import http.client
import json
import socket
import threading

import httpx
import pytest
from simulated_wire import LONG, PRODUCT, InThread, get, hanging, put_product
from wats_requests import Sender

from wats_simulator.simulator import SimulatedWATS

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


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_leaves_the_connection_usable(server: SimulatedWATS, status: int):
    with httpx.Client(base_url=server.base_url, headers={"Authorization": f"Basic {server.token}"}) as client:
        server.fail(status=status)
        assert [client.get(PRODUCT).status_code for _ in range(2)] == [status, 200]


def test_hang_ends_with_release(server: SimulatedWATS):
    server.hang("GET", PRODUCT)
    hangs, request = hanging(server), InThread(server, get(PRODUCT))
    assert hangs.wait(LONG)
    assert server.requests[0].status is None
    server.release()
    assert request.result()[0] == 200


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


def test_stop_cuts_held_and_hanging_requests(server: SimulatedWATS, monkeypatch: pytest.MonkeyPatch):
    hangs, slow, pause = hanging(server), threading.Event(), server._stopping.wait
    monkeypatch.setattr(server._stopping, "wait", lambda seconds: (slow.set(), pause(seconds)))
    gate = server.hold("GET", "/api/Asset", before=False)
    server.hang("GET", PRODUCT)
    server.latency_for("GET", "/api/App/Levels", 60)
    try:
        waiting = [InThread(server, get(target)) for target in ("/api/Asset", PRODUCT, "/api/App/Levels")]
        assert all(event.wait(LONG) for event in (gate.arrived, hangs, slow))
        stopping = threading.Thread(target=server.stop, daemon=True)
        stopping.start()
        stopping.join(LONG)
        assert not stopping.is_alive()
        assert all(isinstance(one.result(), (http.client.HTTPException, OSError)) for one in waiting)
    finally:
        server.latency_for("GET", "/api/App/Levels", None)
        server.restart()


def test_close_leaves_no_thread_behind():
    before = set(threading.enumerate())
    server = SimulatedWATS().start()
    senders = [Sender(server) for _ in range(8)]
    for sender in senders:
        sender.get(PRODUCT)
    started = set(threading.enumerate()) - before
    assert len(started) == 9
    server.close()
    server.close()
    for sender in senders:
        sender.close()
    assert not any(thread.is_alive() for thread in started)


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
