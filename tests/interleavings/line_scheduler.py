"""Real threads that run one at a time and may change places at every line of the code under test.

`sys.settrace` calls the scheduler before each line (or instruction) of the watched functions; the product has no
hooks. All schedules with a bounded number of preemptions are run (Musuvathi & Qadeer, "Iterative context bounding",
PLDI 2007: most races need one or two).

Locks and events of the product are replaced by ones that tell the scheduler when a thread cannot go on, so a
deadlock is found and not suffered.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable
from types import CodeType, FunctionType
from typing import Any

from step_explorer import Violation

MAX_POINTS = 5000
_TIMEOUT = 60.0


class Stop(BaseException):
    """Unwinds a thread of a schedule that is over."""


class Gate:
    """Lets one thread through each time it is opened; opening an open one does nothing. Cheaper than a Semaphore."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def open(self) -> None:
        try:
            self._lock.release()
        except RuntimeError:
            pass

    def wait(self, timeout: float) -> bool:
        return self._lock.acquire(timeout=timeout)


class Baton:
    """One execution: which thread runs, and which schedules are still to be tried."""

    active: Baton | None = None

    def __init__(
        self,
        prefix: tuple[int, ...],
        bound: int,
        operations: list[Callable[[], object]],
        invariant: Any = None,
    ) -> None:
        self.prefix = prefix
        self.bound = bound
        self.operations = operations
        self.invariant = invariant
        count = len(operations)
        self.gates = [Gate() for _ in range(count)]
        self.over = Gate()
        self.until: list[Callable[[], object] | None] = [None] * count
        self.done = [False] * count
        self.current = -1
        self.path: list[int] = []
        self.used = 0
        self.todo: list[tuple[int, ...]] = []
        self.errors: list[BaseException] = []
        self.stopped = False

    def ready(self) -> list[int]:
        return [i for i, until in enumerate(self.until) if not self.done[i] and (until is None or until())]

    def choose(self) -> int | None:
        """The thread that goes on, or None."""
        ready = self.ready()
        if not ready:
            return None
        last = self.current
        if len(self.path) < len(self.prefix):
            choice = self.prefix[len(self.path)]
        else:
            choice = last if last in ready else ready[0]
            cost = self.used + (last in ready)
            if cost <= self.bound:
                self.todo += [(*self.path, other) for other in ready if other != choice]
        if last in ready and choice != last:
            self.used += 1
        self.path.append(choice)
        return choice

    def point(self) -> None:
        """The running thread may be interrupted here."""
        if self.stopped:
            raise Stop
        if self.invariant is not None:
            try:
                self.invariant()
            except Violation as violation:
                self.fail(violation)
        if len(self.path) > MAX_POINTS:
            self.fail(Violation(f"no end after {MAX_POINTS} lines"))
        me = self.current
        choice = self.choose()
        if choice is None:
            self.fail(Violation(f"all threads wait for ever: {[i for i, d in enumerate(self.done) if not d]}"))
        elif choice != me:
            self.current = choice
            self.gates[choice].open()
            self.wait(me)

    def block(self, until: Callable[[], object]) -> None:
        """The running thread cannot go on before `until()` is true."""
        me = self.current
        if not self.stopped:
            self.until[me] = until
            try:
                self.point()
            finally:
                self.until[me] = None

    def wait(self, me: int) -> None:
        if not self.gates[me].wait(_TIMEOUT):
            self.stopped = True
            raise Stop
        if self.stopped:
            raise Stop

    def fail(self, error: BaseException) -> None:
        self.errors.append(error)
        self.stopped = True
        for gate in self.gates:
            gate.open()
        raise Stop

    def run(self, me: int, trace: Any) -> None:
        """The body of one thread."""
        try:
            self.wait(me)
            sys.settrace(trace)
            try:
                self.operations[me]()
            finally:
                sys.settrace(None)
        except Stop:
            pass
        except BaseException as error:
            self.errors.append(error)
        self.done[me] = True
        if all(self.done):
            self.over.open()
        elif not self.stopped:
            choice = self.choose()
            if choice is None:
                try:
                    self.fail(Violation("all threads wait for ever"))
                except Stop:
                    pass
            else:
                self.current = choice
                self.gates[choice].open()

    def go(self, pool: Pool, trace: Any) -> None:
        Baton.active = self
        try:
            pool.start(self, trace)
            first = self.choose()
            assert first is not None
            self.current = first
            self.gates[first].open()
            if not self.over.wait(_TIMEOUT):
                raise AssertionError("the scheduler is stuck")
        finally:
            Baton.active = None
        for error in self.errors:
            if isinstance(error, Violation):
                raise error
            raise Violation(f"a thread raised {error!r}") from error


