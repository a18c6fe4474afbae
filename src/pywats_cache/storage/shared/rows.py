"""Packed answers as a store beyond the process keeps them."""

from __future__ import annotations

from typing import NamedTuple, Protocol

__all__ = ["OPEN", "Row", "Rows"]

OPEN = "open"
"""The answers of a key lately turned out not to be shared, so everyone fetches it at once."""


class Row(NamedTuple):
    """One record: `key` of the request, `variant` of the answer, and what orders it. Times are wall time."""

    key: str
    variant: str
    data: bytes
    epoch: int
    wall: float
    expires: float


class Rows(Protocol):
    """Where the records are kept for all processes. Every method raises StorageError if that fails."""

    def get(self, key: str) -> list[tuple[str, bytes]]:
        """The variants of `key` and their data."""

    def put(self, row: Row, now: float) -> bool:
        """Store `row`, unless what is there began its fetch later or it can never fit. `now` is wall time."""

    def remove(self, variants: list[tuple[str, str]]) -> None:
        """Take out records that nobody can use any more, each given by key and variant."""

    def clear(self) -> None:
        """Take out all records."""

    def claim(self, key: str, seconds: float) -> str | None:
        """The right to fetch `key` for all, as a token, for so long; OPEN; or None: another process has it."""

    def release(self, key: str, token: str, open_for: float) -> None:
        """Give the right back, if `token` still has it; with `open_for`, anyone may fetch it for that many seconds."""

    def close(self) -> None:
        """Close what is open; the next use opens it again."""
