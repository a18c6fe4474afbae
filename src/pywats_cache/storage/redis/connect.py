"""Clients of redis-py for the addresses that URLs name. None is connected when it is made."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis
import redis.sentinel
from redis.backoff import NoBackoff
from redis.retry import Retry

from ...errors import ConfigurationError
from .cluster import ClusterClient
from .connections import make_ready
from .parameters import TAKEN
from .scripts import Script
from .url import SCHEMES, Address

if TYPE_CHECKING:
    from .cluster_map import Node

__all__ = ["Client", "address_of_cluster", "client_for"]


class Client(redis.Redis):
    """A client of one server."""

    def register_script(self, script: Any) -> Any:
        """A `Script` of ours, which needs no right to `SCRIPT LOAD`."""
        return Script(self, script)


def client_for(address: Address, timeout: float) -> Any:
    """A client that waits for no answer longer than `timeout`, unless the URL says so, and asks nothing twice.

    Who waits for the store gets connections that are ready, and no more time than is left: see `connections`.

    Raises ConfigurationError if what the URL names on this machine is not there: a certificate, a key.
    """
    arguments: dict[str, Any] = {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "retry": Retry(NoBackoff(), 0),
        **address.arguments,
    }
    if "tls" in address.scheme.has:
        _check_tls(arguments)
    if address.scheme.kind == "cluster":
        return _cluster(address, arguments)
    pool = _pool_of_sentinels(address, arguments) if address.scheme.kind == "sentinel" else _pool(address, arguments)
    return _client(pool)


def _client(pool: Any) -> Any:
    client = Client(connection_pool=pool)
    client.auto_close_connection_pool = True
    # What redis-py does not like it says when it makes a connection; this makes one, and opens none.
    pool.connection_class(**pool.connection_kwargs)
    return make_ready(client)


def _cluster(address: Address, arguments: dict[str, Any]) -> ClusterClient:
    remap = arguments.pop(REMAP, None)
    kind = _kind(address)

    def make(node: Node) -> Any:
        host, port = node
        return _client(redis.ConnectionPool(connection_class=kind, host=host, port=port, **arguments))

    client = ClusterClient(address.nodes, make, arguments, remap)
    client.at(address.nodes[0])  # so that a wrong argument is told now
    return client


def address_of_cluster(client: Any) -> Address:
    """Where a `RedisCluster` of redis-py connects to, and how; its own patience and retries are not taken over."""
    manager, given = client.nodes_manager, client.get_connection_kwargs()
    is_encrypted = bool(given.get("ssl")) or issubclass(given.get("connection_class") or object, redis.SSLConnection)
    arguments = {
        name: value
        for name, value in given.items()
        if value is not None and name not in _OF_ITS_OWN and (name.startswith("ssl_") or name in _TAKEN)
    }
    if manager.address_remap is not None:
        arguments[REMAP] = manager.address_remap
    nodes = [(node.host, int(node.port)) for node in manager.startup_nodes.values()]
    return Address(SCHEMES["rediss+cluster" if is_encrypted else "redis+cluster"], nodes, "", arguments)


REMAP = "address_remap"
_TAKEN = {*TAKEN, "credential_provider"}
_OF_ITS_OWN = ("db", "max_connections", "socket_timeout", "socket_connect_timeout", "health_check_interval")


def _kind(address: Address) -> type[Any]:
    kind: type[Any] = redis.SSLConnection if "tls" in address.scheme.has else redis.Connection
    return kind


def _pool(address: Address, arguments: dict[str, Any]) -> Any:
    kind = _kind(address)
    if address.scheme.kind == "socket":
        if not hasattr(socket, "AF_UNIX"):
            raise ConfigurationError("unix:// needs sockets that Python does not have on this system: use redis://")
        kind = redis.UnixDomainSocketConnection
        arguments["path"] = address.path
    else:
        arguments["host"], arguments["port"] = address.nodes[0]
    return redis.ConnectionPool(connection_class=kind, **arguments)


def _pool_of_sentinels(address: Address, arguments: dict[str, Any]) -> Any:
    """A pool that asks the sentinels for the primary whenever it makes a connection."""
    own = {name: arguments.pop(f"sentinel_{name}", None) for name in ("username", "password")}
    if "tls" in address.scheme.has:
        arguments["ssl"] = True
    common = {
        name: value
        for name, value in arguments.items()
        if name.startswith(("ssl", "socket_")) or name in ("retry", "protocol")
    }
    made: Any = redis.sentinel  # which says nothing of its types
    sentinels = made.Sentinel(address.nodes, sentinel_kwargs={**own, **common})
    return made.SentinelConnectionPool(address.path, sentinels, **arguments)


_FILES = {"ssl_ca_certs": Path.is_file, "ssl_certfile": Path.is_file, "ssl_keyfile": Path.is_file,
          "ssl_ca_path": Path.is_dir}  # fmt: skip


def _check_tls(arguments: dict[str, Any]) -> None:
    """Whether the certificates, the key and the ciphers can be used. Their names are not shown: see `shown_path`."""
    for name, is_there in _FILES.items():
        if name in arguments and not is_there(Path(arguments[name])):
            what = "directory" if name == "ssl_ca_path" else "file"
            raise ConfigurationError(f"parameter {name} must name a {what} that is there")
    if "ssl_keyfile" in arguments and "ssl_certfile" not in arguments:
        raise ConfigurationError("parameter ssl_keyfile needs ssl_certfile: the certificate of the key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    asked = False

    def password() -> str:
        nonlocal asked
        asked = True
        return str(arguments.get("ssl_password", ""))

    name = "ssl_ca_certs"
    try:
        if "ssl_ca_certs" in arguments or "ssl_ca_path" in arguments:
            context.load_verify_locations(arguments.get("ssl_ca_certs"), arguments.get("ssl_ca_path"))
        name = "ssl_certfile"
        if "ssl_certfile" in arguments:
            # OpenSSL would ask at the terminal for a password that it is not given.
            context.load_cert_chain(arguments["ssl_certfile"], arguments.get("ssl_keyfile"), password)
        name = "ssl_ciphers"
        if "ssl_ciphers" in arguments:
            context.set_ciphers(arguments["ssl_ciphers"])
    except OSError as error:
        reason = str(getattr(error, "reason", None) or error.strerror or type(error).__name__)
        if reason == "KEY_VALUES_MISMATCH":
            reason = "the key in ssl_keyfile is that of another certificate"
        elif asked:
            reason = "its key needs the right ssl_password"
        raise ConfigurationError(f"parameter {name} cannot be used: {reason}") from None
