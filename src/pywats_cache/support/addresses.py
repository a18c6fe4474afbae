"""How a service is reached: the names in `Host` that it answers to, and the path a proxy puts it under."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address

from ..errors import ConfigurationError, ConfigurationTypeError
from .showing import is_host, shown

__all__ = ["host_names", "path_prefix"]

_PREFIX = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+)*/?")


def host_names(name: str, value: object) -> tuple[str, ...]:
    """Check that `value` lists names of hosts, without a port, and return them in lower case."""
    allowed = f"{name} must be a list of host names without a port, such as ['wats-proxy.example']"
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ConfigurationTypeError(f"{allowed}, not {shown(value)}")
    names = tuple(value)
    for one in names:
        if not isinstance(one, str):
            raise ConfigurationTypeError(f"{allowed}; {shown(one)} is no string")
        if not is_host(one) or (":" in one and not _is_address(one)):
            raise ConfigurationError(f"{allowed}; {shown(one)} is none")
    return tuple(one.lower() for one in names)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def path_prefix(name: str, value: object) -> str:
    """Check that `value` is '' or a path such as /station7, and return it without a slash at its end."""
    if not isinstance(value, str):
        raise ConfigurationTypeError(f"{name} must be '' or a path such as /station7, not {shown(value)}")
    if not _PREFIX.fullmatch(value):
        raise ConfigurationError(
            f"{name} must be '' or a path of letters, digits, '.', '_', '~' and '-' such as /station7, "
            f"not {shown(value)}"
        )
    return value.rstrip("/")
