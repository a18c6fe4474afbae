"""The ways to a Redis server: TLS with a client certificate, a socket, a user; and what is said of wrong ones."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from certificates import CLIENT_PASSWORD, make_certificates
from sharing_world import a_port, servers_found, soon, start_valkey

from pywats_cache import CacheClient, ConfigurationError, ConfigurationTypeError, RedisSharedStorage
from pywats_cache.storage.redis import upkeep as redis_upkeep
from pywats_cache.storage.redis.storage import KEY_VARIABLE
from pywats_cache.storage.store_reader import look_at
from pywats_cache.storage.url import storage_from_url

KEY = "the-same-on-all-machines-of-the-tests"
Machine = Callable[..., Any]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)


@pytest.fixture
def machine() -> Iterator[Machine]:
    """Makes a client over the storage at a URL, with the rest of the world mocked."""
    made: list[Any] = []

    def make(storage: Any) -> Any:
        if isinstance(storage, str):
            storage = storage_from_url(storage)
        client: Any = CacheClient(storage=storage, transport=httpx.MockTransport(lambda _: httpx.Response(200)))
        client.storage = storage
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()
        client.storage.close()


def outcome(client: Any) -> tuple[str, int]:
    found = client.get("http://o/a").extensions["pywats_cache"]
    return found.status, client.storage.memory.errors


def shared(machine: Machine, url: str) -> None:
    """What one machine fetches the other finds at `url`, and so does the command line."""
    assert outcome(machine(url)) == ("miss", 0)
    assert outcome(machine(url)) == ("hit", 0)
    store = look_at(url)
    assert len(list(store.entries())) == 1
    store.close()


# ── TLS ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def tls_port(certificates: Path) -> Iterator[int]:
    """A server that wants a certificate of its clients, on this port."""
    if "redis" not in servers_found():
        pytest.skip("needs a redis-server with TLS: apt-get install redis-server")
    port = a_port()
    files = {"ca-cert-file": "ca.crt", "cert-file": "server.crt", "key-file": "server.key"}
    config = {f"tls-{name}": certificates / file for name, file in files.items()}
    server = start_valkey(servers_found()["redis"], config={"tls-port": port, "tls-auth-clients": "yes", **config})
    yield port
    server.stop()


def files(directory: Path, **names: str) -> str:
    return "&".join(f"{name}={quote(str(directory / file))}" for name, file in names.items())


@pytest.mark.parametrize("file", ["client.key", "client.pem"])
def test_tls_with_a_client_certificate_by_parameters(
    machine: Machine, tls_port: int, certificates: Path, file: str
) -> None:
    tls = files(certificates, ssl_ca_certs="ca.crt", ssl_certfile="client.crt", ssl_keyfile=file)
    password = f"&ssl_password={CLIENT_PASSWORD}" if file == "client.pem" else ""
    shared(machine, f"rediss://localhost:{tls_port}/0?{tls}{password}&ssl_min_version=TLSv1.3&prefix={file}")


@pytest.mark.parametrize("without", ["ssl_certfile", "ssl_ca_certs"])
def test_without_its_certificate_no_machine_shares_and_none_fails(
    machine: Machine, tls_port: int, certificates: Path, without: str, caplog: pytest.LogCaptureFixture
) -> None:
    names = {"ssl_ca_certs": "ca.crt", "ssl_certfile": "client.crt", "ssl_keyfile": "client.key"}
    del names[without]
    if without == "ssl_certfile":
        del names["ssl_keyfile"]
    client = machine(f"rediss://localhost:{tls_port}/0?{files(certificates, **names)}")
    status, errors = outcome(client)
    assert status == "miss"
    assert errors > 0
    assert "storage-error" in codes(client)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"ssl_certfile": "client.crt"}, "ssl_certfile cannot be used"),
        ({"ssl_keyfile": "client.key"}, "ssl_keyfile needs ssl_certfile"),
        ({"ssl_certfile": "client.crt", "ssl_keyfile": "server.key"}, "the key in ssl_keyfile is that of another"),
        (
            {"ssl_certfile": "client.crt", "ssl_keyfile": "client.pem"},
            "ssl_certfile cannot be used: its key needs the right ssl_password",
        ),
        ({"ssl_ca_certs": "names"}, "ssl_ca_certs cannot be used"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_named_at_once(
    certificates: Path, parameters: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        storage_from_url(f"rediss://localhost/0?{files(certificates, **parameters)}")


# ── sockets and users ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_socket_on_this_machine(machine: Machine, program: str) -> None:
    with tempfile.TemporaryDirectory(prefix="s") as directory:  # pytest's own are too long for a socket
        path = Path(directory) / "redis.sock"
        server = start_valkey(servers_found()[program], unix_socket_path=path)
        try:
            with server.client() as admin:
                admin.execute_command("ACL", "SETUSER", "cache", "on", ">p w/?#d", "+@all", "~*", "&*")
            shared(machine, f"unix://{path}")
            shared(machine, f"unix://{path}?db=3")
            shared(machine, f"unix://cache:{quote('p w/?#d', safe='')}@{path}?prefix=p")
        finally:
            server.stop()


def test_a_socket_that_is_not_there_costs_no_request(machine: Machine, tmp_path: Path) -> None:
    status, errors = outcome(machine(f"unix://{tmp_path}/no.sock"))
    assert status == "miss"
    assert errors > 0


def test_a_user_and_a_password(machine: Machine, program: str, caplog: pytest.LogCaptureFixture) -> None:
    server = start_valkey(servers_found()[program])
    try:
        with server.client() as admin:
            admin.execute_command("ACL", "SETUSER", "cache", "on", ">hunter2/@:", "+@all", "~*", "&*")
        at = f"127.0.0.1:{server.port}/0"
        shared(machine, f"redis://cache:{quote('hunter2/@:', safe='')}@{at}")
        shared(machine, f"redis://{at}?username=cache&password={quote('hunter2/@:', safe='')}&prefix=p")
        wrong = machine(f"redis://cache:hunter3@{at}?prefix=q")
        status, errors = outcome(wrong)
        assert (status, errors > 0) == ("miss", True)
        said = caplog.text + repr(wrong.storage) + str(wrong.cache.doctor())
        assert "hunter" not in said
    finally:
        server.stop()


def test_a_node_of_a_cluster_is_told_to_be_one(machine: Machine, program: str) -> None:
    nodes = [start_valkey(config={"cluster-enabled": "yes"}) for _ in range(2)]
    try:
        for node, slots in zip(nodes, ((0, 8191), (8192, 16383)), strict=True):
            with node.client() as admin:
                admin.execute_command("CLUSTER", "ADDSLOTSRANGE", *slots)
                admin.execute_command("CLUSTER", "MEET", "127.0.0.1", nodes[0].port)
        for node in nodes:
            with node.client() as admin:
                soon(lambda admin=admin: "cluster_state:ok" in as_text(admin.execute_command("CLUSTER", "INFO")))
        for node in nodes:
            client = machine(f"redis://127.0.0.1:{node.port}/0")
            for number in range(20):  # some of their records lie on the other node
                assert client.get(f"http://o/{number}").status_code == 200
            assert "the server is a node of a cluster" in str(client.cache.doctor())
    finally:
        for node in nodes:
            node.terminate()


def as_text(answer: Any) -> str:
    """What CLUSTER INFO says, which the clients return in different forms."""
    said = answer.decode() if isinstance(answer, bytes) else str(answer)
    return said.replace("'", "").replace(": ", ":")


# ── what is given ─────────────────────────────────────────────────────────────────────────────────────────────────


def a_client() -> Any:
    import redis

    return redis.Redis(password="hunter2")


def an_async_client() -> Any:
    import redis.asyncio

    return redis.asyncio.Redis(password="hunter2")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: None, "not None"),
        (lambda: 5, "not 5"),
        (lambda: b"redis://h", "not a bytes"),
        (a_client, "not a Redis; it makes clients of its own"),
        (an_async_client, "not a Redis; it makes clients of its own"),
    ],
)
def test_what_is_no_url_is_told_what_is_allowed(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ConfigurationTypeError, match=f"url must be a URL such as redis://.*{message}") as caught:
        RedisSharedStorage(make())
    assert "hunter2" not in str(caught.value)


def test_an_argument_in_the_url_is_told_where_it_belongs() -> None:
    with pytest.raises(
        ConfigurationError, match=r"url redis:// takes max_lag as an argument here: .*\(url, max_lag=…\)"
    ):
        RedisSharedStorage("redis://h/0?max_lag=1")


# ── digest keys ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def valkey_port() -> Iterator[int]:
    server = start_valkey()
    yield server.port
    server.stop()


def codes(client: Any) -> list[str]:
    return [finding.code for finding in client.cache.doctor()]


def test_a_digest_key_that_differs_is_told_by_all_once(
    machine: Machine, valkey_port: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(redis_upkeep, "EVERY", 0.0)

    def with_key(key: str) -> Any:
        return machine(RedisSharedStorage(f"redis://127.0.0.1:{valkey_port}/0", digest_key=key))

    def fetch(client: Any, path: str) -> None:
        assert client.get(f"http://o{path}").extensions["pywats_cache"].status == "miss"
        client.storage._upkeep.close(20.0)

    right, same, wrong = with_key(KEY), with_key(KEY), with_key(f"{KEY}\n")
    fetch(right, "/1"), fetch(same, "/2")
    assert (codes(right), codes(same)) == ([], [])
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    fetch(wrong, "/1"), fetch(wrong, "/3"), fetch(right, "/4")
    assert (codes(wrong), codes(right)) == (["digest-key"], ["digest-key"])
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(said) == 2
    assert all("another digest key was used" in text and "line feed" in text for text in said)
    assert KEY not in caplog.text
    right.storage._client.delete("pywats-cache:digest-keys")  # an hour later
    fetch(right, "/5")
    assert codes(right) == []


def test_digest_keys_are_compared_once_a_minute_and_the_key_does_not_reach_the_server(
    machine: Machine, valkey_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = machine(RedisSharedStorage(f"redis://127.0.0.1:{valkey_port}/0", digest_key=KEY, prefix="once"))
    asked = []
    mark = client.storage._upkeep._agreement._mark
    monkeypatch.setattr(client.storage._upkeep._agreement, "_mark", lambda **it: asked.append(it) or mark(**it))
    for path in "abc":
        client.get(f"http://o/{path}")
        client.storage._upkeep.close(20.0)
    assert len(asked) == 1
    assert KEY not in str(asked)
