"""What gathers a body while it is handed on."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Collector"]


class Collector:
    """Gathers the chunks of a body on their way to the caller, up to `bound` bytes.

    `done(raw)` is called at a clean end, `failed(too_large)` when there will be none; one of them, once.
    """

    __slots__ = ("_bound", "_chunks", "_done", "_failed", "_over")

    def __init__(self, bound: int, done: Callable[[bytes], object], failed: Callable[[bool], object]) -> None:
        self._bound = bound
        self._chunks: list[bytes] = []
        self._done = done
        self._failed = failed
        self._over = False

    def add(self, chunk: bytes) -> None:
        """One more chunk was received."""
        if not self._over:
            self._bound -= len(chunk)
            if self._bound < 0:
                self.end(too_large=True)
            else:
                self._chunks.append(chunk)

    @property
    def is_over(self) -> bool:
        """Whether it is decided what becomes of the body."""
        return self._over

    def finish(self) -> None:
        """The stream ended cleanly."""
        if not self._over:
            self._over = True
            raw = b"".join(self._chunks)
            self._chunks = []
            self._done(raw)

    def end(self, *, too_large: bool = False) -> None:
        """The stream broke off, was closed early, or is too large."""
        if not self._over:
            self._over = True
            self._chunks = []
            self._failed(too_large)
