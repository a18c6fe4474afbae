"""What a URL of a Redis server means, or of several: sentinels that name one, the nodes of a cluster."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from ...errors import ConfigurationError
from ...support.showing import is_host, shown_path, shown_url
from .parameters import OURS, parameters_of

__all__ = ["FORMS", "SCHEMES", "Address", "Scheme", "address_of"]


class Scheme(NamedTuple):
    """What a URL that begins with it leads to.

    - `kind`: `server`, `socket`, `sentinel` or `cluster`.
    - `has`: what is to be said of its connections: `tls`, `tcp`, `sentinel`, `database`.
    - `port`: the one that is meant if none is named.
    - `example`: a right one.
    """

    kind: str
    has: frozenset[str]
    port: int
    example: str


_TCP, _TLS, _ONE = frozenset({"tcp"}), frozenset({"tcp", "tls"}), frozenset({"database"})
_WATCHED = _ONE | {"sentinel"}
SCHEMES: dict[str, Scheme] = {
    "redis": Scheme("server", _TCP | _ONE, 6379, "redis://127.0.0.1:6379/0"),
    "rediss": Scheme("server", _TLS | _ONE, 6379, "rediss://cache.example:6379/0"),
    "unix": Scheme("socket", _ONE, 0, "unix:///run/redis.sock"),
    "redis+sentinel": Scheme("sentinel", _TCP | _WATCHED, 26379, "redis+sentinel://host1,host2/service/0"),
    "rediss+sentinel": Scheme("sentinel", _TLS | _WATCHED, 26379, "rediss+sentinel://host1,host2/service/0"),
    "redis+cluster": Scheme("cluster", _TCP, 6379, "redis+cluster://host1:7000,host2:7000"),
    "rediss+cluster": Scheme("cluster", _TLS, 6379, "rediss+cluster://host1:7000,host2:7000"),
}
_SERVICE = r"(?a)[\w.-]{1,100}"
FORMS = ", ".join(scheme.example for name, scheme in SCHEMES.items() if not name.startswith("rediss+"))


class Address:
    """A URL taken apart and found right. Its repr shows no secret.

    - `nodes`: host and port of each server, sentinel or node of a cluster that it names.
    - `path`: that of a socket, or the name of the service that the sentinels watch.
    - `arguments`: those of a connection of redis-py, but for host, port and path.
    """

    __slots__ = ("arguments", "nodes", "path", "scheme")

    def __init__(self, scheme: Scheme, nodes: Sequence[tuple[str, int]], path: str, arguments: dict[str, Any]) -> None:
        self.scheme: Scheme = scheme
        self.nodes: tuple[tuple[str, int], ...] = tuple(nodes)
        self.path: str = path
        self.arguments: dict[str, Any] = arguments

    def __repr__(self) -> str:
        return f"<Address of a {self.scheme.kind}>"


def address_of(url: str) -> Address:
    """What `url` means; nothing is connected. Raises ConfigurationError, to be read after what the URL is called.

    The error repeats nothing of the URL that may be a secret.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigurationError(f"must be as {FORMS}, not a URL that cannot be read") from None
    name = parts.scheme.lower()
    scheme = SCHEMES.get(name)
    if scheme is None or f"{name}:" not in url.lower():
        raise ConfigurationError(f"must be a URL such as {FORMS}")
    given = parse_qsl(parts.query, keep_blank_values=True)
    if "@" in parts.path + parts.fragment + "".join(key for key, _ in given):
        raise ConfigurationError(f"{name}:// must have '/', '?' and '#' in a user or password as %2F, %3F and %23")
    if parts.fragment:
        raise ConfigurationError(f"{name}:// must have no fragment: write '#' in a password as %23")
    for key, _ in given:
        if key in OURS:
            raise ConfigurationError(f"{name}:// takes {key} as an argument here: RedisSharedStorage(url, {key}=…)")
    try:
        arguments = parameters_of(given, scheme.has)
    except ConfigurationError as error:
        raise ConfigurationError(f"{name}:// {error}") from None
    wrong = ConfigurationError(f"{name}:// must be as {scheme.example}, not {shown_url(url)}")
    sign_in, _, host = parts.netloc.rpartition("@")
    _signed_in(sign_in, arguments, wrong)
    if scheme.kind == "socket":
        if host:
            raise ConfigurationError(f"unix:// must name no host: write three slashes, {scheme.example}")
        path = unquote(parts.path)
        # A path of another shape may be a mistyped password, and would be repeated by each failure to connect.
        if len(path) < 2 or path.endswith("/") or "\0" in path or shown_path(path, "") != path:
            raise wrong
        return Address(scheme, (), path, arguments)
    if not host:
        raise ConfigurationError(f"{name}:// must name a host, as {scheme.example}")
    is_of_many = scheme.kind in ("sentinel", "cluster")
    texts = host.split(",") if is_of_many else [host]
    nodes = [node for text in texts if (node := _node(text, scheme.port)) is not None]
    if len(nodes) < len(texts) or (is_of_many and "@" in sign_in):
        raise wrong
    path, service = parts.path, ""
    if scheme.kind == "sentinel":
        service, _, path = unquote(path).strip("/").partition("/")
        if not re.fullmatch(_SERVICE, service):
            raise ConfigurationError(f"{name}:// must name the service that the sentinels watch, as {scheme.example}")
    _database(path, arguments, wrong)
    if scheme.kind == "cluster" and arguments.pop("db", 0):
        raise ConfigurationError(f"{name}:// must name no database: a cluster has number 0 alone")
    return Address(scheme, nodes, service, arguments)


def _signed_in(text: str, arguments: dict[str, Any], wrong: Exception) -> None:
    """Take over the user and the password of `user:password@`."""
    user, _, password = text.partition(":")
    for name, value in (("username", unquote(user)), ("password", unquote(password))):
        if value and name in arguments:
            raise wrong
        if value:
            arguments[name] = value


def _database(path: str, arguments: dict[str, Any], wrong: Exception) -> None:
    """Take over the number of the database that the path names."""
    text = unquote(path).strip("/")
    if not text:
        return
    if not (text.isascii() and text.isdecimal() and len(text) <= 9) or arguments.get("db", int(text)) != int(text):
        raise wrong
    arguments["db"] = int(text)


def _node(text: str, port: int) -> tuple[str, int] | None:
    """Host and port; None for a text of another shape, which may be a part of a mistyped password."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or ":" not in host:
            return None
        number = rest[1:] if rest[:1] == ":" else rest and "x"
    else:
        host, _, number = text.partition(":")
    if number:
        if not (number.isascii() and number.isdigit()) or not 0 < int(number[:6]) < 65536 or len(number) > 5:
            return None
        port = int(number)
    return (host, port) if is_host(host) else None
