"""Streams that are stored while they are handed on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from types import AsyncGeneratorType
from typing import Any

from ..support.collector import Collector

__all__ = ["AsyncTee", "Tee"]


class Tee:
    """A sync stream that hands on chunk by chunk and stores what it saw at a clean end.

    `after` is called once it is decided what becomes of the body: at its end, when it is too large, or closed early.
    """

    def __init__(self, stream: Any, collector: Collector, after: Callable[[], object] | None = None) -> None:
        self._stream = stream
        self._collector = collector
        self._after = after

    def __iter__(self) -> Iterator[bytes]:
        collector = self._collector
        try:
            for chunk in self._stream:
                collector.add(chunk)
                if collector.is_over:
                    self._end()
                yield chunk
        except BaseException:
            collector.end()
            raise
        collector.finish()
        self._end()

    def _end(self) -> None:
        after, self._after = self._after, None
        if after is not None:
            after()

    def close(self) -> None:
        """Close the stream; early, it stores nothing."""
        self._collector.end()
        try:
            self._stream.close()
        finally:
            self._end()


class AsyncTee:
    """The same for an async stream; it awaits `after`."""

    def __init__(self, stream: Any, collector: Collector, after: Callable[[], Awaitable[None]] | None = None) -> None:
        self._stream = stream
        self._collector = collector
        self._after = after

    async def __aiter__(self) -> AsyncIterator[bytes]:
        collector = self._collector
        chunks = self._stream.__aiter__()
        try:
            async for chunk in chunks:
                collector.add(chunk)
                if collector.is_over:
                    await self._end()
                yield chunk
        except BaseException:
            collector.end()
            if isinstance(chunks, AsyncGeneratorType):  # trio complains of one that is left to the garbage collector
                await chunks.aclose()
            raise
        collector.finish()
        await self._end()

    async def _end(self) -> None:
        after, self._after = self._after, None
        if after is not None:
            await after()

    async def aclose(self) -> None:
        """Close the stream; early, it stores nothing."""
        self._collector.end()
        try:
            await self._stream.aclose()
        finally:
            await self._end()
