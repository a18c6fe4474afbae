"""Writing behind the caller's back: one thread does what was put in a queue, many jobs at a time.

A job keeps what it stands for until it is done: a claim is given back after the commit, so who looks meanwhile waits.
The queue is bounded; where it is full, the caller waits a moment for room, as it would for the disk without it.

Nothing is left behind: `close`, the exit of the interpreter and a fork do first what is queued, and an idle thread
keeps nothing alive. A process that is killed, or leaves by `os._exit`, loses its last records, which are fetched again.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from ...support.fork import close_before_fork

__all__ = ["WriteBehind"]

JobT = TypeVar("JobT")

MOST_JOBS = 1000
MOST_BYTES = 16 << 20
"""Bounds of the queue. A single job that is larger finds room in an empty one."""
BATCH_JOBS = 256
BATCH_BYTES = 4 << 20
"""What is done at one time, so that no transaction lasts for long."""
DOZE, AWAKE = 0.001, 0.1
"""Seconds between two looks into the queue, for so long after the last job. To wake a thread costs a caller up to
0.1 ms, on a machine where it has to share its processor with that thread."""
REST_PAUSE = 0.003
"""Seconds between two slices of `rest`, which are for other processes."""
END_SECONDS = 5.0
"""How long a close, a fork or the exit waits for what is queued."""


class WriteBehind(Generic[JobT]):
    """Calls `do(jobs)` in a thread of its own, which is started with the first job. Safe from any thread.

    - `do`: does the jobs; it raises nothing.
    - `rest`: does a slice of what may be done at any time, and says whether anything is left of it.
    """

    def __init__(self, do: Callable[[list[JobT]], object], rest: Callable[[], bool]) -> None:
        self._do = do
        self._rest = rest
        self._queue: _Queue[JobT] = _Queue()
        self._is_over = False
        _all.add(self)
        close_before_fork(self, first=True)

    def add(self, job: JobT, size: int) -> bool:
        """Queue `job`, which keeps `size` bytes alive. False: the queue is full."""
        while True:
            queue = self._queue
            with queue.changed:
                if queue.is_stopped:  # another thread has closed it since
                    continue
                if not queue.has_room_for(size):
                    return False
                queue.jobs.append((self, job, size))
                queue.added += 1
                queue.bytes += size
                if queue.thread is not None and not queue.is_asleep:
                    return True
                starts = self._wake(queue)
            if not starts:
                _do_batch(queue, queue.taken())
            return True

    def wait_for_room(self, size: int, seconds: float) -> bool:
        """Wait until a job of this size may find room. False: that took longer than so many seconds."""
        queue = self._queue
        with queue.changed:
            if queue.thread is threading.current_thread():
                return False
            return queue.changed.wait_for(lambda: queue.is_stopped or queue.has_room_for(size), seconds)

    def begin_rest(self) -> None:
        """Call `rest`, slice by slice, whenever no job is queued, until nothing is left of it."""
        queue = self._queue
        with queue.changed:
            queue.rest = self
            queue.asked += 1
            self._wake(queue)

    def _wake(self, queue: _Queue[JobT]) -> bool:
        """See to it that a thread looks at `queue`; False: none can be started now. Its lock is held."""
        if queue.thread is None:
            if self._is_over:
                return False
            _flush_in_children_of_multiprocessing()
            queue.thread = threading.Thread(target=_work, args=(queue,), name="pywats-cache-store", daemon=True)
            try:
                queue.thread.start()
            except RuntimeError:  # the interpreter is about to exit, or the system has no thread left
                queue.thread = None
                return False
        elif queue.is_asleep:
            queue.changed.notify_all()
        return True

    def take_back(self) -> list[JobT]:
        """Take out what is queued and not begun, and return it."""
        queue = self._queue
        with queue.changed:
            batch = [*queue.jobs]
            queue.jobs.clear()
            queue.finished(batch)
        return [job for _, job, _ in batch]

    def flush(self, seconds: float = END_SECONDS) -> bool:
        """Wait until all that was queued before is done. False: that took longer than so many seconds."""
        queue = self._queue
        with queue.changed:
            if queue.thread is threading.current_thread():
                return False
            goal = queue.added
            queue.changed.notify_all()  # begin at once
            return queue.changed.wait_for(lambda: queue.done >= goal or queue.thread is None, seconds)

    def close(self) -> None:
        """Do what is queued, and end the thread. The next job starts another one."""
        self.flush()
        queue, self._queue = self._queue, _Queue()
        with queue.changed:
            thread = queue.thread
            queue.is_stopped = True
            queue.changed.notify_all()
        if thread is not None and thread is not threading.current_thread():
            thread.join(END_SECONDS)

    def end(self) -> None:
        """The same at the exit of the interpreter. What comes later is done by its caller."""
        self._is_over = True
        self.close()

    def __del__(self) -> None:
        queue = getattr(self, "_queue", None)
        if queue is not None and queue.thread is not None:
            with queue.changed:
                queue.is_stopped = True
                queue.changed.notify_all()

    # ── forks ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _before_fork(self) -> None:
        self.flush()

    def _after_fork_in_parent(self) -> None:
        pass

    def _after_fork_in_child(self) -> None:
        self._queue = _Queue()  # what is in the other one is the parent's to do


class _Queue(Generic[JobT]):
    """What waits, for one thread. Guarded by `changed`, which the holder may take again: a finalizer may store, too."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.jobs: deque[tuple[WriteBehind[JobT], JobT, int]] = deque()
        """Each with whose it is, which lives until it is done."""
        self.bytes = self.added = self.done = self.asked = 0
        self.rest: WriteBehind[JobT] | None = None
        self.thread: threading.Thread | None = None
        self.is_stopped = self.is_asleep = False

    def has_room_for(self, size: int) -> bool:
        return self.added - self.done < MOST_JOBS and (not self.bytes or self.bytes + size <= MOST_BYTES)

    def taken(self) -> list[tuple[WriteBehind[JobT], JobT, int]]:
        """The next jobs to be done at one time."""
        batch: list[tuple[WriteBehind[JobT], JobT, int]] = []
        with self.changed:
            size = 0
            while self.jobs and len(batch) < BATCH_JOBS and size < BATCH_BYTES:
                batch.append(self.jobs.popleft())
                size += batch[-1][2]
        return batch

    def finished(self, batch: list[tuple[WriteBehind[JobT], JobT, int]]) -> None:
        with self.changed:
            self.done += len(batch)
            self.bytes -= sum(size for _, _, size in batch)
            self.changed.notify_all()


