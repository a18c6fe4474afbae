"""Serving one cache beside a program that has its own work."""

from __future__ import annotations

from typing import Any

from .app import build_app
from .guard import LOOPBACK, Guard
from .serving import Listener
from .subject import Subject

__all__ = ["serve"]


def serve(
    client: Any, *, port: int = 8080, host: str = LOOPBACK[0], name: str = "default", token: str | None = None
) -> Listener:
    """Serve the figures of `client`, and with `token` the operations on it, from a thread; `.stop_thread()` ends it.

    - `client`: a `CacheTransport`, a `CacheClient`, a `pyWATS`, the async ones (which are not warmed from here).
    - `port`: 0 takes any that is free; `.url` says which.
    - `/metrics` is Prometheus text where prometheus-client is installed, else JSON.

    Raises OSError where the port is taken, ConfigurationTypeError for another kind of client.
    """
    subject = Subject(client, name, elsewhere=True)
    app = build_app(lambda: subject, Guard(LOOPBACK if host in LOOPBACK else None, token), exposition=_text(subject))
    listener = Listener(app, port, host)
    listener.start_thread()
    return listener


def _text(subject: Subject) -> Any:
    try:
        from prometheus_client import CollectorRegistry, generate_latest

        from ..metrics import watch
    except ImportError:
        return lambda: None
    registry = CollectorRegistry()

    def text() -> bytes | None:
        if subject.transport is None:
            return None
        watch(subject.transport, subject.name, registry)
        return generate_latest(registry)

    return text
