"""The classes of the HTTP library that made a request: httpx, or its fork httpx2. One engine serves both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Library"]


@dataclass(frozen=True, slots=True)
class Library:
    """What the engine and the transports take from a library.

    - `cached_response`: its Response with `StoredBody` in front; `looked_up_response`: with `LookedUp`.
    - `not_sent`: exceptions that prove that no byte of a request was sent.
    """

    name: str
    response: type[Any]
    cached_response: type[Any]
    looked_up_response: type[Any]
    headers: type[Any]
    byte_stream: type[Any]
    tee: type[Any]
    async_tee: type[Any]
    encode_json: Callable[[Any], bytes]
    not_sent: tuple[type[BaseException], ...]

    def decode(self, headers: list[tuple[bytes, bytes, bytes]], raw: bytes) -> bytes:
        """`raw` without its content encodings. Raises the library's DecodingError."""
        if all(lower != b"content-encoding" for _, lower, _ in headers):
            return raw
        content: bytes = self.response(200, headers=[(name, value) for name, _, value in headers], content=raw).content
        return content