def _do_batch(queue: _Queue[JobT], batch: list[tuple[WriteBehind[JobT], JobT, int]]) -> None:
    if batch:
        try:
            batch[0][0]._do([job for _, job, _ in batch])
        finally:
            queue.finished(batch)


def _do_slice(queue: _Queue[JobT], owner: WriteBehind[JobT], asked: int) -> None:
    if not owner._rest():
        with queue.changed:
            if queue.asked == asked:
                queue.rest = None
        return
    with queue.changed:
        if not queue.jobs and not queue.is_stopped:
            queue.changed.wait(REST_PAUSE)


def _work(queue: _Queue[JobT]) -> None:
    """The thread. While it waits it keeps nothing alive but the queue."""
    awake_until = float("-inf")
    try:
        while True:
            with queue.changed:
                while not (queue.jobs or queue.rest is not None or queue.is_stopped):
                    queue.is_asleep = time.monotonic() >= awake_until
                    queue.changed.wait(None if queue.is_asleep else DOZE)
                queue.is_asleep = False
                if not queue.jobs and queue.is_stopped:
                    return
                owner, asked = queue.rest, queue.asked
            if queue.jobs:
                _do_batch(queue, queue.taken())
                awake_until = time.monotonic() + AWAKE
            elif owner is not None:
                _do_slice(queue, owner, asked)
            del owner
    finally:
        with queue.changed:
            queue.thread = None
            queue.changed.notify_all()


# ── the end of the process ────────────────────────────────────────────────────────────────────────────────────────

_all: weakref.WeakSet[WriteBehind[Any]] = weakref.WeakSet()


@atexit.register
def _end_all() -> None:
    for behind in list(_all):
        behind.end()


_pid_seen_to = 0


def _flush_in_children_of_multiprocessing() -> None:
    """See to what is queued when a child of multiprocessing ends: before Python 3.13 `atexit` is not called there."""
    global _pid_seen_to  # noqa: PLW0603 - a forked child inherits it, so it says of which process it is
    process, util = sys.modules.get("multiprocessing.process"), sys.modules.get("multiprocessing.util")
    if process is None or util is None or process.parent_process() is None or _pid_seen_to == os.getpid():
        return
    _pid_seen_to = os.getpid()
    util.Finalize(None, _end_all, exitpriority=0)
