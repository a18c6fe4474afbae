"""An origin that answers when a test lets it, and how a test waits until callers are where it wants them."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import httpx

URL = "http://origin.example/a"
SOON = 30.0
"""Seconds after which something that must happen has not."""


def await_joiners(joined: threading.Semaphore, count: int) -> None:
    for _ in range(count):
        assert joined.acquire(timeout=SOON), "a caller did not join"


async def await_joining_tasks(joined: threading.Semaphore, count: int) -> None:
    with anyio.fail_after(SOON):
        for _ in range(count):
            while not joined.acquire(blocking=False):
                await anyio.lowlevel.checkpoint()


class Origin(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """An origin with its answers, one after the other (the last one for ever), and the gates that they wait at."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers) or [lambda: httpx.Response(200, content=b"value")]
        self.arrived = threading.Semaphore(0)
        self.gates = [threading.Event()]
        self.requests = 0
        self.most_at_once = 0
        self._inside = 0
        self._lock = threading.Lock()

    @property
    def gate(self) -> threading.Event:
        return self.gates[0]

    def _enter(self) -> tuple[Any, threading.Event]:
        with self._lock:
            answer = self.answers[min(self.requests, len(self.answers) - 1)]
            gate = self.gates[min(self.requests, len(self.gates) - 1)]
            self.requests += 1
            self._inside += 1
            self.most_at_once = max(self.most_at_once, self._inside)
        self.arrived.release()
        return answer, gate

    def _leave(self, answer: Any) -> httpx.Response:
        with self._lock:
            self._inside -= 1
        made = answer()
        if isinstance(made, Exception):
            raise made
        return made

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer, gate = self._enter()
        assert gate.wait(SOON)
        return self._leave(answer)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer, gate = self._enter()
        try:
            with anyio.fail_after(SOON):
                while not gate.is_set():
                    await anyio.lowlevel.checkpoint()
        except BaseException:
            with self._lock:
                self._inside -= 1
            raise
        return self._leave(answer)


def value() -> httpx.Response:
    return httpx.Response(200, content=b"value")


def uncacheable() -> httpx.Response:
    return httpx.Response(200, headers={"Cache-Control": "no-store"}, content=b"value")


def broken() -> Exception:
    return httpx.ReadError("broken")


class Chunks(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body of unknown length."""

    def __iter__(self) -> Iterator[bytes]:
        yield b"val"
        yield b"ue"

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"val"
        yield b"ue"


def streamed() -> httpx.Response:
    return httpx.Response(200, stream=Chunks())


def statuses(responses: list[httpx.Response]) -> list[str]:
    return sorted(response.extensions["pywats_cache"].status for response in responses)
