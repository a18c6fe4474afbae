"""Every order of the steps of concurrent processes, explored without threads.

A process is a generator: what it does between two `yield`s is one step. It yields None where it may go on at any
time, or a function that says whether it may (a joiner waits for its flight).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

Process = Iterator[Callable[[], object] | None]


MAX_STEPS = 200


class Violation(AssertionError):
    """A schedule led to something that must never be."""


class Run(Protocol):
    """One execution from the start: its processes, and what must hold once none of them can go on."""

    processes: Sequence[Process]

    def step(self, index: int) -> None: ...

    def check(self, stuck: list[int]) -> None: ...


def explore(start: Callable[[], Any], *, preemptions: int | None = None, twins: Sequence[tuple[int, int]] = ()) -> int:
    """Run every order of steps; return how many there were. Raises Violation with the schedule that led to one.

    - `preemptions`: at most so many times is a process that could go on interrupted; None: no bound.
    - `twins`: pairs of equal processes, of which the first always begins first (the other orders are mirror images).
    """
    schedules = 0
    prefixes: list[tuple[int, ...]] = [()]
    while prefixes:
        prefix = prefixes.pop()
        run = start()
        guards: dict[int, Callable[[], object] | None] = dict.fromkeys(range(len(run.processes)))
        begun: set[int] = set()
        path: list[int] = []
        last, used = -1, 0
        try:
            while True:
                late = {second for first, second in twins if first not in begun}
                ready = [i for i, guard in guards.items() if i not in late and (guard is None or guard())]
                if not ready:
                    break
                if len(path) >= MAX_STEPS:
                    raise Violation(f"no end after {MAX_STEPS} steps")
                if len(path) < len(prefix):
                    choice = prefix[len(path)]
                else:
                    choice = last if last in ready else ready[0]
                    for other in ready:
                        cost = used + (last in ready and other != last)
                        if other != choice and (preemptions is None or cost <= preemptions):
                            prefixes.append((*path, other))
                if last in ready and choice != last:
                    used += 1
                last = choice
                begun.add(choice)
                path.append(choice)
                run.step(choice)
                try:
                    guards[choice] = next(run.processes[choice])
                except StopIteration:
                    del guards[choice]
            run.check(list(guards))
        except Violation as violation:
            raise Violation(f"{violation} (schedule {path})") from None
        schedules += 1
    return schedules
