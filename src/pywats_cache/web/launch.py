"""Serving one cache beside a program that has its own work."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..errors import ConfigurationError, ConfigurationTypeError
from ..support.addresses import host_names, path_prefix
from ..support.checks import text, whole
from ..support.showing import shown
from .app import build_app
from .guard import LOOPBACK, Guard, allowed_hosts
from .prefix import Prefixed
from .serving import Listener
from .subject import Subject

__all__ = ["serve"]


def serve(
    client: Any,
    *,
    port: int = 8080,
    host: str = LOOPBACK[0],
    name: str = "default",
    token: str | None = None,
    hosts: Iterable[str] = (),
    prefix: str = "",
) -> Listener:
    """Serve the figures of `client`, and with `token` the operations on it, from a thread; `.stop_thread()` ends it.

    - `client`: a `CacheTransport`, a `CacheClient`, a `pyWATS`, the async ones (which are not warmed from here).
    - `port`: 0 takes any that is free; `.url` says which.
    - `host`: the address to listen on; a loopback address answers only to its own names.
    - `name`: what the page and the metrics call the cache.
    - `token`: what a request that changes something must bring; None or "": changes are off.
    - `hosts`, `prefix`: the names and the path, such as /station7, under which a proxy offers it.

    `/metrics` is Prometheus text where prometheus-client is installed, else JSON.

    Raises OSError if it cannot listen there, ConfigurationError or ConfigurationTypeError for a bad argument.
    """
    if whole("port", port, least=0) > 65535:
        raise ConfigurationError(f"port must be from 0 to 65535, not {shown(port)}")
    text("host", host, LOOPBACK[0])
    text("name", name, "station")
    if token is not None and not isinstance(token, str):
        raise ConfigurationTypeError(f"token must be a string, not a {type(token).__name__}")  # not shown: a secret
    subject = Subject(client, name, elsewhere=True)
    named, below = host_names("hosts", hosts), path_prefix("prefix", prefix)
    app = build_app(lambda: subject, Guard(allowed_hosts(host, named), token), exposition=_exposition(subject))
    listener = Listener(Prefixed(app, lambda: below), port, host)
    listener.start_thread()
    return listener


def _exposition(subject: Subject) -> Any:
    try:
        from prometheus_client import CollectorRegistry, generate_latest

        from ..metrics import watch
    except ImportError:
        return lambda: None
    registry = CollectorRegistry()

    def exposition() -> bytes | None:
        if subject.transport is None:
            return None
        watch(subject.transport, subject.name, registry)
        return generate_latest(registry)

    return exposition
