"""The parameters that a URL of a Redis server may have, and what each may be."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any, NamedTuple

from ...errors import ConfigurationError
from ...support.durations import seconds_of

__all__ = ["OURS", "TAKEN", "Parameter", "parameters_of"]

OURS = ("max_lag", "on_unreachable", "prefix", "revalidate_for")
"""Those that are arguments of `RedisSharedStorage`."""
_PLAIN_NAME = r"[a-z]{2,20}(?:_[a-z]{1,20}){0,4}"
"""A name that may be repeated: what looks otherwise may be a part of a password."""
_WHY_NOT = {
    "decode_responses": "what is stored is bytes",
    "encoding": "what is stored is bytes",
    "retry_on_timeout": "a request does not wait for the server twice",
    "retry_on_error": "a request does not wait for the server twice",
    "timeout": "a request does not wait for a free connection",
}


class Parameter(NamedTuple):
    """What one parameter may be.

    - `read`: makes the value of redis-py. Raises ValueError for a text that is not allowed.
    - `allowed`: the same in words.
    - `needs`: the kind of connection that takes it: `tls`, `tcp`, `database` or `sentinel`; all do if empty.
    """

    read: Callable[[str], Any]
    allowed: str
    needs: str = ""


def _whole(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 9) or int(text) < least:
            raise ValueError
        return int(text)

    return read


def _text(text: str) -> str:
    if not text or not text.isprintable():
        raise ValueError
    return text


def _word(text: str) -> str:
    if not re.fullmatch(r"[!-~]+", text):
        raise ValueError
    return text


def _seconds(text: str) -> float:
    number = seconds_of(text)
    if not 0 < number < 1e6:
        raise ValueError
    return number


_FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_VERSIONS = {"tlsv1.2": 771, "771": 771, "tlsv1.3": 772, "772": 772}
"""As `ssl.TLSVersion` numbers them."""


def _one_of(values: dict[str, Any]) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            return values[text.lower()]
        except KeyError:
            raise ValueError from None

    return read


_FLAG = _one_of(_FLAGS)
_FILE = "the path of a file"
TAKEN: dict[str, Parameter] = {
    "db": Parameter(_whole(0), "the number of a database", needs="database"),
    "username": Parameter(_text, "a user"),
    "password": Parameter(_text, "a password"),
    "client_name": Parameter(_word, "a name without spaces"),
    "protocol": Parameter(_one_of({"2": 2, "3": 3}), "2 or 3"),
    "max_connections": Parameter(_whole(2), "a whole number >= 2"),
    "health_check_interval": Parameter(_whole(0), "a whole number of seconds"),
    "socket_keepalive": Parameter(_FLAG, "true or false", needs="tcp"),
    "socket_timeout": Parameter(_seconds, "a number of seconds > 0"),
    "socket_connect_timeout": Parameter(_seconds, "a number of seconds > 0"),
    "sentinel_username": Parameter(_text, "a user", needs="sentinel"),
    "sentinel_password": Parameter(_text, "a password", needs="sentinel"),
    "ssl_ca_certs": Parameter(_text, _FILE, needs="tls"),
    "ssl_ca_path": Parameter(_text, "the path of a directory", needs="tls"),
    "ssl_certfile": Parameter(_text, _FILE, needs="tls"),
    "ssl_keyfile": Parameter(_text, _FILE, needs="tls"),
    "ssl_password": Parameter(_text, "the password of ssl_keyfile", needs="tls"),
    "ssl_cert_reqs": Parameter(
        _one_of({"none": "none", "optional": "optional", "required": "required"}),
        "none, optional or required",
        needs="tls",
    ),
    "ssl_check_hostname": Parameter(_FLAG, "true or false", needs="tls"),
    "ssl_min_version": Parameter(_one_of(_VERSIONS), "TLSv1.2 or TLSv1.3", needs="tls"),
    "ssl_ciphers": Parameter(_word, "a list of ciphers as OpenSSL writes it", needs="tls"),
}


def parameters_of(given: Iterable[tuple[str, str]], has: frozenset[str]) -> dict[str, Any]:
    """The parameters of redis-py that a URL gives; `has` are the kinds of its connections.

    Raises ConfigurationError that names the first wrong one.
    """
    found: dict[str, Any] = {}
    for name, value in given:
        parameter = TAKEN.get(name)
        if parameter is None or (parameter.needs and parameter.needs not in has):
            raise ConfigurationError(_refused(name, has))
        if name in found:
            raise ConfigurationError(f"parameter {name} must be given once")
        try:
            found[name] = parameter.read(value)
        except ValueError:
            raise ConfigurationError(f"parameter {name} must be {parameter.allowed}") from None
    return found


_NEEDS = {
    "tls": "with TLS: write rediss://",
    "tcp": "with a host: write redis://",
    "sentinel": "for sentinels: write redis+sentinel://",
    "database": "for one server: a cluster has database 0 alone",
}


def _refused(name: str, has: frozenset[str]) -> str:
    if name in TAKEN:
        return f"parameter {name} is allowed only {_NEEDS[TAKEN[name].needs]}"
    if name in _WHY_NOT:
        return f"must be without {name}: {_WHY_NOT[name]}"
    taken = [*OURS, *(one for one, what in TAKEN.items() if not what.needs or what.needs in has)]
    meant = get_close_matches(name, taken, 1)
    which = f"parameter {name} is unknown" if re.fullmatch(_PLAIN_NAME, name) else "must have known parameters only"
    return f"{which}; {f'did you mean {meant[0]}? ' if meant else ''}allowed are {', '.join(taken)}"
