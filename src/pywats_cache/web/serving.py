"""Listening, in an event loop that runs already or in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import uvicorn

__all__ = ["Listener"]


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the program."""
        yield


class Listener:
    """Serves an ASGI application on one socket, which listens from the start.

    - `port`: 0 takes any that is free; `port` then says which.
    - `host`: loopback unless told otherwise.

    Raises OSError where the port is taken.
    """

    def __init__(self, app: Any, port: int, host: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            if os.name == "posix":  # elsewhere it lets another program take the port away
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((host, port))
            self._socket.listen(128)  # at once: an early caller waits for the server instead of being refused
        except BaseException:
            self._socket.close()
            raise
        self.host = host
        self.port: int = self._socket.getsockname()[1]
        self._server = _Server(
            uvicorn.Config(
                app, log_config=None, access_log=False, lifespan="off", ws="none", timeout_graceful_shutdown=2
            )
        )
        self._task: asyncio.Task[None] | None = None
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()

    @property
    def url(self) -> str:
        """The address to ask."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"

    def start(self) -> None:
        """Serve in the loop that runs now."""
        self._task = asyncio.get_running_loop().create_task(self._serve(), name="pywats-cache-http")

    async def stop(self) -> None:
        """End what `start` began; answers under way get 2 seconds."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
        self._socket.close()  # the server does so only if it ran

    def start_thread(self) -> None:
        """Serve in a thread of its own; returns when the first request can be answered."""
        self._thread = threading.Thread(target=self.run, name="pywats-cache-http", daemon=True)
        self._thread.start()

    def stop_thread(self) -> None:
        """End what `start_thread` began."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join()
        self._socket.close()  # the server does so only if it ran

    def join(self) -> None:
        """Wait until the thread ends."""
        # Not by Thread.join: up to Python 3.12, one that a KeyboardInterrupt ends takes the thread for ended. With a
        # timeout, for a KeyboardInterrupt gets through on Windows only then.
        while self._thread is not None and self._thread.is_alive():
            self._ended.wait(1.0)

    def run(self) -> None:
        """Serve in this thread until `stop_thread`, or a KeyboardInterrupt."""
        try:
            asyncio.run(self._serve())
        finally:
            self._ended.set()

    async def _serve(self) -> None:
        await self._server.serve(sockets=[self._socket])
