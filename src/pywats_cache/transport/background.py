"""Work behind the caller's back: a few daemon threads, or tasks of the caller's event loop."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Coroutine
from contextvars import Context
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import anyio

if TYPE_CHECKING:
    from ..engine.steps import Stale

__all__ = ["Tasks", "Threads"]

WORKERS = 2
BACKLOG = 64
IDLE_SECONDS = 600.0
"""More than the default TTL: to start a thread costs the caller six times as much as to wake one that waits."""


class Threads:
    """Runs refreshes in at most `WORKERS` daemon threads, which end when they have had nothing to do for a while.

    Daemon threads, for those of a ThreadPoolExecutor are joined at the exit of the interpreter. What is counted is
    guarded by `_lock`; handing a job to a waiting thread takes no other.
    """

    def __init__(self, run: Callable[[Stale], None]) -> None:
        self._run = run
        self._jobs: SimpleQueue[Stale | None] = SimpleQueue()  # None: no more will come
        self._lock = threading.Lock()
        self._workers = 0
        self._unfinished = 0
        self._closed = False

    def start(self, stale: Stale) -> bool:
        """Run the refresh of `stale` soon. False if this is closed, has too much to do, or gets no thread."""
        with self._lock:
            unfinished = self._unfinished
            if self._closed or unfinished >= BACKLOG:
                return False
            if self._workers <= unfinished and self._workers < WORKERS:
                try:
                    # In a clean context, which some builds of Python do not begin a thread with.
                    run, name = Context().run, "pywats-cache-refresh"
                    threading.Thread(target=run, args=(self._work,), name=name, daemon=True).start()
                    self._workers += 1
                except RuntimeError:  # the system has no more, or the interpreter is ending
                    if not self._workers:
                        return False
            self._unfinished = unfinished + 1
            self._jobs.put(stale)
        return True

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=IDLE_SECONDS)
            except Empty:
                with self._lock:
                    if self._jobs.empty():
                        self._workers -= 1
                        return
                continue
            if job is None:
                return
            self._run(job)
            with self._lock:
                self._unfinished -= 1

    def close(self) -> list[Stale]:
        """Start no more. Returns what was not begun. A refresh under way ends with its connection."""
        left: list[Stale] = []
        with self._lock:
            self._closed = True
            try:
                while True:
                    job = self._jobs.get_nowait()
                    if job is not None:
                        left.append(job)
            except Empty:
                pass
            for _ in range(self._workers):
                self._jobs.put(None)
        return left


class Tasks:
    """Runs refreshes as tasks of the loop that is running: `create_task` on asyncio, a system task on trio.

    Each is tracked with its loop, for a task can only be cancelled there. Each change of `_running` is one step.

    - `ended`: called at the end of each, even of one that was cancelled before its first line or left in a closed loop.
    """

    def __init__(self, run: Callable[[Stale], Coroutine[Any, Any, None]], ended: Callable[[Stale], None]) -> None:
        self._run = run
        self._ended = ended
        # By task or scope: how to call its loop, whether that is closed, and the refresh. For asyncio the strong
        # reference to the task that it asks for.
        self._running: dict[Any, tuple[Callable[..., object], Callable[[], bool], Stale]] = {}
        self._closed = False

    def start(self, stale: Stale) -> bool:
        """Run the refresh of `stale` in the loop that is running now. False if this is closed or has too much to do."""
        # In a clean context: what stands in the caller's, such as the span of a trace, is of the caller's call.
        self.let_go()
        if self._closed or len(self._running) >= BACKLOG:
            return False
        trio = sys.modules.get("trio")
        if trio is not None and trio.lowlevel.in_trio_run():
            scope = trio.CancelScope()
            self._running[scope] = (trio.lowlevel.current_trio_token().run_sync_soon, _never, stale)
            trio.lowlevel.spawn_system_task(self._in_trio, stale, scope, context=Context())
            return True
        # Not imported, which takes 20 ms that users of the sync transport do without; here a loop of it is running.
        loop = sys.modules["asyncio"].get_running_loop()
        task = Context().run(loop.create_task, self._run(stale))
        self._running[task] = (loop.call_soon_threadsafe, loop.is_closed, stale)
        task.add_done_callback(partial(self._over, stale))
        if self._closed:  # meanwhile, in another thread
            task.cancel()
        return True

    async def _in_trio(self, stale: Stale, scope: Any) -> None:
        try:
            with scope:
                if not self._closed:
                    await self._run(stale)
        finally:
            self._over(stale, scope)

    def _over(self, stale: Stale, cancellable: Any) -> None:
        self._running.pop(cancellable, None)
        self._ended(stale)

    def let_go(self) -> None:
        """Give up tasks whose loop was closed without cancelling them (`asyncio.run` and trio do cancel)."""
        if self._running:
            for cancellable, (_, has_ended, stale) in self._running.copy().items():
                if has_ended():
                    self._over(stale, cancellable)

    async def close(self) -> None:
        """Start no more and cancel what runs, each in its own loop."""
        self._closed = True
        self.let_go()
        for cancellable, (soon, _, _) in self._running.copy().items():
            try:
                soon(cancellable.cancel)
            except RuntimeError:  # that loop has ended
                pass
        await anyio.lowlevel.cancel_shielded_checkpoint()


def _never() -> bool:
    """Whether a loop of trio was closed with a task in it."""
    return False