class Pool:
    """Threads that are used again for each schedule."""

    def __init__(self, count: int) -> None:
        self._jobs: list[Any] = [None] * count
        self._go = [Gate() for _ in range(count)]
        self._threads = [threading.Thread(target=self._loop, args=(i,), daemon=True) for i in range(count)]
        for thread in self._threads:
            thread.start()

    def _loop(self, index: int) -> None:
        while True:
            self._go[index].wait(-1)
            job = self._jobs[index]
            if job is None:
                return
            baton, trace = job
            baton.run(index, trace)

    def start(self, baton: Baton, trace: Any) -> None:
        for index in range(len(baton.operations)):
            self._jobs[index] = (baton, trace)
            self._go[index].open()

    def close(self) -> None:
        for index, thread in enumerate(self._threads):
            self._jobs[index] = None
            self._go[index].open()
            thread.join(_TIMEOUT)


class BatonLock:
    """A lock that belongs to the scheduler. Re-entrant; `plain` says that the product's is not."""

    def __init__(self, *, plain: bool = False) -> None:
        self._owner: int | None = None
        self._depth = 0
        self._plain = plain

    def acquire(self) -> bool:
        baton = Baton.active
        if baton is not None and not baton.stopped:
            me = baton.current
            if self._plain and self._owner == me:
                baton.fail(Violation("a thread waits for a lock that it holds"))
            while self._owner not in (None, me):
                baton.block(lambda: self._owner is None)
            self._owner = me
        self._depth += 1
        return True

    def release(self) -> None:
        self._depth -= 1
        if self._depth <= 0:
            self._owner = None

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *error: object) -> None:
        self.release()


class BatonLatch:
    """A lock of the scheduler that one thread takes and another one releases; a wait never times out."""

    def __init__(self) -> None:
        self._taken = False

    def acquire(self, timeout: float = -1) -> bool:
        baton = Baton.active
        if baton is not None and self._taken:
            baton.block(lambda: not self._taken)
        self._taken = True
        return True

    def release(self) -> None:
        self._taken = False


class BatonEvent:
    """An event that belongs to the scheduler; a wait never times out."""

    def __init__(self) -> None:
        self._set = False

    def set(self) -> None:
        self._set = True

    def is_set(self) -> bool:
        return self._set

    def wait(self, timeout: float | None = None) -> bool:
        baton = Baton.active
        if baton is not None and not self._set:
            baton.block(lambda: self._set)
        return self._set


def codes(*functions: Any) -> set[CodeType]:
    """The code of functions, and of all methods of classes."""
    found: set[CodeType] = set()
    for function in functions:
        if isinstance(function, type):
            found |= {f.__code__ for f in vars(function).values() if isinstance(f, FunctionType)}
        else:
            found.add(function.__code__)
    return found


def explore_lines(
    start: Callable[[], Any], watched: Iterable[CodeType], *, preemptions: int, instructions: bool = False
) -> int:
    """Run every schedule with at most `preemptions`; return how many there were. Raises Violation for a bad one.

    `start()` gives a run with `operations` (one a thread), `check()` and perhaps `invariant()`, which must hold at
    every line. With `instructions`, threads change places within lines too.
    """
    watched = frozenset(watched)
    wanted = "opcode" if instructions else "line"

    def local(frame: Any, event: str, arg: object) -> Any:
        if event == wanted:
            baton = Baton.active
            if baton is not None:
                baton.point()
        return local

    def trace(frame: Any, event: str, arg: object) -> Any:
        if frame.f_code not in watched:
            return None
        frame.f_trace_opcodes = instructions
        frame.f_trace_lines = not instructions
        return local

    schedules = 0
    todo: list[tuple[int, ...]] = [()]
    pool = Pool(len(start().operations))
    before = sys.gettrace()
    try:
        if instructions:
            # CPython from 3.12 on reports the instructions of a function from the call after the first that asked for
            # it, and forgets that when it is called untraced; so this thread asks too, all the time.
            sys._getframe().f_trace_opcodes = True
            sys.settrace(trace)
            for operation in start().operations:
                operation()
        while todo:
            run = start()
            baton = Baton(todo.pop(), preemptions, run.operations, getattr(run, "invariant", None))
            try:
                baton.go(pool, trace)
                run.check()
            except Violation as violation:
                raise Violation(f"{violation} (schedule {_short(baton.path)})") from violation.__cause__
            todo += baton.todo
            schedules += 1
    finally:
        sys.settrace(before)
        pool.close()
    return schedules


def _short(path: list[int]) -> str:
    """The path as runs: `0x12 1x3 …`."""
    runs: list[list[int]] = []
    for choice in path:
        if runs and runs[-1][0] == choice:
            runs[-1][1] += 1
        else:
            runs.append([choice, 1])
    return " ".join(f"{who}x{count}" for who, count in runs)
