"""Serving the page: who asks before the server runs waits, a port has one owner, and a bad argument is named."""

from __future__ import annotations

import signal
import socket
import sys
import threading
from collections.abc import Iterator
from traceback import walk_stack
from typing import Any

import httpx
import pytest

pytest.importorskip("uvicorn")

from pywats_cache import CacheTransport, CachingError
from pywats_cache.web import serve
from pywats_cache.web.serving import Listener


async def hello(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener(hello, port=0)
    yield listener
    listener.stop_thread()


def test_a_question_before_the_server_runs_is_answered_by_it(listener: Listener) -> None:
    with socket.create_connection((listener.host, listener.port), timeout=20) as early:
        early.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        listener.start_thread()
        answer = b"".join(iter(lambda: early.recv(4096), b""))
        assert answer.endswith(b"hello")


def test_it_answers_as_soon_as_it_has_started(listener: Listener) -> None:
    listener.start_thread()
    assert httpx.get(listener.url, trust_env=False).text == "hello"


def test_the_port_is_taken_before_the_server_runs(listener: Listener) -> None:
    with pytest.raises(OSError, match="in use"):
        Listener(hello, port=listener.port)


def test_a_listener_that_never_ran_lets_its_port_go(listener: Listener) -> None:
    listener.stop_thread()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((listener.host, listener.port), timeout=20)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs signals to threads")
def test_a_listener_that_ctrl_c_ends_has_ended_when_it_says_so(listener: Listener) -> None:
    main = threading.main_thread().ident
    assert main is not None
    given_up = threading.Event()

    def interrupt() -> None:
        while all(frame.f_code is not Listener.join.__code__ for frame, _ in walk_stack(sys._current_frames()[main])):
            if given_up.is_set():
                return
        signal.pthread_kill(main, signal.SIGINT)

    listener.start_thread()
    thread = listener._thread
    assert thread is not None
    interrupting = threading.Thread(target=interrupt, daemon=True)
    interrupting.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            listener.join()
    finally:
        given_up.set()
        interrupting.join(60)
    listener.stop_thread()
    assert thread.ident not in sys._current_frames()


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ({"port": -1}, "port must be a whole number >= 0, not -1"),
        ({"port": 65536}, "port must be from 0 to 65535, not 65536"),
        ({"port": "8080"}, "port must be a whole number >= 0, not '8080'"),
        ({"host": 5}, "host must be a string such as '127.0.0.1', not 5"),
        ({"name": None}, "name must be a string such as 'station', not None"),
        ({"token": 5}, "token must be a string, not a int"),
    ],
)
def test_a_bad_argument_is_named(argument: dict[str, Any], says: str) -> None:
    with pytest.raises(CachingError, match=says):
        serve(CacheTransport(), **{"port": 0, **argument})
